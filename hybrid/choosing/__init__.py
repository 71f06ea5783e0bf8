"""Find the best operating point within limits, with reasons. Needs no torch.

field = choosing.collect_candidates(["cifar10-resnet32"])
answer = choosing.choose(field, Limits(max_loss_points=1.0, max_energy_uj=40))
answer.best, answer.proof, answer.without, answer.uncertifiable, answer.left_out
"""

from hybrid.choosing.answer import (
    Answer,
    Decided,
    Figures,
    Point,
    ProfileCheck,
    Proof,
    RankedCandidate,
    Uncertifiable,
)
from hybrid.choosing.candidates import Candidate, Field, collect_candidates, taken_from
from hybrid.choosing.choosing import check_profiles, choose
from hybrid.choosing.curves import LossCurve, ParetoSet, loss_curve, pareto_sets
from hybrid.choosing.files import (
    PointFile,
    command_of,
    load_point,
    origin,
    point_file,
    save_point,
    to_json,
    to_toml,
)
from hybrid.choosing.limits import Limits, Violation, at_least
from hybrid.choosing.modes import MODES, Mode

__all__ = [
    "MODES",
    "Answer",
    "Candidate",
    "Decided",
    "Field",
    "Figures",
    "Limits",
    "LossCurve",
    "Mode",
    "ParetoSet",
    "Point",
    "PointFile",
    "ProfileCheck",
    "Proof",
    "RankedCandidate",
    "Uncertifiable",
    "Violation",
    "at_least",
    "check_profiles",
    "choose",
    "collect_candidates",
    "command_of",
    "load_point",
    "loss_curve",
    "origin",
    "pareto_sets",
    "point_file",
    "save_point",
    "taken_from",
    "to_json",
    "to_toml",
]

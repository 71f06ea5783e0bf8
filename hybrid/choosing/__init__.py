"""Find the best operating point within limits, with reasons. Needs no torch.

field = choosing.collect_candidates(["cifar10-resnet32"])
answer = choosing.choose(field, Limits(max_loss_points=1.0, max_energy_uj=40))
answer.best, answer.runners_up, answer.left_out, answer.proof
"""

from hybrid.choosing.answer import Answer, Figures, Point, ProfileCheck, Proof, RankedCandidate
from hybrid.choosing.candidates import Candidate, Field, collect_candidates, taken_from
from hybrid.choosing.choosing import ParetoSet, check_profiles, choose, pareto_sets
from hybrid.choosing.files import PointFile, load_point, point_file, save_point, to_json, to_toml
from hybrid.choosing.limits import Limits, Violation
from hybrid.choosing.modes import MODES, Mode

__all__ = [
    "MODES",
    "Answer",
    "Candidate",
    "Field",
    "Figures",
    "Limits",
    "Mode",
    "ParetoSet",
    "Point",
    "PointFile",
    "ProfileCheck",
    "Proof",
    "RankedCandidate",
    "Violation",
    "check_profiles",
    "choose",
    "collect_candidates",
    "load_point",
    "pareto_sets",
    "point_file",
    "save_point",
    "taken_from",
    "to_json",
    "to_toml",
]

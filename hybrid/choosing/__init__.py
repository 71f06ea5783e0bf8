"""Limits to the best operating point, with reasons. No torch; `survey`, then `choose`.

field = choose.survey(["cifar10-resnet32"])
answer = choose.choose(field, Limits(max_loss_points=1.0, max_energy_uj=40))
answer.best, answer.runners_up, answer.left_out, answer.proof
"""

from hybrid.choosing.answer import Answer, Figures, Point, Proof, Standing, Survival
from hybrid.choosing.candidates import KINDS, Contender, Field, survey, taken_from
from hybrid.choosing.choosing import Considered, choose, considered, survives
from hybrid.choosing.files import PointFile, load_point, point_file, save_point, to_toml
from hybrid.choosing.limits import Breach, Limits

__all__ = [
    "KINDS",
    "Answer",
    "Breach",
    "Considered",
    "Contender",
    "Field",
    "Figures",
    "Limits",
    "Point",
    "PointFile",
    "Proof",
    "Standing",
    "Survival",
    "choose",
    "considered",
    "load_point",
    "point_file",
    "save_point",
    "survey",
    "survives",
    "taken_from",
    "to_toml",
]

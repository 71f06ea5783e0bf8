"""Recipes: TOML files that list the variants of a network to train, in which order and how."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from hybrid.data import DATASETS
from hybrid.errors import HybridError, RecipeError, UnknownNameError
from hybrid.files import read_toml
from hybrid.models import Spec
from hybrid.models.architectures import architecture
from hybrid.quant.levels import check_bits

__all__ = ["FORMAT", "Plan", "Recipe", "load_recipe", "plan_of", "recipe_names"]

FORMAT = 1
OPTIMIZERS = ("adam", "muon", "sgd")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How one variant is trained.

    Args:
        name: "hybrid-4bit" or "static-4bit", with the bit width unless `bits` is given.
        start: variant whose weights it starts from; empty for fresh weights.
        bits: bit width of each edge stage, if they differ.
        cloud_bits: bit width of the stages after the cut.
        cut, exits: of this variant; by default the recipe's.
        epochs: passes over the training split; 0 quantizes without training.
        cycles: how often the learning rate rises and falls, in equal shares of the epochs. A
            finished run continues if its plan gets more cycles of the same length. Source:
            Loshchilov and Hutter, "SGDR", arXiv 1608.03983.
        optimizer: "sgd" (Nesterov), "adam", or "muon" (filters; Adam for the rest).
        learning_rate: at its peak; up linearly over `warmup`, then down linearly to 0, once in
            every cycle.
        rest_rate: with "muon", the learning rate of everything but the filters.
        warmup: fraction of a cycle's steps.
        batch: images per step.
        label_smoothing: of the cross entropy.
        branch_blocks, branch_bits: of the exits' branches, see `Spec`. Their blocks start as copies
            of the stages that they repeat.
        exit_weight: of every early exit's loss, or one for each; the final exit's is 1.
        teacher: variant whose probabilities are a target too, of this network ("static-32bit") or
            of another one of the same data set ("cifar100-wide7/static-32bit"); for several, their
            mean; empty for none.
        teacher_weight: the teachers' share of the loss, 0 to 1.
        mirrored: the teachers answer for each image and its mirror image; the mean is the target.
        views: how many epochs have different batches; after them the same orders, crops and flips
            are repeated, and so are the teachers' saved answers. 0: every epoch has its own.
        blockwise: epochs at the start in which each edge stage alone learns, on the student's own
            features, the output of the same stage of `start` at full precision. Source: Ye et al.,
            "Distillation Guided Residual Learning for Binary CNNs", arXiv 2007.05223.
        heads_only: train the exit heads and freeze everything else.
        crop: pixels by which a training image is shifted at most.
        cutout: side in pixels of a square, at a random place of each training image, that is set
            to the mean colour; 0 for none. Source: DeVries and Taylor, arXiv 1708.04552.
        flip: mirror training images in every other epoch, half of them in the first.
    """

    name: str
    start: str = ""
    bits: int | tuple[int, ...] = 0
    cloud_bits: int = 32
    cut: int = 0
    exits: tuple[int, ...] = ()
    branch_blocks: tuple[int, ...] = ()
    branch_bits: tuple[int, ...] = ()
    epochs: int = 1
    cycles: int = 1
    optimizer: str = "sgd"
    learning_rate: float = 0.1
    rest_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup: float = 0.2
    batch: int = 128
    label_smoothing: float = 0.0
    exit_weight: float | tuple[float, ...] = 0.5
    teacher: str | tuple[str, ...] = ""
    teacher_weight: float = 0.5
    mirrored: bool = False
    views: int = 0
    blockwise: int = 0
    heads_only: bool = False
    crop: int = 4
    cutout: int = 0
    flip: bool = True

    @property
    def static(self) -> bool:
        """Whether it has no early exits."""
        return self.name.startswith("static-")

    @property
    def width(self) -> int:
        """The bit width in its name.

        >>> Plan(name="hybrid-4bit").width
        4
        """
        return int(self.name.split("-")[1].removesuffix("bit"))

    def exit_weights(self, exits: int) -> tuple[float, ...]:
        """The weight of each exit's loss, the final one last.

        Args:
            exits: how many early exits there are.

        >>> Plan(name="hybrid-4bit", exit_weight=0.5).exit_weights(2)
        (0.5, 0.5, 1.0)
        """
        one = self.exit_weight
        return (*(one if isinstance(one, tuple) else (one,) * exits), 1.0)

    @property
    def teachers(self) -> tuple[str, ...]:
        """The names of its teachers.

        >>> Plan(name="hybrid-4bit", teacher="static-32bit").teachers
        ('static-32bit',)
        """
        named = (self.teacher,) if isinstance(self.teacher, str) else self.teacher
        return tuple(name for name in named if name)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A network with all its variants.

    Args:
        network: its name, and that of its folder in pretrained/.
        dataset: a name in `hybrid.data.DATASETS`.
        title, description: for the card.
        seed: of weights, order and augmentation.
        architecture, classes, channels, size, cut, exits: see `Spec`.
        plans: the variants, each after the one it starts from.
        sources, seen, module_folder, fit: of a user's model, see `Card`.
    """

    network: str
    dataset: str
    title: str
    description: str
    seed: int
    architecture: str
    classes: int
    channels: int
    size: int
    cut: int
    exits: tuple[int, ...]
    stages: int
    plans: tuple[Plan, ...]
    sources: Mapping[str, str] = field(default_factory=dict)
    seen: tuple[str, ...] = ()
    module_folder: str = ""
    fit: str = ""

    def plan(self, variant: str) -> Plan:
        """The plan called `variant`.

        Raises:
            UnknownNameError: there is none.
        """
        for plan in self.plans:
            if plan.name == variant:
                return plan
        raise UnknownNameError("variant", variant, [plan.name for plan in self.plans])

    def spec(self, plan: Plan) -> Spec:
        """The network that `plan` trains; a static one has every stage at the edge and no exit."""
        return Spec(
            architecture=self.architecture,
            classes=self.classes,
            channels=self.channels,
            size=self.size,
            cut=self.stages - 1 if plan.static else plan.cut or self.cut,
            exits=() if plan.static else plan.exits or self.exits,
            bits=plan.bits or plan.width,
            cloud_bits=plan.cloud_bits,
            branch_blocks=plan.branch_blocks,
            branch_bits=plan.branch_bits,
            static=plan.static,
        )


def recipe_names() -> list[str]:
    """Names of the shipped recipes."""
    folder = resources.files("hybrid.training") / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir())


def load_recipe(name: str | Path) -> Recipe:
    """Read a recipe by name or by path of a TOML file.

    Raises:
        UnknownNameError: no recipe has that name.
        RecipeError: the file is not a valid recipe.
    """
    source = _source(name)
    try:
        with resources.as_file(source) as path:
            return _parse(read_toml(path))
    except KeyError as error:
        raise RecipeError(f"Recipe {name} lacks {error}; see the shipped recipes.") from error
    except (HybridError, AttributeError, OSError, TypeError, ValueError) as error:
        reason = str(error).rstrip(".")
        raise RecipeError(
            f"Recipe {name} is not valid: {reason}; see the shipped recipes."
        ) from error


def _source(name: str | Path) -> Traversable:
    path = Path(name)
    if path.suffix != ".toml":
        if str(name) not in recipe_names():
            raise UnknownNameError("recipe", name, recipe_names())
        return resources.files("hybrid.training") / "recipes" / f"{name}.toml"
    if not path.is_file():
        raise RecipeError(
            f"There is no recipe file {path}; name a file, or one of {', '.join(recipe_names())}."
        )
    return path


def _parse(values: dict[str, Any]) -> Recipe:
    if values.pop("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    defaults = values.pop("defaults", {})
    plans = tuple(plan_of(defaults | row) for row in values.pop("variant"))
    values["exits"] = tuple(values["exits"])
    recipe = Recipe(**values, plans=plans)
    _check(recipe)
    return recipe


def plan_of(row: Mapping[str, Any]) -> Plan:
    """The plan that a row of a recipe or a card describes; missing values are the defaults.

    Raises:
        ValueError: unknown keys.
    """
    unknown = sorted(set(row) - {field.name for field in fields(Plan)})
    if unknown:
        raise ValueError(f"a variant has no {', '.join(unknown)}")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    return Plan(**values)


def _check(recipe: Recipe) -> None:
    """Refuse plans that would fail after hours of training."""
    if recipe.dataset not in DATASETS:
        raise UnknownNameError("data set", recipe.dataset, DATASETS)
    stages = len(architecture(recipe.architecture).plan(recipe.channels))
    if recipe.stages != stages:
        raise ValueError(f"{recipe.architecture} has {stages} stages, not {recipe.stages}")
    seen: set[str] = set()
    for plan in recipe.plans:
        _check_plan(plan)
        spec = recipe.spec(plan)
        for bits in (*spec.stage_bits(stages), *spec.branch_bits):
            check_bits(bits)
        if len(plan.exit_weights(len(spec.exits))) != len(spec.exits) + 1:
            raise ValueError(f"{plan.name} needs one exit_weight, or one for each exit")
        for needed in (plan.start, *plan.teachers):
            if needed and "/" not in needed and needed not in seen:
                raise ValueError(f"{plan.name} needs {needed}, which is not before it")
        if plan.name in seen:
            raise ValueError(f"{plan.name} is there twice")
        seen.add(plan.name)


def _check_plan(plan: Plan) -> None:
    if not re.fullmatch(r"(hybrid|static)-\d+bit", plan.name):
        raise ValueError(f"{plan.name!r} is not a variant; use hybrid-4bit or static-4bit, say")
    if plan.optimizer not in OPTIMIZERS:
        raise UnknownNameError("optimizer", plan.optimizer, OPTIMIZERS)
    if plan.epochs < 0 or plan.batch < 1 or not 0 <= plan.warmup <= 1:
        raise ValueError(f"{plan.name} needs epochs >= 0, batch >= 1 and a warmup from 0 to 1")
    if plan.cycles < 1 or (plan.epochs - plan.blockwise) % plan.cycles:
        raise ValueError(f"{plan.name} needs cycles that divide its epochs")
    if plan.views < 0 or not 0 <= plan.blockwise <= plan.epochs:
        raise ValueError(f"{plan.name} needs views >= 0 and blockwise from 0 to its epochs")
    if plan.blockwise and not plan.start:
        raise ValueError(f"{plan.name} learns blockwise and needs a start to learn from")
    if plan.static and (plan.cut or plan.exits):
        raise ValueError(f"{plan.name} has no cut and no exits; they are for hybrids")

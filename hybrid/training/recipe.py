"""Recipes: a TOML file says which variants of a network are trained, in which order and how."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from hybrid.data import DATASETS
from hybrid.errors import HybridError, RecipeError, UnknownNameError
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
        name: "hybrid-4bit" or "static-4bit"; the bit width is read from it unless `bits` is given.
        start: variant whose weights it starts from; empty for fresh weights.
        bits: bit width of each edge stage, where it is not one number.
        cloud_bits: bit width of the stages behind the cut.
        cut, exits: where this variant is cut and answers; the recipe's own where they are left out.
        epochs: passes over the training split; 0 quantizes after training, without any.
        cycles: how often the learning rate rises and falls, in equal shares of the epochs. A
            finished run goes on where its plan gets more cycles of the length it had. Source:
            Loshchilov and Hutter, "SGDR", arXiv 1608.03983.
        optimizer: "sgd" (Nesterov), "adam", or "muon" (filters; Adam for the rest).
        learning_rate: at its peak; up linearly over `warmup`, then down linearly to 0, once in
            every cycle.
        rest_rate: with "muon", the learning rate of everything but the filters.
        warmup: fraction of a cycle's steps.
        batch: images per step.
        label_smoothing: of the cross entropy.
        exit_weight: of each early exit's loss; the final exit's is 1.
        teacher: variant whose soft answers are learned too, of this network ("static-32bit") or of
            another one of the same data set ("cifar100-wide7/static-32bit"); of several, the mean
            of their probabilities; empty for none.
        teacher_weight: share of the loss that the teachers have, 0..1.
        heads_only: train the exit heads and leave everything else as it is.
        crop: pixels by which a training image is shifted at most.
        cutout: side in pixels of a square that is made the mean colour, at a random place of each
            training image; 0 for none. Source: DeVries and Taylor, arXiv 1708.04552.
        flip: whether training images are mirrored, in every other epoch from a random start.
    """

    name: str
    start: str = ""
    bits: int | tuple[int, ...] = 0
    cloud_bits: int = 32
    cut: int = 0
    exits: tuple[int, ...] = ()
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
    exit_weight: float = 0.5
    teacher: str | tuple[str, ...] = ""
    teacher_weight: float = 0.5
    heads_only: bool = False
    crop: int = 4
    cutout: int = 0
    flip: bool = True

    @property
    def static(self) -> bool:
        """Whether it has no exits."""
        return self.name.startswith("static-")

    @property
    def width(self) -> int:
        """The bit width in its name.

        >>> Plan(name="hybrid-4bit").width
        4
        """
        return int(self.name.split("-")[1].removesuffix("bit"))

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

    def plan(self, variant: str) -> Plan:
        """The plan called `variant`.

        Raises:
            UnknownNameError: where there is none.
        """
        for plan in self.plans:
            if plan.name == variant:
                return plan
        raise UnknownNameError("variant", variant, [plan.name for plan in self.plans])

    def spec(self, plan: Plan) -> Spec:
        """What `plan` trains; a static network has every stage at the edge and no exit."""
        return Spec(
            architecture=self.architecture,
            classes=self.classes,
            channels=self.channels,
            size=self.size,
            cut=self.stages - 1 if plan.static else plan.cut or self.cut,
            exits=() if plan.static else plan.exits or self.exits,
            bits=plan.bits or plan.width,
            cloud_bits=plan.cloud_bits,
            static=plan.static,
        )


def recipe_names() -> list[str]:
    """Names of the recipes that ship."""
    folder = resources.files("hybrid.training") / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir())


def load_recipe(name: str | Path) -> Recipe:
    """Read a recipe by name or by path of a TOML file.

    Raises:
        UnknownNameError: where no recipe has that name.
        RecipeError: where the file cannot be followed.
    """
    source = _source(name)
    try:
        return _parse(tomllib.loads(source.read_text("utf-8")))
    except KeyError as error:
        raise RecipeError(f"Recipe {name} does not say {error}; see those that ship.") from error
    except (HybridError, AttributeError, OSError, TypeError, ValueError) as error:
        reason = str(error).rstrip(".")
        raise RecipeError(
            f"Recipe {name} cannot be followed: {reason}; see those that ship."
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
    """The plan that a row of a recipe or a card describes; what it leaves out is the default.

    Raises:
        ValueError: where it says what no plan has.
    """
    unknown = sorted(set(row) - {field.name for field in fields(Plan)})
    if unknown:
        raise ValueError(f"a variant has no {', '.join(unknown)}")
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in row.items()}
    return Plan(**values)


def _check(recipe: Recipe) -> None:
    """Refuse, before anything is trained, what would fail after hours."""
    if recipe.dataset not in DATASETS:
        raise UnknownNameError("data set", recipe.dataset, DATASETS)
    stages = len(architecture(recipe.architecture).plan(recipe.channels))
    if recipe.stages != stages:
        raise ValueError(f"{recipe.architecture} has {stages} stages, not {recipe.stages}")
    seen: set[str] = set()
    for plan in recipe.plans:
        _check_plan(plan)
        for bits in recipe.spec(plan).stage_bits(stages):
            check_bits(bits)
        for needed in (plan.start, *plan.teachers):
            if needed and "/" not in needed and needed not in seen:
                raise ValueError(f"{plan.name} needs {needed}, which does not stand before it")
        if plan.name in seen:
            raise ValueError(f"{plan.name} stands there twice")
        seen.add(plan.name)


def _check_plan(plan: Plan) -> None:
    if not re.fullmatch(r"(hybrid|static)-\d+bit", plan.name):
        raise ValueError(f"{plan.name!r} is no variant; name it like hybrid-4bit or static-4bit")
    if plan.optimizer not in OPTIMIZERS:
        raise UnknownNameError("optimizer", plan.optimizer, OPTIMIZERS)
    if plan.epochs < 0 or plan.batch < 1 or not 0 <= plan.warmup <= 1:
        raise ValueError(f"{plan.name} needs epochs >= 0, batch >= 1 and a warmup from 0 to 1")
    if plan.cycles < 1 or plan.epochs % plan.cycles:
        raise ValueError(f"{plan.name} needs cycles that divide its epochs")
    if plan.static and (plan.cut or plan.exits):
        raise ValueError(f"{plan.name} has no cut and no exits; they are for hybrids")

"""Cards: what is known of a network and its trained variants, and the file that holds it."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import tomli_w

from hybrid.energy import Layer
from hybrid.errors import WeightsError
from hybrid.files import read_toml, replacing
from hybrid.quant.levels import FULL_PRECISION
from hybrid.zoo.checking import check_types

__all__ = ["FORMAT", "Card", "Variant", "exit_labels", "load_card", "save_card"]

FORMAT = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")  # no `/`, and not `..`
_KINDS = ("hybrid", "static", "deployed")
_MAY_BE_ABSENT = ("sources", "seen", "module_folder", "fit", "forms")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One trained set of weights of a network.

    Args:
        name: "hybrid-4bit", "static-4bit" or "deployed-4bit".
        kind: "hybrid", "static" or "deployed".
        bits: bit width of the edge stages (of all stages, if static).
        spec: for `hybrid.models.Spec.from_dict`.
        exit_stages: stage of each early exit.
        exit_names: of every exit, final last.
        layers: the census.
        uplink_bytes: per sample sent to the cloud: packed features and header; 0 if static.
        temperatures: of every exit, final last.
        files: file name to SHA-256.
        accuracy: split to accuracy of every exit, final last.
        auroc: split to AUROC of every exit's max_probability, correct against incorrect.
        history: one row per epoch.
        recipe: the plan it was trained with.
        epochs, hours, device: of this variant alone.
        versions: of the packages that trained it.
        origins: SHA-256 of the weights that it started from and was taught by, by the names that
            the plan gives them; those that were not in pretrained/ are left out.
    """

    name: str
    kind: str
    bits: int
    spec: Mapping[str, Any]
    exit_stages: tuple[int, ...]
    exit_names: tuple[str, ...]
    layers: tuple[Layer, ...]
    uplink_bytes: int
    temperatures: tuple[float, ...]
    files: Mapping[str, str]
    accuracy: Mapping[str, tuple[float, ...]]
    auroc: Mapping[str, tuple[float, ...]]
    history: tuple[Mapping[str, float], ...]
    recipe: Mapping[str, Any]
    epochs: int
    hours: float
    device: str
    versions: Mapping[str, str]
    origins: Mapping[str, str] = field(default_factory=dict)

    @property
    def early_exits(self) -> int:
        """Number of early exits."""
        return len(self.exit_stages)

    @property
    def is_static(self) -> bool:
        """Whether it is a static network: no early exit, all layers on one machine."""
        return self.kind == "static"


@dataclass(frozen=True, kw_only=True)
class Card:
    """A network with all its trained variants.

    Args:
        forms: the deployment forms that were made of them, as variants with traces of their own.
        sources: for each split with images of its own, the folder or zip that they all come from.
        seen: splits with images that the model may have been trained on; nothing is certified if
            `certify` is one.
        module_folder: of a user's model, where its module was found; empty if it is installed.
        fit: how pictures become square; empty for a crop.
    """

    network: str
    title: str
    description: str
    dataset: str
    classes: tuple[str, ...]
    architecture: str
    channels: int
    size: int
    cut: int
    stage_names: tuple[str, ...]
    seed: int
    variants: Mapping[str, Variant] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    seen: tuple[str, ...] = ()
    module_folder: str = ""
    fit: str = ""
    forms: Mapping[str, Variant] = field(default_factory=dict)

    @property
    def recorded(self) -> Mapping[str, Variant]:
        """Everything that has traces: the trained variants and the deployment forms."""
        return {**self.variants, **self.forms}

    @property
    def as_deployed(self) -> "Card":
        """The card with its deployment forms as only variants beside the twin."""
        twin = [one for one in self.statics if one.bits == FULL_PRECISION]
        return replace(self, variants={one.name: one for one in (*twin, *self.deployed)})

    @property
    def hybrids(self) -> tuple[Variant, ...]:
        """The variants that are cut, by rising bit width."""
        return self._of_kind("hybrid")

    @property
    def statics(self) -> tuple[Variant, ...]:
        """The static networks, by rising bit width; the full-precision twin comes last."""
        return self._of_kind("static")

    @property
    def deployed(self) -> tuple[Variant, ...]:
        """The deployment forms, by rising bit width."""
        return self._of_kind("deployed")

    def _of_kind(self, kind: str) -> tuple[Variant, ...]:
        found = (one for one in self.recorded.values() if one.kind == kind)
        return tuple(sorted(found, key=lambda one: one.bits))

    @property
    def image_bytes(self) -> int:
        """Bytes of a raw input image, one per pixel and channel."""
        return self.size * self.size * self.channels


def save_card(card: Card, path: Path) -> None:
    """Write a card as TOML."""
    values = {"format": FORMAT} | asdict(card)
    variants = values["variants"]
    values["forms"] = [_without_shared(one, variants) for one in values["forms"].values()]
    values["variants"] = list(variants.values())
    values = {k: v for k, v in values.items() if v or k not in _MAY_BE_ABSENT}
    with replacing(path) as draft:
        draft.write_text(tomli_w.dumps(_without_none(values)), encoding="utf-8")


def load_card(path: Path) -> Card:
    """Read a card: the twin first, then hybrids and then static networks from wide to narrow.

    Raises:
        WeightsError: it is damaged or of another format.
    """
    try:
        values = read_toml(path)
        version = values.pop("format")
        if version != FORMAT:
            raise ValueError(f"format {version}, not {FORMAT}")
        rows = {row["name"]: row for row in values.pop("variants", ())}
        made = [rows.get(_trained_name(row), {}) | row for row in values.pop("forms", ())]
        variants, forms = (
            {v.name: v for v in sorted(map(_variant, some), key=_place)}
            for some in (rows.values(), made)
        )
        return _checked(Card(**_tuples(values), variants=variants, forms=forms))
    except (AttributeError, OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"The card {path} cannot be read: {error}; write it again.") from error


def exit_labels(early: int) -> list[str]:
    """Names of a network's exits: the early ones by number, the final one by where it runs.

    >>> exit_labels(2), exit_labels(0)
    (['Exit 1', 'Exit 2', 'Cloud'], ['Final exit'])
    """
    return (
        [*(f"Exit {number + 1}" for number in range(early)), "Cloud"] if early else ["Final exit"]
    )


def _checked(card: Card) -> Card:
    """The card, if all names that become names of files are harmless as such."""
    for name in (card.network, *card.recorded):
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(f"{str(name)[:60]!r} cannot name a network or variant")
    check_types(card, "the card")
    if not card.classes or not card.stage_names or not card.variants:
        raise ValueError("it has no classes, stages or variants")
    if card.size < 1 or card.channels < 1 or not 0 <= card.cut < len(card.stage_names):
        raise ValueError("its size, channels or cut are impossible")
    for variant in card.recorded.values():
        _check_variant(variant, stages=len(card.stage_names))
    return card


def _check_variant(variant: Variant, *, stages: int) -> None:
    """Refuse values of other kinds, and numbers that do not fit together."""
    what = f"the variant {variant.name}"
    check_types(variant, what)
    exits = variant.early_exits + 1
    lists = (variant.temperatures, variant.exit_names, *variant.accuracy.values())
    if any(len(one) != exits for one in (*lists, *variant.auroc.values())):
        raise ValueError(f"{what} has {exits} exits, but a list of another length")
    if not all(0 <= stage < stages for stage in variant.exit_stages):
        raise ValueError(f"{what} has exits at stages that there are not")
    _check_spec(variant.spec, what, stages=stages)
    if variant.kind not in _KINDS or not 1 <= variant.bits <= FULL_PRECISION:
        raise ValueError(f"{what} has an impossible kind or bit width")
    for layer in variant.layers:
        check_types(layer, f"a layer of {what}")
        numbers = (layer.macs, layer.weights, layer.inputs, layer.outputs, layer.packed_bytes)
        if min(numbers) < 0 or layer.fan_in < 1 or not -1 <= layer.stage < stages:
            raise ValueError(f"a layer of {what} has impossible numbers")
        if not all(
            1 <= bits <= FULL_PRECISION for bits in (layer.weight_bits, layer.activation_bits)
        ):
            raise ValueError(f"a layer of {what} has an impossible bit width")


def _check_spec(spec: Mapping[str, Any], what: str, *, stages: int) -> None:
    """Refuse numbers of a description that tables and figures could not show."""
    numbers = {"cut": (0, stages - 1), "cloud_bits": (1, FULL_PRECISION)}
    for key, (least, most) in numbers.items():
        value = spec.get(key, least)
        if type(value) is not int or not least <= value <= most:
            raise ValueError(f"{key} of {what} is impossible")
    lists = [spec.get(key, ()) for key in ("branch_blocks", "branch_bits")]
    if not all(isinstance(one, tuple) and all(type(n) is int for n in one) for one in lists):
        raise ValueError(f"the branches of {what} are no lists of whole numbers")
    if len(lists[0]) != len(lists[1]):
        raise ValueError(f"the branches of {what} have lists of different lengths")


def _trained_name(form: Mapping[str, Any]) -> str:
    """The trained variant that a form was made of."""
    return f"hybrid-{form['name'].rpartition('-')[2]}"


def _without_shared(form: dict[str, Any], variants: Mapping[str, Any]) -> dict[str, Any]:
    """A form without what it has in common with its trained variant, such as the census."""
    shared = variants.get(_trained_name(form), {})
    return {key: value for key, value in form.items() if key == "name" or shared.get(key) != value}


def _place(variant: Variant) -> tuple[bool, bool, int]:
    return variant.is_static and variant.bits < 32, not variant.is_static, -variant.bits


def _variant(row: dict[str, Any]) -> Variant:
    layers = tuple(Layer(**{"exit": None} | _tuples(layer)) for layer in row["layers"])
    return Variant(**_tuples(row) | {"layers": layers})


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    """TOML's lists as tuples, one level into tables too."""
    return {
        key: tuple(value)
        if isinstance(value, list)
        else _tuples(value)
        if isinstance(value, dict)
        else value
        for key, value in values.items()
    }


def _without_none(value: Any) -> Any:
    """TOML has no None: leave such keys out."""
    if isinstance(value, dict):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    return [_without_none(v) for v in value] if isinstance(value, list | tuple) else value

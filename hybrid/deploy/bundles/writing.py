"""A network's deployment form at an operating point, as a bundle of files."""

import hashlib
import io
import shutil
import uuid
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save as save_tensors

import hybrid
from hybrid import zoo
from hybrid.data.preprocess import CROP, mean_and_deviation
from hybrid.deploy import exits, interpreter
from hybrid.deploy.bundles import serving, sources
from hybrid.deploy.bundles.adapted import adapted_files
from hybrid.deploy.bundles.manifest import MANIFEST, VECTORS, to_text
from hybrid.deploy.c_code import c_files, test_files
from hybrid.deploy.files import load_form
from hybrid.deploy.form import PIXELS, SENT, Form
from hybrid.deploy.graphs.cloud import cloud_graph
from hybrid.deploy.graphs.edge import edge_graphs
from hybrid.errors import BundleError, DataMissingError, UnknownNameError
from hybrid.models import Network
from hybrid.models.user_models import is_reference
from hybrid.policy import check_thresholds
from hybrid.quant.packing import pack, packed_bytes
from hybrid.traces.confidence import MEASURES

__all__ = ["Point", "bundle_files", "write_bundle", "zipped"]


_IMAGES = 16  # of the test vectors
_NOTHING_LEAVES = 1.0  # without a point, an image leaves only where nothing else is possible

Files = dict[str, bytes]


@dataclass(frozen=True, kw_only=True)
class Point:
    """The operating point of a bundle.

    Args:
        thresholds: one per early exit; empty for a bundle without a point.
        certificates: `cloud_there` and `cloud_down`, as JSON.
    """

    thresholds: tuple[float, ...] = ()
    measure: str = "max_probability"
    certificates: Mapping[str, Any] = field(default_factory=dict)


def write_bundle(network: str, bits: int, out: Path, point: Point | None = None) -> int:
    """Write a bundle, whole or not at all, and count its files.

    Args:
        out: a new folder, or that of a bundle, which is replaced.

    Raises:
        UnknownNameError, BitWidthError, WeightsError, ThresholdError: see `hybrid.zoo`.
        FormError: the network was not frozen at these bits.
        BundleError: `out` is something else.
    """
    _check_place(out)
    files = bundle_files(network, bits, point)
    draft = out.with_name(f".{out.name}.{uuid.uuid4().hex}")
    try:
        for name, content in files.items():
            (draft / name).parent.mkdir(parents=True, exist_ok=True)
            (draft / name).write_bytes(content)
        _put(draft, out)
    except OSError as error:
        if error.errno is not None:
            error.filename, error.filename2 = str(out), None  # the user knows this name only
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return len(files)


def bundle_files(network: str, bits: int, point: Point | None = None) -> Files:
    """All files of a bundle by name, the manifest too. Equal input gives equal bytes.

    A user's model has no exact form: its bundle has ONNX graphs alone.
    """
    if is_reference(zoo.card(network).architecture):
        return _without_form(network, bits, point or Point())
    card, variant = zoo.card(network), zoo.variant(network, bits, deployed=True)
    form = load_form(
        zoo.weights_path(network, variant.name), expect_sha256=variant.files[zoo.WEIGHTS]
    )
    trained = zoo.load_variant(network, card.variants[form.variant])
    point = _checked(point or Point(), form)
    channels, height, width = form.shapes[PIXELS]
    pixels, split = _vector_images(network, (height, width, channels))
    files = _c(card, form, point, pixels) | _onnx(card, variant, form, trained, point)
    files[VECTORS] = _vectors(form, trained, point, pixels)
    manifest = _manifest(card, variant, form, point) | {
        "vectors": {"images": len(pixels), "split": split},
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
    }
    return files | {MANIFEST: to_text(manifest).encode()}


def _without_form(network: str, bits: int, point: Point) -> Files:
    card, variant = zoo.card(network), zoo.variant(network, bits)
    thresholds = point.thresholds or (_NOTHING_LEAVES,) * variant.early_exits
    check_thresholds(thresholds, variant.early_exits)
    if point.measure not in MEASURES:
        raise UnknownNameError("confidence measure", point.measure, MEASURES)
    pixels, split = _vector_images(network, (card.size, card.size, card.channels))
    return adapted_files(
        card, variant, thresholds=thresholds, measure=point.measure, pixels=pixels, split=split
    )


def zipped(files: Mapping[str, bytes], *, folder: str) -> bytes:
    """Files as a zip with one folder; equal files give equal bytes."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{folder}/{name}")  # dated 1980
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED)
    return data.getvalue()


def _check_place(out: Path) -> None:
    if out.is_dir() and (not any(out.iterdir()) or (out / MANIFEST).is_file()):
        return
    if out.exists():
        raise BundleError(f"{out} is not a bundle, so it is not replaced; name a new folder.")


def _put(draft: Path, out: Path) -> None:
    """Rename a finished folder; a bundle that was there is gone only after that."""
    if not out.exists():
        draft.rename(out)
        return
    old = out.with_name(f".{out.name}.{uuid.uuid4().hex}")
    out.rename(old)
    try:
        draft.rename(out)
    except OSError:
        with suppress(OSError):
            old.rename(out)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _checked(point: Point, form: Form) -> Point:
    if point.measure not in MEASURES:
        raise UnknownNameError("confidence measure", point.measure, MEASURES)
    if not point.thresholds:
        return Point(thresholds=(_NOTHING_LEAVES,) * len(form.heads), measure=point.measure)
    check_thresholds(point.thresholds, len(form.heads))
    return point


def _c(card: zoo.Card, form: Form, point: Point, pixels: NDArray[np.uint8]) -> Files:
    engine = c_files(form)
    texts = engine | test_files(form, pixels)
    texts |= {
        "hybrid_point.h": sources.point_header(point.thresholds, point.measure),
        "REPORT.md": sources.report(form, engine, card.stage_names),
    }
    names = sorted(name for name in engine if name.endswith(".c"))
    title = f"{form.network}-{form.bits}bit"
    texts |= sources.build_files(names, name=title, version=hybrid.__version__)
    return {f"c/{name}": text.encode() for name, text in texts.items()}


def _onnx(
    card: zoo.Card, variant: zoo.Variant, form: Form, trained: Network, point: Point
) -> Files:
    cloud = cloud_graph(trained, title=f"{form.network} {variant.name} cloud")
    graphs = edge_graphs(form, measure=point.measure) | {"cloud.onnx": cloud}
    name = serving.model_name(form.network, form.bits, variant.files[zoo.WEIGHTS])
    stored = serving.repository(
        name, cloud, packed_bytes=_sent_bytes(form), classes=len(card.classes)
    )
    found = {f"onnx/{name}": graph for name, graph in graphs.items()}
    return found | {f"serve/{name}": content for name, content in stored.items()}


def _sent_bytes(form: Form) -> int:
    return packed_bytes(form.shapes[SENT], bits=form.codes[SENT].bits)


def _vector_images(network: str, shape: tuple[int, int, int]) -> tuple[NDArray[np.uint8], str]:
    """The first images of test, or random ones where the data set is not on this machine."""
    try:
        return zoo.images(network, "test").images[:_IMAGES], "test"
    except DataMissingError:
        rng = np.random.default_rng(0)
        return rng.integers(0, 256, (_IMAGES, *shape), dtype=np.uint8), "random"


def _vectors(form: Form, trained: Network, point: Point, pixels: NDArray[np.uint8]) -> bytes:
    """What the specification gives for some images."""
    answers, bits = interpreter.run(form, pixels), form.codes[SENT].bits
    with torch.inference_mode():
        cloud = trained.cloud(torch.from_numpy(answers.sent).float() * form.step).numpy()
    scales = zip(form.heads, form.temperatures[:-1], answers.logits, strict=True)
    sure = [
        exits.confidences(logits, exits.multiplier(head.scale, temperature), point.measure)
        for head, temperature, logits in scales
    ]
    packed = [np.frombuffer(pack(one, bits=bits), np.uint8) for one in answers.sent]
    return save_tensors(
        {
            "cloud_logits": np.ascontiguousarray(cloud),
            "confidences": np.stack(sure, axis=1),
            "logits": np.stack(answers.logits, axis=1),
            "packed": np.stack(packed),
            "pixels": np.ascontiguousarray(pixels),
        }
    )


def _manifest(card: zoo.Card, variant: zoo.Variant, form: Form, point: Point) -> dict[str, Any]:
    sha256 = variant.files[zoo.WEIGHTS]
    return {
        "network": form.network,
        "variant": variant.name,
        "bits": form.bits,
        "version": hybrid.__version__,
        "weights": {"form": sha256, "trained": form.source_sha256, "of": form.variant},
        "exact": True,
        "input": _input(card, form),
        "classes": list(card.classes),
        "measure": point.measure,
        "exits": _exits(card, variant, form, point.thresholds),
        "cloud": {
            "graph": "onnx/cloud.onnx",
            "temperature": form.temperatures[-1],
            "model": serving.model_name(form.network, form.bits, sha256),
            "version": sha256,
        },
        "cut": card.stage_names[_cut(card, variant)],
        "payload": {
            "bits": form.codes[SENT].bits,
            "step": form.step,
            "shape": list(form.shapes[SENT]),
            "bytes": _sent_bytes(form),
        },
        "certificates": {key: point.certificates.get(key) for key in ("cloud_there", "cloud_down")},
    }


def _cut(card: zoo.Card, variant: zoo.Variant) -> int:
    return int(variant.spec.get("cut", card.cut))


def _input(card: zoo.Card, form: Form) -> dict[str, Any]:
    channels, height, width = form.shapes[PIXELS]
    mean, deviation = mean_and_deviation(card.dataset, channels=channels)
    return {
        "shape": [height, width, channels],
        "type": "uint8",
        "order": "height, width, channel",
        "fit": card.fit or CROP,
        "normalised_inside": {"mean": list(mean), "deviation": list(deviation)},
    }


def _exits(
    card: zoo.Card, variant: zoo.Variant, form: Form, thresholds: Sequence[float]
) -> list[dict[str, Any]]:
    return [
        {
            "name": variant.exit_names[number],
            "stage": card.stage_names[head.stage],
            "graph": f"onnx/edge-{number + 1}.onnx",
            "threshold": threshold,
            "threshold_whole": exits.whole_threshold(threshold),
            "temperature": form.temperatures[number],
            "scale": head.scale,
            "multiplier": exits.multiplier(head.scale, form.temperatures[number]),
        }
        for number, (head, threshold) in enumerate(zip(form.heads, thresholds, strict=True))
    ]

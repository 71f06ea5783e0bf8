"""Train the variants of a recipe one after the other, resuming where a killed run stopped."""

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning as lightning_
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from hybrid import data, zoo
from hybrid.data.preprocess import normalise
from hybrid.errors import RecipeError, WeightsError
from hybrid.files import replacing, sha256_of
from hybrid.models import Network, build
from hybrid.models.blocks import WhiteningStem
from hybrid.models.checkpoints import base_of, load_network
from hybrid.quant.fusing import fused
from hybrid.quant.layers import QuantConv2d, calibrating
from hybrid.quant.levels import FULL_PRECISION
from hybrid.training.batches import Batches
from hybrid.training.memory import keep_freed_memory
from hybrid.training.module import ExitTraining
from hybrid.training.publish import Training, publish, renew
from hybrid.training.recipe import Plan, Recipe, plan_of
from hybrid.training.teaching import Teaching, about_batches, cache_key
from hybrid.training.weights import reestimate_norms, take_weights

__all__ = ["TrainingRun", "precision", "train", "train_variant"]

CALIBRATION_IMAGES = 500  # of the training split, used to set the quantizers' steps
FINISHED = "finished.safetensors"


@dataclass(frozen=True, kw_only=True)
class TrainingRun:
    """Where a run keeps its state, and its options.

    Args:
        folder: of checkpoints, with a folder per network and variant.
        limit: only this many training images, for a trial run that publishes nothing.
        callbacks: more of Lightning's, such as a progress bar.
        precision: Lightning's name of it; None for the hardware's fastest.
        compiled: compile quantizers and norms if there is a C++ compiler, which takes
            some minutes of the first epoch off every later one (`python -m benchmarks.training`).
            The order of sums differs.
    """

    folder: Path
    limit: int | None = None
    callbacks: tuple[Callback, ...] = ()
    precision: str | None = None
    compiled: bool = False


def precision() -> str:
    """Lightning's name for bfloat16 if the hardware multiplies it, else for float32."""
    if torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported() else "32-true"
    flags = torch.cpu.get_capabilities()  # only x86 processors have these keys
    fast = flags.get("avx512_bf16") or flags.get("amx_bf16")
    return "bf16-mixed" if fast else "32-true"


def train(recipe: Recipe, run: TrainingRun, *, variants: tuple[str, ...] = ()) -> list[str]:
    """Train the missing ones of `variants` (all if empty) and publish each when done.

    A variant counts as missing if the weights it started from, or its teacher, have been trained
    again since. A trial run trains all of them and publishes nothing.

    Returns:
        The variants that were missing, or lacked a trace.
    """
    if run.limit is None:
        zoo.check_room()
    done = []
    for plan in recipe.plans:
        if variants and plan.name not in variants:
            continue
        if run.limit is not None or not is_published(recipe, plan):
            train_variant(recipe, plan, run)
        elif not _is_whole(recipe, plan, zoo.SPLITS):
            renew(recipe, variants=(plan.name,))  # weights are here, but a trace is not
        else:
            continue
        done.append(plan.name)
    return done


def is_published(recipe: Recipe, plan: Plan) -> bool:
    """Whether pretrained/ has this variant, trained by this plan from the weights now there.

    Its weights must be those of the card, bit for bit; a trace can be recorded again.
    """
    if recipe.network not in zoo.networks():
        return False
    known = zoo.card(recipe.network).variants.get(plan.name)
    if known is None or plan_of(known.recipe) != plan:
        return False
    now = _origins(recipe, plan)
    same = all(now.get(name, sha256) == sha256 for name, sha256 in known.origins.items())
    whole = _is_whole(recipe, plan, ())
    return same and whole and (not plan.heads_only or _has_its_base(recipe, plan))


def _is_whole(recipe: Recipe, plan: Plan, splits: Sequence[str]) -> bool:
    """Whether the weights, and the traces on these splits, are those that the card lists."""
    known = zoo.card(recipe.network).variants[plan.name].files
    paths = [zoo.weights_path(recipe.network, plan.name)]
    paths += [zoo.trace_path(recipe.network, plan.name, split) for split in splits]
    return all(path.is_file() and known.get(path.name) == sha256_of(path) for path in paths)


def _origins(recipe: Recipe, plan: Plan) -> dict[str, str]:
    """SHA-256 of the weights that it starts from and of its teachers', if in pretrained/."""
    paths = {name: _path(recipe, name) for name in (plan.start, *plan.teachers) if name}
    return {name: sha256_of(path) for name, path in paths.items() if path.is_file()}


def _path(recipe: Recipe, variant: str) -> Path:
    """The weights file of "static-32bit" or of "cifar100-wide7/static-32bit"."""
    network, _, name = variant.rpartition("/")
    return zoo.weights_path(network or recipe.network, name)


def _has_its_base(recipe: Recipe, plan: Plan) -> bool:
    """Whether its weights can be read; the file that its heads were trained on may have changed."""
    try:
        base_of(zoo.weights_path(recipe.network, plan.name))
    except WeightsError:
        return False
    return True


def train_variant(recipe: Recipe, plan: Plan, run: TrainingRun) -> Network:
    """Train one variant to its end, publish it and return it; a trial run is not published."""
    torch.manual_seed(recipe.seed)
    images, labels = _training_images(recipe, run)
    network = _start(recipe, plan, run, calibration_images(images))
    batches = Batches(
        images,
        labels,
        batch=plan.batch,
        seed=recipe.seed,
        crop=plan.crop,
        cutout=plan.cutout,
        flip=plan.flip,
    )
    module = ExitTraining(
        network,
        plan,
        batches,
        _tune(recipe),
        _teaching(recipe, plan, run, batches),
        reference=_reference(recipe, plan) if plan.blockwise else None,
        origins=_origins(recipe, plan),
    )
    if plan.epochs:
        with fused(wanted=run.compiled):
            _fit(module, _run_folder(recipe, plan.name, run), run)
    if plan.epochs:
        # a separate epoch: which batches came last depends on where the run was resumed
        learned = network.heads if plan.heads_only else network
        reestimate_norms(network, batches.at_epoch(plan.epochs), of=learned)
    network.cpu().eval()
    with replacing(_run_folder(recipe, plan.name, run) / FINISHED) as draft:
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, draft)
    if run.limit is None:
        publish(recipe, plan, network, _how(module, run))
    return network


def _training_images(
    recipe: Recipe, run: TrainingRun
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    split = data.load(recipe.dataset, "train")
    # in random order, since a split may be sorted by class
    order = np.random.default_rng(recipe.seed).permutation(len(split.labels))
    keep = np.arange(len(order)) if run.limit is None else order[: run.limit]
    return normalise(split.images[keep], recipe.dataset), split.labels[keep]


def calibration_images(images: NDArray[np.float32]) -> Tensor:
    """Images spread evenly over the split, which is sorted by class."""
    rows = np.linspace(0, len(images) - 1, min(len(images), CALIBRATION_IMAGES)).astype(np.int64)
    return torch.from_numpy(images[rows])


def _how(module: ExitTraining, run: TrainingRun) -> Training:
    return Training(
        history=tuple(module.history),
        hours=module.seconds / 3600,
        device=_device(run),
        versions={name: version(name) for name in ("torch", "lightning")},
        origins=module.origins,
    )


def _start(recipe: Recipe, plan: Plan, run: TrainingRun, images: torch.Tensor) -> Network:
    """The network before training: weights from `plan.start`, quantizers set from data."""
    network: Network = build(recipe.spec(plan)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if plan.start:
        take_weights(network, _finished_weights(recipe, plan.start, run))
    for layer in network.modules():
        if isinstance(layer, WhiteningStem) and not plan.start:
            layer.fit(images)
        if isinstance(layer, QuantConv2d):
            layer.fit_weight_step()
    network.eval()
    with torch.no_grad(), calibrating(network):
        network(images)
    # Lightning keeps each module's mode: a frozen backbone's batch norm stays in evaluation.
    network.train(mode=not plan.heads_only)
    if plan.heads_only:
        network.requires_grad_(False)
        network.heads.requires_grad_(True).train()
    return network


def _finished_weights(recipe: Recipe, variant: str, run: TrainingRun) -> dict[str, Tensor]:
    """Weights before quantization if the run's folder still has them, else the published ones."""
    kept = _run_folder(recipe, variant, run) / FINISHED
    return load_file(kept) if kept.is_file() else _published(recipe, variant).state_dict()


def _run_folder(recipe: Recipe, variant: str, run: TrainingRun) -> Path:
    folder = run.folder if run.limit is None else run.folder / f"trial-{run.limit}"
    return folder / recipe.network / variant


def _published(recipe: Recipe, variant: str) -> Network:
    path = _path(recipe, variant)
    if not path.is_file():
        network, variant = path.parts[-3:-1]
        raise RecipeError(
            f"{variant} of {network} is needed first; train it with "
            f"`hybrid train {network} --variant {variant}`."
        )
    return load_network(path)


def _teaching(recipe: Recipe, plan: Plan, run: TrainingRun, batches: Batches) -> Teaching | None:
    """The plan's teachers with their saved answers, or None without a teacher."""
    if not plan.teachers:
        return None
    key = cache_key(
        dataset=recipe.dataset,
        teachers=[sha256_of(_path(recipe, name)) for name in plan.teachers],
        precision=run.precision or precision(),
        mirrored=plan.mirrored,
        **about_batches(batches),
    )
    teachers = [_teacher(recipe, name) for name in plan.teachers]
    return Teaching(teachers, run.folder / "teaching" / key, mirrored=plan.mirrored)


def _reference(recipe: Recipe, plan: Plan) -> Network:
    """The network that a blockwise start learns from: the plan's start, at full precision."""
    reference = _teacher(recipe, plan.start)
    if set(reference.spec.edge_bits) != {FULL_PRECISION}:
        raise RecipeError(
            f"{plan.name} learns blockwise from {plan.start}, which is quantized; start from "
            "static-32bit or hybrid-32bit."
        )
    return reference


def _teacher(recipe: Recipe, name: str) -> Network:
    teacher = _published(recipe, name).eval().requires_grad_(False)
    if teacher.spec.classes != recipe.classes:
        raise RecipeError(
            f"{name} has {teacher.spec.classes} classes and cannot teach {recipe.network}, which "
            f"has {recipe.classes}; name another teacher."
        )
    moved: Network = teacher.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return moved


def _tune(recipe: Recipe) -> Batches:
    tune = data.load(recipe.dataset, "tune")
    images = normalise(tune.images, recipe.dataset)
    return Batches(images, tune.labels, batch=500, seed=0, shuffle=False)


def _fit(module: ExitTraining, folder: Path, run: TrainingRun) -> None:
    checkpoint = folder / "last.ckpt"
    keep = ModelCheckpoint(
        dirpath=folder,
        filename="last",
        save_top_k=1,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    trainer = lightning_.Trainer(
        max_epochs=module.plan.epochs,
        accelerator="auto",
        devices=1,
        precision=run.precision or precision(),  # type: ignore[arg-type]
        plugins=[WholeCheckpoints()],
        logger=False,
        callbacks=[keep, *run.callbacks],
        enable_model_summary=False,
        enable_progress_bar=any("Progress" in type(c).__name__ for c in run.callbacks),
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
    )
    resume = checkpoint if _continues(checkpoint, module) else None
    keep_freed_memory()
    try:
        trainer.fit(module, ckpt_path=resume, weights_only=False)
    except SystemExit:  # in place of which Lightning ends the process with code 1
        if trainer.interrupted:
            raise KeyboardInterrupt from None
        raise


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that are written whole or not at all.

    Lightning writes to the system's temporary folder first; if that is on another disk, its last
    step is a copy, and a kill during it leaves half a checkpoint.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        with replacing(Path(path)) as draft:
            super().save_checkpoint(checkpoint, draft, storage_options)


def _continues(checkpoint: Path, module: ExitTraining) -> bool:
    """Whether there is a checkpoint of the same training to resume from."""
    if not checkpoint.is_file():
        return False
    try:
        kept = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, LookupError, UnpicklingError, ValueError) as error:
        raise RecipeError(f"{checkpoint} is damaged; remove it to train from the start.") from error
    about = kept.get("about", {})
    if about.keys() != module.about.keys():  # of an earlier version, with other fields
        return False
    plan = plan_of(about["plan"])
    wanted = module.plan
    if plan.epochs <= wanted.epochs and plan.epochs * wanted.cycles == wanted.epochs * plan.cycles:
        # with more cycles of the same length, training so far would have been the same
        plan = replace(plan, epochs=wanted.epochs, cycles=wanted.cycles)
    return bool(about | {"plan": asdict(plan)} == module.about)


def _device(run: TrainingRun) -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    used = run.precision or precision()
    return f"{torch.get_num_threads()} cores of a {platform.machine()} processor, {used}"

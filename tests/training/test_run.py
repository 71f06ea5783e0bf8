"""Training on real digits: it learns, it resumes to the same weights, it keeps what is frozen."""

import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hybrid import data, zoo
from hybrid.errors import RecipeError
from hybrid.training.batches import Batches
from hybrid.training.recipe import Plan, Recipe, load_recipe

pytest.importorskip("lightning", reason="Lightning comes with the extra `train`")
pytestmark = [
    pytest.mark.slow,  # every test trains a network
    pytest.mark.filterwarnings("ignore::Warning:lightning", "ignore::Warning:torch"),
]

from lightning.pytorch.callbacks import Callback  # noqa: E402

from hybrid.training import run as runs  # noqa: E402
from hybrid.training.run import TrainingRun, train, train_variant  # noqa: E402
from hybrid.training.teaching import Teaching  # noqa: E402


def recipe(*plans: Plan) -> Recipe:
    return replace(load_recipe("digits-vgg"), plans=plans)


def plan(name: str, *, epochs: int = 6, **values: object) -> Plan:
    shipped = load_recipe("digits-vgg").plans[0]
    return replace(shipped, name=name, epochs=epochs, **values)  # type: ignore[arg-type]


def finished(folder: Path, variant: str) -> dict[str, torch.Tensor]:
    return load_file(folder / "digits-vgg" / variant / runs.FINISHED)


def assert_same_weights(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys() != set()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.slow
def test_networks_of_every_bit_width_learn_digits_from_their_twin(tmp_path: Path):
    least = {"hybrid-1bit": 0.80, "hybrid-2bit": 0.85, "hybrid-4bit": 0.90}
    hybrids = [plan(name, start="static-32bit", epochs=8) for name in least]

    train(recipe(plan("static-32bit"), *hybrids), TrainingRun(folder=tmp_path))

    card = zoo.card("digits-vgg")
    for name, accuracy in least.items():
        assert card.variants[name].accuracy["test"][-1] >= accuracy
        assert len(card.variants[name].history) == 8
        losses = [row["loss"] for row in card.variants[name].history]
        assert losses[-1] < 0.7 * losses[0]


def test_what_is_published_is_not_trained_again(tmp_path: Path):
    made = recipe(plan("static-32bit", epochs=1))
    train(made, TrainingRun(folder=tmp_path))
    before = zoo.weights_path("digits-vgg", "static-32bit").stat().st_mtime_ns

    train(made, TrainingRun(folder=tmp_path))

    assert zoo.weights_path("digits-vgg", "static-32bit").stat().st_mtime_ns == before


def test_weights_that_are_damaged_are_trained_again_and_traces_recorded(tmp_path: Path):
    made = recipe(plan("static-32bit", epochs=1))
    train(made, TrainingRun(folder=tmp_path))
    weights = zoo.weights_path("digits-vgg", "static-32bit")
    trace = zoo.trace_path("digits-vgg", "static-32bit", "tune")
    kept = (weights.read_bytes(), trace.read_bytes())

    trace.unlink()
    changed = weights.stat().st_mtime_ns
    train(made, TrainingRun(folder=tmp_path))
    assert (weights.read_bytes(), trace.read_bytes()) == kept
    assert weights.stat().st_mtime_ns == changed

    weights.write_bytes(kept[0][:1000])
    train(made, TrainingRun(folder=tmp_path))
    assert (weights.read_bytes(), trace.read_bytes()) == kept


def test_a_branch_starts_as_the_stage_that_it_repeats_and_then_learns_alone(tmp_path: Path):
    branch = {"branch_blocks": (0, 1), "branch_bits": (32, 32)}
    copied = plan("hybrid-32bit", start="static-32bit", epochs=0, **branch)
    learned = plan("hybrid-8bit", start="hybrid-32bit", epochs=1, heads_only=True, **branch)

    train(recipe(plan("static-32bit", epochs=1), copied, learned), TrainingRun(folder=tmp_path))

    first, then = finished(tmp_path, "hybrid-32bit"), finished(tmp_path, "hybrid-8bit")
    repeated = {
        name: f"stages.3.{name.removeprefix('heads.2.blocks.0.')}"
        for name in first
        if name.startswith("heads.2.blocks.0.")
    }
    assert len(repeated) > 4
    assert all(torch.equal(first[mine], first[stage]) for mine, stage in repeated.items())
    weight = "heads.2.blocks.0.conv1.weight"
    assert not torch.equal(then[weight], first[weight])
    assert torch.equal(then["stages.3.conv1.weight"], first["stages.3.conv1.weight"])


def test_heads_only_leaves_everything_else_to_the_last_bit(tmp_path: Path):
    body = plan("static-32bit", epochs=1)
    heads = plan(
        "hybrid-32bit", start="static-32bit", heads_only=True, epochs=3, learning_rate=0.03
    )
    train(recipe(body, heads), TrainingRun(folder=tmp_path))

    before, after = finished(tmp_path, "static-32bit"), finished(tmp_path, "hybrid-32bit")

    assert {name for name in after if name not in before} == {
        f"heads.{stage}.linear.{kind}" for stage in (1, 2) for kind in ("weight", "bias")
    }
    assert all(torch.equal(before[name], after[name]) for name in before)
    history = zoo.card("digits-vgg").variants["hybrid-32bit"].history
    assert history[-1]["tune_accuracy_exit1"] > 0.3


def test_heads_are_trained_again_where_what_they_were_trained_on_was(tmp_path: Path):
    body = plan("static-32bit", epochs=1)
    heads = plan("hybrid-32bit", start="static-32bit", heads_only=True, epochs=1)
    train(recipe(body, heads), TrainingRun(folder=tmp_path / "first"))
    first = zoo.variant("digits-vgg", 32).files

    train(recipe(replace(body, epochs=2), heads), TrainingRun(folder=tmp_path / "again"))

    assert zoo.variant("digits-vgg", 32).files != first
    ours, twins = (
        zoo.load("digits-vgg", bits=32, static=static).state_dict() for static in (False, True)
    )
    assert all(torch.equal(ours[name], twins[name]) for name in twins)


def test_what_started_from_or_learned_of_weights_that_changed_is_trained_again(tmp_path: Path):
    body = plan("static-32bit", epochs=1)
    pupil = plan("static-8bit", start="static-32bit", epochs=1)
    taught = plan("hybrid-4bit", teacher="static-32bit", epochs=1)
    run = TrainingRun(folder=tmp_path)
    train(recipe(body, pupil, taught), run)
    first = zoo.card("digits-vgg").variants
    twin = first["static-32bit"].files[zoo.WEIGHTS]
    assert [first[one.name].origins for one in (body, pupil, taught)] == [
        {},
        {"static-32bit": twin},
        {"static-32bit": twin},
    ]

    train(recipe(replace(body, epochs=2), pupil, taught), run)

    card = zoo.card("digits-vgg").variants
    for one in (pupil, taught):
        assert card[one.name].files != first[one.name].files
        assert card[one.name].origins == {"static-32bit": card["static-32bit"].files[zoo.WEIGHTS]}
        assert len(card[one.name].history) == 1


def test_no_epoch_quantizes_without_training(tmp_path: Path):
    body = plan("static-32bit", epochs=6)
    train(
        recipe(body, plan("static-8bit", start="static-32bit", epochs=0)),
        TrainingRun(folder=tmp_path),
    )

    variants = zoo.card("digits-vgg").variants
    before, after = finished(tmp_path, "static-32bit"), finished(tmp_path, "static-8bit")

    assert all(torch.equal(before[name], after[name]) for name in before)
    assert variants["static-8bit"].history == ()
    # 8 bits need no training where the steps were set from images of every class
    lost = (
        variants["static-32bit"].accuracy["test"][0] - variants["static-8bit"].accuracy["test"][0]
    )
    assert abs(lost) < 0.02


def test_quantizers_are_compiled_while_a_network_is_fitted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[bool] = []

    def noted(*, wanted: bool) -> nullcontext[None]:
        asked.append(wanted)
        return nullcontext()

    monkeypatch.setattr(runs, "fused", noted)
    one = plan("static-32bit", epochs=1)

    train_variant(recipe(one), one, TrainingRun(folder=tmp_path, limit=128, compiled=True))
    train_variant(recipe(one), one, TrainingRun(folder=tmp_path / "plain", limit=128))

    assert asked == [True, False]


def test_steps_are_set_from_images_of_every_class(monkeypatch: pytest.MonkeyPatch):
    split = data.load("digits", "train")
    images = split.labels.astype(np.float32).reshape(-1, 1, 1, 1)

    chosen = runs.calibration_images(images)

    counts = np.bincount(chosen.numpy().ravel().astype(int), minlength=10)
    assert len(chosen) == runs.CALIBRATION_IMAGES
    assert counts.min() > 0.8 * counts.max()


def test_training_and_validation_touch_train_and_tune_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []
    load = data.load

    def watched(name: str, split: str) -> data.Dataset:
        asked.append(split)
        return load(name, split)

    monkeypatch.setattr(data, "load", watched)
    train_variant(
        recipe(plan("hybrid-4bit")),
        plan("hybrid-4bit", epochs=1),
        TrainingRun(folder=tmp_path, limit=200),
    )

    assert set(asked) == {"train", "tune"}


def test_a_trial_publishes_nothing(tmp_path: Path):
    one = plan("static-32bit", epochs=1)

    train(recipe(one), TrainingRun(folder=tmp_path, limit=128))

    assert zoo.networks() == []


def test_bfloat16_can_be_asked_for_and_learns(tmp_path: Path):
    one = plan("hybrid-4bit", epochs=5)

    train(recipe(one), TrainingRun(folder=tmp_path, precision="bf16-mixed"))

    variant = zoo.card("digits-vgg").variants["hybrid-4bit"]
    assert variant.accuracy["test"][-1] > 0.3
    assert variant.history[-1]["loss"] < 0.95 * variant.history[0]["loss"]
    assert variant.device.endswith("bf16-mixed")


@pytest.mark.parametrize(
    "flags, expected",
    [
        ({"avx512_bf16": True, "amx_bf16": False}, "bf16-mixed"),
        ({"avx512_bf16": False, "amx_bf16": True}, "bf16-mixed"),
        ({"avx512_bf16": False, "amx_bf16": False, "avx2": True}, "32-true"),
        ({"neon": True}, "32-true"),
    ],
)
def test_bfloat16_is_used_where_the_processor_multiplies_it(
    flags: dict[str, bool], expected: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags)

    assert runs.precision() == expected


# ---------------------------------------------------------------- killed and resumed

RESUMED = plan("hybrid-2bit", epochs=4, crop=1)


class KilledAfter(Callback):
    """Ends this process as a power cut would, when an epoch's checkpoint has been written."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: object, _module: object) -> None:
        if trainer.current_epoch == self.epoch:  # type: ignore[attr-defined]
            os.kill(os.getpid(), signal.SIGKILL)


class Rates(Callback):
    """Notes the learning rate of every step."""

    def __init__(self, seen: list[float]) -> None:
        self.seen = seen

    def on_train_batch_start(self, trainer: object, *_: object) -> None:
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])  # type: ignore[attr-defined]


def killed_run(*plans: Plan, folder: Path, pretrained: Path, epoch: int, root: Path) -> int:
    """Train in a process of its own that is killed; its exit code."""
    script = (
        "import torch; torch.set_num_threads(1)\n"
        "from pathlib import Path\n"
        "from tests.training.test_run import *\n"
        f"run = TrainingRun(folder=Path({str(folder)!r}), callbacks=(KilledAfter({epoch}),))\n"
        f"train(recipe(*{plans!r}), run)"
    )
    environment = os.environ | {"HYBRID_PRETRAINED": str(pretrained), "PYTHONPATH": str(root)}
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=root,
        env=environment,
        capture_output=True,
        check=False,
    ).returncode


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_weights_as_an_unbroken_one(
    tmp_path: Path, elsewhere: Path, root: Path
):
    train(recipe(RESUMED), TrainingRun(folder=tmp_path / "unbroken"))
    unbroken = zoo.card("digits-vgg").variants["hybrid-2bit"]
    zoo.weights_path("digits-vgg", "hybrid-2bit").unlink()
    (elsewhere / "digits-vgg" / "card.toml").unlink()

    killed = tmp_path / "killed"
    code = killed_run(RESUMED, folder=killed, pretrained=elsewhere, epoch=2, root=root)
    left = {path.name for path in killed.rglob("*") if path.is_file()}
    train(recipe(RESUMED), TrainingRun(folder=killed))

    assert code == -signal.SIGKILL
    assert left == {"last.ckpt"}
    one, other = (finished(tmp_path / name, "hybrid-2bit") for name in ("unbroken", "killed"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    resumed = zoo.card("digits-vgg").variants["hybrid-2bit"]
    assert resumed.files == unbroken.files
    assert resumed.history == unbroken.history
    assert [row["epoch"] for row in resumed.history] == [1, 2, 3, 4]


class Interrupted(Callback):
    """Ctrl-C at the end of the first epoch."""

    def on_train_epoch_end(self, *_: object) -> None:
        raise KeyboardInterrupt


def test_ctrl_c_reaches_the_command_which_ends_with_the_code_of_an_interruption(tmp_path: Path):
    run = TrainingRun(folder=tmp_path, limit=300, callbacks=(Interrupted(),))

    with pytest.raises(KeyboardInterrupt):
        train_variant(recipe(RESUMED), RESUMED, run)


@pytest.mark.slow
def test_a_killed_run_that_reads_saved_answers_ends_in_the_weights_of_a_live_teacher(
    tmp_path: Path, elsewhere: Path, root: Path, monkeypatch: pytest.MonkeyPatch
):
    taught = replace(RESUMED, start="static-32bit", teacher="static-32bit", views=2, blockwise=1)
    train(recipe(plan("static-32bit", epochs=1)), TrainingRun(folder=tmp_path / "teacher"))
    plans = (plan("static-32bit", epochs=1), taught)
    killed = tmp_path / "killed"

    code = killed_run(taught, folder=killed, pretrained=elsewhere, epoch=3, root=root)
    saved = [path.name for path in killed.rglob("epoch-*.npy")]
    train(recipe(*plans), TrainingRun(folder=killed), variants=("hybrid-2bit",))
    zoo.weights_path("digits-vgg", "hybrid-2bit").unlink()
    monkeypatch.setattr(Teaching, "_read", lambda *_: None)
    train(recipe(*plans), TrainingRun(folder=tmp_path / "live"), variants=("hybrid-2bit",))

    assert code == -signal.SIGKILL
    assert sorted(saved) == ["epoch-0.npy", "epoch-1.npy"]
    assert_same_weights(finished(killed, "hybrid-2bit"), finished(tmp_path / "live", "hybrid-2bit"))


def test_a_run_that_was_done_but_not_published_ends_in_the_same_weights(tmp_path: Path):
    first = train_variant(recipe(RESUMED), RESUMED, TrainingRun(folder=tmp_path, limit=300))
    again = train_variant(recipe(RESUMED), RESUMED, TrainingRun(folder=tmp_path, limit=300))

    ours, theirs = first.state_dict(), again.state_dict()
    assert_same_weights(ours, theirs)


def test_a_finished_run_goes_on_with_more_cycles_to_the_weights_of_an_unbroken_one(tmp_path: Path):
    run, twice = TrainingRun(folder=tmp_path, limit=300), replace(RESUMED, epochs=4, cycles=2)
    seen: list[float] = []
    watching = replace(run, callbacks=(Rates(seen),))
    train_variant(recipe(RESUMED), replace(RESUMED, epochs=2), run)

    gone_on = train_variant(recipe(RESUMED), twice, watching)
    unbroken = train_variant(recipe(RESUMED), twice, replace(run, folder=tmp_path / "unbroken"))

    ours, theirs = gone_on.state_dict(), unbroken.state_dict()
    assert_same_weights(ours, theirs)
    steps = 2 * (300 // RESUMED.batch)
    assert len(seen) == steps, "the first cycle was trained again"
    peak = RESUMED.learning_rate
    rise = max(1, int(RESUMED.warmup * steps))
    up = [peak * (step + 1) / rise for step in range(rise)]
    down = [peak * (steps - step) / (steps - rise) for step in range(rise, steps)]
    assert seen == pytest.approx(up + down)


def test_fewer_cycles_than_a_run_has_had_start_anew(tmp_path: Path):
    run = TrainingRun(folder=tmp_path, limit=200)
    train_variant(recipe(RESUMED), replace(RESUMED, epochs=4, cycles=2), run)

    once = train_variant(recipe(RESUMED), replace(RESUMED, epochs=2), run)
    fresh = train_variant(
        recipe(RESUMED), replace(RESUMED, epochs=2), replace(run, folder=tmp_path / "fresh")
    )

    ours, theirs = once.state_dict(), fresh.state_dict()
    assert_same_weights(ours, theirs)


def test_the_checkpoint_of_another_plan_is_not_gone_on_from(tmp_path: Path):
    run = TrainingRun(folder=tmp_path, limit=200)
    train_variant(recipe(RESUMED), replace(RESUMED, epochs=1), run)

    changed = train_variant(recipe(RESUMED), RESUMED, run)
    fresh = train_variant(recipe(RESUMED), RESUMED, replace(run, folder=tmp_path / "fresh"))

    ours, theirs = changed.state_dict(), fresh.state_dict()
    assert_same_weights(ours, theirs)


def test_a_checkpoint_without_its_origins_is_not_gone_on_from(tmp_path: Path):
    run = TrainingRun(folder=tmp_path, limit=200)
    train_variant(recipe(RESUMED), replace(RESUMED, epochs=1), run)
    path = tmp_path / "trial-200" / "digits-vgg" / "hybrid-2bit" / "last.ckpt"
    kept = torch.load(path, weights_only=True)
    del kept["about"]["origins"]  # as an earlier version wrote it
    kept["about"]["plan"] |= {"epochs": RESUMED.epochs, "cycles": RESUMED.cycles}
    torch.save(kept, path)

    trained = train_variant(recipe(RESUMED), RESUMED, run)
    fresh = train_variant(recipe(RESUMED), RESUMED, replace(run, folder=tmp_path / "fresh"))

    ours, theirs = trained.state_dict(), fresh.state_dict()
    assert_same_weights(ours, theirs)


def test_a_damaged_checkpoint_says_what_to_do(tmp_path: Path):
    path = tmp_path / "trial-200" / "digits-vgg" / "hybrid-2bit" / "last.ckpt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half a checkpoint")

    with pytest.raises(RecipeError, match=r"last\.ckpt is damaged; remove it to train"):
        train_variant(recipe(RESUMED), RESUMED, TrainingRun(folder=tmp_path, limit=200))


def test_a_checkpoint_that_cannot_be_written_whole_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "last.ckpt"
    keeper = runs.WholeCheckpoints()
    keeper.save_checkpoint({"epoch": 1}, path)

    def half(checkpoint: object, draft: Path) -> None:
        Path(draft).write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(runs.TorchCheckpointIO, "save_checkpoint", lambda _s, c, d, _o: half(c, d))
    with pytest.raises(OSError, match="no space left"):
        keeper.save_checkpoint({"epoch": 2}, path)

    assert torch.load(path) == {"epoch": 1}
    assert [one.name for one in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_variant_that_is_needed_first_is_named(tmp_path: Path):
    late = plan("hybrid-4bit", start="static-32bit")

    with pytest.raises(RecipeError, match="static-32bit of digits-vgg is needed first; train it"):
        train(
            recipe(plan("static-32bit"), late),
            TrainingRun(folder=tmp_path),
            variants=("hybrid-4bit",),
        )


def test_another_network_can_teach(tmp_path: Path):
    wise = replace(recipe(plan("static-32bit", epochs=6)), network="wise")
    train(wise, TrainingRun(folder=tmp_path))
    taught = plan("static-32bit", epochs=3, teacher="wise/static-32bit", teacher_weight=1.0)

    train(recipe(taught), TrainingRun(folder=tmp_path))

    # nothing but the teacher's answers said what the digits are
    assert zoo.card("digits-vgg").variants["static-32bit"].accuracy["test"][0] > 0.8


def test_of_several_teachers_the_mean_of_the_probabilities_is_learned(tmp_path: Path):
    wise = replace(recipe(plan("static-32bit", epochs=6)), network="wise")
    train(wise, TrainingRun(folder=tmp_path))
    fool = replace(recipe(plan("static-32bit", epochs=0)), network="fool")
    train(fool, TrainingRun(folder=tmp_path))
    both = ("wise/static-32bit", "fool/static-32bit")
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    class Seen(Callback):
        def on_train_batch_end(
            self, _t: object, module: object, _o: object, batch: object, index: int
        ):
            images = batch[0]
            means = sum(
                zoo.load(n, bits=32, static=True)(images)[-1].softmax(1) for n in ("wise", "fool")
            )
            seen.append((module.taught(images, index), means / 2))

    taught = plan("static-32bit", epochs=3, teacher=both, teacher_weight=1.0)
    train(recipe(taught), TrainingRun(folder=tmp_path, precision="32-true", callbacks=(Seen(),)))

    assert seen
    # answers are rounded to float16: half a unit in the last place of 1 is 2^-12
    assert all(torch.allclose(*pair, atol=2**-11) for pair in seen)
    known = zoo.card("digits-vgg").variants["static-32bit"]
    assert set(known.origins) == set(both)
    assert runs.is_published(recipe(taught), taught)
    assert known.accuracy["test"][0] > 0.8


def test_a_teacher_of_other_classes_is_refused(tmp_path: Path):
    wise = replace(recipe(plan("static-32bit", epochs=1)), network="wise", classes=11)
    train(wise, TrainingRun(folder=tmp_path))

    with pytest.raises(RecipeError, match="wise/static-32bit has 11 classes and cannot teach"):
        train(
            recipe(plan("static-32bit", teacher="wise/static-32bit")), TrainingRun(folder=tmp_path)
        )


# ---------------------------------------------------------------- batches


def numbered(count: int = 20, **about: object) -> Batches:
    images = np.arange(count, dtype=np.float32).reshape(-1, 1, 1, 1) * np.ones((1, 1, 6, 6), "f4")
    values = {"batch": 6, "seed": 3} | about
    return Batches(images, np.arange(count), **values)  # type: ignore[arg-type]


def test_an_epoch_has_its_own_order_and_the_same_one_whenever_it_is_asked_for():
    def order(epoch: int) -> list[int]:
        return torch.cat([labels for _, labels in numbered().at_epoch(epoch)]).tolist()

    assert order(4) == order(4)
    assert order(4) != order(5)
    assert len(set(order(4))) == 18  # 20 images in batches of 6: the incomplete one is dropped


def test_two_epochs_in_a_row_see_every_image_and_its_mirror_image():
    picture = np.arange(4, dtype=np.float32).reshape(1, 1, 1, 4).repeat(20, axis=0)

    def mirrored(epoch: int) -> dict[int, bool]:
        batches = Batches(
            picture, np.arange(20), batch=20, seed=3, epoch=epoch, flip=True, shuffle=True
        )
        ((images, labels),) = batches
        return dict(zip(labels.tolist(), (images[:, 0, 0, 0] == 3).tolist(), strict=True))

    first, second = mirrored(0), mirrored(1)

    assert all(first[i] != second[i] for i in range(20))
    assert 3 < sum(first.values()) < 17
    assert mirrored(2) == first


def test_validation_sees_every_image_once_and_in_order():
    batches = numbered(shuffle=False)

    assert torch.cat([labels for _, labels in batches]).tolist() == list(range(20))
    assert len(batches) == len(list(batches)) == 4


def test_a_shifted_image_stays_with_its_label():
    batches = list(numbered(crop=2, flip=True))
    assert batches

    for images, labels in batches:
        assert images.shape == (6, 1, 6, 6)
        assert torch.equal(images[:, 0, 0, 0], labels.float())


def test_a_shift_is_a_window_of_the_reflected_image():
    picture = np.arange(36, dtype=np.float32).reshape(1, 1, 6, 6)
    wide = np.pad(picture[0, 0], 2, mode="reflect")
    windows = {wide[i : i + 6, j : j + 6].tobytes() for i in range(5) for j in range(5)}

    drawn = {
        images[0, 0].contiguous().numpy().tobytes()
        for epoch in range(60)
        for images, _ in Batches(
            picture, np.zeros(1, np.int64), batch=1, seed=0, epoch=epoch, crop=2
        )
    }

    assert drawn <= windows
    assert len(drawn) > 15


def test_cutout_blanks_one_square_around_a_random_pixel():
    images = np.ones((40, 2, 8, 8), np.float32)
    batches = Batches(images, np.arange(40), batch=40, seed=1, cutout=3)

    ((cut, _),) = list(batches)

    seen = set()
    for image in cut:
        assert torch.equal(image[0], image[1])
        rows, columns = (image[0] == 0).nonzero().T
        top, left = int(rows.min()), int(columns.min())
        height, width = int(rows.max()) - top + 1, int(columns.max()) - left + 1
        assert len(rows) == height * width  # a full rectangle
        # whole, or cut by the border that it touches
        assert height == 3 or (height == 2 and (top == 0 or top + height == 8))
        assert width == 3 or (width == 2 and (left == 0 or left + width == 8))
        seen.add((top, left))
    assert len(seen) > 20
    assert all(torch.equal(again, cut) for again, _ in batches)


def test_a_plan_of_a_card_from_before_a_setting_existed_is_still_the_same(tmp_path: Path):
    one = plan("static-32bit", epochs=1)
    train(recipe(one), TrainingRun(folder=tmp_path))
    card = zoo.card("digits-vgg")
    variant = card.variants["static-32bit"]
    old = {key: value for key, value in variant.recipe.items() if key != "cutout"}
    path = zoo.pretrained_folder() / "digits-vgg" / "card.toml"
    assert not variant.origins  # as in a card from before they were written
    zoo.save_card(replace(card, variants={one.name: replace(variant, recipe=old)}), path)

    assert runs.is_published(recipe(one), one)
    assert not runs.is_published(recipe(one), replace(one, cutout=4))

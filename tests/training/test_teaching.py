"""Teachers' answers are the same whether computed or read, and each is computed once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hybrid.errors import RecipeError
from hybrid.models import Network, Spec, build
from hybrid.training.batches import Batches
from hybrid.training.recipe import Plan, Recipe, load_recipe

pytest.importorskip("lightning", reason="Lightning comes with the extra `train`")
pytestmark = [
    pytest.mark.slow,  # every test trains a network
    pytest.mark.filterwarnings("ignore::Warning:lightning", "ignore::Warning:torch"),
]

from hybrid.training import module  # noqa: E402
from hybrid.training.run import FINISHED, TrainingRun, train  # noqa: E402
from hybrid.training.teaching import Teaching, about_batches, cache_key  # noqa: E402

STEPS = 3


def network(*, seed: int = 0, bits: int = 32) -> Network:
    torch.manual_seed(seed)
    spec = Spec(
        architecture="digits-vgg", classes=10, channels=1, size=8, cut=2, exits=(1, 2), bits=bits
    )
    return build(spec).eval()


def batches() -> list[torch.Tensor]:
    return list(torch.randn(STEPS, 4, 1, 8, 8, generator=torch.Generator().manual_seed(1)))


def all_answers(teaching: Teaching, epoch: int = 0) -> torch.Tensor:
    return torch.stack(
        [
            teaching.answers(images, epoch=epoch, step=step, steps=STEPS)
            for step, images in enumerate(batches())
        ]
    )


def recipe(*plans: Plan) -> Recipe:
    return replace(load_recipe("digits-vgg"), plans=plans)


def plan(name: str, *, epochs: int = 2, **values: object) -> Plan:
    shipped = load_recipe("digits-vgg").plans[0]
    return replace(shipped, name=name, epochs=epochs, **values)  # type: ignore[arg-type]


def test_kept_answers_give_the_same_loss_as_the_teacher_to_the_bit(tmp_path: Path):
    live, first = all_answers(Teaching([network()])), Teaching([network()], tmp_path)
    all_answers(first)
    kept = Teaching([network()], tmp_path)
    again = all_answers(kept)
    logits = [torch.randn(4, 10)]
    labels = torch.arange(4)
    losses = [
        module.exits_loss(logits, labels, plan("static-32bit"), taught[1])
        for taught in (live, again)
    ]

    assert torch.equal(live, again)
    assert torch.equal(*losses)
    assert (first.computed, kept.computed) == (STEPS, 0)


def test_the_answers_are_the_mean_of_the_teachers_probabilities():
    teachers = [network(seed=0), network(seed=1)]

    answers = all_answers(Teaching(teachers))[0]

    with torch.no_grad():
        each = [teacher(batches()[0])[-1].softmax(1) for teacher in teachers]
    assert torch.allclose(answers, (each[0] + each[1]) / 2, atol=5e-4)  # float16: 11 bits


def test_mirrored_answers_are_the_mean_over_an_image_and_its_mirror_image():
    answers = all_answers(Teaching([network()], mirrored=True))[0]

    rows = batches()[0].numpy()
    with torch.no_grad():
        each = [
            network()(torch.from_numpy(view.copy()))[-1].softmax(1)
            for view in (rows, rows[..., ::-1])
        ]
    assert torch.allclose(answers, (each[0] + each[1]) / 2, atol=5e-4)


def test_half_an_epoch_is_not_kept(tmp_path: Path):
    teaching = Teaching([network()], tmp_path)
    teaching.answers(batches()[0], epoch=0, step=0, steps=STEPS)

    assert list(tmp_path.iterdir()) == []


def test_each_epoch_has_answers_of_its_own(tmp_path: Path):
    teaching = Teaching([network()], tmp_path)
    all_answers(teaching, epoch=0)
    all_answers(teaching, epoch=1)
    all_answers(teaching, epoch=0)

    assert teaching.computed == 2 * STEPS
    assert sorted(path.name for path in tmp_path.iterdir()) == ["epoch-0.npy", "epoch-1.npy"]


@pytest.mark.parametrize("change", [{"seed": 1}, {"batch": 3}, {"crop": 1}, {"flip": True}])
def test_other_batches_have_another_key(change: dict[str, object]):
    images, labels = np.zeros((8, 1, 8, 8), np.float32), np.zeros(8, np.int64)
    given: dict[str, object] = {"batch": 4, "seed": 0}
    one = Batches(images, labels, **given)  # type: ignore[arg-type]
    other = Batches(images, labels, **(given | change))  # type: ignore[arg-type]

    assert cache_key(**about_batches(one)) != cache_key(**about_batches(other))


def test_repeated_views_ask_the_teacher_once_and_a_second_student_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[int] = []
    compute = Teaching._compute
    monkeypatch.setattr(
        Teaching,
        "_compute",
        lambda self, images: asked.append(len(images)) or compute(self, images),
    )
    taught = {"teacher": "static-32bit", "epochs": 3, "views": 1}
    base = plan("static-32bit", epochs=1)
    first = plan("hybrid-4bit", **taught)
    second = plan("hybrid-2bit", **taught)

    train(recipe(base, first), TrainingRun(folder=tmp_path))
    once = len(asked)
    train(recipe(base, first, second), TrainingRun(folder=tmp_path))

    images, batch = 1078, base.batch  # 60 % of 1,797 digits
    assert once == images // batch
    assert len(asked) == once


def test_nothing_flows_from_one_stage_to_another_in_a_blockwise_start():
    student, reference = network(seed=1, bits=2), network(seed=0)
    student.train()
    images, labels = torch.randn(8, 1, 8, 8), torch.arange(8)
    blockwise = plan("hybrid-2bit", start="static-32bit", blockwise=1)

    module.blockwise_loss(student, reference, images, labels, blockwise, None).backward()

    stage = network(seed=1, bits=2).train().stages[1]
    with torch.no_grad():
        given = reference.stages[0](images)
        wanted = reference.stages[1](given)
    ((stage(given) - wanted).square().mean() / wanted.var()).backward()
    alone = dict(stage.named_parameters())
    assert alone
    for name, together in student.stages[1].named_parameters():
        assert torch.allclose(together.grad, alone[name].grad, atol=1e-6), name
    untouched = [*student.stages[0].parameters(), *student.stages[3].parameters()]
    assert untouched
    assert all(parameter.grad is None for parameter in untouched)


def test_a_blockwise_start_brings_each_stage_near_the_reference_and_leaves_the_cloud(
    tmp_path: Path,
):
    base = plan("static-32bit", epochs=4)
    short = plan("hybrid-2bit", epochs=1, start="static-32bit", blockwise=1)
    train(recipe(base, short), TrainingRun(folder=tmp_path / "short"))
    started = load_file(tmp_path / "short" / "digits-vgg" / "static-32bit" / FINISHED)
    ended = load_file(tmp_path / "short" / "digits-vgg" / "hybrid-2bit" / FINISHED)

    cloud = [name for name in started if name.startswith("stages.3.") and "conv" in name]
    edge = [name for name in started if name.startswith("stages.1.") and name.endswith("weight")]
    assert cloud
    assert edge
    assert all(torch.equal(started[name], ended[name]) for name in cloud)
    assert not all(torch.equal(started[name], ended[name]) for name in edge)


def test_a_blockwise_start_needs_a_start_at_full_precision(tmp_path: Path):
    base = plan("static-32bit", epochs=1)
    narrow = plan("hybrid-4bit", epochs=1, start="static-32bit")
    last = plan("hybrid-2bit", epochs=1, start="hybrid-4bit", blockwise=1)

    with pytest.raises(RecipeError, match="learns blockwise from hybrid-4bit, which is quantized"):
        train(recipe(base, narrow, last), TrainingRun(folder=tmp_path))

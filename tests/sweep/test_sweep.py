"""A sweep: which trials it makes, what it keeps, and that Ray changes none of it."""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from click.testing import Result
from filelock import FileLock
from safetensors.torch import save_file
from typer.testing import CliRunner

from hybrid import zoo
from hybrid.adaptation.adapt import adapt
from hybrid.adaptation.preparing import AdaptRequest
from hybrid.choosing import Limits, choose, collect_candidates
from hybrid.cli.main import app
from hybrid.errors import (
    BitWidthError,
    ClusterError,
    HybridError,
    ModelError,
    SweepError,
    WeightsError,
)
from hybrid.sweep import cluster, results, sweep, trials
from hybrid.sweep.sweep import Sweep, SweepPlan, plan, run
from hybrid.sweep.trials import Made, Trial
from tests.sweep.models import chain

pytestmark = pytest.mark.slow  # trials are adaptations

ORDER = ("a", "mix", "b", "d")  # where one tensor holds everything, from the image on


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "chain.safetensors"
    save_file(chain().state_dict(), path)
    return path


@pytest.fixture
def asked(weights: Path, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """Of one trial that is quickly made."""
    monkeypatch.setattr("hybrid.adaptation.fitting.HEAD_EPOCHS", 1)
    return Sweep(
        model="tests.sweep.models:chain",
        weights=weights,
        data="digits",
        cuts=("d",),
        exits=(("b",),),
        bits=(4,),
    )


def here(work: Callable[[Trial], Made], trials: Sequence[Trial]) -> Iterator[Made]:
    """One after the other in this process."""
    return map(work, trials)


def nowhere(work: Callable[[Trial], Made], trials: Sequence[Trial]) -> Iterator[Made]:
    raise AssertionError(f"{len(trials)} trials were to be made")


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Weights and traces below a folder by path; cards tell hours, which differ."""
    files = sorted([*folder.glob("**/*.safetensors"), *folder.glob("**/*.parquet")])
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_the_trials_are_every_combination_that_can_be_and_the_rest_is_listed(
    asked: Sweep, tmp_path: Path
):
    cuts, exits = ("b", "d"), (("a",), ("mix", "b"), ("d",))
    many = replace(asked, cuts=cuts, exits=exits, bits=(2, 8), seeds=(0, 3))

    found = plan(many, tmp_path)

    can = [
        (cut, names)
        for cut, names in product(cuts, exits)
        if max(map(ORDER.index, names)) <= ORDER.index(cut)
    ]
    assert [
        (trial.request.cut, trial.request.exit_modules, trial.request.seed, trial.bits)
        for trial in found.trials
    ] == [(*place, seed, bits) for place in can for seed in (0, 3) for bits in (2, 8)]
    assert [(one.cut, one.exits) for one in found.skipped] == [("b", ("d",))]
    assert "The exit after d comes after the cut at b" in found.skipped[0].reason
    assert len({(trial.network, trial.bits) for trial in found.trials}) == len(found.trials)
    assert found == plan(many, tmp_path)


def test_a_place_with_several_names_and_a_number_given_twice_are_one_trial(
    asked: Sweep, tmp_path: Path
):
    twice = replace(asked, cuts=("d", "d.1"), exits=(("b",), ("b.1", "b")), bits=(4, 4))

    found = plan(twice, tmp_path)

    assert [(trial.request.cut, trial.request.exit_modules) for trial in found.trials] == [
        ("d", ("b",))
    ]


def test_without_cuts_every_worthwhile_one_is_tried_with_an_exit_where_one_can_be(
    asked: Sweep, tmp_path: Path
):
    found = plan(replace(asked, cuts=(), exits=(), bits=(32,)), tmp_path)

    places = [(trial.request.cut, trial.request.exit_modules) for trial in found.trials]
    # the skip connection spans c, so the exit of a cut there lies at b
    assert places == [("mix", ("mix",)), ("b", ("b",)), ("c", ("b",)), ("d", ("d",))]


def test_a_name_that_is_too_long_or_odd_is_shortened_and_stays_its_own():
    def name(cut: str, seed: int = 0) -> str:
        return sweep._name("digits-mine", cut=cut, exits=("a",), seed=seed)

    names = [name("block." * 9 + end, seed) for end in "xy" for seed in (0, 1)]
    names += [name("wide@1"), name("wide-1")]

    assert len(set(names)) == 6
    assert all(len(one) <= 60 and set("@ /").isdisjoint(one) for one in names)


@pytest.mark.parametrize(
    "change, kind, sentence",
    [
        ({"cuts": ("dd",)}, ModelError, "no module ends there; did you mean d"),
        ({"exits": (("bb",),)}, ModelError, "no module ends there; did you mean b"),
        ({"bits": (4, 9)}, BitWidthError, "9 bits are not offered"),
        ({"bits": ()}, SweepError, "needs at least one bit width"),
        ({"seeds": ()}, SweepError, "needs at least one seed"),
        ({"exits": ((),)}, SweepError, "A set of exits is empty"),
        ({"epochs": -1}, SweepError, "-1 epochs cannot be trained"),
        ({"cuts": ("b",), "exits": (("d",),)}, SweepError, "Nothing is left to try: The exit"),
        (
            {"weights": Path("nowhere")},
            WeightsError,
            "no weights at /.*nowhere; name a file of weights",
        ),
        ({"name": "a/b"}, ModelError, "cannot name a network"),
        ({"mean": (0.5,)}, ModelError, "Give a mean and a standard deviation above 0"),
    ],
)
def test_what_cannot_be_swept_is_one_sentence_and_leaves_nothing(
    change: dict[str, object],
    kind: type[HybridError],
    sentence: str,
    asked: Sweep,
    tmp_path: Path,
):
    with pytest.raises(kind, match=sentence) as caught:
        plan(replace(asked, **change), tmp_path / "out")

    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_a_file_is_refused(asked: Sweep, tmp_path: Path):
    (tmp_path / "out").write_text("")

    for out in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises(SweepError, match="out is a file; name a folder"):
            plan(asked, out)


def test_a_trial_is_what_adapt_makes_alone_and_only_what_is_missing_is_made_again(
    asked: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    two = plan(replace(asked, bits=(4, 8)), tmp_path / "out")
    network = tmp_path / "out" / two.trials[0].network
    assert run(two, here).already == 0
    first = bytes_of(network)
    shutil.rmtree(network / "hybrid-8bit")  # as if it had been deleted, or half copied
    said: list[str] = []

    kept = run(two, here, say=said.append)

    assert kept.already == 1
    assert said[0] == "1 of 2 trials are already finished."
    assert "8 bit: " in said[1]
    assert bytes_of(network) == first
    assert run(two, nowhere).finished == two.trials
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path / "alone"))
    adapt(two.trials[1].request)
    alone = bytes_of(tmp_path / "alone" / two.trials[1].network)
    assert {f"{v}/weights.safetensors" for v in ("static-32bit", "hybrid-8bit", "static-8bit")} < {
        *alone
    }
    assert alone.items() <= first.items()


def test_a_damaged_trace_is_made_again(asked: Sweep, tmp_path: Path):
    one = plan(asked, tmp_path)
    run(one, here)
    whole = bytes_of(tmp_path)
    trace = tmp_path / one.trials[0].network / "hybrid-4bit" / "trace-tune.parquet"
    trace.write_bytes(trace.read_bytes()[:-1])

    assert run(one, here).already == 0

    assert bytes_of(tmp_path) == whole


def test_a_network_that_was_made_otherwise_is_not_overwritten(
    asked: Sweep, weights: Path, tmp_path: Path
):
    out = tmp_path / "out"
    run(plan(asked, out), here)
    before = bytes_of(out)
    other = tmp_path / "other.safetensors"
    save_file({name: value + 1 for name, value in chain().state_dict().items()}, other)

    with pytest.raises(SweepError, match="was made with epochs 0, not 1; choose another --name"):
        run(plan(replace(asked, epochs=1), out), nowhere)
    with pytest.raises(SweepError, match="was made with weights_sha256"):
        run(plan(replace(asked, weights=other, bits=(8,)), out), nowhere)
    (out / plan(asked, out).trials[0].network / "trials.json").unlink()
    with pytest.raises(SweepError, match="that was not made by a sweep"):
        run(plan(asked, out), nowhere)
    assert bytes_of(out) == before


def test_a_bit_width_that_no_layer_of_the_edge_can_have_is_left_out(asked: Sweep, tmp_path: Path):
    # after the first convolution of this edge is a transposed one, which only 32 bits can have
    mixed = plan(replace(asked, cuts=("mix",), exits=(("mix",),), bits=(4, 32)), tmp_path)

    kept = run(mixed, here)

    assert [(one.cut, one.bits) for one in mixed.skipped] == [("mix", 4)]
    assert (
        "Only convolutions and linear layers after the first are quantized"
        in mixed.skipped[0].reason
    )
    assert [row.bits for row in sweep.rows(kept)] == [32]


def test_a_trial_that_fails_is_listed_and_the_others_go_on(
    asked: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def unlucky(request: AdaptRequest) -> str:
        if request.bits == (4,):
            raise ModelError("It cannot be.")
        return adapt(request)

    monkeypatch.setattr(trials, "adapt", unlucky)
    three = plan(replace(asked, bits=(2, 4, 8)), tmp_path)

    kept = run(three, here)

    assert [trial.bits for trial in kept.finished] == [2, 8]
    assert [(made.trial.bits, made.failed) for made in kept.failed] == [(4, "It cannot be.")]
    assert sweep.about(three, kept)["failed"][0]["reason"] == "It cannot be."
    assert zoo.load_card(tmp_path / three.trials[0].network / "card.toml").variants.keys() == {
        f"{kind}bit" for kind in ("static-32", "hybrid-2", "static-2", "hybrid-8", "static-8")
    }
    assert not (tmp_path / ".sweep").exists()


def test_code_that_raises_fails_its_trial_alone(
    asked: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(request: object) -> None:
        raise ZeroDivisionError("no such thing\nsecond line")

    monkeypatch.setattr(trials, "adapt", broken)

    kept = run(plan(asked, tmp_path), here)

    assert [made.failed for made in kept.failed] == ["ZeroDivisionError: no such thing"]


def test_two_sweeps_do_not_write_to_one_folder(asked: Sweep, tmp_path: Path):
    with (
        FileLock(tmp_path / ".sweep.lock"),
        pytest.raises(SweepError, match="Another sweep is writing to"),
    ):
        run(plan(asked, tmp_path), nowhere)


def test_threads_environment_and_folder_are_as_before(asked: Sweep, tmp_path: Path):
    before = dict(os.environ), Path.cwd()

    run(plan(asked, tmp_path), here)

    assert (dict(os.environ), Path.cwd()) == before


def test_a_row_is_the_choice_on_tune_and_the_figures_of_test(
    asked: Sweep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    one = plan(asked, tmp_path)

    (row,) = sweep.rows(run(one, here))

    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path))
    network = one.trials[0].network
    trace = zoo.trace(network, "hybrid-4bit", "test")
    leaves = trace.confidences["max_probability"][:, 0] >= row.thresholds[0]
    right = [trace.correct[i, 0 if leaves[i] else -1] for i in range(trace.samples)]
    assert row.edge_fraction == pytest.approx(leaves.mean())
    assert row.accuracy == pytest.approx(sum(right) / trace.samples)
    assert row.uplink_bytes == pytest.approx(
        (1 - leaves.mean()) * zoo.variant(network, 4).uplink_bytes
    )
    assert list(row.exit_accuracy) == ["b", "final"]
    best = choose(
        collect_candidates([network]), Limits(max_loss_points=1.0, confidence=None)
    ).ranking
    assert row.energy_pj == next(
        s.point.test.energy_pj for s in best if s.point.mode == "hybrid" and s.point.test
    )


def test_csv_and_json_say_the_same(asked: Sweep, tmp_path: Path):
    one = plan(asked, tmp_path)
    kept = run(one, here)

    values = results.write(sweep.rows(kept), tmp_path, about=sweep.about(one, kept))

    assert json.loads((tmp_path / "sweep.json").read_text()) == values
    names, cells = (line.split(",") for line in (tmp_path / "sweep.csv").read_text().splitlines())
    assert names == list(values["trials"][0])
    assert float(cells[names.index("accuracy")]) == values["trials"][0]["accuracy"]
    assert cells[names.index("exits")] == "b"


def command(weights: Path, out: Path, *more: str) -> list[str]:
    words = ["sweep", "--model", "tests.sweep.models:chain", "--weights", str(weights)]
    return [*words, "--data", "digits", "--out", str(out), *more]


def invoke(weights: Path, out: Path, *more: str) -> Result:
    return CliRunner().invoke(app, command(weights, out, *more))


@pytest.mark.parametrize(
    "address, sentence",
    [
        ("127.0.0.1:1", "Nothing answers at 127.0.0.1:1"),
        ("somewhere", "'somewhere' is not the address of a Ray cluster"),
        ("ray://127.0.0.1:1", "is not the address of a Ray cluster"),
    ],
)
def test_an_address_that_cannot_be_reached_is_one_sentence_and_code_2(
    address: str, sentence: str, weights: Path, tmp_path: Path
):
    result = invoke(weights, tmp_path, "--bits", "4", "--cuts", "d", "--address", address)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "greeting, sentence", [(b"", "Nothing answers"), (b"HTTP/1.1 400", "is not a Ray cluster")]
)
def test_a_server_that_is_no_ray_is_told_at_once(
    greeting: bytes, sentence: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cluster, "ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            there, _ = server.accept()
            with there, suppress(ConnectionResetError):
                there.sendall(greeting)
                while there.recv(1000):
                    pass  # until the other side hangs up

        thread = threading.Thread(target=greet)
        thread.start()
        address = f"127.0.0.1:{server.getsockname()[1]}"

        with pytest.raises(ClusterError, match=sentence), cluster.connected(address=address):
            pass

        thread.join()


def test_without_ray_a_sentence_says_how_to_install_it(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(cluster, "find_spec", lambda _: None)

    result = invoke(weights, tmp_path, "--bits", "4")

    assert result.exit_code == 2
    assert "pip install 'hybrid[sweep]'" in result.stderr


def test_a_sweep_with_a_failure_ends_with_code_1_and_prints_the_others(
    asked: Sweep, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def unlucky(work: Callable[[Trial], Made], trials: Sequence[Trial]) -> Iterator[Made]:
        yield work(trials[0])
        yield Made(trial=trials[1], failed="WorkerCrashedError: it died")

    monkeypatch.setattr(sweep, "on_ray", lambda **_: unlucky)

    result = invoke(weights, tmp_path, "--bits", "4,8", "--cuts", "d", "--exits", "b")

    assert result.exit_code == 1
    header, row, about = result.stdout.splitlines()
    assert header.split()[:4] == ["cut", "exits", "bits", "seed"]
    assert row.split()[:4] == ["d", "b", "4", "0"]
    assert "at most 1 point of accuracy on tune" in about
    assert "Failed: digits-chain-cut-d-exits-b-seed0 8 bit. WorkerCrashedError" in result.stderr
    assert "1 of 2 trials are finished" in result.stderr


def test_an_interrupted_sweep_says_how_to_go_on(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(asked: SweepPlan, *more: object, **others: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "run", interrupted)

    result = invoke(weights, tmp_path, "--bits", "4", "--cuts", "d")

    assert result.exit_code == 130
    assert "run the same command again to resume" in result.stderr


@pytest.fixture
def lab() -> Iterator["Lab"]:
    made = Lab()
    try:
        yield made
    finally:
        made.clean()


class Lab:
    """Programs that can be told from all others, with all that they start."""

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="ht")  # short: Ray puts sockets there
        self.mark = f"HYBRID_TEST={self.folder}"
        self.environment = os.environ | {
            "HYBRID_TEST": self.folder,
            "TMPDIR": self.folder,
            "OMP_NUM_THREADS": "1",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "7" * 64,
            "RAY_worker_niceness": "0",  # else everything else on this machine goes first
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            words,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def sweep(self, *words: str) -> subprocess.Popen[str]:
        return self.start(sys.executable, "-c", "from hybrid.cli.main import app; app()", *words)

    def running(self) -> list[int]:
        found = []
        for environment in Path("/proc").glob("[0-9]*/environ"):
            try:
                if self.mark in environment.read_text(errors="replace").split("\0"):
                    found.append(int(environment.parent.name))
            except OSError:
                continue  # ended meanwhile
        return found

    def ends(self, seconds: float = 120) -> bool:
        """Whether nothing is left within this time."""
        until = time.monotonic() + seconds
        while running := self.running():
            for process in running:
                if not ended(process, within_s=until - time.monotonic()):
                    return False
        return True

    def clean(self) -> None:
        for process in self.running():
            os.kill(process, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


def ended(process: int, *, within_s: float) -> bool:
    """Wait for a process that need not be a child."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], max(0, within_s))[0])
    finally:
        os.close(handle)


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(), reason="finds its processes in /proc"
)


@needs_proc
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_and_gone_on_with_one_worker_or_on_a_cluster_the_bytes_are_the_same(
    weights: Path, tmp_path: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch
):
    words = ("--cuts", "d", "--exits", "b", "--bits", "4,8")
    here, there = tmp_path / "here", tmp_path / "there"

    killed = lab.sweep(*command(weights, here, *words, "--workers", "2"))
    assert killed.stderr is not None
    assert "1 of 2: " in killed.stderr.readline()
    killed.kill()
    killed.communicate()  # its Ray and workers notice within seconds; nobody waits for them
    going_on = lab.sweep(*command(weights, here, *words, "--workers", "1", "--json"))
    stdout, stderr = going_on.communicate()

    assert going_on.returncode == 0, stderr
    assert " of 2 trials are already finished." in stderr.splitlines()[0]
    assert [row["bits"] for row in json.loads(stdout)["trials"]] == [4, 8]

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ray = Path(sys.executable).with_name("ray")
    options = ("--block", "--include-dashboard=false", "--disable-usage-stats", "--num-cpus=2")
    head = lab.start(str(ray), "start", "--head", f"--port={port}", *options)
    assert head.stdout is not None
    assert any("--block" in line for line in head.stdout)  # it is up
    one = ("--cuts", "d", "--exits", "b", "--bits", "4", "--address", f"127.0.0.1:{port}")
    elsewhere = lab.sweep(*command(weights, there, *one))
    stdout, stderr = elsewhere.communicate()
    head.terminate()
    head.communicate()

    assert elsewhere.returncode == 0, stderr
    assert lab.ends(), "a process was left behind"
    asked = Sweep(
        model="tests.sweep.models:chain",
        weights=weights,
        data="digits",
        cuts=("d",),
        exits=(("b",),),
        bits=(8,),
    )
    monkeypatch.setenv("HYBRID_PRETRAINED", str(tmp_path / "alone"))
    network = adapt(plan(asked, tmp_path).trials[0].request)
    both = bytes_of(here / network)
    assert bytes_of(tmp_path / "alone" / network).items() <= both.items()  # twin and 8 bit
    assert bytes_of(there / network).items() <= both.items()  # twin and 4 bit
    assert len(both) == 5 * 4  # the twin and two of each bit width: weights and three traces

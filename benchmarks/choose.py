"""How long choosing takes, against a plain loop over a grid of thresholds.

    python -m benchmarks.choose

Data: random confidences of two networks with nine bit widths each, three early exits and a final
one, 10,000 samples in `tune` and as many in `certify`: 36 candidates, as every variant is used
with and without the cloud, plus two static networks. Limits: 2 points of loss at 95 %
confidence, and an energy limit. Timed from traces to the answer, search included.

The loop is what a user would write: for each variant, `operating_point` at every combination of a
grid of GRID thresholds per exit, keeping the cheapest that meets the limits on `tune`. It certifies
nothing, and is timed on one variant and multiplied by 18. `_cpu_ms` is the processor time of all
threads together, which a busy machine distorts less than wall-clock time.
`ours_vs_loop_energy` is the energy of our point over the loop's on the same variant at the same
limits: below 1, ours is cheaper.
"""

import itertools
import statistics
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter, process_time

import numpy as np

from benchmarks.rows import format_row, machine, peak_mb
from hybrid import choosing, policy, zoo
from hybrid.choosing import Answer, Field, Limits
from hybrid.choosing.candidates import Candidate, CandidateTrace, candidate
from hybrid.choosing.modes import modes_of
from hybrid.evaluation import Prices
from tests.ui.synthetic import layer

NETWORKS, WIDTHS, EARLY, SAMPLES, GRID = 2, (1, 2, 3, 4, 5, 6, 7, 8, 32), 3, 10_000, 11
MEASURE = "max_probability"
LIMITS = Limits(max_loss_points=2.0, confidence=0.95, max_energy_uj=100.0)
OBSERVED = replace(LIMITS, confidence=None)
PRICES = Prices()


def main() -> None:
    """Print one row."""
    traces = made_up()
    one = next(
        c for c in field(traces).candidates if c.mode.name == "hybrid" and c.variant.bits == 4
    )
    loop_ms = median_ms(lambda: loop(one), runs=3) * NETWORKS * len(WIDTHS)
    ours = choosing.choose(replace(field(traces), candidates=(one,)), OBSERVED, PRICES).best
    found = loop(one)
    assert ours is not None
    assert found is not None
    ours_ms = median_ms(lambda: answer(traces), runs=7)
    wall_ms = median_ms(lambda: answer(traces), runs=7, clock=perf_counter)
    chosen = answer(traces)
    row = {
        "benchmark": "choose",
        **machine("numpy"),
        "candidates": len(chosen.ranking),
        "settings": chosen.settings,
        "certified": chosen.comparisons,
        "ours_wall_ms": wall_ms,
        "ours_cpu_ms": ours_ms,
        "ours_extra_mb": peak_mb(lambda: answer(traces)),
        "grid_loop_cpu_ms": loop_ms,
        "loop_cpu_ratio": loop_ms / ours_ms,
        "ours_vs_loop_energy": ours.tune.energy_pj / found[0],
    }
    print(format_row(row))


def median_ms(
    run: Callable[[], object], *, runs: int, clock: Callable[[], float] = process_time
) -> float:
    """Median of a call's times; processor time is that of all its threads together."""
    times = []
    for _ in range(runs):
        start = clock()
        run()
        times.append(clock() - start)
    return statistics.median(times) * 1e3


Traces = dict[tuple[str, str], dict[str, CandidateTrace]]  # by network and variant, by split


def answer(traces: Traces) -> Answer:
    """From traces to the answer."""
    return choosing.choose(field(traces), LIMITS, PRICES)


def field(traces: Traces) -> Field:
    """Every candidate, its thresholds searched."""
    cards = {network: card(network) for network, _ in traces}
    found = []
    for (network, name), seen in traces.items():
        variant = cards[network].variants[name]
        for mode in modes_of(variant):
            edge = mode.name == "edge"
            own = {split: without_cloud(s) if edge else s for split, s in seen.items()}
            found.append(
                candidate(
                    card=cards[network],
                    mode=mode,
                    variant=variant,
                    seen=own,
                    measure=MEASURE,
                    reference=variant.is_static,
                )
            )
    references = {"made up": (next(iter(cards)), zoo.TWIN)}
    return Field(candidates=tuple(found), references=references, measure=MEASURE, absent=())


def loop(one: Candidate) -> tuple[float, tuple[float, ...]] | None:
    """The cheapest point of a grid that meets the limits on tune."""
    seen, costs = one.seen["tune"], one.costs(PRICES)
    best = None
    for thresholds in itertools.product(np.linspace(0, 1, GRID).tolist(), repeat=EARLY):
        point = policy.operating_point(
            seen, thresholds, measure=MEASURE, costs=costs, twin_energy_pj=1.0, twin_accuracy=None
        )
        lost = seen.loss_points(sum(point.outcome.correct_counts))
        if lost <= 2.0 and point.energy_pj <= 100e6 and (not best or point.energy_pj < best[0]):
            best = point.energy_pj, thresholds
    return best


def made_up() -> Traces:
    """Random samples, the same in every run: confidence predicts correctness, late exits' more."""
    rng = np.random.default_rng(0)
    twin = rng.random((2, SAMPLES)) < 0.93
    traces: Traces = {}
    for network in range(NETWORKS):
        for width in WIDTHS:
            sure = rng.beta(2, 0.7, (2, EARLY + 1, SAMPLES)).astype(np.float32)
            luck = rng.random((2, EARLY + 1, SAMPLES))
            skill = np.linspace(0.75, 1.02, EARLY + 1)[:, None]
            right = luck < np.clip(skill + 0.35 * (sure - 0.75) - 0.05 / width, 0, 1)
            right[:, -1] = np.where(rng.random((2, SAMPLES)) < 0.97, twin, right[:, -1])
            key = f"network-{network}", zoo.variant_name(width)
            traces[key] = splits(right, sure, twin)
        traces[f"network-{network}", zoo.TWIN] = splits(
            twin[:, None], np.ones((2, 1, SAMPLES), np.float32), twin
        )
    return traces


def splits(right: np.ndarray, sure: np.ndarray, twin: np.ndarray) -> dict[str, CandidateTrace]:
    """(2, exits, n) arrays to what is seen of tune and certify; class 0 is the right answer."""
    return {
        name: CandidateTrace(
            split=name,
            labels=np.zeros(SAMPLES, np.int64),
            correct=right[i].T,
            classes=(~right[i].T).astype(np.int64),
            confidences={MEASURE: sure[i].T},
            reference_classes=(~twin[i]).astype(np.int64),
        )
        for i, name in enumerate(("tune", "certify"))
    }


def without_cloud(seen: CandidateTrace) -> CandidateTrace:
    """The same up to the last early exit."""
    return replace(
        seen,
        correct=seen.correct[:, :-1],
        classes=seen.classes[:, :-1],
        confidences={MEASURE: seen.confidences[MEASURE][:, :-1]},
    )


def card(network: str) -> zoo.Card:
    """Layers of the size of ResNet-32's: a stem, a stage and a head per exit, a cloud stage."""
    about = dict.fromkeys(("title", "description", "architecture"), "made up")
    return zoo.Card(
        network=network,
        dataset="made up",
        classes=("right", "wrong"),
        channels=3,
        size=32,
        cut=EARLY,
        stage_names=tuple(f"stage {i}" for i in range(EARLY + 2)),
        seed=0,
        variants={
            v.name: v for v in [*(variant(w, early=EARLY) for w in WIDTHS), variant(32, early=0)]
        },
        **about,
    )


def variant(bits: int, *, early: int) -> zoo.Variant:
    """A hybrid of a bit width, or without early exits the twin."""
    layers = [layer("stem", 0, "edge", 400_000, 32)]
    layers += [layer(f"stage{i}", i, "edge", 15_000_000, bits) for i in range(1, EARLY + 1)]
    layers.append(layer("last", EARLY + 1, "cloud" if early else "edge", 25_000_000, 32))
    layers += [layer(f"head{i}", i + 1, "head", 10_000, 32, exit_=i) for i in range(early)]
    return zoo.Variant(
        name=zoo.variant_name(bits, static=not early),
        kind="hybrid" if early else "static",
        bits=bits,
        spec={},
        exit_stages=tuple(range(1, early + 1)),
        exit_names=(*(f"exit {i}" for i in range(early)), "final"),
        layers=tuple(layers),
        uplink_bytes=2_048 * bits // 8 if early else 0,
        temperatures=(1.0,) * (early + 1),
        files={zoo.WEIGHTS: "0" * 64},
        accuracy={},
        auroc={},
        history=(),
        recipe={},
        epochs=1,
        hours=0.0,
        device="none",
        versions={},
    )


if __name__ == "__main__":
    main()

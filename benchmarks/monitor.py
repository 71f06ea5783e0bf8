"""How often the alarm of a monitor is false, and how soon it comes when a promise is broken.

    python -m benchmarks.monitor [network] [runs]

Images are drawn, with replacement, from the trace of `test` of the 4-bit network with every
threshold at 0.8; a run is a device that answers them. The plan is fitted on `tune`. Rows:

    monitor_false_alarms   runs of 100,000 images whose disagreement is exactly the promise, the
                           most that it allows; at most alpha of them may raise an alarm
    monitor_benign         the same with other exit shares, each image's chance to disagree moved so
                           that the disagreement stays exactly the promise
    monitor_delay          images to the alarm if images that disagree are drawn twice as often,
                           from the first image on; `uniform` draws audits without regard to the
                           confidence; `goal` is 1.3 times what the best single bet would need
    monitor_mapie          the same with every image audited, beside MAPIE's RiskMonitoring, which
                           needs that
    monitor_drift          10,000 images, then corrupted ones, with the promise that `certify`
                           certifies; `suffered` is the mean disagreement of all images up to the
                           alarm, or of all 100,000 without one, in promises. Needs CIFAR-10
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from benchmarks.rows import format_row, machine
from hybrid import certificates, data, policy, zoo
from hybrid.data.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from hybrid.monitor.audit import AuditPolicy, Expectation, weighted_losses
from hybrid.monitor.evidence import Evidence, kelly_bets
from hybrid.monitor.plan import Plan, Promise, make_plan
from hybrid.policy.shift import variation
from hybrid.traces.trace import Trace

BITS, THRESHOLD = 4, 0.8
IMAGES = 100_000
AT_ONCE = 20  # runs, so that memory stays small
STEP = 10_000  # images after which runs with an alarm may stop
SHARES = (0.02, 0.05, 0.1)
SHARE = 0.05
ALPHAS = (0.01, 0.05)
CLEAN = 10_000
CORRUPTED = 1_000  # images that are corrupted and run
GOALS = {  # images of the best single bet: with audits by confidence, with uniform ones
    ("cifar10-resnet32", 0.02): (8_192, 15_738),
    ("cifar10-resnet32", 0.05): (3_296, 7_440),
    ("cifar10-resnet32", 0.1): (1_665, 3_031),
    ("cifar10-wide9", 0.02): (10_847, 21_146),
    ("cifar10-wide9", 0.05): (4_354, 8_161),
    ("cifar10-wide9", 0.1): (2_189, 3_604),
}
SLACK = 1.3
Floats = npt.NDArray[np.float64]
Row = dict[str, object]


@dataclass(frozen=True, kw_only=True, eq=False)
class World:
    """Images that a device may see: (n,) each.

    `exits` is that of the policy, the cloud last; `chances` with which each is drawn.
    """

    exits: npt.NDArray[np.int64]
    confidences: Floats
    losses: npt.NDArray[np.bool_]
    chances: Floats
    early: int

    @property
    def rate(self) -> float:
        """How often an answer differs from the cloud's."""
        return float(self.chances @ self.losses)

    @property
    def exit_shares(self) -> Floats:
        """One per exit, the cloud last."""
        return np.bincount(self.exits, self.chances, minlength=self.early + 1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Audited:
    """What a monitor needs of every image of a world: m, pi and the loss, (n,) each."""

    expected: Floats
    probability: Floats
    losses: npt.NDArray[np.bool_]
    chances: Floats

    def draw(self, rng: np.random.Generator, *shape: int) -> Floats:
        """The weighted losses of images in their order, audits drawn too."""
        at = np.searchsorted(np.cumsum(self.chances)[:-1], rng.random(shape), side="right")
        drawn = rng.random(shape) < self.probability[at]
        return weighted_losses(self.expected[at], self.probability[at], drawn, self.losses[at])


def main(network: str = "cifar10-resnet32,cifar10-wide9", runs: str = "1000") -> None:
    """Print the rows of one or more networks."""
    for name in network.split(","):
        about: Row = {**machine("numpy"), "network": name, "bits": BITS, "threshold": THRESHOLD}
        for row in rows(name, int(runs)):
            print(format_row({"benchmark": row.pop("benchmark"), **about, **row}), flush=True)


def rows(network: str, runs: int) -> Iterator[Row]:
    """All rows of a network."""
    variant = zoo.variant(network, BITS).name
    tune, test = (zoo.trace(network, variant, split) for split in ("tune", "test"))
    world = seen(test)
    plan = planned(tune, world.rate, SHARE)
    yield false_alarms(plan, world, runs)
    yield from benign(plan, world, max(100, runs // 5))
    for share in SHARES:
        yield delay(network, tune, world, share, runs // 2)
    yield against_mapie(tune, world, max(10, runs // 50))
    if data.available(zoo.card(network).dataset):
        yield from drift(network, tune, world, max(20, runs // 20))


def seen(trace: Trace) -> World:
    """The images of a trace, each as likely."""
    early = trace.all_exits - 1
    limits = (THRESHOLD,) * early
    confidences = trace.confidences["max_probability"][:, :-1].astype(np.float64)
    exits = policy.exits_taken(confidences, limits)
    return World(
        exits=exits,
        confidences=confidences[np.arange(len(exits)), np.minimum(exits, early - 1)],
        losses=certificates.disagreements(trace, limits),
        chances=np.full(len(exits), 1 / len(exits)),
        early=early,
    )


def planned(tune: Trace, epsilon: float, share: float) -> Plan:
    """The plan of a device whose promise is epsilon."""
    limits = (THRESHOLD,) * (tune.all_exits - 1)
    return make_plan(
        tune, limits, Promise(epsilon=epsilon), bundle=tune.weights_sha256, share=share
    )


def audited(world: World, policy_: AuditPolicy, *, control: bool = True) -> Audited:
    """A world under a policy, with or without the expectation as a control variate."""
    left = world.exits < world.early
    expected, probability = np.zeros(len(left)), np.ones(len(left))
    exits, sure = world.exits[left], world.confidences[left]
    probability[left] = policy_.probabilities(exits, sure)
    if control:
        expected[left] = policy_.expectation.at(exits, sure)
    return Audited(
        expected=expected, probability=probability, losses=world.losses, chances=world.chances
    )


def alarms(
    image: Audited, plan: Plan, *, runs: int, most: int = IMAGES, alphas: tuple[float, ...] = ALPHAS
) -> tuple[Floats, Floats]:
    """Images to the alarm at each alpha (alphas, runs), and of the e-CUSUM (runs,); inf if none."""
    first, recent = [], []
    for start in range(0, runs, AT_ONCE):
        some = min(AT_ONCE, runs - start)
        rng = np.random.default_rng(start)
        bets = Evidence(plan.bets, epsilon=plan.promise.epsilon, shape=(some,))
        found = np.full((len(alphas) + 1, some), np.inf)
        for begin in range(0, most, STEP):
            path = bets.add(image.draw(rng, some, min(STEP, most - begin)))
            limits = [
                *((path.wealth, 1 / alpha) for alpha in alphas),
                (path.recent, plan.run_length),
            ]
            for row, (logs, limit) in zip(found, limits, strict=True):
                reached(row, logs >= np.log(limit), begin)
            if np.isfinite(found).all():
                break
        first.append(found[:-1])
        recent.append(found[-1])
    return np.concatenate(first, axis=1), np.concatenate(recent)


def reached(row: Floats, over: npt.NDArray[np.bool_], begin: int) -> None:
    """Note in (runs,) after how many images a run was over its limit, where that is new."""
    new = over.any(axis=1) & np.isinf(row)
    row[new] = begin + 1 + over[new].argmax(axis=1)


def false_alarms(plan: Plan, world: World, runs: int) -> Row:
    """Alarms while the promise just holds."""
    first, recent = alarms(audited(world, plan.policy), plan, runs=runs)
    row: Row = {"benchmark": "monitor_false_alarms", "runs": runs, "images": IMAGES}
    row |= {"promise": plan.promise.epsilon, "audited": SHARE, "run_length": plan.run_length}
    for alpha, times in zip(ALPHAS, first, strict=True):
        row |= share_of(f"alarms_at_{alpha:g}", np.isfinite(times))
    return row | share_of("recent_alarms", np.isfinite(recent))


def share_of(name: str, happened: npt.NDArray[np.bool_]) -> Row:
    """How often, with its standard error."""
    often = float(happened.mean())
    return {name: often, f"{name}_se": float(np.sqrt(often * (1 - often) / len(happened)))}


def benign(plan: Plan, world: World, runs: int) -> Iterator[Row]:
    """Other exit shares, the same disagreement."""
    changes = {
        "20 points from exit 1 to the cloud": ((0, world.early), 0.2),
        "half of the cloud to exit 1": ((world.early, 0), world.exit_shares[-1] / 2),
        "20 points from exit 1 to exit 2": ((0, 1), 0.2),
    }
    for name, (where, share) in changes.items():
        other = moved(world, *where, share=float(share))
        first, recent = alarms(audited(other, plan.policy), plan, runs=runs, alphas=(plan.alpha,))
        row: Row = {"benchmark": "monitor_benign", "change": name, "runs": runs, "images": IMAGES}
        row |= {"promise": plan.promise.epsilon, "differ": other.rate, "alpha": plan.alpha}
        row["exits_apart"] = variation(world.exit_shares, other.exit_shares)
        row |= share_of("alarms", np.isfinite(first[0]))
        yield row | share_of("recent_alarms", np.isfinite(recent))


def moved(world: World, source: int, target: int, *, share: float) -> World:
    """Draw images that agree at one exit less often, and those of another more often."""
    chances = world.chances.copy()
    for exit_index, more in ((source, -share), (target, share)):
        here = (world.exits == exit_index) & ~world.losses
        chances[here] *= 1 + more / chances[here].sum()
    assert chances.min() >= 0  # no more is moved than there is
    return replace(world, chances=chances)


def doubled(world: World) -> World:
    """Draw images that disagree twice as often."""
    chances = np.where(world.losses, 2, (1 - 2 * world.rate) / (1 - world.rate)) * world.chances
    return replace(world, chances=chances)


def delay(network: str, tune: Trace, world: World, share: float, runs: int) -> Row:
    """Images to the alarm, with audits by confidence and with uniform ones."""
    plan, twice = planned(tune, world.rate, share), doubled(world)
    first, recent = alarms(audited(twice, plan.policy), plan, runs=runs, alphas=(plan.alpha,))
    even = uniform(plan, world, share)
    unlike, _ = alarms(
        audited(twice, even.policy, control=False), even, runs=runs, alphas=(plan.alpha,)
    )
    row: Row = {"benchmark": "monitor_delay", "runs": runs, "alpha": plan.alpha, "audited": share}
    row |= {"promise": plan.promise.epsilon, "differ": twice.rate}
    row |= mean_of("images", first[0]) | mean_of("uniform", unlike[0]) | mean_of("recent", recent)
    if (network, share) in GOALS:
        best, best_uniform = GOALS[network, share]
        row |= {"goal": SLACK * best, "table": best, "table_uniform": best_uniform}
    return row


def mean_of(name: str, times: Floats) -> Row:
    """The mean and median of times to an alarm, those without one counted as all images."""
    known = np.where(np.isfinite(times), times, IMAGES)
    return {
        name: float(known.mean()),
        f"{name}_median": float(np.median(known)),
        f"{name}_found": float(np.isfinite(times).mean()),
    }


def uniform(plan: Plan, world: World, share: float) -> Plan:
    """The same plan with the same chance for every early answer."""
    flat = Expectation(intercepts=(0.0,) * plan.early, slope=0.0)
    policy_ = AuditPolicy(expectation=flat, scale=share / np.sqrt(0.5), least=share)
    left = world.exits < world.early
    rate = np.where(left, world.rate / left.mean(), 0)
    bets = kelly_bets(
        rate, np.where(left, share, 1), epsilon=plan.promise.epsilon, worst=-rate.max() / share
    )
    return replace(plan, policy=policy_, bets=bets)


def against_mapie(tune: Trace, world: World, runs: int) -> Row:
    """Every image audited: the same question, asked by MAPIE as well."""
    from mapie.exchangeability_testing import RiskMonitoring

    plan, twice, images = planned(tune, world.rate, 1.0), doubled(world), 10_000
    image = audited(twice, plan.policy)
    ours, _ = alarms(image, plan, runs=runs, most=images, alphas=(plan.alpha,))
    theirs = np.full(runs, np.inf)
    rng = np.random.default_rng(1)
    for run in range(runs):
        losses = image.draw(rng, images)  # every image is audited, so these are 0 and 1
        # it halves its level between the reference, which is given here, and the stream
        watch = RiskMonitoring(
            "accuracy", test_level=2 * plan.alpha, threshold=plan.promise.epsilon, warn=False
        )
        watch.update(np.ones(images), (losses < 0.5).astype(float))
        over = watch.online_risk_lower_bound_sequence_history > plan.promise.epsilon
        reached(theirs[run : run + 1], over[None], 0)
    row: Row = {"benchmark": "monitor_mapie", "runs": runs, "alpha": plan.alpha, "audited": 1.0}
    row |= {**machine("mapie"), "promise": plan.promise.epsilon, "differ": twice.rate}
    return row | mean_of("images", ours[0]) | mean_of("mapie", theirs)


def drift(network: str, tune: Trace, world: World, runs: int) -> Iterator[Row]:
    """Real corruptions at every strength, after images without any."""
    certify = zoo.trace(network, tune.variant, "certify")
    limits = (THRESHOLD,) * world.early
    promise = certificates.certify(certify, limits, delta=0.05, method="disagreement").bound
    plan = planned(tune, promise, SHARE)
    for name in CORRUPTIONS:
        for strength in STRENGTHS:
            other = seen(traced(network, tune, name, strength))
            times, suffered = after_clean(plan, world, other, runs)
            found = np.isfinite(times)
            row: Row = {"benchmark": "monitor_drift", "corruption": name, "strength": strength}
            row |= {"runs": runs, "alpha": plan.alpha, "audited": SHARE, "promise": promise}
            row |= {"clean": world.rate, "differ": other.rate, "broken": other.rate > promise}
            row |= {"exits_apart": variation(world.exit_shares, other.exit_shares)}
            row |= {"found": float(found.mean()), "early": float((times <= CLEAN).mean())}
            row |= {"suffered": float(suffered.mean() / promise)}
            if found.any():
                row |= {"images": float(np.median(times[found]) - CLEAN)}
            yield row


def traced(network: str, tune: Trace, name: str, strength: int) -> Trace:
    """The trace of corrupted test images."""
    from hybrid.inference.record import record

    images = zoo.images(network, "test")
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(images.labels))[:CORRUPTED]
    worse = replace(
        images,
        images=corrupt(images.images[chosen], name, strength, rng),
        labels=images.labels[chosen],
    )
    return record(
        zoo.load(network, bits=BITS),
        worse,
        name=network,
        variant=tune.variant,
        weights_sha256=tune.weights_sha256,
    )


def after_clean(plan: Plan, world: World, other: World, runs: int) -> tuple[Floats, Floats]:
    """Images to the first of both alarms, and the mean disagreement by then; (runs,) each."""
    rng = np.random.default_rng(2)
    bets = Evidence(plan.bets, epsilon=plan.promise.epsilon, shape=(runs,))
    times = np.full(runs, np.inf)
    for begin in range(0, IMAGES, STEP):
        image = audited(world if begin < CLEAN else other, plan.policy)
        path = bets.add(image.draw(rng, runs, STEP))
        over = path.wealth >= -np.log(plan.alpha)
        reached(times, over | (path.recent >= np.log(plan.run_length)), begin)
        if np.isfinite(times).all():
            break
    seen_by_then = np.minimum(times, IMAGES)
    after = np.maximum(seen_by_then - CLEAN, 0)
    clean = np.minimum(seen_by_then, CLEAN)
    return times, (clean * world.rate + after * other.rate) / seen_by_then


if __name__ == "__main__":
    main(*sys.argv[1:])

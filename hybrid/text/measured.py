"""A measurement in words: what each exit answered and took, beside the trace and the profiles."""

from collections.abc import Iterator, Sequence

from hybrid.deploy.measuring.measure import LIMITS_MS, AtExit, Measured, Spread

__all__ = ["COLUMNS", "histogram", "sentence", "table"]

COLUMNS = (
    "answered by", "images", "in trace", "device ms", "wire ms", "cloud ms", "all ms",
    "promised ms", "bytes", "promised", "spread of all",
)  # fmt: skip
_BARS = "▁▂▃▄▅▆▇█"
_SHOWN = 5  # images that are named


def table(measured: Measured) -> Iterator[list[str]]:
    """A row per exit, the cloud last; times are the median and the 95th percentile."""
    for number, row in enumerate(measured.exits, 1):
        name = "cloud" if number == len(measured.exits) else f"exit {number}"
        yield [name, f"{row.images:,}", f"{row.in_trace:,}", *_times(row), *_bytes(row)]


def sentence(measured: Measured) -> str:
    """Whether the answers were those of the trace, and how fast."""
    rate = f"{measured.images_per_s:,.0f} images a second, one after the other."
    if measured.as_promised:
        return f"All {measured.images:,} exits and answers are those of the trace. {rate}"
    said = [f"Of {measured.images:,} images:"]
    if measured.fallbacks:
        said.append(f"{measured.fallbacks:,} were answered by a fallback;")
    for what, places in (
        ("exit", measured.other_exits),
        ("answer", measured.other_classes),
    ):
        if places:
            named = ", ".join(map(str, places[:_SHOWN])) + ("…" if len(places) > _SHOWN else "")
            said.append(f"{len(places):,} have another {what} than in the trace (image {named});")
    return f"{' '.join(said)} {rate}"


def histogram(spread: Spread | None) -> str:
    """A bar for each limit from the least to the most that was seen.

    >>> counts = [0] * (len(LIMITS_MS) + 1)
    >>> counts[3:6] = [1, 8, 2]
    >>> histogram(Spread(median=0, p95=0, mean=0, histogram=tuple(counts)))
    '0.05 ▂█▃ 0.5'
    """
    if spread is None:
        return ""
    counts = spread.histogram
    places = [place for place, count in enumerate(counts) if count]
    first, last = places[0], places[-1]
    most = max(counts)
    bars = "".join(_bar(count, most) for count in counts[first : last + 1])
    begin = LIMITS_MS[first - 1] if first else 0
    end = f"{LIMITS_MS[last]:g}" if last < len(LIMITS_MS) else "more"
    return f"{begin:g} {bars} {end}"


def _bar(count: int, most: int) -> str:
    return _BARS[round((len(_BARS) - 1) * count / most)] if count else " "


def _times(row: AtExit) -> Sequence[str]:
    seen = [_spread(one) for one in (row.device_ms, row.wire_ms, row.cloud_ms, row.total)]
    return [*seen, f"{row.promised_ms:.3g}"]


def _bytes(row: AtExit) -> Sequence[str]:
    return [f"{row.sent_bytes:,.0f}", f"{row.promised_bytes:,.0f}", histogram(row.total)]


def _spread(spread: Spread | None) -> str:
    return "" if spread is None else f"{spread.median:.3g} / {spread.p95:.3g}"

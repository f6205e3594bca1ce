"""What Lossmith sets out to reach, as ratios within one run, and how far it got."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from benchmarks.cases import TINY
from benchmarks.peers import OURS, OWN, PEERS
from benchmarks.ratios import Record, behind, middle, ratio, ratios, seconds


class Target(NamedTuple):
    """A target and what was measured.

    Attributes:
        text: what is to be reached.
        measured: the middle and the worst case, in words.
        met: whether the worst case reaches it; ``None`` where nothing was measured.
    """

    text: str
    measured: str
    met: bool | None


def targets(records: Sequence[Record]) -> Iterator[Target]:
    """Yield every target with what this run says of it."""
    large = [record for record in records if record["group"] == "single" and record["outputs"] == 1]
    arithmetic = [record for record in large if record["arithmetic"]]
    others = [record for record in large if not record["arithmetic"]]
    rows = [record for record in records if record["group"] == "rows" and record["loss"].startswith("sparse")]
    wide = [record for record in rows if record["shape"][1] >= 1000]
    narrow = [record for record in rows if record["shape"][1] == 10]
    double = [record for record in records if record["group"] == "double"]
    metrics = [record for record in records if "log_loss" in record["loss"]]
    yield _floor("arithmetic losses within 1.15 of the floor", arithmetic, 1.15)
    yield _floor("exp/log losses within 1.5 of the floor", others, 1.5)
    yield _ahead("ahead of every peer on every case", records, PEERS)
    yield _times("arithmetic losses 2 times PyTorch", arithmetic, "PyTorch", 2)
    yield _times("arithmetic losses 2 times torch.compile", arithmetic, "torch.compile", 2)
    yield _times("exp/log losses 10 times PyTorch", others, "PyTorch", 10)
    yield _times("exp/log losses 3 times torch.compile", others, "torch.compile", 3)
    yield _floor("cross-entropy of 1,000 and more classes within 1.35 of a copy", wide, 1.35)
    yield _times("cross-entropy of 1,000 and more classes 10 times PyTorch", wide, "PyTorch", 10)
    yield _times("cross-entropy of 10 classes 5 times PyTorch", narrow, "PyTorch", 5)
    yield _times("float64 3 times PyTorch", double, "PyTorch", 3)
    yield _times("log loss alone 20 times scikit-learn's", metrics, "scikit-learn", 20)
    yield _own(records)
    yield _small(records)
    yield _ahead("never slower than NumPy", records, ("NumPy",))
    yield _memory(records)


def _worst(
    text: str, figures: list[tuple[float, Record]], write: Callable[[float], str], right: Callable[[float], bool]
) -> Target:
    """Return a target from figures, the worst last, and what is right."""
    worst, record = figures[-1]
    halfway = statistics.median(value for value, _ in figures)
    several = f"{write(halfway)} in the middle of {len(figures)}, " if len(figures) > 1 else ""
    if several and not right(worst):
        several += f"{sum(right(value) for value, _ in figures)} as aimed at, "
    return Target(text, f"{several}{write(worst)} for {record['label']}", right(worst))


def _none(text: str) -> Target:
    return Target(text, "not measured", None)


def _floor(text: str, records: Sequence[Record], limit: float) -> Target:
    found = [(1 / value, record) for value, record in reversed(ratios(records, "floor"))]
    return _worst(text, found, "{:.2f}".format, lambda value: value <= limit) if found else _none(text)


def _times(text: str, records: Sequence[Record], peer: str, least: float) -> Target:
    found = ratios(records, peer)[::-1]
    if not found:
        return _none(text)
    target = _worst(text, found, "{:.3g}".format, lambda value: value >= least)
    # A kernel at the speed of memory would be no further ahead than that.
    bounds = {record["loss"]: value / floor for value, record in found if (floor := ratio(record, "floor"))}
    beyond = [f"{value:.3g} for {name}" for name, value in sorted(bounds.items(), key=lambda x: x[1]) if value < least]
    return target._replace(measured=f"{target.measured}; memory allows {', '.join(beyond)}") if beyond else target


def _ahead(text: str, records: Sequence[Record], peers: Sequence[str]) -> Target:
    pairs = [value for name in peers for value, _ in ratios(records, name)]
    if not pairs:
        return _none(text)
    lost = sorted(((value, name, record) for record, name, value, _ in behind(records) if name in peers),
                  key=lambda found: found[0])  # fmt: skip
    worst = f"; {lost[0][1]} takes {lost[0][0]:.2f} for {lost[0][2]['label']}" if lost else ""
    return Target(text, f"{middle(pairs):.3g} on average, behind in {len(lost)} of {len(pairs)}{worst}", not lost)


def _own(records: Sequence[Record]) -> Target:
    text = "a loss of the user's own within 1.05 of the same built in"
    found = ratios(records, OWN)
    return _worst(text, found, "{:.2f}".format, lambda value: value <= 1.05) if found else _none(text)


def _small(records: Sequence[Record]) -> Target:
    text = f"calls of {TINY} numbers within 5 µs of NumPy's expression"
    tiny = [record for record in records if record["shape"] == (TINY,) and ratio(record, "NumPy") is not None]
    found = [((_time(record, OURS) - _time(record, "NumPy")) * 1e6, record) for record in tiny]
    found.sort(key=lambda pair: pair[0])
    return _worst(text, found, "{:.1f} µs".format, lambda value: value <= 5) if found else _none(text)


def _time(record: Record, name: str) -> float:
    found = seconds(record, name)
    assert found is not None
    return found


def _memory(records: Sequence[Record]) -> Target:
    text = "a call holds its outputs and 1 MB at most"
    found: list[tuple[float, Any]] = [
        (record["extra_bytes"] / 2**20, record)
        for record in records
        if record.get("extra_bytes") is not None and record["group"] != "strided"
    ]
    found.sort(key=lambda pair: pair[0])
    return _worst(text, found, "{:.2f} MB".format, lambda value: value <= 1) if found else _none(text)

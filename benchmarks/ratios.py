"""Figures of a run, read from its records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from benchmarks.peers import FLOORS, OURS, PEERS

Record = dict[str, Any]


def seconds(record: Record, name: str) -> float | None:
    """Return the median of a contestant, or of the best floor where that is asked for."""
    times = record["times"]
    if name == "floor":
        found = [times[floor]["median_s"] for floor in FLOORS if floor in times]
        return min(found) if found else None
    return times[name]["median_s"] if name in times else None


def ratio(record: Record, name: str) -> float | None:
    """Return how many times as long as ours a contestant took."""
    theirs, mine = seconds(record, name), seconds(record, OURS)
    return None if theirs is None or mine is None else theirs / mine


def ratios(records: Iterable[Record], name: str) -> list[tuple[float, Record]]:
    """Return a contestant's ratios, the least first, with their cases."""
    found = ((ratio(record, name), record) for record in records)
    return sorted(((value, record) for value, record in found if value is not None), key=lambda pair: pair[0])


def middle(values: Iterable[float]) -> float:
    """Return the geometric mean."""
    logs = [math.log(value) for value in values]
    return math.exp(sum(logs) / len(logs))


def behind(records: Iterable[Record]) -> Iterator[tuple[Record, str, float, bool]]:
    """Yield where a peer is ahead of us: the case, the peer, the ratio, and whether the middle halves overlap."""
    for record in records:
        for name in PEERS:
            value = ratio(record, name)
            if value is not None and value < 1:
                theirs, mine = record["times"][name], record["times"][OURS]
                yield record, name, value, theirs["three_quarters_s"] >= mine["quarter_s"]


_WORDS = {
    "sparse_categorical_cross_entropy": "cross-entropy",
    "categorical_cross_entropy": "cross-entropy, soft targets",
    "kl_divergence": "KL divergence",
    "kl_of_probabilities": "KL divergence of probabilities",
}


def line(record: Record) -> str:
    """Return what the table of ratios puts a case under."""
    numbers = f"{' x '.join(f'{n:,}' for n in record['shape'])} {record['dtype']}"
    kind = "arithmetic" if record["arithmetic"] else "exp/log"
    loss = _WORDS.get(record["loss"], record["loss"].replace("_", " "))
    return {
        "single": f"{kind} losses, {numbers}",
        "double": f"{kind} losses, {numbers}",
        "cached": f"{kind} losses, {numbers}",
        "small": f"all losses, {numbers}",
        "metrics": f"value of {loss}, {numbers}",
        "boosting": f"gradient and Hessian, {numbers}",
        "custom": f"Huber by the user, {numbers}",
        "strided": f"strided arrays, {numbers}",
    }.get(record["group"], f"{loss}, {numbers}")

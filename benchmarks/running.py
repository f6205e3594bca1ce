"""Runs the cases of a group: everybody is checked against the reference in double precision, then timed."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Collection
from typing import Any

import numpy as np

from benchmarks import timing
from benchmarks.cases import MIDDLE, SMALL, Case, exact
from benchmarks.groups import GROUPS
from benchmarks.peers import ALLOCATING, FLOORS, OURS, OWN, Call, Contestant, contestants
from lossmith.core.memory import SPARE
from lossmith.engines import choice

Record = dict[str, Any]

MINE = (OURS, ALLOCATING, OWN)

WITHIN = {"float32": 1e-4, "float64": 1e-10}
"""How far a gradient may be off, as a share of the largest, and a cost, as a share of itself and 1."""


def run_group(name: str, rounds: int, budget: float, quick: bool, only: Collection[str]) -> list[Record]:
    """Run a group and return a record for each of its cases."""
    records = []
    for case in GROUPS[name][1](quick):
        if only and case.name not in only:
            continue
        record = run_case(case, rounds, budget)
        records.append(record)
        _say(record)
        case.forget()
        gc.collect()
    return records


def run_case(case: Case, rounds: int, budget: float) -> Record:
    """Return what was measured of a case; a contestant that fails or disagrees is not timed."""
    expected = _reference(case)
    calls, first, problems = {}, {}, {}
    for contestant in contestants(case):
        try:
            calls[contestant.name], first[contestant.name] = _ready(case, contestant, expected)
        except Exception as error:  # a peer's trouble ends its own race, not the others'
            problems[contestant.name] = f"{type(error).__name__}: {error}".splitlines()[0]
    if OURS not in calls:
        return {**_facts(case), "problems": problems, "times": {}}
    extra = _extra_bytes(calls[OURS]) if case.rows >= MIDDLE and first[OURS] < timing.LONG else None
    times = timing.measure(calls, first, rounds, budget)
    return {**_facts(case), "problems": problems, "times": times, "extra_bytes": extra}


def _ready(case: Case, contestant: Contestant, expected: Any) -> tuple[Call, float]:
    """Return a contestant's call, checked and warm, and about how many seconds it takes.

    Raises:
        ValueError: when its numbers are not ours.
    """
    call = contestant.make()
    start = time.perf_counter()
    found = call()
    took = time.perf_counter() - start
    if contestant.name not in FLOORS and (wrong := _difference(case, contestant, found, expected)):
        raise ValueError(wrong)
    del found
    for _ in range(timing.SETTLED if case.rows <= SMALL and contestant.name in MINE else 0):
        call()
    return call, took if took > 5 * timing.LONG else timing.warm_seconds(call)


def _facts(case: Case) -> Record:
    return {
        "group": case.group,
        "label": case.label,
        "loss": case.name,
        "shape": case.shape,
        "dtype": case.dtype,
        "work": case.work,
        "arithmetic": len(case.shape) == 1 and exact(case.loss),
        "outputs": len(case.wrt),
    }


def _reference(case: Case) -> tuple[float | None, tuple[Any, ...]]:
    """Return cost and outputs of one stretch by the NumPy engine in double precision."""
    given = {
        name: array[: case.stretch].astype(array.dtype if array.dtype.kind == "i" else np.float64)
        for name, array in case.data.items()
    }
    with choice.using("numpy"):
        if case.work == "cost":
            return case.loss.cost(**given), ()
        if case.work == "gradient and Hessian":
            found = case.loss.evaluate(*given.values(), ("gradient", "hessian"), trusted=True)
            return None, (found["gradient"], found["hessian"])
        cost, gradient = case.loss.cost_and_gradient(**given)
    share = case.stretch / case.rows
    parts = gradient.values() if isinstance(gradient, dict) else [gradient]
    return cost, tuple(part * share for part in parts)


def _difference(case: Case, contestant: Contestant, found: Any, expected: Any) -> str:
    """Return in words how results differ from what they should be, or nothing."""
    cost, outputs = found
    within = WITHIN[case.dtype]
    if cost is not None and not abs(cost - contestant.factor * expected[0]) <= within * (1 + abs(expected[0])):
        return f"the cost is {cost:.9g}, not {contestant.factor * expected[0]:.9g}"
    for name, output, true in zip(case.wrt * 2, outputs, expected[1], strict=False):
        for ends in (slice(0, case.stretch), slice(case.rows - case.stretch, case.rows)):
            apart = np.max(np.abs(np.asarray(output[ends]) - contestant.factor * true)) / np.max(np.abs(true))
            if not apart <= within:
                return f"the derivative by {name} is off by {apart:.2g} of the largest"
    return ""


def _extra_bytes(call: Call) -> int:
    """Return the most bytes that a call holds besides its results."""
    before, after = call()[1], call()[1]
    pairs = zip(before, after, strict=True)
    new = sum(second.nbytes for first, second in pairs if not np.may_share_memory(first, second))
    del before, after
    SPARE.clear()  # memory that a call takes from there is not counted
    return timing.peak_bytes(call) - new


def _say(record: Record) -> None:
    """Print how many times as long as ours everybody took."""
    times = record["times"]
    mine = times[OURS]["median_s"] if times else float("nan")
    rest = ", ".join(f"{name} {stats['median_s'] / mine:.3g}" for name, stats in times.items() if name != OURS)
    print(f"{record['group']}: {record['label']}: {mine * 1e3:.4g} ms; {rest}", file=sys.stderr, flush=True)
    for name, problem in record["problems"].items():
        print(f"  {name} is left out: {problem}", file=sys.stderr, flush=True)

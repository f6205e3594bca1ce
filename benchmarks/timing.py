"""How time is taken: everybody in turn, in an order that changes, after a check that the numbers agree."""

from __future__ import annotations

import gc
import os
import platform
import random
import statistics
import time
import tracemalloc
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

Statistics = dict[str, float]

LIBRARIES = ("lossmith", "numpy", "llvmlite", "numexpr", "torch", "jax", "jaxlib", "optax", "scikit-learn")
SHORTEST = 1e-3
"""Seconds that one taking of time lasts at least; shorter calls are repeated within it."""
LONG = 2.0
"""Seconds from which on a call is timed once and no more: it has run before, when it was checked."""

SETTLED = 3000
"""Calls of few numbers that ours make before any is timed: simple formulas get a kernel after a thousand of them."""


def set_threads(number: int) -> None:
    """Give every library the same threads; to be called before any is imported.

    Threads that wait do not spin: they would steal a processor from whoever runs next.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:number])  # XLA takes as many as it sees
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
        os.environ[name] = str(number)
    os.environ.update(OMP_WAIT_POLICY="passive", KMP_BLOCKTIME="0", TF_CPP_MIN_LOG_LEVEL="3")


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> dict[str, Any]:
    """Return what was measured on and with."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "threads": processors(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": found,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    known = dict(line.split(":", 1) for line in lines if ":" in line)
    facts = {key.strip(): value.strip() for key, value in known.items()}
    wide = [name for name in ("avx2", "avx512f") if name in facts.get("flags", "").split()]
    return " ".join([facts.get("model name", platform.machine()), *wide])


def measure(calls: Mapping[str, Any], first: Mapping[str, float], rounds: int, budget: float) -> dict[str, Statistics]:
    """Return statistics of the seconds that a call takes, by contestant.

    Args:
        calls: who runs.
        first: about how many seconds a call takes, by contestant.
        rounds: how often everybody runs at most.
        budget: seconds after which a contestant has had its turns, though not before a third of the rounds.
    """
    least = max(rounds // 3, 3)
    repeats = {name: max(1, round(SHORTEST / max(took, 1e-7))) for name, took in first.items()}
    times: dict[str, list[float]] = {name: [] for name in calls}
    spent, order = dict.fromkeys(calls, 0.0), list(calls)
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds):
            random.Random(number).shuffle(order)
            for name in order:
                if spent[name] > budget and number >= (1 if first[name] > LONG else least):
                    continue
                took = seconds(calls[name], repeats[name])
                spent[name] += took * repeats[name]
                times[name].append(took)
    finally:
        gc.enable()
    return {name: _statistics(taken) for name, taken in times.items()}


def seconds(call: Any, repeats: int = 1) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def warm_seconds(call: Any) -> float:
    """Return how long a call takes once it is warm; some need several calls until they are."""
    taken = seconds(call)
    for _ in range(9 if taken < 20 * SHORTEST else 0):
        taken = min(taken, seconds(call))
    return taken


def _statistics(taken: list[float]) -> Statistics:
    quarters = statistics.quantiles(taken, n=4, method="inclusive") if len(taken) > 1 else taken * 3
    return {
        "median_s": statistics.median(taken),
        "quarter_s": quarters[0],
        "three_quarters_s": quarters[2],
        "best_s": min(taken),
        "rounds": len(taken),
    }


def peak_bytes(call: Any) -> int:
    """Return the most bytes that a call held besides what was there before, as Python and NumPy count them."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        kept = call()
        peak = tracemalloc.get_traced_memory()[1] - before
        del kept
    finally:
        tracemalloc.stop()
    return peak

"""What kernels take on one core with all numbers in the caches, and what it takes to compile them.

``python -m benchmarks.kernels`` prints nanoseconds an example (a class of a row for losses of rows), cost and gradient
or with ``--cost`` the cost alone, and milliseconds of compilation; ``--only NAME`` takes one loss. The least of many
calls counts, less what a call of one example takes. This is what the steps in
``docs/decisions/0014-the-compiled-engine.md`` were measured by.
"""

from __future__ import annotations

import argparse
import math
import os
import pickle
import statistics
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

os.environ["LOSSMITH_CACHE_DIR"] = ""  # what is measured is compilation, not reading from the disk
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np

import lossmith as lm
from benchmarks.cases import Case, gradient_room
from benchmarks.switch import forget
from lossmith.core.loss import Loss
from lossmith.engines import choice
from lossmith.engines.llvm import compile as compiler
from lossmith.engines.llvm import hand_over_text, row_tiles
from lossmith.structures.divergence import Divergence
from lossmith.structures.pointwise import Pointwise

NOTHING = 3
"""Milliseconds within which nothing was compiled: another shape had asked for that kernel."""

WANTED = 25
"""Milliseconds that a kernel should take to compile."""

TIMES = 3
"""How often each kernel is compiled where compilation alone is measured."""

DTYPES = ("float32", "float64")
ROWS = 16_384
SHAPES = ((5_333, 3), (1600, 10), (32, 1_000), (8, 16_000))


def shapes(loss: Loss) -> Iterator[tuple[int, ...]]:
    """Yield the shapes that a loss is measured on."""
    yield from ((ROWS,),) if isinstance(loss, Pointwise) else SHAPES


def losses(only: Collection[str]) -> Iterator[tuple[str, Loss]]:
    """Yield the losses that have kernels: of raw predictions, and of probabilities too where they are divergences."""
    for name in lm.names():
        loss = lm.get(name)
        if type(loss)._rows_for_kernel is Loss._rows_for_kernel or (only and name not in only):
            continue
        yield name, loss.raw_form
        if isinstance(loss, Divergence) and loss != loss.raw_form:
            yield f"{name} of {loss.kinds[1]}", loss


def call(loss: Loss, name: str, shape: tuple[int, ...], dtype: str, *, cost: bool) -> Callable[[], object]:
    """Return a call that computes cost and gradient, or the cost alone."""
    data = Case("kernels", name, loss, shape, dtype).data
    if cost:
        return lambda: loss.cost(**data)
    out = gradient_room(loss, shape, dtype)
    return lambda: loss.cost_and_gradient(**data, out=out)


def least(run: Callable[[], object], calls: int) -> float:
    """Return the seconds of the quickest of many calls."""
    best = np.inf
    for _ in range(calls):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return float(best)


def measure(
    loss: Loss, name: str, shape: tuple[int, ...], dtype: str, calls: int, *, cost: bool
) -> tuple[float, float]:
    """Return nanoseconds a number, and milliseconds that the first call took beyond the quickest."""
    with choice.using("llvm"):
        run = call(loss, name, shape, dtype, cost=cost)
        start = time.perf_counter()
        run()
        first = time.perf_counter() - start
        whole, one = least(run, calls), least(call(loss, name, (1, *shape[1:]), dtype, cost=cost), calls)
    return (whole - one) / (np.prod(shape) * (1 - 1 / shape[0])) * 1e9, (first - whole) * 1e3


def compilations(loss: Loss, name: str, dtype: str, made: Callable[[], int], *, cost: bool) -> list[tuple[float, int]]:
    """Return how long the first call of each shape takes, and how many kernels it makes.

    Args:
        loss, name, dtype, cost: what is called.
        made: returns how many modules were compiled so far.

    Returns:
        Milliseconds of the processor beyond those of a later call, the least of several times; and how many modules
        were compiled when nothing was left to share.
    """
    taken = []
    for _ in range(TIMES):
        forget()
        times = []
        for shape in shapes(loss):
            before = made()
            with choice.using("llvm"):
                run = call(pickle.loads(pickle.dumps(loss)), name, shape, dtype, cost=cost)  # one that knows no kernel
                start = time.process_time()
                run()
                first = time.process_time()
                run()
            times.append(((2 * first - start - time.process_time()) * 1e3, made() - before))
        taken.append(times)
    return [(min(took for took, _ in times), times[-1][1]) for times in zip(*taken, strict=True)]


class Modules(dict[str, float]):
    """Milliseconds of the processor that LLVM takes for each module, by its text: the least of several times.

    Attributes:
        made: how often any was compiled.
    """

    made = 0


@contextmanager
def by_llvm() -> Iterator[Modules]:
    """Give what LLVM compiles meanwhile."""
    found = Modules()
    build = compiler.build

    def timed(text: str) -> bytes:
        start = time.process_time()
        code = build(text)
        found[text] = min(found.get(text, math.inf), (time.process_time() - start) * 1e3)
        found.made += 1
        return code

    compiler.build = timed
    try:
        yield found
    finally:
        compiler.build = build


def report(compiled: Collection[float], what: str = "kernels") -> str:
    """Return a line about how long compilations took, of those that something was compiled in."""
    taken = [took for took in compiled if took > NOTHING]
    if not taken:
        return f"No {what} compiled."
    slow = sum(took > WANTED for took in taken)
    return (
        f"Compilation: {statistics.median(taken):.0f} ms in the middle of {len(taken)} {what}, "
        f"{max(taken):.0f} ms at most, more than {WANTED} ms for {slow}."
    )


def compile_all(only: Collection[str], *, cost: bool) -> None:
    """Print what compilations take, and how many take long."""
    print("| loss | shape | float32, ms | float64, ms |\n| --- | --- | ---: | ---: |")
    compiled: dict[bool, list[float]] = {True: [], False: []}
    with by_llvm() as modules:
        for name, loss in losses(only):
            found = [compilations(loss, name, dtype, lambda: modules.made, cost=cost) for dtype in DTYPES]
            for shape, *times in zip(shapes(loss), *found, strict=True):
                compiled[isinstance(loss, Pointwise)] += [took / made for took, made in times for _ in range(made)]
                size = " x ".join(f"{size:,}" for size in shape)
                print(f"| {name} | {size} | {' | '.join(_told(*each) for each in times)} |", flush=True)
    print(f"\n{report(compiled[True], 'kernels of numbers')}\n{report(compiled[False], 'kernels of rows')}\n{shared()}")
    print(f"What LLVM takes of that. {report(modules.values(), 'modules')}")


def _told(took: float, made: int) -> str:
    """Return what a first call took, and for how many kernels where these are several."""
    return f"{took:.0f}" if made < 2 else f"{took:.0f} for {made}"


def shared() -> str:
    """Return a line about what the functions take that kernels of rows share, which no kernel's own time contains."""
    taken = []
    calls = "".join(f"@{name}(" for name in compiler.SHARED)
    for module in dict.fromkeys((row_tiles.called(calls) | hand_over_text.called(calls)).values()):
        times = []
        for _ in range(TIMES):
            start = time.process_time()
            compiler.build(module)
            times.append((time.process_time() - start) * 1e3)
        taken.append(min(times))
    return f"Functions that they share are compiled once: {sum(taken):.0f} ms for {len(taken)} modules."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--cost", action="store_true", help="the cost alone")
    parser.add_argument("--compile", action="store_true", help="compilation alone")
    options = parser.parse_args()
    if options.compile:
        compile_all(options.only, cost=options.cost)
        return
    print("| loss | shape | float32, ns | float64, ns | compiled in, ms |\n| --- | --- | ---: | ---: | ---: |")
    compiled = []
    for name, loss in losses(options.only):
        for shape in shapes(loss):
            (single, first), (double, second) = (
                measure(loss, name, shape, dtype, options.calls, cost=options.cost) for dtype in DTYPES
            )
            compiled += [first, second]
            row = (
                " x ".join(f"{size:,}" for size in shape),
                f"{single:.2f}",
                f"{double:.2f}",
                f"{first:.0f}, {second:.0f}",
            )
            print(f"| {name} | {' | '.join(row)} |", flush=True)
    print(f"\n{report(compiled)}")


if __name__ == "__main__":
    main()

"""From how many numbers on the compiled engine is ahead, and how soon it has earned back its compilation.

``python -m benchmarks.switch`` prints a table of every loss that has kernels; ``--only NAME`` takes one. Both engines
compute cost and gradient in float32, in turns, rows with 16 classes. ``SMALLEST`` and ``MANY`` in
``src/lossmith/engines/choice.py`` are chosen by it.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
from collections.abc import Callable, Iterator

os.environ["LOSSMITH_CACHE_DIR"] = ""  # what is measured is compilation, not reading from the disk

import lossmith as lm
from benchmarks import timing
from benchmarks.cases import Case, gradient_room
from lossmith.core.loss import Loss
from lossmith.engines import choice
from lossmith.engines.llvm import divergence_kernel, kernel, mixture_kernel, row_kernel
from lossmith.structures.pointwise import Pointwise

SIZES = [2**power for power in range(5, 17)]
CLASSES = 16
ROUNDS = 9
KERNELS = (
    kernel.kernel, row_kernel.row_kernel, mixture_kernel.mixture_kernel, divergence_kernel.divergence_kernel,
)  # fmt: skip
ENGINES: tuple[choice.Name, ...] = ("numpy", "llvm")


def losses() -> Iterator[tuple[str, Loss]]:
    """Yield the losses of the catalogue that have kernels."""
    for name in lm.names():
        loss = lm.get(name)
        if type(loss)._rows_for_kernel is not Loss._rows_for_kernel:
            yield name, loss.raw_form


def task(name: str, loss: Loss, size: int) -> Callable[[], object]:
    """Return the call that computes cost and gradient of so many numbers."""
    shape = (size,) if isinstance(loss, Pointwise) else (size // CLASSES, CLASSES)
    data = Case("switch", name, loss, shape).data
    out = gradient_room(loss, shape, "float32")
    return lambda: loss.cost_and_gradient(**data, out=out)


def by_engine(run: Callable[[], object]) -> dict[str, float]:
    """Return the seconds of a call on each engine, once compiled: the best of calls in turns."""
    taken: dict[str, list[float]] = {name: [] for name in ENGINES}
    for number in range(ROUNDS + 1):
        for name in ENGINES:
            with choice.using(name):
                repeats = max(1, round(timing.SHORTEST / taken[name][0])) if number else 1
                taken[name].append(timing.seconds(run, repeats))
    return {name: min(found[1:]) for name, found in taken.items()}


def forget() -> None:
    """Forget all kernels, so that each is made again; losses can share one."""
    kernel.ready.cache_clear()
    for made in KERNELS:
        made.clear()


def compilation(name: str) -> float:
    """Return the seconds that the first call on the compiled engine takes beyond a later one, at best."""
    taken = []
    with choice.using("llvm"):
        for _ in range(3):
            run = task(name, lm.get(name).raw_form, SIZES[0])  # a new loss, which knows no kernel
            forget()
            taken.append(timing.seconds(run) - timing.seconds(run))
    return min(taken)


def row(name: str, loss: Loss) -> dict[str, float]:
    """Return what a loss says: seconds of compilation, the size from which on it is ahead, and the gain by size."""
    found = {"compile": compilation(name)}
    ahead = math.inf
    for size in reversed(SIZES):
        times = by_engine(task(name, loss, size))
        found[f"gain {size}"] = times["numpy"] - times["llvm"]
        if times["llvm"] <= times["numpy"] and ahead == (math.inf if size == SIZES[-1] else 2 * size):
            ahead = size
    found["ahead"] = ahead
    found["numpy"] = loss._calls if isinstance(loss, Pointwise) else math.inf
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="name of a loss; may be repeated")
    only = parser.parse_args().only
    row("squared_error", lm.SquaredError())  # whatever is set up once is set up now
    shown = [32, *(size for size in SIZES if size >= 256 and size.bit_length() % 2)]
    heads = ["loss", "NumPy", "compilation, ms", "ahead from", *(f"calls at {size:,}" for size in shown)]
    print(f"| {' | '.join(heads)} |\n| --- |{' ---: |' * (len(heads) - 1)}")
    rows = []
    for name, loss in losses():
        if only and name not in only:
            continue
        rows.append(found := row(name, loss))
        print(f"| {' | '.join([name, *cells(found, shown)])} |", flush=True)
    middle = {key: statistics.median(found[key] for found in rows) for key in rows[0]} if rows else {}
    if middle:
        print(f"| median | {' | '.join(cells(middle, shown))} |")
    print(
        "\n`NumPy`: about how many calls of NumPy it is; `ahead from`: numbers from which on the compiled engine, once"
    )
    print("compiled, is no slower; `calls at n`: calls of n numbers after which it has earned back the compilation.")


def cells(found: dict[str, float], shown: list[int]) -> list[str]:
    """Return a row of the table as text."""
    ahead = f"{found['ahead']:,.0f}" if math.isfinite(found["ahead"]) else "never"
    calls = [found["compile"] / gain if (gain := found[f"gain {size}"]) > 0 else math.inf for size in shown]
    texts = [f"{math.ceil(number):,}" if math.isfinite(number) else "never" for number in calls]
    numpy = f"{found['numpy']:.0f}" if math.isfinite(found["numpy"]) else "rows"
    return [numpy, f"{found['compile'] * 1e3:.0f}", ahead, *texts]


if __name__ == "__main__":
    main()

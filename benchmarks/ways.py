"""Ways that a call of many numbers may take, in turns in one process: what each of three choices of the engine brings.

``python -m benchmarks.ways`` prints a table of medians: of the short way beside the long one, of blocks that
threads count beside halves of them, and of outputs just behind the inputs in their pages beside those that lie apart,
written past the caches all the same. ``--blocks`` prints microseconds of calls of a few blocks, cost and gradient: by
functions that read arrays by themselves, beside the short way of Python, which such calls would go otherwise.
``--lines`` prints the same of gradients of a caller that begin at a cache line, beside 16 bytes behind one, where those
of NumPy often do, and at last what it takes to make an array of either kind.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

import lossmith as lm
from lossmith.core.outputs import made
from lossmith.engines.llvm import kernel, threads

LOSSES = ("squared_error", "huber", "binary_cross_entropy")
PAGE, BEHIND = 4096, 48


def array(size: int, begin: int, dtype: str = "float32") -> np.ndarray:
    """Return numbers that begin so many bytes into a page."""
    length = size * np.dtype(dtype).itemsize
    raw = np.zeros(length + 2 * PAGE, np.uint8)
    start = -raw.ctypes.data % PAGE + begin
    return raw[start : start + length].view(dtype)


def in_turns(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each, after one call that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name, run in runs.items():
            begun = time.perf_counter()
            run()
            if turn:
                taken[name].append(1e3 * (time.perf_counter() - begun))
    return {name: statistics.median(times) for name, times in taken.items()}


def ways(name: str, size: int) -> dict[str, Callable[[], object]]:
    """Return a call of gradient and Hessian in each way; ``now`` is how calls go."""
    short, long, run, near = lm.get(name), lm.get(name), threads.run, kernel.NEAR
    long.__dict__["_plain"] = None
    y, f, *apart = (array(size, begin) for begin in (1024 - BEHIND, 1024 - BEHIND, 2048, 3072))
    y[:], f[:] = np.arange(size) % 2, np.linspace(-3, 3, size)
    behind = [array(size, 1024), array(size, 1024)]

    def call(loss: lm.Loss, out: list[np.ndarray]) -> object:
        return loss.evaluate(y, f, ("gradient", "hessian"), out=dict(zip(("gradient", "hessian"), out, strict=True)))

    def halves() -> None:
        threads.run = lambda work, blocks, least, shared=None: run(work, blocks, least)
        call(short, apart)
        threads.run = run

    def past() -> None:
        kernel.NEAR = 0
        call(short, behind)
        kernel.NEAR = near

    return {
        "now": lambda: call(short, apart), "long way": lambda: call(long, apart), "halves": halves,
        "behind, now": lambda: call(short, behind), "behind, past the caches": past,
    }  # fmt: skip


def of_blocks(name: str, shape: tuple[int, ...]) -> dict[str, Callable[[], object]]:
    """Return a call of a few blocks in both ways."""
    function, python = lm.get(name), lm.get(name)
    python._plain._entries.make = lambda *_, **__: None
    draw = np.random.default_rng(0)
    f = draw.normal(size=shape).astype(np.float32)
    y = draw.integers(0, shape[1], shape[0]) if len(shape) > 1 else draw.integers(0, 2, shape).astype(np.float32)
    out = np.empty_like(f)
    return {
        "function": lambda: function.cost_and_gradient(y, f, out=out),
        "Python": lambda: python.cost_and_gradient(y, f, out=out),
    }


def blocks(rounds: int) -> None:
    """Print the table of calls of a few blocks."""
    cases = [(name, (size,)) for size in (1 << 15, 1 << 16) for name in LOSSES]
    rows = "sparse_categorical_cross_entropy"
    head("cost and gradient, float32", "function", "Python")
    for name, shape in [*cases, (rows, (3_200, 10)), (rows, (32, 1_000)), (rows, (64, 1_000))]:
        line(f"{name}, {' x '.join(f'{length:,}' for length in shape)}", of_blocks(name, shape), 100 * rounds)


def at_lines(name: str, size: int, dtype: str) -> dict[str, Callable[[], object]]:
    """Return calls whose gradients begin at a line, and behind one."""
    loss, draw = lm.get(name), np.random.default_rng(0)
    y, f = draw.integers(0, 2, size).astype(dtype), draw.normal(size=size).astype(dtype)
    at, behind = (array(size, 2048 + begin, dtype) for begin in (0, 16))
    return {
        "at a line": lambda: loss.cost_and_gradient(y, f, out=at),
        "16 bytes behind": lambda: loss.cost_and_gradient(y, f, out=behind),
    }


def lines(rounds: int) -> None:
    """Print the table of places of gradients."""
    head("cost and gradient", "at a line", "16 bytes behind")
    for name in LOSSES:
        for dtype in ("float32", "float64"):
            for size in (1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16, 131_000):
                line(f"{name}, {size:,} {dtype}", at_lines(name, size, dtype), 100 * rounds)
    shape, dtype = (1 << 14,), np.dtype("float32")
    kinds = {"at a line": lambda: made(shape, dtype, 1 << 16), "anywhere": lambda: np.empty(shape, dtype)}
    line("an array of 16,384 float32 to be filled", kinds, 1_000 * rounds)


def head(what: str, *names: str) -> None:
    print(f"| {what}, us | {' | '.join(names)} | ratio |\n| --- | ---: | ---: | ---: |")


def line(what: str, runs: dict[str, Callable[[], object]], rounds: int) -> None:
    first, second = (1e3 * ms for ms in in_turns(runs, rounds).values())
    print(f"| {what} | {first:.2f} | {second:.2f} | {first / second:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, action="append", help="numbers; by default 262,144, 1 and 8 million")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--blocks", action="store_true", help="calls of a few blocks")
    parser.add_argument("--lines", action="store_true", help="where gradients begin")
    options = parser.parse_args()
    if options.blocks or options.lines:
        (blocks if options.blocks else lines)(options.rounds)
        return
    names = list(ways(LOSSES[0], 1))
    print(f"| gradient and Hessian, float32, {lm.get_num_threads()} threads, ms | {' | '.join(names)} |")
    print(f"| --- |{' ---: |' * len(names)}")
    for size in options.size or (1 << 18, 10**6, 8 * 10**6):
        for name in LOSSES:
            found = in_turns(ways(name, size), options.rounds)
            print(f"| {name}, {size:,} | {' | '.join(f'{ms:.2f}' for ms in found.values())} |", flush=True)


if __name__ == "__main__":
    main()

"""Cost and gradient on the CPU, beside the peers, interleaved in one run.

``python -m benchmarks.cpu`` prints a Markdown table of ratios; ``--json FILE`` and ``--picture FILE`` keep
them, ``--quick`` takes smaller arrays, ``--only NAME`` one loss. Every contestant runs once in each round, in an
order that changes from round to round, and its median is what counts. All use the same number of threads,
and every result is checked against ours before any clock runs. A peer that is not installed is left out.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, str(os.cpu_count()))
os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # a library that spins would steal a core from the next one
os.environ.setdefault("KMP_BLOCKTIME", "0")

import numpy as np  # noqa: E402  (after the threads are set)

import lossmith as lm  # noqa: E402
from benchmarks import contestants as who  # noqa: E402

POINTWISE = (
    "squared_error", "absolute_error", "huber", "smooth_l1", "quantile", "hinge", "binary_cross_entropy", "log_cosh",
    "poisson", "cauchy", "focal",
)  # fmt: skip
BINARY = ("hinge", "binary_cross_entropy", "focal")
ROWS = ((1_000_000, 10), (65_536, 1_000), (4_096, 32_000))


@dataclass(frozen=True)
class Case:
    """One loss on one pair of arrays."""

    name: str
    shape: tuple[int, ...]
    dtype: Any

    @property
    def label(self) -> str:
        """What the table calls it."""
        return f"{self.name} {'x'.join(f'{n:,}' for n in self.shape)} {np.dtype(self.dtype).name}"

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """Return targets and predictions, aligned and touched."""
        rng = np.random.default_rng(0)
        f = who.aligned(self.shape, self.dtype)
        f[...] = rng.standard_normal(self.shape, dtype=np.float32) * 2
        if len(self.shape) == 2:
            return rng.integers(0, self.shape[1], self.shape[0]), f
        y = who.aligned(self.shape, self.dtype)
        drawn = rng.standard_normal(self.shape, dtype=np.float32)
        y[...] = drawn > 0 if self.name in BINARY else rng.poisson(2.0, self.shape) if self.name == "poisson" else drawn
        return y, f

    def contestants(self) -> Iterator[tuple[str, who.Make | None]]:
        """Yield who can run it."""
        loss = lm.Quantile(0.5) if self.name == "quantile" else lm.get(self.name)
        yield "Lossmith", who.ours(loss)
        yield "Lossmith, NumPy engine", who.ours(loss, engine="numpy")
        yield "copy", who.floor_copy
        if len(self.shape) == 1:
            yield "two reads, one write", who.floor_add()
        yield "NumPy", who.numpy_formula(self.name)
        yield "PyTorch", who.torch_eager(self.name)
        yield "torch.compile", who.torch_eager(self.name, compiled=True)
        yield "jax.jit", who.jax_jit(self.name)
        yield "scikit-learn", who.sklearn_loss(self.name)


FLOORS = ("copy", "two reads, one write")
OTHER_SCALE = {"scikit-learn": {"squared_error": 0.5, "binary_cross_entropy": 1.0}}


def prepare(case: Case) -> dict[str, who.Run]:
    """Return everybody who can run a case, after a check that the results are the same."""
    y, f = case.data()
    ready: dict[str, who.Run] = {}
    expected: Any = None
    for name, make in case.contestants():
        if make is None:
            continue
        try:
            run = make(y, f)
            cost, gradient = run()
        except ImportError:
            continue
        if name == "Lossmith":
            expected = cost, np.array(gradient, copy=True)
        elif name not in FLOORS:
            scale = OTHER_SCALE.get(name, {}).get(case.name, 1.0)
            wrong = np.max(np.abs(np.asarray(gradient) - scale * expected[1])) / np.max(np.abs(expected[1]))
            if wrong > 1e-3:
                raise AssertionError(f"{case.label}: the gradient of {name} is off by {wrong:.2g} of its size")
        ready[name] = run
    return ready


def measure(ready: dict[str, who.Run], rounds: int, budget: float) -> dict[str, list[float]]:
    """Return seconds by contestant, interleaved; who takes longer than its share of the budget runs less often."""
    order, times = list(ready), {name: [] for name in ready}
    spent = dict.fromkeys(ready, 0.0)
    for number in range(rounds):
        random.Random(number).shuffle(order)
        for name in order:
            if number >= 5 and spent[name] > budget:
                continue
            start = time.perf_counter()
            ready[name]()
            took = time.perf_counter() - start
            spent[name] += took
            if number:  # the first round fills the caches
                times[name].append(took)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--quick", action="store_true", help="an eighth of the rows")
    parser.add_argument("--only", action="append", help="name of a loss; may be repeated")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    share = 8 if options.quick else 1
    cases = [Case(name, (8_000_000 // share,), np.float32) for name in POINTWISE]
    cases += [Case(name, (8_000_000 // share,), np.float64) for name in ("huber", "binary_cross_entropy")]
    cases += [Case("binary_cross_entropy", (rows,), np.float32) for rows in (65_536, 128)]
    cases += [Case("sparse_categorical_cross_entropy", (n // share, k), np.float32) for n, k in ROWS]
    found = {}
    for case in cases:
        if options.only and case.name not in options.only:
            continue
        ready = prepare(case)
        times = measure(ready, options.rounds, budget=8.0)
        found[case.label] = {name: {"median_ms": statistics.median(s) * 1e3, "best_ms": min(s) * 1e3,
                                    "spread": (max(s) - min(s)) / statistics.median(s), "rounds": len(s)}
                             for name, s in times.items()}  # fmt: skip
        print_case(case.label, found[case.label])
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if options.picture:
        draw(found, options.picture)


def print_case(label: str, rows: dict[str, dict[str, float]]) -> None:
    """Print who took how long, and how many times as long as we did."""
    mine = rows["Lossmith"]["median_ms"]
    print(f"\n| {label} | median ms | best ms | times Lossmith |\n| --- | ---: | ---: | ---: |")
    for name, row in rows.items():
        print(f"| {name} | {row['median_ms']:.3g} | {row['best_ms']:.3g} | {row['median_ms'] / mine:.2f} |", flush=True)


def draw(found: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    """Draw how many times as long as Lossmith everybody took."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(name for rows in found.values() for name in rows if name != "Lossmith"))
    figure = Figure(figsize=(10, 0.42 * len(found) + 1.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    colours = ("#999999", "#000000", "#56B4E9", "#E69F00", "#D55E00", "#CC79A7", "#009E73", "#0072B2")
    for number, name in enumerate(names):
        places, values = [], []
        for line, rows in enumerate(found.values()):
            if name in rows:
                places.append(line)
                values.append(rows[name]["median_ms"] / rows["Lossmith"]["median_ms"])
        marker = "|" if name in FLOORS else "o"
        axes.plot(values, places, marker, color=colours[number % len(colours)], label=name, markersize=9)
    axes.axvline(1, color="0.4", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(found)), list(found))
    axes.invert_yaxis()
    axes.set_xlabel("time as a multiple of Lossmith's; right of the line is slower")
    axes.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.3, 1.0))
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


if __name__ == "__main__":
    main()

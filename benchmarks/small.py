"""What small calls take beside NumPy's expressions: cost and gradient of every loss of numbers, in one process.

``python -m benchmarks.small`` prints a Markdown table: for 128 float32, 128 float64 and 32 float64 numbers the
microseconds of a call and of NumPy's expression, and their ratio, above 1 where Lossmith is faster. Everybody has run a
few thousand times before, for losses of simple formulas get a kernel after a thousand calls; ``--first`` measures the
calls before that. Bursts of both take turns, and the best count, which is what other processes disturb least.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from pathlib import Path

from benchmarks import calls, timing
from benchmarks.cases import Case
from benchmarks.groups import GROUPS
from benchmarks.peers import OURS, Call, Contestant, by_lossmith, by_numpy

NUMPY = "NumPy"
FIRST = 20
"""Calls of everybody before the first ones are measured."""


def pair(case: Case) -> tuple[Call, Call] | None:
    """Return our call and NumPy's, where it has the formula."""
    found: dict[str, Contestant] = {}
    for module in (by_lossmith, by_numpy):
        found |= {contestant.name: contestant for contestant in module.contestants(case)}
    return (found[OURS].make(), found[NUMPY].make()) if NUMPY in found else None


def measure(case: Case, rounds: int, before: int) -> tuple[float, float] | None:
    """Return the best microseconds of both; with few calls before, rounds are as short as is needed to stay there."""
    both = pair(case)
    if both is None:
        return None
    for run in both:
        for _ in range(before):
            run()
    if before == timing.SETTLED:
        return calls.measure(*both, rounds)
    best = [min(calls.burst(run, 20) for _ in range(30)) for run in both]
    return best[0], best[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="rounds in which both take turns")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="name of a loss; may be repeated")
    parser.add_argument("--first", action="store_true", help="measure first calls")
    parser.add_argument("--json", type=Path, help="write the times there")
    options = parser.parse_args()
    rows: dict[str, dict[str, tuple[float, float]]] = {}
    for case in GROUPS["small"][1](False):
        if options.only and case.name not in options.only:
            continue
        found = measure(case, options.rounds, FIRST if options.first else timing.SETTLED)
        if found:
            rows.setdefault(case.name, {})[f"{case.rows} {case.dtype}"] = found
        case.forget()
    kinds = list(next(iter(rows.values())))
    print(f"| loss | {' | '.join(kinds)} |\n| --- |{' ---: |' * len(kinds)}")
    for name, times in rows.items():
        cells = [f"{mine:.1f} and {theirs:.1f}, {theirs / mine:.1f}x" for mine, theirs in times.values()]
        print(f"| {name} | {' | '.join(cells)} |")
    print()
    for kind in kinds:
        pairs = [times[kind] for times in rows.values()]
        ratios = [theirs / mine for mine, theirs in pairs]
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        behind = [mine - theirs for mine, theirs in pairs if mine > theirs]
        print(
            f"{kind}: {mean:.2f} times NumPy's speed in the mean ({min(ratios):.2f} to {max(ratios):.1f}); "
            f"NumPy is ahead in {len(behind)} of {len(ratios)}, by at most {max(behind, default=0.0):.1f} µs"
        )
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

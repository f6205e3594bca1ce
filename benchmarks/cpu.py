"""What Lossmith's losses cost on the CPU, beside the peers and beside what memory allows, in one run.

``python -m benchmarks.cpu`` prints the tables; ``--markdown``, ``--json`` and ``--picture`` keep them. Everybody runs
once in each round, in an order that changes from round to round, on the same arrays and the same number of threads,
after a check against the NumPy engine in double precision. Each group of cases has a process of its own. Medians
count. A run takes about a quarter of an hour, with ``--quick`` three minutes; the first run of a machine takes
longer, since ``torch.compile`` keeps what it has compiled.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from benchmarks import timing
from benchmarks.groups import GROUPS


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, help="rounds at most; by default 15, 7 with --quick")
    parser.add_argument("--budget", type=float, help="seconds after which a contestant has had its turns in a case")
    parser.add_argument("--quick", action="store_true", help="six of the pointwise losses, and fewer rounds")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="name of a loss; may be repeated")
    parser.add_argument("--cases", action="append", default=[], metavar="GROUP", choices=GROUPS,
                        help=f"group of cases, of {', '.join(GROUPS)}; may be repeated")  # fmt: skip
    parser.add_argument("--threads", type=int, default=timing.processors(), help="threads of everybody")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the ratios there")
    return parser.parse_args()


def _worker(name: str, settings: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    from benchmarks.running import run_group

    return run_group(name, **settings), timing.machine()


def main() -> int:
    chosen = options()
    settings = {
        "rounds": chosen.rounds or (7 if chosen.quick else 15),
        "budget": chosen.budget or (0.1 if chosen.quick else 0.25),
        "quick": chosen.quick,
        "only": chosen.only,
    }
    timing.set_threads(chosen.threads)  # which the processes of the groups inherit
    records: list[dict[str, Any]] = []
    machine: dict[str, Any] = {}
    broken = []
    for name in chosen.cases or GROUPS:
        # A process of its own: pools of threads and memory of one group cannot disturb the next.
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            try:
                found, machine = pool.submit(_worker, name, settings).result()
            except BrokenProcessPool:
                broken.append(name)
                continue
        records += found
    if chosen.only and not records and not broken:
        sys.exit(f"--only {' '.join(chosen.only)}: none of these cases is called so; see lossmith list")
    result = {"machine": machine, "settings": settings, "broken": broken, "cases": records}
    return _report(result, chosen)


def _report(result: dict[str, Any], chosen: argparse.Namespace) -> int:
    from benchmarks import picture, tables

    text = tables.markdown(result)
    print(text)
    if chosen.markdown:
        chosen.markdown.write_text(text, encoding="utf-8")
    if chosen.json:
        chosen.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if chosen.picture:
        picture.draw(result, chosen.picture)
    failed = [*result["broken"], *(record["label"] for record in result["cases"] if record["problems"])]
    if failed:
        print(f"not everybody could run or agreed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

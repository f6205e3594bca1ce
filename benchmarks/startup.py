"""How long Lossmith takes to start, beside its neighbours, interleaved in one run, and how long its demo takes.

``python -m benchmarks.startup`` prints a Markdown table; ``--json FILE`` writes it as data.
Each case is a fresh interpreter, and no kernel is on disk.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FIRST_USE = """
import numpy, time
start = time.perf_counter()
import lossmith
lossmith.Huber(delta=1.35)([1.0, 2.0], [1.0, 4.0])
print(time.perf_counter() - start)
"""

FIRST_FORMULA = """
import numpy, time
start = time.perf_counter()
import lossmith
own = lossmith.formula("where(f < y, k*log(1 + exp(y - f)), (y - f)**2)", parameters={"k": (4.0, "(0, inf)")})
own.cost_and_gradient(numpy.array([1.0, 2.0]), numpy.array([1.0, 4.0]))
print(time.perf_counter() - start)
"""

NEXT_FORMULA = (
    FIRST_FORMULA.rpartition("print")[0]
    + """
start = time.perf_counter()
other = lossmith.formula("where(f < y, log(cosh(y - f)), k*abs(y - f)**1.5)", parameters={"k": (4.0, "(0, inf)")})
other.cost_and_gradient(numpy.array([1.0, 2.0]), numpy.array([1.0, 4.0]))
print(time.perf_counter() - start)
"""
)

TABLE = Path(__file__).resolve().parent.parent / "examples" / "data" / "player_wages.csv"
DEMO = "the demo: choose on 5,000 rows, 60 models"

# name -> (arguments of the interpreter, whether the case prints its own seconds)
CASES: dict[str, tuple[list[str], bool]] = {
    "python, empty": (["-c", "pass"], False),
    "import lossmith": (["-c", "import lossmith"], False),
    "import numpy": (["-c", "import numpy"], False),
    "import sklearn.metrics": (["-c", "import sklearn.metrics"], False),
    "import lightgbm": (["-c", "import lightgbm"], False),
    "lossmith --help": (["-m", "lossmith", "--help"], False),
    "first use of a loss, after NumPy": (["-c", FIRST_USE], True),
    "first formula as text, read, derived and run, after NumPy": (["-c", FIRST_FORMULA], True),
    "another formula after that": (["-c", NEXT_FORMULA], True),
}


# Too long to repeat as often as the rest.
SLOW = {DEMO: (["-m", "lossmith", "choose", str(TABLE), "--target", "wage_eur", "--json"], False)}


def measure(arguments: list[str], *, own: bool) -> float:
    """Return the seconds that one fresh interpreter takes, or that it reports."""
    with tempfile.TemporaryDirectory() as nothing:
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, check=True, env=environment(nothing)
        )
        return float(done.stdout) if own else time.perf_counter() - start


def environment(kernels: str) -> dict[str, str]:
    """Return the environment with byte code allowed, as an installed package has it, and a folder for kernels."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "LOSSMITH_CACHE_DIR": kernels}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="interleaved rounds")
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in (*CASES, *SLOW)}
    for number in range(options.rounds + 1):
        for name, (arguments, own) in CASES.items():
            seconds = measure(arguments, own=own)
            if number:  # the first round fills the caches
                times[name].append(seconds)
    for name, (arguments, own) in SLOW.items():
        times[name] = [measure(arguments, own=own) for _ in range(2)]
    print("| case | best ms | median ms | median, times `import numpy` |")
    print("| --- | ---: | ---: | ---: |")
    numpy_time = statistics.median(times["import numpy"])
    rows = {}
    for name, seconds in times.items():
        median = statistics.median(seconds)
        rows[name] = {"best_ms": min(seconds) * 1e3, "median_ms": median * 1e3, "ratio_to_numpy": median / numpy_time}
        print(f"| {name} | {min(seconds) * 1e3:.0f} | {median * 1e3:.0f} | {median / numpy_time:.2f} |")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

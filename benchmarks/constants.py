"""Best constants of formulas as text, by what is proved of them and by search: ``python -m benchmarks.constants``.

One process, both ways in turn, the least of some rounds, all targets distinct.
"""

from __future__ import annotations

import argparse
from time import perf_counter
from unittest.mock import patch

import numpy as np

import lossmith as lm
from lossmith.program.proofs import Proof

FORMULAS = {
    "squared error": "(y - f)**2",
    "pinball": "max(0.9*(y - f), 0.1*(f - y))",
    "asymmetric square": "where(f < y, 4*(y - f)**2, (y - f)**2)",
    "huber": "where(abs(y - f) <= 1.5, (y - f)**2/2, 1.5*(abs(y - f) - 0.75))",
    "log-cosh": "log(cosh(y - f))",
    "linex": "exp(0.5*(f - y)) - 0.5*(f - y)",
    "cauchy": "log(1 + (y - f)**2)",
    "poisson": "exp(f) - y*f",
}


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=float, default=300_000)
    options.add_argument("--rounds", type=int, default=5)
    given = options.parse_args()
    y = np.random.default_rng(0).gamma(2, 3, int(given.rows))
    print("| best constant | proved, ms | searched, ms | times |\n| --- | ---: | ---: | ---: |")
    for name, text in FORMULAS.items():
        with patch("lossmith.structures.pointwise.prove", lambda *_: Proof()):
            searched = lm.formula(text, name="searched")
            least = searched.cost(y, np.full(y.shape, searched.optimal_constant(y)))
        ways = {"proved": lm.formula(text), "searched": searched}
        assert np.isclose(searched.cost(y, np.full(y.shape, ways["proved"].optimal_constant(y))), least), name
        best = dict.fromkeys(ways, np.inf)
        for _ in range(given.rounds):
            for way, loss in ways.items():
                start = perf_counter()
                loss.optimal_constant(y)
                best[way] = min(best[way], perf_counter() - start)
        times = best["searched"] / best["proved"]
        print(f"| {name} | {best['proved'] * 1e3:.3g} | {best['searched'] * 1e3:.3g} | {times:.2g} |")


if __name__ == "__main__":
    main()

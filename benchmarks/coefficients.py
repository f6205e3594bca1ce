"""Fits the polynomials of the engines: ``python -m benchmarks.coefficients`` prints their table.

Each is the polynomial through the Chebyshev nodes of its interval, in 60 digits, which is within a
few percent of the best one. Coefficients are rounded to the type that uses them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from mpmath import mp, mpf

HALF_LN2 = mpf("0.34658")
# s = (m - 1) / (m + 1) for m up to 3/2, squared
LOG_Z = mpf("0.04")
# below it log(cosh(x)) is a polynomial
LOGCOSH_NEAR = mpf("0.7")


def _exp_rest(r: Any) -> Any:
    return (mp.expm1(r) - r) / r**2 if abs(r) > 1e-20 else mpf(1) / 2


def _log_rest(z: Any) -> Any:
    s = mp.sqrt(z)
    return (2 * mp.atanh(s) / s - 2) / z if z else mpf(2) / 3


def _log_rest2(z: Any) -> Any:
    return (_log_rest(z) - mpf(2) / 3) / z if z else mpf(2) / 5


def _logcosh_rest(z: Any) -> Any:
    return mp.log(mp.cosh(mp.sqrt(z))) / z if z else mpf(1) / 2


def _atanh_rest(z: Any) -> Any:
    t = mp.sqrt(z)
    return (mp.atanh(t) / t - 1) / z if z > 1e-20 else mpf(1) / 3


def _log1p_rest(e: Any) -> Any:
    return (mp.log1p(e) - e) / e**2 if abs(e) > 1e-20 else -mpf(1) / 2


def _tanh_rest(z: Any) -> Any:
    t = mp.sqrt(z)
    return (mp.tanh(t) / t - 1) / z if z > 1e-20 else -mpf(1) / 3


def _within_rest(z: Any) -> Any:
    return mp.erf(mp.sqrt(z / 2)) / mp.sqrt(z) if z > 1e-30 else mp.sqrt(2 / mp.pi)


def _beyond(s: Any) -> Any:
    x = 3 * (1 + s) / (1 - s)
    return mp.erfc(x / mp.sqrt(2)) * mp.exp(x * x / 2)


def _place(x: str) -> Any:
    return (mpf(x) - 3) / (mpf(x) + 3)


FITS: dict[str, tuple[Callable[[Any], Any], Any, Any, int, int]] = {
    # name: function, from, to, coefficients in double (if there is such a table) and in float
    "EXP": (_exp_rest, -HALF_LN2, HALF_LN2, 11, 5),
    "EXP_REST": (_exp_rest, mpf(-1), mpf(1), 14, 8),
    "LOG": (_log_rest, mpf(0), LOG_Z, 8, 3),
    "LOG_BETWEEN": (_log1p_rest, mpf("-0.0345"), mpf("0.0626"), 0, 4),
    "LOG2": (_log_rest2, mpf(0), LOG_Z, 8, 3),
    "LOGCOSH": (_logcosh_rest, mpf(0), LOGCOSH_NEAR**2, 13, 6),
    "ATANH": (_atanh_rest, mpf(0), mpf(1) / 9, 13, 6),
    "LOG1P": (_log1p_rest, mpf(0), mpf(1), 21, 9),
    "LOG1P_LITTLE": (_log1p_rest, mpf(0), mp.exp(-2 * LOGCOSH_NEAR), 12, 5),
    "WITHIN": (_within_rest, mpf(0), mpf(2), 13, 7),
    "BEYOND": (_beyond, _place("1.4"), _place("8.5"), 16, 8),
    "TANH": (_tanh_rest, mpf(0), mpf("0.36"), 12, 6),
}


def fit(function: Callable[[Any], Any], low: Any, high: Any, terms: int) -> list[Any]:
    """Return coefficients, from the constant up, of the polynomial through the Chebyshev nodes."""
    with mp.workdps(80):
        nodes = [(low + high) / 2 + (high - low) / 2 * mp.cos(mp.pi * (2 * k + 1) / (2 * terms)) for k in range(terms)]
        matrix = mp.matrix(terms, terms)
        for i, x in enumerate(nodes):
            for j in range(terms):
                matrix[i, j] = x**j
        return list(mp.lu_solve(matrix, mp.matrix([function(x) for x in nodes])))


def rounded(function: Callable[[Any], Any], high: Any, terms: int) -> list[float]:
    """Return floats of a polynomial by which x² times a function from 0 on is off by least.

    One after the other is rounded, from the constant up, and those behind it make up for that.
    """
    places = float(high) * (1 - np.cos(np.linspace(0, np.pi, 2001)[1:])) / 2
    truths = np.array([float(function(mpf(float(x)))) for x in places])
    found: list[float] = []
    while len(found) < terms:
        powers = np.vander(places, terms, increasing=True) * places[:, None] ** 2
        rest = truths * places**2 - powers[:, : len(found)] @ found
        free, weights = powers[:, len(found) :], np.ones(len(places))
        for _ in range(200):  # Lawson's weights: the largest errors come to count alone
            root = np.sqrt(weights)
            fitted = np.linalg.lstsq(free * root[:, None], rest * root, rcond=None)[0]
            off = np.abs(free @ fitted - rest)
            weights *= off / off.max() + 1e-3
            weights /= weights.mean()
        found.append(float(np.float32(fitted[0])))
    return found


def places() -> tuple[list[float], list[float]]:
    """Return floats that bring numbers from 3/4 to 3/2 near 1, by the first four bits behind the point, and their
    logarithms with the other sign, which are almost floats themselves."""
    inverses, logs = [], []
    for place in range(16):
        low, width = (1 + mpf(place) / 16, mpf(1) / 16) if place < 8 else ((1 + mpf(place) / 16) / 2, mpf(1) / 32)
        if place in (0, 15):  # about 1, where the logarithm has to keep all digits
            inverses.append(1.0)
            logs.append(-0.0)  # so that the logarithm of 1 - 0 is -0
            continue
        middle = np.float32(float(1 / (low + width / 2)))
        near = [float(middle * np.float32(1 + step * 2.0**-23)) for step in range(-4096, 4096)]
        inverse = min(near, key=lambda c: abs(float(np.float32(float(-mp.log(c)))) + mp.log(c)))
        inverses.append(inverse)
        logs.append(float(np.float32(float(-mp.log(inverse)))))
    return inverses, logs


def main() -> None:
    """Print the table."""
    mp.dps = 60
    for name, row in zip(("INVERSES", "LOGS"), places(), strict=True):
        show(f'"{name}", "float"', "at 16 places", row)
    for name, (function, low, high, double, single) in FITS.items():
        for kind, terms, round_ in (
            ("double", double, float),
            ("float", single, lambda c: float(np.float32(float(c)))),
        ):
            if not terms:
                continue
            if name.startswith("LOG1P") and kind == "float":  # whose terms are not small beside what they are added to
                found = rounded(function, high, terms)
            else:
                found = [round_(c) for c in fit(function, low, high, terms)]
            worst = max(
                abs((mp.polyval(found[::-1], x) - function(x)) / function(x))
                for x in (low + (high - low) * k / 500 for k in range(501))
            )
            show(f'"{name}", "{kind}"', mp.nstr(worst, 3), found)


def show(name: str, remark: str, row: list[float]) -> None:
    """Print a row of the table."""
    print(f"    ({name}): (  # {remark}")
    for number in row:
        print(f"        {number!r},")
    print("    ),")


if __name__ == "__main__":
    main()

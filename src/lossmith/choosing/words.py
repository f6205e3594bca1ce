"""Numbers and lists in plain words.

Every sentence of the profile, the verdict and the report goes through these few functions, so that a
figure is written in one way wherever it appears.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["capital", "compact", "join", "number", "p_value", "share"]


def number(value: float | None, digits: int = 4) -> str:
    """Write a number for people: thousands separators, ``digits`` significant digits, no trailing zeros.

    Args:
        value: The number; ``None`` and NaN are written as ``not defined``.
        digits: Significant digits to keep. Whole numbers below a billion keep all of theirs.
    """
    if value is None or math.isnan(value):
        return "not defined"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    if value == int(value) and abs(value) < 1e9:
        return f"{int(value):,}"
    size = math.floor(math.log10(abs(value)))
    if size >= 9 or size < -4:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        if "." in mantissa:
            mantissa = mantissa.rstrip("0").rstrip(".")
        return f"{mantissa}e{int(exponent)}"
    text = f"{value:,.{max(digits - 1 - size, 0)}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def capital(text: str) -> str:
    """Begin a text with a capital letter and leave the rest as it is."""
    return text[:1].upper() + text[1:]


def compact(value: float) -> str:
    """Write a number where room is short: ``332.6M`` for 332,581,300; k, M, G and T are the SI prefixes."""
    size = abs(value)
    for limit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if limit <= size < 1e15:
            return number(value / (1e3 if letter == "k" else limit)) + letter
    return number(value)


def share(part: float) -> str:
    """Write a share between 0 and 1 as a percentage: ``0.0756`` is ``7.6%``.

    A share that is neither none nor all is never rounded to 0% or 100%.
    """
    if part in (0.0, 1.0):
        return f"{part:.0%}"
    percent = 100.0 * part
    if percent < 0.01:
        return "under 0.01%"
    if percent > 99.95:
        return "over 99.9%"
    return f"{percent:.2f}%" if percent < 0.1 else f"{percent:.1f}%"


def p_value(value: float) -> str:
    """Write a p-value or a probability with three decimals, and never as a bare 0 or 1."""
    if math.isnan(value):
        return "–"
    if value < 0.001:
        return "<0.001"
    if value > 0.999:
        return ">0.999"
    return f"{value:.3f}"


def join(parts: Sequence[str], last: str = "and") -> str:
    """Write a list: ``a``, ``a and b``, ``a, b and c``."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"

"""Numbers in plain words."""

from __future__ import annotations

import math

import pytest

from lossmith.choosing.words import compact, join, number, p_value, share
from lossmith.errors import plural


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (17000.0, "17,000"),
        (123456.789, "123,457"),
        (1.50, "1.5"),
        (0.07564, "0.07564"),
        (-2.34567, "-2.346"),
        (1e-9, "1e-9"),
        (2.5e12, "2.5e12"),
        (-0.00001, "-1e-5"),
        (None, "not defined"),
        (math.nan, "not defined"),
        (math.inf, "infinite"),
    ],
)
def test_number(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("part", "text"),
    [(0.0756, "7.6%"), (0.0, "0%"), (1.0, "100%"), (0.9999, "over 99.9%"), (0.00001, "under 0.01%"), (0.0005, "0.05%")],
)
def test_share_never_rounds_to_none_or_all(part: float, text: str) -> None:
    assert share(part) == text


def test_small_words() -> None:
    assert [p_value(v) for v in (0.0, 0.0123, 1.0, math.nan)] == ["<0.001", "0.012", ">0.999", "–"]
    assert [plural(1, "row"), plural(5000, "row"), plural(2, "loss", "losses")] == ["1 row", "5,000 rows", "2 losses"]
    assert [join([]), join(["a"]), join(["a", "b"]), join(["a", "b", "c"])] == ["", "a", "a and b", "a, b and c"]
    assert [compact(v) for v in (332_581_300.0, 12_345.0, 9_999.0, -2e9)] == ["332.6M", "12.35k", "9,999", "-2G"]

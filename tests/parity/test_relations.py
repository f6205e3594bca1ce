"""Every row of the table of peers holds on random data, and a wrong row would not."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from tests.parity import relation
from tests.parity.table import ROWS, Row

pytestmark = pytest.mark.engines("numpy")  # costs are those of either engine, and kernels take a while to compile


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_relation_holds(row: Row) -> None:
    with relation.expected(row.warns):
        relation.check(row, np.random.default_rng(zlib.crc32(str(row).encode())))


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_a_wrong_relation_is_caught(row: Row) -> None:
    wrong = list(relation.mutations(row))
    assert [what for what, mutated in wrong if not relation.is_caught(mutated)] == []


def test_the_order_of_arguments_matters_to_most_rows() -> None:
    ordered = [row for row in ROWS if "arguments" in dict(relation.mutations(row))]
    assert len(ordered) > len(ROWS) / 2

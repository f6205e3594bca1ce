"""Every row of the table of peers holds on random data, and a wrong row would not."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from tests.parity import adapters, arrays, relation
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


@pytest.mark.parametrize("row", [row for row in ROWS if row.averages], ids=str)
def test_numbers_along_one_axis_are_one_example_where_they_are_averaged(row: Row) -> None:
    given = {key: array[0] for key, array in arrays.draw(row, np.random.default_rng(2)).items()}
    right = float(row.factor) * row.loss.losses(**relation.takes(row, given)).mean()
    for name in row.names:
        for reduction in adapters.reductions(row, name):
            found = adapters.call(name, row.options, row.arguments, given, reduction=reduction)
            relation.compare(f"{row} as {name}, {reduction}", found.value, right, row.within)


def test_the_order_of_arguments_matters_to_most_rows() -> None:
    ordered = [row for row in ROWS if "arguments" in dict(relation.mutations(row))]
    assert len(ordered) > len(ROWS) / 2

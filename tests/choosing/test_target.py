"""Reading the target, and refusing what cannot be one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lossmith.choosing.target import Target, read_target
from lossmith.errors import TableError
from lossmith.scoring.source import Table

from .conftest import Write


def read(path: Path, positive: str | None = None) -> Target:
    with Table.open(path) as source:
        return read_target(source, "y", positive=positive)


def test_numbers_stay_numbers(table: Write) -> None:
    target = read(table({"y": [1.5, -2, 3], "x": [1, 2, 3]}))
    assert target.labels is None
    assert target.values.tolist() == [1.5, -2.0, 3.0]


@pytest.mark.parametrize(
    ("values", "labels", "why"),
    [
        (["no", "yes", "no"], ("no", "yes"), "word for yes"),
        (["true", "false", "true"], ("false", "true"), "word for yes"),
        (["spam", "mail", "mail"], ("mail", "spam"), "word for yes"),
        (["sick", "well", "well"], ("well", "sick"), "word for yes"),
        (["zebra", "normal", "zebra"], ("normal", "zebra"), "'normal' is a word for no"),
        (["apple", "pear", "pear"], ("apple", "pear"), "later in the alphabet"),
        ([0, 1, 1], ("0", "1"), "larger of the two"),
        ([-1, 1, 1], ("-1", "1"), "larger of the two"),
        ([2.5, 7, 7], ("2.5", "7"), "larger of the two"),
    ],
)
def test_two_values_are_two_classes(table: Write, values: list[object], labels: tuple[str, str], why: str) -> None:
    target = read(table({"y": values, "x": [1, 2, 3]}))
    assert target.labels == labels
    assert why in target.reading
    assert target.values.tolist() == [float(str(value) == labels[1]) for value in values]


@pytest.mark.parametrize("values", [["no", "yes", "no"], ["apple", "pear", "apple"], [0, 1, 0]])
def test_the_user_may_say_which_label_is_positive(table: Write, values: list[object]) -> None:
    path = table({"y": values, "x": [1, 2, 3]})
    usual, turned = read(path), read(path, positive=str(values[0]))
    assert turned.labels == (str(values[1]), str(values[0]))
    np.testing.assert_array_equal(turned.values, 1.0 - usual.values)
    assert "you said so" in turned.reading


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["", "", ""], "missing in every row"),
        ([1, "", 3], r"missing in 1 row of 3, first in data row 2 \(counted from 1\); fill these rows"),
        (["a", "", "b"], r"missing in 1 row of 3, first in data row 2"),
        ([1, 2, "inf"], r"infinite in 1 row, first in data row 3"),
        (["-inf", 2, "nan"], "missing in 1 row of 3"),
        ([7, 7, 7], "7 in all 3 rows: it is constant"),
        (["true", "true", "true"], "one class only: 'true' in all 3 rows"),
        (["a", "a", "a"], "one class only: 'a' in all 3 rows"),
        (["a", "b", "c"], "text with 3 labels: 'a', 'b', 'c'. Several classes are not a target that choose takes yet"),
        (["2020-01-01", "2021-01-01", "2020-05-06"], "holds times"),
    ],
)
def test_refused(table: Write, values: list[object], message: str) -> None:
    with pytest.raises(TableError, match=message):
        read(table({"y": values, "x": [1, 2, 3]}))


def test_many_labels_are_not_all_listed(table: Write) -> None:
    with pytest.raises(TableError, match=r"with 30 labels: ('\d+a', ){5}\.\.\."):
        read(table({"y": [f"{i:02}a" for i in range(30)], "x": range(30)}))


def test_a_column_that_is_not_there_suggests_the_nearest(table: Write) -> None:
    with Table.open(table({"wage_eur": [1, 2], "x": [1, 2]})) as source, pytest.raises(TableError, match="wage_eur"):
        read_target(source, "wage_euro")


def test_a_positive_label_must_be_one_of_two(table: Write) -> None:
    with pytest.raises(TableError, match=r"no label 'Yes'; its labels are 'no' and 'yes'\. Did you mean 'yes'\?"):
        read(table({"y": ["no", "yes"], "x": [1, 2]}), positive="Yes")
    with pytest.raises(TableError, match="has more than two values"):
        read(table({"y": [1, 2, 3], "x": [1, 2, 3]}), positive="1")

"""From columns to a matrix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lossmith.choosing import prepare
from lossmith.choosing.features import Features, leaks, read_features, read_weight, repeated_rows
from lossmith.errors import TableError
from lossmith.scoring.source import Table

from .conftest import Write, amounts

ROWS = 60


def features(path: Path, target: str = "y", **options: object) -> Features:
    with Table.open(path) as source:
        return read_features(source, target, **options)  # type: ignore[arg-type]


def some(**columns: object) -> dict[str, object]:
    rng = np.random.default_rng(1)
    return {"y": rng.normal(size=ROWS).round(3), "x": rng.normal(size=ROWS).round(3), **columns}


def test_numbers_categories_booleans_and_missing(table: Write) -> None:
    colour = ["red", "blue", ""] * 20
    found = features(table(some(colour=colour, ready=["true", "false", "true"] * 20, gap=["", 1.5, 2] * 20)))
    assert found.names == ("x", "colour", "ready", "gap")
    assert found.categorical == (1,)
    assert found.labels == {1: ("blue", "red")}
    np.testing.assert_array_equal(found.matrix[:3, 1], [1.0, 0.0, np.nan])
    np.testing.assert_array_equal(found.matrix[:3, 2], [1.0, 0.0, 1.0])
    np.testing.assert_array_equal(found.matrix[:3, 3], [np.nan, 1.5, 2.0])


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([f"customer {i}" for i in range(ROWS)], "names the rows"),
        (["same"] * ROWS, "same in every row"),
        ([3.5] * ROWS, "same in every row"),
        ([""] * ROWS, "empty"),
        (list(range(10, 10 + ROWS)), "numbers the rows"),
    ],
)
def test_columns_that_would_only_harm_are_dropped_and_say_why(table: Write, values: list[object], reason: str) -> None:
    found = features(table(some(bad=values)))
    assert found.names == ("x",)
    assert [item.name for item in found.dropped] == ["bad"]
    assert reason in found.dropped[0].reason


def test_a_number_that_only_grows_is_kept(table: Write) -> None:
    assert features(table(some(grows=np.arange(ROWS) ** 1.5))).names == ("x", "grows")


def test_times_become_seconds(table: Write) -> None:
    days = [f"2024-01-{1 + i % 28:02d}" for i in range(ROWS)]
    stamps = [f"2024-01-01 {i % 24:02d}:30:00" for i in range(ROWS)]
    found = features(table(some(day=days, stamp=stamps)))
    assert found.matrix[1, 1] - found.matrix[0, 1] == 86_400.0
    assert found.matrix[1, 2] - found.matrix[0, 2] == 3_600.0
    assert found.matrix[0, 1] == np.datetime64("2024-01-01").astype("datetime64[s]").astype(float)
    assert "holds times" in found.notes[0]


def test_infinite_features_count_as_missing_and_say_so(table: Write) -> None:
    found = features(table(some(odd=["inf", 1, 2] * 20)))
    assert np.isnan(found.matrix[0, 1])
    assert any("'odd' is infinite in 20 rows" in note for note in found.notes)


def test_labels_that_training_never_saw_are_missing_in_the_held_out_rows(table: Write) -> None:
    colour = ["red"] * 30 + ["blue"] * 29 + ["green"]
    found = features(table(some(colour=colour)))
    train, test = np.arange(59), np.arange(59, 60)
    inside, outside = found.fold(train, test)
    assert not np.isnan(inside[:, 1]).any()
    assert np.isnan(outside[0, 1])
    assert not np.isnan(found.matrix[59, 1])  # the whole matrix is left as it was


def test_drop_and_weight_are_no_features(table: Write) -> None:
    path = table(some(w=np.ones(ROWS), other=np.arange(ROWS) % 7))
    assert features(path, drop=["other"], weight="w").names == ("x",)
    with pytest.raises(TableError, match=r"no column 'othr'.*Did you mean 'other'"):
        features(path, drop=["othr"])
    with pytest.raises(TableError, match="is the target and cannot be dropped"):
        features(path, drop=["y"])
    with pytest.raises(TableError, match="no feature is left"):
        features(path, drop=["x", "w", "other"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["a", "b"] * 30, "weights are numbers"),
        ([1.0, -1.0] * 30, r"is -1 in data row 2"),
        ([1.0, ""] * 30, r"is nan in data row 2"),
        ([0.0] * ROWS, "zero in every row"),
    ],
)
def test_bad_weights(table: Write, values: list[object], message: str) -> None:
    with Table.open(table(some(w=values))) as source, pytest.raises(TableError, match=message):
        read_weight(source, "w", "y")


def test_a_feature_that_orders_the_targets_is_warned_of(table: Write) -> None:
    rng = np.random.default_rng(0)
    y = rng.lognormal(size=ROWS).round(5)
    found = features(table({"y": y, "copy": -(y**3), "fair": y + 2 * rng.normal(size=ROWS)}))
    said = leaks(found, y, binary=False)
    assert len(said) == 1
    assert said[0].startswith("'copy' alone orders the targets almost perfectly (rank correlation 1)")


def test_a_leak_of_two_classes_and_of_a_category(table: Write) -> None:
    y = np.array([0.0, 1.0] * 30)
    columns = {"y": y, "score": 5.0 - y + 0.01 * np.arange(ROWS) % 0.5, "code": ["a", "b"] * 30, "fair": ["a"] * 15 * 4}
    columns["fair"] = ["u", "v", "v", "u"] * 15
    said = leaks(features(table(columns)), y, binary=True)
    assert [sentence.split("'")[1] for sentence in said] == ["score", "code"]


def test_repeated_rows_are_counted(table: Write) -> None:
    columns = {"y": [1.0, 2.0, 1.0, 1.0], "x": ["", 3, "", ""], "z": [1, 2, 1, 9]}
    assert repeated_rows(features(table(columns)), np.array([1.0, 2.0, 1.0, 1.0])) == 1


def test_new_rows_get_the_same_numbers(table: Write) -> None:
    columns = amounts(80)
    path = table(columns)
    data = prepare(path, "amount", drop=["z"])
    np.testing.assert_array_equal(data.encode(path), data.X)
    assert data.features.names == ("x", "colour")
    fresh = table({"colour": ["blue", "pink"], "x": [0.5, 1.5]}, "fresh.csv")
    np.testing.assert_array_equal(data.encode(fresh), [[0.5, 0.0], [1.5, np.nan]])
    with pytest.raises(TableError, match="no column 'colour'"):
        data.encode(table({"x": [1.0]}, "short.csv"))
    with pytest.raises(TableError, match="text"):
        data.encode(table({"x": ["many"], "colour": ["red"]}, "texts.csv"))

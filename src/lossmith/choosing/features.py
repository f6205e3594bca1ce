"""Features: from the columns of a table to the matrix that the models train on.

Numbers stay numbers, with NaN for missing. Text becomes a category: a whole number a label, and for each fold
only the labels that its training rows hold. Columns that would only harm are dropped, and each says why.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lossmith.choosing.words import number, share
from lossmith.errors import TableError, plural

if TYPE_CHECKING:
    from lossmith.scoring.source import Table

__all__ = ["Dropped", "Features", "encode_like", "leaks", "read_features", "read_weight", "repeated_rows"]

FloatArray = NDArray[np.float64]

# A text column with this share of different values names the rows; it says nothing about a new row.
_IDENTIFIER_SHARE = 0.9
# A single feature that orders the targets this well is more likely a copy of the target than a cause.
LEAK_RANK = 0.98


@dataclass(frozen=True)
class Dropped:
    """A column that is no feature, and why.

    Attributes:
        name: Name of the column.
        reason: Half a sentence that follows "was dropped: ".
    """

    name: str
    reason: str


@dataclass(frozen=True, eq=False)
class Features:
    """The features as one matrix.

    Attributes:
        names: Name of each column of the matrix.
        matrix: One row an example; NaN is missing. A category column holds whole numbers, one a label.
        categorical: Positions of the category columns.
        labels: For each category column, by position, the labels behind the numbers 0, 1, ...
        dropped: The table's columns that are no features.
        notes: Sentences on anything that was changed on the way.
    """

    names: tuple[str, ...]
    matrix: FloatArray
    categorical: tuple[int, ...]
    labels: dict[int, tuple[str, ...]]
    dropped: tuple[Dropped, ...]
    notes: tuple[str, ...]

    def fold(self, train: NDArray[np.intp], test: NDArray[np.intp]) -> tuple[FloatArray, FloatArray]:
        """Return the training and the held-out rows of one fold.

        A label that no training row holds is unknown to the model, so it is missing in the held-out rows.
        """
        inside, outside = self.matrix[train], self.matrix[test]
        for column in self.categorical:
            known = np.unique(inside[:, column])
            outside[~np.isin(outside[:, column], known), column] = np.nan
        return inside, outside


def read_features(table: Table, target: str, *, drop: Sequence[str] = (), weight: str | None = None) -> Features:
    """Make the matrix of features from all columns but the target, the weight and the dropped ones.

    Dropped without being asked: a column of one value, a text column whose values are nearly all different
    (a name or an identifier), and a column that numbers the rows. Times become seconds.

    Args:
        table: The table.
        target: Column of the target.
        drop: Columns to leave out.
        weight: Column of the weights.

    Raises:
        TableError: A column that the table does not have, the target among the columns to drop, or no feature
            left.
    """
    for name in drop:
        table.require(name)
        if name == target:
            raise TableError(f"'{name}' is the target and cannot be dropped as well")
    names: list[str] = []
    columns: list[FloatArray] = []
    labels: dict[int, tuple[str, ...]] = {}
    dropped: list[Dropped] = []
    notes: list[str] = []
    wanted = [name for name in table.columns if name not in (target, weight)]
    plain = _read_numbers(table, [name for name in wanted if name not in drop])
    for name in wanted:
        if name in drop:
            dropped.append(Dropped(name, "you asked for it"))
            continue
        found: tuple[str, ...] = ()
        if table.kinds[name] == "text":
            column, found = _codes(table.texts(name))
            reason = _useless_text(column, found)
        else:
            column = plain[name] if name in plain else _seconds(name, table.texts(name), notes)
            column = _finite(name, column, notes)
            reason = _useless_number(column)
        if reason:
            dropped.append(Dropped(name, reason))
            continue
        if found:
            labels[len(names)] = found
        names.append(name)
        columns.append(column)
    if not names:
        gone = "; ".join(f"'{item.name}': {item.reason}" for item in dropped)
        raise TableError(
            f"no feature is left to predict '{target}' from" + (f" ({gone})" if gone else ": it is the only column")
        )
    return Features(tuple(names), np.column_stack(columns), tuple(sorted(labels)), labels, tuple(dropped), tuple(notes))


def encode_like(features: Features, table: Table) -> FloatArray:
    """Read the same features from another table, with the same number for the same label.

    A label that the first table did not hold counts as missing.

    Raises:
        TableError: A feature's column is not there, or holds text where numbers are needed.
    """
    for name in features.names:
        table.require(name)
    texts = {features.names[place] for place in features.labels}
    plain = _read_numbers(table, [name for name in features.names if name not in texts])
    columns = []
    for place, name in enumerate(features.names):
        if name in texts:
            index = {label: float(code) for code, label in enumerate(features.labels[place])}
            columns.append(np.array([index.get(text, np.nan) for text in table.texts(name)], dtype=np.float64))
        elif name in plain:
            columns.append(_finite(name, plain[name], []))
        elif table.kinds[name] == "time":
            columns.append(_seconds(name, table.texts(name), []))
        else:
            columns.append(_finite(name, table.numbers(name), []))  # raises, and names the first row that is text
    return np.column_stack(columns)


def read_weight(table: Table, name: str, target: str) -> FloatArray:
    """Read a column of weights: zero or more, finite, and not all zero.

    Raises:
        TableError: The column is text or the target, or holds a missing, infinite or negative value.
    """
    table.require(name)
    if name == target:
        raise TableError(f"'{name}' is the target and cannot be the weight as well")
    if table.kinds[name] not in ("number", "boolean"):
        raise TableError(f"the weight '{name}' is a column of kind '{table.kinds[name]}'; weights are numbers")
    values = table.numbers(name)
    bad = ~(np.isfinite(values) & (values >= 0.0))
    if bad.any():
        first = int(np.argmax(bad))
        raise TableError(
            f"the weight '{name}' is {values[first]:g} in data row {first + 1:,} (counted from 1), and "
            f"{plural(int(bad.sum()), 'row')} like it; weights are finite and zero or more"
        )
    if not values.any():
        raise TableError(f"the weight '{name}' is zero in every row, so no row counts")
    return values


def leaks(features: Features, y: FloatArray, *, binary: bool) -> tuple[str, ...]:
    """Warn of features that alone order the targets almost perfectly.

    The measure is the absolute rank correlation (Spearman) for numbers and the area under the ROC curve, turned
    to the better side, for two classes; 0.98 and above is warned of. A category takes the mean target of its
    label as its rank, where its labels repeat often enough for that to mean something.
    """
    from scipy import stats

    said = []
    ranks = stats.rankdata(y)
    for column, name in enumerate(features.names):
        values = features.matrix[:, column]
        known = ~np.isnan(values)
        rows = int(known.sum())
        if rows < 20 or np.ptp(y[known]) == 0.0:
            continue
        values, truth, truth_ranks = values[known], y[known], ranks[known]
        if column in features.labels:
            if 20 * len(features.labels[column]) > rows:
                continue
            codes = values.astype(np.intp)
            counts = np.bincount(codes)
            values = (np.bincount(codes, truth) / np.maximum(counts, 1))[codes]
        if np.ptp(values) == 0.0:
            continue
        order = stats.rankdata(values)
        if binary:
            positives = float(truth.sum())
            area = (order[truth == 1.0].sum() - positives * (positives + 1) / 2) / (positives * (rows - positives))
            strength, measure = max(float(area), 1.0 - float(area)), "area under the ROC curve"
        else:
            strength, measure = abs(float(np.corrcoef(order, truth_ranks)[0, 1])), "rank correlation"
        if strength >= LEAK_RANK:
            said.append(
                f"'{name}' alone orders the targets almost perfectly ({measure} {number(strength, 4)}). If it is known "
                f"only after the target is, it leaks the answer: drop it with --drop {name}."
            )
    return tuple(said)


def repeated_rows(features: Features, y: FloatArray) -> int:
    """Count the rows that repeat an earlier row, features and target alike.

    A repeated row can sit in the training part and the held-out part of a fold at once, which flatters models
    that learn by heart.
    """
    whole = np.ascontiguousarray(np.column_stack([features.matrix, y]))
    whole[np.isnan(whole)] = np.inf  # NaN has many bit patterns; no feature is infinite
    keys = whole.view(np.dtype((np.void, whole.dtype.itemsize * whole.shape[1]))).ravel()
    return int(keys.size - np.unique(keys).size)


def _codes(texts: NDArray[np.object_]) -> tuple[FloatArray, tuple[str, ...]]:
    """Number the labels of a text column in alphabetical order, NaN for missing."""
    found = sorted({text for text in texts if text is not None})
    index: dict[str | None, float] = {label: float(code) for code, label in enumerate(found)}
    index[None] = np.nan
    return np.array([index[text] for text in texts], dtype=np.float64), tuple(found)


def _read_numbers(table: Table, names: Sequence[str]) -> dict[str, FloatArray]:
    """Read the columns of numbers and of booleans in one pass over the file."""
    plain = [name for name in names if table.kinds[name] in ("number", "boolean")]
    if not plain:
        return {}
    parts = list(table.batches(plain))
    return {name: np.concatenate([part[name] for part in parts]) for name in plain}


def _seconds(name: str, texts: NDArray[np.object_], notes: list[str]) -> FloatArray:
    """Turn dates and times into seconds, since 1970 in UTC or since midnight."""
    known: dict[str | None, float] = {None: np.nan}
    for text in set(texts) - {None}:
        known[text] = _moment(text)
    notes.append(
        f"'{name}' holds times. The folds are drawn at random; where the task is to predict later rows from earlier "
        "ones, expect a model to do worse than here."
    )
    return np.array([known[text] for text in texts], dtype=np.float64)


def _moment(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            clock = time.fromisoformat(text)
        except ValueError:
            return math.nan
        return 3600.0 * clock.hour + 60.0 * clock.minute + clock.second + clock.microsecond / 1e6
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _finite(name: str, values: FloatArray, notes: list[str]) -> FloatArray:
    infinite = np.isinf(values)
    if infinite.any():
        notes.append(f"'{name}' is infinite in {plural(int(infinite.sum()), 'row')}; they count as missing.")
        values = np.where(infinite, np.nan, values)
    return values


def _useless_text(column: FloatArray, labels: Sequence[str]) -> str:
    known = int((~np.isnan(column)).sum())
    if len(labels) < 2 and known in (0, column.size):
        return "it is the same in every row" if known else "it is empty"
    # Two labels in two rows are a small table, not a column of names.
    if len(labels) > 20 and len(labels) >= _IDENTIFIER_SHARE * known:
        return f"{share(len(labels) / known)} of its texts are different, so it names the rows"
    return ""


def _useless_number(column: FloatArray) -> str:
    known = column[~np.isnan(column)]
    if known.size == 0:
        return "it is empty"
    if known.size == column.size:
        if np.ptp(known) == 0.0:
            return "it is the same in every row"
        if known.size > 20 and np.all(np.diff(known) == 1.0):
            return "it numbers the rows"
    return ""

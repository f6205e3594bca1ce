"""Cross-validation where a library cannot give each fold its start score: how rows are dealt out, and summed up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.errors import ParameterError
from lossmith.frameworks.boosting.held import by_rows, counted, refuse_no_table, rows_of
from lossmith.frameworks.boosting.objective import Objective

Array = npt.NDArray[Any]
Pairs = Iterable[tuple[npt.ArrayLike, npt.ArrayLike]]
Rows = tuple[Any, Array, Array | None]
"""Features, targets and weights."""

_SIDES = 2


def dealt(whole: Objective, X: Any, folds: int | Pairs | Any, seed: int) -> Iterator[tuple[Rows, Rows]]:
    """Yield the training rows and the held-out rows of each fold.

    Args:
        whole: the objective of all rows.
        X: their features.
        folds: a number, a splitter of scikit-learn, or pairs of training and held-out rows. A number deals rows out at
            random, of labels each class evenly.
        seed: of the dealing.
    """

    def take(rows: Array) -> Rows:
        return rows_of(X, rows), whole.y[rows], rows_of(whole.weight, rows)

    refuse_no_table(X)
    if hasattr(X, "tocsr"):
        X = by_rows(X)  # once, for all folds
    elif not (hasattr(X, "iloc") or hasattr(X, "shape")):
        X = np.asarray(X)
    folds = folds_of(folds, whole, X)
    if isinstance(folds, int):
        places = _places(whole, folds, seed)
        pairs = [(np.flatnonzero(places != fold), np.flatnonzero(places == fold)) for fold in range(folds)]
    else:
        pairs = folds
    for fit, held in pairs:
        yield take(fit), take(held)


def folds_of(folds: Any, whole: Objective, X: Any) -> int | list[tuple[Array, Array]]:
    """Return a number of folds, or pairs of row numbers, which a splitter of scikit-learn makes of features.

    Raises:
        ParameterError: for a number in which nothing is held out, or one of which has no row; for no pairs, for what
            tells no rows, and for a splitter that has to know groups.
    """
    if hasattr(folds, "split") and not isinstance(folds, str):
        if any(kind.__name__ == "GroupsConsumerMixin" for kind in type(folds).__mro__):
            name = type(folds).__name__
            raise ParameterError(
                f"folds={name}(...) has to know the groups; pass its pairs, folds=[*{name}(...).split(X, y, groups)]"
            )
        folds = folds.split(X, whole.y)
    if isinstance(folds, str) or not hasattr(folds, "__iter__"):
        counted("folds", folds, 2)
        if folds > len(whole.y):
            raise ParameterError(f"folds must be at most {len(whole.y)}, the number of rows, got {folds}")
        return int(folds)
    pairs = list(folds)
    if not pairs:
        raise ParameterError("folds hold no pair of training and held-out rows; pass some, or a number of folds")
    return [_pair(place, pair, len(whole.y)) for place, pair in enumerate(pairs)]


def _pair(place: int, pair: Any, rows: int) -> tuple[Array, Array]:
    """Return a pair as numbers of rows: a mask tells them too, which LightGBM would take for rows 0 and 1."""
    if not isinstance(pair, Sequence | np.ndarray) or isinstance(pair, str) or len(pair) != _SIDES:
        raise ParameterError(
            f"folds[{place}] must be a pair, the rows to train with and those held out, got {type(pair).__name__}"
        )
    found = []
    for side in pair:
        numbers = np.asarray(side)
        if numbers.dtype == np.bool_ and numbers.shape == (rows,):
            numbers = np.flatnonzero(numbers)
        whole = numbers.dtype.kind in "iu" and numbers.ndim == 1 and numbers.size > 0
        if not (whole and numbers.min() >= 0 and numbers.max() < rows):
            raise ParameterError(
                f"folds[{place}] must tell rows by numbers from 0 to {rows - 1}, or by a mask of {rows}, at least one; "
                f"got {_described(numbers)}"
            )
        found.append(numbers)
    return found[0], found[1]


def _described(numbers: Array) -> str:
    if numbers.dtype.kind in "iu" and numbers.ndim == 1 and numbers.size:
        return f"numbers from {numbers.min()} to {numbers.max()}"
    return f"{numbers.dtype} of shape {numbers.shape}"


def by_class(whole: Objective) -> bool:
    """Return whether targets are labels, which are dealt out evenly."""
    y = whole.y
    return whole.loss.card.task in ("binary", "categorical") and y.ndim == 1 and bool(np.all(y == np.floor(y)))


def _places(whole: Objective, folds: int, seed: int) -> Array:
    """Return the fold in which each row is held out."""
    order = np.random.default_rng(seed).permutation(len(whole.y))
    if by_class(whole):
        order = order[np.argsort(whole.y[order], kind="stable")]
    places = np.empty(len(order), np.intp)
    places[order] = np.arange(len(order)) % folds
    return places


def classes_of(whole: Objective) -> int | None:
    """Return the number of classes for the objectives of folds, some of which may lack one."""
    return whole.outputs if whole.loss.paired and whole.outputs > 1 else None


def best_round(mean: Sequence[float], patience: int | None) -> tuple[int, bool]:
    """Return the best round so far, counted from 1, and whether patience is at its end."""
    best = int(np.argmin(mean)) + 1
    return best, patience is not None and len(mean) - best >= patience


def summed_up(
    name: str, costs: Sequence[Sequence[float]], patience: int | None, models: Callable[[int], Any] | None
) -> Mapping[str, Any]:
    """Return mean and deviation over the folds of each round, as boosters call them.

    Args:
        name: of the loss.
        costs: a row a round, with a number a fold.
        patience: if any, what comes after the best round is left out.
        models: gives the models of the folds with so many rounds.
    """
    found = np.asarray(costs, np.float64)
    rounds = best_round(found.mean(axis=1).tolist(), None)[0] if patience is not None else len(found)
    kept = found[:rounds]
    summary: dict[str, Any] = {
        f"test-{name}-mean": kept.mean(axis=1).tolist(),
        f"test-{name}-std": kept.std(axis=1).tolist(),
    }
    return summary if models is None else {**summary, "models": models(rounds)}

"""Early stopping on a cluster: every worker holds the held-out rows and the whole model, so all decide alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.errors import KindError, ShapeError, plural
from lossmith.frameworks.boosting.held import Rows, by_name
from lossmith.frameworks.boosting.objective import Objective

Array = npt.NDArray[Any]


def of_dask(**given: Any) -> list[Any]:
    """Return arguments that have to be of Dask, or nothing, by their names.

    Each part of an array has all columns then, and two rows at least where arrays say how many they have: libraries
    refuse parts of columns, XGBoost fails at most parts without rows, as they come from another worker, and LightGBM
    refuses a worker that got one row.

    Raises:
        KindError: for what lies in memory.
        ShapeError: for as many parts of rows as the first one has not, or parts of other sizes.
    """
    for name, value in given.items():
        if value is not None and not hasattr(value, "compute"):
            raise KindError(
                f"train_dask: {name} must be of Dask, got {type(value).__name__}; dask.array.from_array(...) makes it "
                "so, and train takes what lies in memory"
            )
    parts = {name: _parts(value) for name, value in given.items() if value is not None}
    first, *others = parts
    for name in others:
        if parts[name] != parts[first]:
            raise ShapeError(
                f"train_dask: rows of {first} lie in {plural(parts[first], 'part')} and those of {name} in "
                f"{parts[name]}; rechunk an array or repartition a data frame, so that they are the same"
            )
    _refuse_other_sizes({name: value.chunks[0] for name, value in given.items() if hasattr(value, "chunks")})
    whole = [None if value is None else _with_all_columns(value) for value in given.values()]
    return _with_two_rows(_with_rows(whole, parts[first]))


def _refuse_other_sizes(sizes: Mapping[str, tuple[float, ...]]) -> None:
    """Refuse arrays whose parts have other numbers of rows; some are not known before they are computed.

    Raises:
        ShapeError: for the first such part.
    """
    first = next(iter(sizes), "")
    for name, mine in sizes.items():
        for place, (wanted, rows) in enumerate(zip(sizes[first], mine, strict=True)):
            if not np.isnan(wanted + rows) and rows != wanted:
                raise ShapeError(
                    f"train_dask: part {place} of {first} has {plural(int(wanted), 'row')} and that of {name} "
                    f"{int(rows)}; rechunk one of them, so that they are the same"
                )


def _with_all_columns(value: Any) -> Any:
    return value.rechunk({1: -1}) if len(getattr(value, "chunks", ())) > 1 and len(value.chunks[1]) > 1 else value


def _with_rows(values: list[Any], parts: int) -> list[Any]:
    """Return values without the parts of which an array says that there is no row in them, if rows are left."""
    sizes = [value.chunks[0] for value in values if hasattr(value, "chunks")]
    kept = [place for place in range(parts) if all(size[place] != 0 for size in sizes)]
    if len(kept) in (0, parts):
        return values
    return [None if value is None else _chosen(value, kept) for value in values]


def _with_two_rows(values: list[Any]) -> list[Any]:
    """Return arrays in parts of two rows or more, by joining those of one to their neighbours."""
    known = [value for value in values if value is not None]
    if not all(hasattr(value, "chunks") for value in known) or 1 not in (sizes := known[0].chunks[0]):
        return values
    joined: list[float] = []
    for rows in sizes:
        if joined and 1 in (rows, joined[-1]):
            joined[-1] += rows
        else:
            joined.append(rows)
    if np.isnan(sum(joined)):
        return values
    return [None if value is None else value.rechunk({0: tuple(joined)}) for value in values]


def _chosen(value: Any, kept: list[int]) -> Any:
    return value.blocks[kept] if hasattr(value, "blocks") else value.partitions[kept]


def _parts(value: Any) -> int:
    """Return the number of parts that rows lie in; columns of an array may lie in several too."""
    return len(value.chunks[0]) if hasattr(value, "chunks") else int(value.npartitions)


class Staged:
    """The mean loss on held-out rows, as a model gets its rounds; it may be sent to workers, and begins anew there.

    Args:
        objective: of the training rows.
        X, y, weight: the held-out rows.
        patience: stop after that many rounds without a better mean loss.
        added: ``booster, X, round`` to what that round adds to raw predictions.

    Attributes:
        history: the mean loss after each round.
    """

    def __init__(
        self,
        objective: Objective,
        X: Any,
        y: Any,
        weight: Any = None,
        *,
        patience: int | None,
        added: Callable[[Any, Any, int], Array],
    ) -> None:
        rows = objective.on(y, weight)
        self._X, self._y, self._weight = rows.fitting(X), rows.y, rows.weight
        self._metric, self._patience, self._added = objective.metric, patience, added
        self._raw = rows.init_score
        self._start = self._metric(self._y, self._raw, self._weight)
        self.history: list[float] = []

    def goes_on(self, booster: Any) -> bool:
        """Take in the next round, and return whether more are worth it."""
        self._raw = self._raw + self._added(booster, self._X, len(self.history))
        self.history.append(self._metric(self._y, self._raw, self._weight))
        return self._patience is None or len(self.history) - self._least < self._patience

    @property
    def _least(self) -> int:
        return int(np.argmin(self.history)) + 1

    @property
    def best(self) -> int:
        """How many rounds are best; none where no round beats the constant."""
        return 0 if self._start <= min(self.history) else self._least


def gathered(validation: Rows | None, patience: int | None) -> Rows:
    """Return the held-out rows, brought together from a cluster; nothing where there are none.

    Raises:
        ParameterError: see ``by_name``.
    """
    by_name(validation, patience)
    return tuple(part.compute() if hasattr(part, "compute") else part for part in validation or ())

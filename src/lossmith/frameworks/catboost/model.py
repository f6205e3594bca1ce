"""A model that CatBoost trained, with loss, start score and link in CatBoost's own file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import catboost
import numpy as np
import numpy.typing as npt

from lossmith.core.loss import Loss
from lossmith.errors import ParameterError
from lossmith.frameworks.boosting import Head
from lossmith.frameworks.boosting.columns import names_of, places, refuse_other_width
from lossmith.frameworks.boosting.held import array_of, by_rows, refuse_no_table
from lossmith.frameworks.boosting.trained import Trained

Array = npt.NDArray[Any]

_MARK = "lossmith"
_HISTORY = "lossmith_history"
_SUFFIX = ".cbm"
_MISSING = "nan"  # as a missing code of an array is written


@dataclass(frozen=True, repr=False)
class Model(Trained):
    """A trained model, with start score and link inside.

    Attributes:
        booster: CatBoost's own model, whose bias is the start score; ``None`` where there was nothing to split for.
        head: loss, start score and link.
        history: mean loss on the validation rows after each round, when there were any.
    """

    booster: Any
    head: Head
    history: tuple[float, ...] = ()

    @property
    def rounds(self) -> int:
        """Number of rounds in use: the best number where training stopped early."""
        return 0 if self.booster is None else int(self.booster.tree_count_)

    def predict_raw(self, X: Any) -> Array:
        """Return the raw prediction of each row; see ``Trained``.

        Raises:
            ShapeError: for an array with another number of columns than in training. CatBoost goes by names of tables.
        """
        if self.rounds == 0:
            return self.head.constant(getattr(X, "shape", np.shape(X))[0])
        refuse_no_table(X)
        if not names_of(X):
            refuse_other_width(X if hasattr(X, "shape") else np.asarray(X), len(self.booster.feature_names_))
        rows = pool(X, cat_features=self.booster.get_cat_feature_indices())
        return np.asarray(self.booster.predict(rows, prediction_type="RawFormulaVal"), np.float64)

    def importance(self) -> Array:
        """Return how much the prediction changes with each feature, in percent; empty where there are no trees."""
        return np.asarray(self.booster.get_feature_importance(), np.float64) if self.rounds else np.zeros(0)

    def save(self, path: str | Path) -> None:
        """Write the model in CatBoost's own format, with loss, start score and link in its metadata.

        Args:
            path: ends in ``.cbm``. CatBoost alone reads it too; its raw predictions include the start score.

        Raises:
            ParameterError: for another ending, and for a model without trees.
        """
        where = _checked(path)
        if self.rounds == 0:
            raise ParameterError(f"the model is the constant {self.start} and has no trees, which CatBoost cannot save")
        metadata = self.booster.get_metadata()
        metadata[_MARK], metadata[_HISTORY] = self.head.to_json(), json.dumps(self.history)
        self.booster.save_model(where, format="cbm")

    @classmethod
    def load(cls, path: str | Path, loss: Loss | None = None) -> Model:
        """Return the model that was saved.

        Args:
            path: what ``save`` wrote.
            loss: the loss, where it is a function of your own, which no file holds.

        Raises:
            ParameterError: for a file without a loss in it, or whose loss cannot be found.
            OSError: for a file that is not there.
        """
        Path(path).stat()
        booster = catboost.CatBoost().load_model(_checked(path), format="cbm")
        metadata = booster.get_metadata()
        if _MARK not in metadata.keys():  # noqa: SIM118  # it is no dict
            raise ParameterError(
                f"{path} holds a model of CatBoost, but no loss: it was not saved by lossmith.catboost"
            )
        return cls(booster, Head.from_json(metadata[_MARK], loss), tuple(json.loads(metadata[_HISTORY])))


def pool(X: Any, **settings: Any) -> catboost.Pool:
    """Return features as CatBoost takes them: categories become text, of whatever type they are, and missing ones too.

    Args:
        X: features, rows by columns: an array, a data frame or a sparse matrix.
        settings: of ``catboost.Pool``.
    """
    refuse_no_table(X)
    rows: Any = _sparse(X) if hasattr(X, "tocsr") else frame(X) if hasattr(X, "columns") else array_of(X)
    chosen = settings.get("cat_features")
    if chosen is not None:
        settings["cat_features"] = chosen = places(chosen, rows, settings.get("feature_names"))
    if chosen and isinstance(rows, np.ndarray) and rows.dtype.kind == "f":
        numbers, rows = rows, rows.astype(object)
        for column in chosen:
            rows[:, column] = [_text(value) for value in numbers[:, column]]
    if chosen and hasattr(rows, "iloc"):
        rows = rows.copy(deep=False)
        for column in chosen:
            rows.isetitem(column, _texts(rows.iloc[:, column]))
    return catboost.Pool(rows, **settings)


def frame(X: Any) -> Any:
    """Return a table of Arrow, or a frame of polars that has categories, as a frame of pandas; others as they are."""
    if hasattr(X, "iloc") or not hasattr(X, "to_pandas"):
        return X
    kinds = map(str, getattr(X, "dtypes", ()))  # of polars, in which CatBoost ends the process at categories
    arrow = hasattr(X, "column_names")
    return X.to_pandas() if arrow or any(kind.startswith(("Categorical", "Enum")) for kind in kinds) else X


def _texts(column: Any) -> Any:
    """Return categories of a frame as CatBoost takes them: whole numbers and texts, and a text for what is missing."""
    missing = column.isna().to_numpy()
    if column.dtype == "category":
        codes = column.cat.codes.to_numpy()  # below 0 where a category is missing
        names = np.array([*map(_text, column.cat.categories), _MISSING], object)
        return names[np.where(missing, len(names) - 1, codes)]
    values = column.to_numpy(object)
    if not missing.any() and all(isinstance(value, str | int | np.integer) for value in values):
        return column
    return np.array([_MISSING if lacks else _text(value) for lacks, value in zip(missing, values, strict=True)], object)


def _text(code: Any) -> str:
    """Return a category code as text with all of its digits: the same of whatever type it is."""
    whole = isinstance(code, float | np.floating) and code.is_integer()
    return str(int(code)) if whole else str(code)


def _sparse(X: Any) -> Any:
    """Return a sparse array as the matrix that CatBoost takes, whose indices have 32 bits."""
    rows = by_rows(X)
    rows.indices, rows.indptr = rows.indices.astype(np.int32), rows.indptr.astype(np.int32)
    return rows


def _checked(path: str | Path) -> str:
    if Path(path).suffix != _SUFFIX:
        raise ParameterError(f"{path}: a model of CatBoost is saved in its own format, whose ending is {_SUFFIX}")
    return str(path)

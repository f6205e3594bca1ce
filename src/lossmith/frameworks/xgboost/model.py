"""A model that XGBoost trained, with loss, start score and link in XGBoost's own file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost

from lossmith.core.loss import Loss
from lossmith.errors import ParameterError
from lossmith.frameworks.boosting import Head
from lossmith.frameworks.boosting.columns import refuse_no_numbers, refuse_other_width, refuse_others
from lossmith.frameworks.boosting.held import by_rows, numbers_of, refuse_no_table
from lossmith.frameworks.boosting.trained import Trained

Array = npt.NDArray[Any]

_ATTRIBUTE = "lossmith"
_HISTORY = "lossmith_history"
_ALSO = ("dictionary", "categorical", "enum")  # of Arrow, and of polars
_SUFFIXES = (".ubj", ".json")


@dataclass(frozen=True, repr=False)
class Model(Trained):
    """A trained model, with start score and link inside.

    Attributes:
        booster: XGBoost's own model: its ``predict`` gives raw predictions, start score included.
        head: loss, start score and link.
        history: mean loss on the validation rows after each round, when there were any.
    """

    booster: xgboost.Booster
    head: Head
    history: tuple[float, ...] = ()

    @property
    def rounds(self) -> int:
        """Number of rounds in use: the best number where training stopped early."""
        return int(self.booster.num_boosted_rounds())

    def predict_raw(self, X: Any) -> Array:
        """Return the raw prediction of each row; see ``Trained``.

        Raises:
            ShapeError: for another number of columns than in training.
            ParameterError: for a table whose columns lie in another order.
        """
        rows = as_features(X)
        if self.booster.feature_names:  # XGBoost itself looks at those of pandas alone
            refuse_others(rows, self.booster.feature_names, "XGBoost")
        refuse_other_width(rows, self.booster.num_features())
        found = self.booster.inplace_predict(rows, predict_type="margin")
        return np.asarray(found, np.float64)

    def importance(self) -> Array:
        """Return the total gain of each feature's splits."""
        gains = self.booster.get_score(importance_type="total_gain")
        names = self.booster.feature_names or [f"f{place}" for place in range(self.booster.num_features())]
        return np.array([gains.get(name, 0.0) for name in names], np.float64)

    def save(self, path: str | Path) -> None:
        """Write the model in XGBoost's own format, with loss, start score and link as an attribute.

        Args:
            path: ends in ``.ubj`` or ``.json``. XGBoost alone reads it too; its ``predict`` gives raw predictions.

        Raises:
            ParameterError: for another ending.
        """
        where = _checked(path)
        self.booster.set_attr(**{_ATTRIBUTE: self.head.to_json(), _HISTORY: json.dumps(self.history)})
        self.booster.save_model(where)

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
        where = _checked(path)
        where.stat()  # XGBoost would answer with its stack
        booster = xgboost.Booster(model_file=where)
        described = booster.attr(_ATTRIBUTE)
        if described is None:
            raise ParameterError(f"{path} holds a model of XGBoost, but no loss: it was not saved by lossmith.xgboost")
        return cls(booster, Head.from_json(described, loss), tuple(json.loads(booster.attr(_HISTORY) or "[]")))


def as_features(X: Any) -> Any:
    """Return features as XGBoost takes them: tables as they are, sparse matrices by rows, all else as an array.

    XGBoost reads numbers of another byte order as if they were of this machine's, and says nothing.

    Raises:
        KindError: for a data set, and for what holds no numbers.
    """
    refuse_no_table(X)
    if hasattr(X, "tocsr"):
        return by_rows(X)
    if hasattr(X, "iloc"):
        foreign = [place for place, kind in enumerate(X.dtypes) if isinstance(kind, np.dtype) and not kind.isnative]
        kinds = {X.columns[place]: X.dtypes.iloc[place].newbyteorder("=") for place in foreign}
        return X.astype(kinds) if foreign else X
    if hasattr(X, "dtypes") or hasattr(X, "column_names"):
        refuse_no_numbers(X, "XGBoost", _ALSO)
        return X
    found = numbers_of(X)
    return found.astype(found.dtype.newbyteorder("="), copy=False)


def first_rounds(booster: xgboost.Booster, rounds: int) -> xgboost.Booster:
    """Return the booster of its first rounds, at least one: a slice of none would be a slice of all."""
    return booster[:rounds] if rounds < booster.num_boosted_rounds() else booster


def _checked(path: str | Path) -> Path:
    where = Path(path)
    if where.suffix not in _SUFFIXES:
        raise ParameterError(f"{path}: XGBoost knows its formats by their ending, which is .ubj or .json")
    return where

"""Estimators of scikit-learn that train a booster with any loss: what those of all libraries share."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from lossmith.core.loss import Loss
from lossmith.core.mistakes import LossmithWarning
from lossmith.core.registry import parse
from lossmith.core.taken import told
from lossmith.errors import ParameterError
from lossmith.frameworks.boosting.held import Validation, by_name, rows_of, unmasked
from lossmith.frameworks.boosting.keywords import called, instead
from lossmith.frameworks.boosting.named import Names
from lossmith.frameworks.labels import (
    changed,
    counted,
    refuse_masked,
    refuse_no_labels,
    refuse_numbers,
    tells_probabilities,
)
from lossmith.frameworks.parameters import Nested
from lossmith.frameworks.sklearn.scoring import d2
from lossmith.structures.levels import Levels

Array = npt.NDArray[Any]
_TWO = 2
_OF_FIT = ("sample_weight", "eval_set", "callbacks")


def _answer(name: str, taken: Collection[str], given: tuple[Any, ...], _: Mapping[str, Any]) -> str:
    """Return what to write in the place of a keyword that ``fit`` does not have."""
    owner = given[0]
    settings = list(owner.get_params(deep=False))
    if known := called(name, taken):
        return f"it is called {known} here"
    if mine := called(name, settings):
        return f"it belongs to {type(owner).__name__}({mine}=...)"
    return instead(name, settings, owner.loss)


class Boosted(Nested):
    """An estimator of one library; a face gives its settings as arguments of ``__init__``, and these three.

    Besides those it has ``loss``, ``n_estimators``, ``hessian``, ``early_stopping_rounds``, ``categorical``, ``params``
    and ``random_state``.
    """

    names: ClassVar[Mapping[str, str]]
    """The library's own names of settings, by those of the estimator."""

    named: ClassVar[Names]
    """Further names that the library has for them."""

    train: ClassVar[Callable[..., Any]]
    """The library's ``train`` of Lossmith, as a static method."""

    @staticmethod
    def _instead(name: str, taken: Collection[str], loss: Any) -> str:
        if known := called(name, _OF_FIT):
            return f", and it belongs to fit(X, y, {known}=...)"
        return f", and {instead(name, taken, loss)}"

    def _fit(
        self,
        loss: Loss | str,
        X: Any,
        y: Array,
        weight: Any,
        eval_set: Validation | None,
        callbacks: Sequence[Any],
        classes: int | None = None,
    ) -> Self:
        if self.early_stopping_rounds is not None and eval_set is None:
            raise ParameterError(
                "early_stopping_rounds needs fit(X, y, eval_set=(X_held, y_held)): there is nothing to stop on without"
            )
        given = {theirs: getattr(self, ours) for ours, theirs in self.names.items() if getattr(self, ours) is not None}
        state = self.random_state
        seed = state.randint(2**31 - 1) if isinstance(state, np.random.RandomState) else state or 0
        self.model_ = type(self).train(
            loss,
            X,
            y,
            weight,
            rounds=self.n_estimators,
            params={**given, **self.named.read(self.params)},
            validation=eval_set,
            patience=self.early_stopping_rounds,
            categorical=self.categorical,
            seed=seed,
            hessian=self.hessian,
            classes=classes,
            callbacks=callbacks,
        )
        return self

    def _checked(self, X: Any, **more: Any) -> Any:
        """Return features, and targets when fitting; a data frame stays one."""
        framed = hasattr(X, "columns")
        if not framed:
            return validate_data(self, unmasked(X), accept_sparse="csr", ensure_all_finite=False, **more)
        validate_data(self, X, skip_check_array=True, reset=more.get("reset", True))
        return (X, column_or_1d(more["y"])) if "y" in more else X

    def _raw(self, X: Any) -> Array:
        check_is_fitted(self, "model_")
        found: Array = self.model_.predict_raw(self._checked(X, reset=False))
        return found

    @property
    def feature_importances_(self) -> Array:
        """The total gain of each feature's splits."""
        check_is_fitted(self, "model_")
        found = self.model_.importance()
        return found if found.size else np.zeros(self.n_features_in_)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.sparse = True
        return tags


class Numbers(RegressorMixin, Boosted):  # type: ignore[misc]
    """A regressor: ``predict`` returns values, rates or quantiles on the target's scale."""

    @told(_answer)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        eval_set: Validation | None = None,
        callbacks: Sequence[Any] = (),
    ) -> Self:
        """Train on features and targets.

        Args:
            X: features: an array, a data frame or a sparse matrix.
            y: targets, a number a row.
            sample_weight: weights of the rows.
            eval_set: features, targets and optionally weights that decide when to stop; or several, see ``train``.
            callbacks: those of the library.
        """
        refuse_masked(y=y)
        X, y = self._checked(X, y=y, y_numeric=True)
        return self._fit(self.loss or "squared_error", X, y, sample_weight, eval_set, callbacks)

    def predict(self, X: Any) -> Array:
        """Return the prediction of each row, of shape (n,), or (n, levels) of several quantiles."""
        raw = self._raw(X)
        found: Array = self.model_.head.predict(raw)
        return found

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R² as regressors do; of several quantiles D², the share of the best constants' cost that is gone.

        For the cost itself there is ``lossmith.sklearn.scorer``.

        Args:
            X: features.
            y: a target for each row.
            sample_weight: weights of the rows.

        Raises:
            ParameterError: where other numbers than values or quantiles are predicted together.
        """
        check_is_fitted(self, "model_")
        loss = self.model_.loss
        if loss.elementwise:
            return float(super().score(X, y, sample_weight))
        if not isinstance(loss, Levels):
            raise ParameterError(
                f"{loss} predicts several numbers for each target, of which there is no R²; judge the estimator by a "
                "function of your own that gives minus the cost, scoring=lambda model, X, y: ..."
            )
        return d2(loss, y, self.predict(X), sample_weight)


class Labels(ClassifierMixin, Boosted):  # type: ignore[misc]
    """A classifier of two classes, or of several by a loss over classes."""

    @told(_answer)
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        eval_set: Validation | None = None,
        callbacks: Sequence[Any] = (),
    ) -> Self:
        """Train on features and labels; arguments as of a regressor.

        Raises:
            ParameterError: for several classes and a loss of two, and for losses of numbers.
            DomainError, KindError: for labels that are missing, or of several kinds.
        """
        refuse_masked(y=y)
        refuse_no_labels(y)
        X, y = self._checked(X, y=y)
        check_classification_targets(y)
        sets = {} if eval_set is None else by_name(eval_set)
        chosen = None if self.loss is None else parse(self.loss)
        if chosen is not None:
            refuse_numbers(chosen, "Regressor")
            sets = {name: _kept(chosen, *rows) for name, rows in sets.items()}
            X, y, sample_weight = _kept(chosen, X, y, sample_weight)
            chosen, _ = counted(chosen, y)
        self.classes_, indices = np.unique(y, return_inverse=True)
        several = len(self.classes_) > _TWO
        loss = chosen or parse("sparse_categorical_cross_entropy" if several else "binary_cross_entropy")
        if several and loss.elementwise:
            raise ParameterError(
                f"{loss} is a loss of two classes, and y has {len(self.classes_)}; take one over classes, such as "
                "'sparse_categorical_cross_entropy' or 'softmax_focal'"
            )
        if eval_set is not None:
            eval_set = {name: (rows[0], self._indices(rows[1]), *rows[2:]) for name, rows in sets.items()}
        classes = None if loss.elementwise else max(len(self.classes_), _TWO)
        loss = changed(loss, labels="binary", targets="indices")
        return self._fit(loss, X, indices, sample_weight, eval_set, callbacks, classes)

    def _indices(self, y: Any) -> Array:
        labels = column_or_1d(y)
        found = np.searchsorted(self.classes_, labels).clip(0, len(self.classes_) - 1)
        if not np.all(self.classes_[found] == labels):
            raise ParameterError(f"eval_set holds labels that y does not; y has {list(self.classes_)}")
        return np.asarray(found)

    @available_if(lambda model: model.loss is None or tells_probabilities(model.loss))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, of shape (n, classes), in the order of ``classes_``.

        What the loss does to probabilities, as focus and weights of classes do, is undone; see ``Loss.to_probability``.
        It is there where the loss tells any, which those of margins do not.
        """
        raw = self._raw(X)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", LossmithWarning)  # logits are known to be some, wherever they lie
            found = self.model_.loss.to_probability(raw)
        return np.column_stack([1 - found, found]) if found.ndim == 1 else found

    def decision_function(self, X: Any) -> Array:
        """Return raw scores: of two classes a number a row, above 0 for the second; of more a score for each."""
        return self._raw(X)

    def predict(self, X: Any) -> Array:
        """Return the label with the highest score of each row."""
        raw = self._raw(X)
        best = (raw > 0).astype(np.intp) if raw.ndim == 1 else raw.argmax(axis=1)
        labels: Array = self.classes_[best]
        return labels


def _kept(loss: Loss, X: Any, y: Any, weight: Any = None) -> tuple[Any, Any, Any]:
    """Return features, labels and weights without the rows that the loss ignores."""
    _, rows = counted(loss, column_or_1d(y))
    return (X, y, weight) if rows is None else (rows_of(X, rows), rows_of(y, rows), rows_of(weight, rows))

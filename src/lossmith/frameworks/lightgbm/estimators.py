"""Estimators of scikit-learn that train LightGBM with any loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from lossmith.core.loss import Loss
from lossmith.core.registry import parse
from lossmith.errors import ParameterError
from lossmith.frameworks.boosting import Kind
from lossmith.frameworks.lightgbm.model import Model
from lossmith.frameworks.lightgbm.training import Rows, train

Array = npt.NDArray[Any]

_NAMES = {
    "learning_rate": "learning_rate",
    "num_leaves": "num_leaves",
    "max_depth": "max_depth",
    "min_child_samples": "min_data_in_leaf",
    "subsample": "bagging_fraction",
    "subsample_freq": "bagging_freq",
    "colsample_bytree": "feature_fraction",
    "reg_alpha": "lambda_l1",
    "reg_lambda": "lambda_l2",
    "n_jobs": "num_threads",
}
"""LightGBM's own names of settings, by those that its estimators have."""


class _Boosted(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """What both estimators share."""

    def __init__(
        self,
        loss: Loss | str | None = None,
        *,
        n_estimators: int = 100,
        learning_rate: float = 0.1,
        num_leaves: int = 31,
        max_depth: int = -1,
        min_child_samples: int = 20,
        subsample: float = 1.0,
        subsample_freq: int = 0,
        colsample_bytree: float = 1.0,
        reg_alpha: float = 0.0,
        reg_lambda: float = 0.0,
        hessian: Kind = "floor",
        early_stopping_rounds: int | None = None,
        categorical: Sequence[int] | Sequence[str] = (),
        params: Mapping[str, Any] | None = None,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.loss = loss
        self.n_estimators = n_estimators
        self.learning_rate = learning_rate
        self.num_leaves = num_leaves
        self.max_depth = max_depth
        self.min_child_samples = min_child_samples
        self.subsample = subsample
        self.subsample_freq = subsample_freq
        self.colsample_bytree = colsample_bytree
        self.reg_alpha = reg_alpha
        self.reg_lambda = reg_lambda
        self.hessian = hessian
        self.early_stopping_rounds = early_stopping_rounds
        self.categorical = categorical
        self.params = params
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _fit(
        self,
        loss: Loss | str,
        X: Any,
        y: Array,
        weight: Any,
        eval_set: Rows | None,
        callbacks: Sequence[Callable[..., Any]],
        classes: int | None = None,
    ) -> Self:
        given = {theirs: getattr(self, ours) for ours, theirs in _NAMES.items() if getattr(self, ours) is not None}
        state = self.random_state
        seed = state.randint(2**31 - 1) if isinstance(state, np.random.RandomState) else state or 0
        self.model_: Model = train(
            loss,
            X,
            y,
            weight,
            rounds=self.n_estimators,
            params={**given, **(self.params or {})},
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
            return validate_data(self, X, accept_sparse="csr", ensure_all_finite=False, **more)
        validate_data(self, X, skip_check_array=True, reset=more.get("reset", True))
        return (X, column_or_1d(more["y"])) if "y" in more else X

    def _raw(self, X: Any) -> Array:
        check_is_fitted(self, "model_")
        return self.model_.predict_raw(self._checked(X, reset=False))

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


_SHARED = """
    Args:
        loss: a loss, or its name with parameters; see above for the default.
        n_estimators: number of rounds, at most.
        learning_rate, num_leaves, max_depth, min_child_samples, subsample, subsample_freq, colsample_bytree, reg_alpha,
            reg_lambda, n_jobs: as in ``lightgbm.LGBMModel``.
        hessian: which second derivative leaves are divided by: ``floor``, ``exact``, ``upper_bound``, ``gauss_newton``.
        early_stopping_rounds: stop after that many rounds without a better mean loss on ``eval_set`` of ``fit``.
        categorical: indexes or names of columns that hold category codes.
        params: further settings of LightGBM, by its own names.
        random_state: seed of LightGBM's random numbers.

    Attributes:
        model_: the ``Model``, with start score and link inside; ``model_.save(path)`` writes it.
        n_features_in_, feature_names_in_: number of features, and their names, of a data frame.
"""


class Regressor(RegressorMixin, _Boosted):  # type: ignore[misc]
    """LightGBM trained with any loss of numbers; ``predict`` returns values, rates or quantiles on the target's scale.

    ::

        Regressor("quantile(level=0.9)", n_estimators=300).fit(X, y).predict(X_new)

    The default loss is the squared error.
    """

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        eval_set: Rows | None = None,
        callbacks: Sequence[Callable[..., Any]] = (),
    ) -> Self:
        """Train on features and targets.

        Args:
            X: features: an array, a data frame or a sparse matrix.
            y: targets, a number a row.
            sample_weight: weights of the rows.
            eval_set: features, targets and optionally weights that decide when to stop.
            callbacks: LightGBM's.
        """
        X, y = self._checked(X, y=y, y_numeric=True)
        return self._fit(self.loss or "squared_error", X, y, sample_weight, eval_set, callbacks)

    def predict(self, X: Any) -> Array:
        """Return the prediction of each row, of shape (n,), or (n, levels) of several quantiles."""
        raw = self._raw(X)
        return self.model_.head.predict(raw)


class Classifier(ClassifierMixin, _Boosted):  # type: ignore[misc]
    """LightGBM trained with any loss of labels: of two classes, or of several by a loss over classes.

    ::

        Classifier("focal(gamma=1.5)").fit(X, labels).predict_proba(X_new)

    The default loss is binary cross-entropy of two classes and categorical cross-entropy of more.

    Attributes besides: ``classes_``, the labels in ascending order, which is that of columns of probabilities.
    """

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        eval_set: Rows | None = None,
        callbacks: Sequence[Callable[..., Any]] = (),
    ) -> Self:
        """Train on features and labels; arguments as in ``Regressor.fit``.

        Raises:
            ParameterError: for several classes and a loss of two.
        """
        X, y = self._checked(X, y=y)
        check_classification_targets(y)
        self.classes_, indices = np.unique(y, return_inverse=True)
        several = len(self.classes_) > _TWO
        loss = parse(self.loss or ("sparse_categorical_cross_entropy" if several else "binary_cross_entropy"))
        if several and loss.elementwise:
            raise ParameterError(
                f"{loss} is a loss of two classes, and y has {len(self.classes_)}; take one over classes, such as "
                "'sparse_categorical_cross_entropy' or 'softmax_focal'"
            )
        if eval_set is not None:
            eval_set = (eval_set[0], self._indices(eval_set[1]), *eval_set[2:])
        classes = None if loss.elementwise else max(len(self.classes_), _TWO)
        return self._fit(_with_labels(loss), X, indices, sample_weight, eval_set, callbacks, classes)

    def _indices(self, y: Any) -> Array:
        labels = column_or_1d(y)
        found = np.searchsorted(self.classes_, labels).clip(0, len(self.classes_) - 1)
        if not np.all(self.classes_[found] == labels):
            raise ParameterError(f"eval_set holds labels that y does not; y has {list(self.classes_)}")
        return np.asarray(found)

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, of shape (n, classes), in the order of ``classes_``.

        Raises:
            ParameterError: where the loss gives scores, as those of margins do.
        """
        raw = self._raw(X)
        loss = self.model_.loss
        if loss.elementwise and loss.link.name == "logistic":
            positive = self.model_.head.predict(raw)
            return np.column_stack([1 - positive, positive])
        if loss.card.activation != "softmax":
            raise ParameterError(f"{loss} gives scores, not probabilities; use decision_function")
        return self.model_.head.predict(raw)

    def decision_function(self, X: Any) -> Array:
        """Return raw scores: of two classes a number a row, above 0 for the second; of more a score for each."""
        return self._raw(X)

    def predict(self, X: Any) -> Array:
        """Return the label with the highest score of each row."""
        raw = self._raw(X)
        best = (raw > 0).astype(np.intp) if raw.ndim == 1 else raw.argmax(axis=1)
        labels: Array = self.classes_[best]
        return labels


for _estimator in (Regressor, Classifier):
    _estimator.__doc__ = f"{_estimator.__doc__}{_SHARED}"

_TWO = 2


def _with_labels(loss: Loss) -> Loss:
    """Return a loss that takes labels 0 and 1, or class indices."""
    changes = {"labels": "binary", "targets": "indices"}
    return loss.replace(**{name: value for name, value in changes.items() if name in loss.values})

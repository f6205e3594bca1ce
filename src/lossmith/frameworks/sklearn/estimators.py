"""Linear models as scikit-learn estimators, fitted by any loss of one prediction, or of one row of them."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from lossmith.core.loss import Loss
from lossmith.core.registry import parse, with_parameter
from lossmith.core.taken import all_of, told
from lossmith.errors import DomainError, ParameterError, did_you_mean, plural
from lossmith.frameworks.labels import (
    CLASSES,
    counted,
    refuse_masked,
    refuse_no_labels,
    refuse_numbers,
    tells_probabilities,
)
from lossmith.frameworks.parameters import Nested
from lossmith.frameworks.sklearn.fitting import Fit, Settings, fit
from lossmith.frameworks.sklearn.scoring import d2
from lossmith.regularizers import L1, L2, ElasticNet, Regularizer

Array = npt.NDArray[Any]

_PENALTIES = {"l1": L1, "l2": L2, "elasticnet": ElasticNet}
_STRENGTHS = ("alpha", "C", "reg_lambda", "l1_ratio", "lambda_")
_SEVERAL = "multi_quantile"


def penalties(penalty: Regularizer | str | None, strength: float | None) -> tuple[float, float]:
    """Return what absolute values and squares of slopes are multiplied by.

    Raises:
        ParameterError: for an unknown penalty, or a strength of none.
    """
    if penalty is None:
        if strength is not None:
            raise ParameterError(f"strength={strength!r} is that of a penalty, but penalty is None; take penalty='l2'")
        return 0.0, 0.0
    if isinstance(penalty, str):
        if penalty not in _PENALTIES:
            raise ParameterError(
                f"penalty={penalty!r} is not known; it is None, 'l1', 'l2', 'elasticnet' or a regulariser such as "
                f"L2(0.1).{did_you_mean(penalty, _PENALTIES)}"
            )
        kind: Any = _PENALTIES[penalty]
        penalty = kind()
    if not isinstance(penalty, L1 | L2 | ElasticNet):
        raise ParameterError(f"penalty={penalty!r} is not known; it is L1, L2 or ElasticNet of lossmith")
    known: Any = penalty if strength is None else penalty.replace(strength=strength)
    share = known.l1_share if isinstance(known, ElasticNet) else float(isinstance(known, L1))
    return known.strength * share, known.strength * (1 - share)


class _Linear(Nested):
    """What both models share."""

    def __init__(
        self,
        loss: Loss | str,
        penalty: Regularizer | str | None = None,
        *,
        strength: float | None = None,
        fit_intercept: bool = True,
        tol: float = 1e-10,
        max_iter: int = 1000,
    ) -> None:
        self.loss = loss
        self.penalty = penalty
        self.strength = strength
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    @staticmethod
    def _instead(name: str, taken: Collection[str], loss: Any) -> str:
        if name in _STRENGTHS and not with_parameter(loss, name):
            return "; how strong a penalty is, is strength=, beside penalty='l1', 'l2' or 'elasticnet'"
        return Nested._instead(name, taken, loss)

    def _settings(self) -> Settings:
        if not self.tol > 0:
            raise ParameterError(f"tol={self.tol!r}: it must be above 0")
        if self.max_iter < 1:
            raise ParameterError(f"max_iter={self.max_iter!r}: it must be at least 1")
        return Settings(
            *penalties(self.penalty, self.strength), self.fit_intercept, float(self.tol), int(self.max_iter)
        )

    def _read(self, X: Any, y: Any, sample_weight: Any, **options: Any) -> tuple[Any, Any, Array]:
        refuse_masked(X=X, y=y, sample_weight=sample_weight)
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=np.float64, **options)
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if not weight.sum() > 0:
            raise DomainError("sample_weight is zero for every row, so there is nothing to fit")
        return X, y, weight

    def _keep(self, fits: list[Fit]) -> None:
        self.n_iter_ = max(1, *(found.steps for found in fits))
        self.dual_gap_ = max(found.gap for found in fits)
        if not all(found.converged for found in fits):
            warnings.warn(
                f"{self.loss_}: the fit stopped after {plural(self.n_iter_, 'step')} before gradient and duality gap "
                f"were within tol={self.tol:g}; raise max_iter, add a penalty, or take a larger tol"
                + ("" if self.loss_.card.traits.convex else ". This loss may not be convex, which makes it hard"),
                ConvergenceWarning,
                stacklevel=4,
            )

    def _raw(self, X: Any) -> Array:
        check_is_fitted(self)
        refuse_masked(X=X)
        X = validate_data(self, X, accept_sparse="csr", dtype=np.float64, reset=False)
        return np.asarray(X @ self.coef_.T + self.intercept_)


class LinearRegressor(RegressorMixin, _Linear):  # type: ignore[misc]
    """A linear model of a number, fitted by any loss of a target and a prediction.

    It minimises Σ w loss(y, f) / Σ w + penalty(coef), where f = X @ coef + intercept is the raw prediction: the
    logarithm of a rate where the loss has a log link. Smooth losses are minimised by SciPy's trust region with exact
    gradients and products of the exact Hessian; losses with kinks and L1 penalties by the method of multipliers, to a
    duality gap. The fit starts from the best constant; losses that are not convex give one of their minima.

    Args:
        loss: a loss or its text, such as ``"quantile(level=0.9)"``; a formula of your own.
        penalty: of the slopes, not of the intercept: ``None`` (default), ``"l1"``, ``"l2"``, ``"elasticnet"``, or
            ``lossmith.L1``, ``L2`` or ``ElasticNet``. Its factors are those of ``lossmith``: ``L2(s)`` is s Σ coef², so
            ``Ridge(alpha)`` is ``squared_error`` with s = alpha / n, and ``PoissonRegressor(alpha)`` ``poisson`` with
            alpha / 2.
        strength: of the penalty, in the place of its own.
        fit_intercept: whether there is an intercept.
        tol: how small the gradient must get, relative to the slopes of the losses at the start, and the duality gap,
            relative to the size of the cost there.
        max_iter: Newton steps at most.

    Attributes:
        coef_: (columns,), or (levels, columns) for several quantiles, ``"multi_quantile"``.
        intercept_: a number, or (levels,).
        loss_: the loss on raw predictions.
        n_iter_: Newton steps taken.
        dual_gap_: for losses with kinks, or bends as narrow as kinks beside the targets, and L1 penalties, how far a
            convex cost can lie above its minimum; else NaN.
        n_features_in_, feature_names_in_: of the table.
    """

    def __init__(
        self,
        loss: Loss | str = "squared_error",
        penalty: Regularizer | str | None = None,
        *,
        strength: float | None = None,
        fit_intercept: bool = True,
        tol: float = 1e-10,
        max_iter: int = 1000,
    ) -> None:
        super().__init__(loss, penalty, strength=strength, fit_intercept=fit_intercept, tol=tol, max_iter=max_iter)

    @told(all_of(lambda name, _: "It is called sample_weight here" if name in ("weight", "weights") else ""))
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model.

        Args:
            X: rows by columns, dense or sparse.
            y: a target for each row.
            sample_weight: weights of the rows.

        Raises:
            ParameterError: for a loss that a line cannot be fitted by, or an unknown penalty.
            DomainError: for targets outside the domain of the loss.
        """
        settings, loss = self._settings(), parse(self.loss).raw_form
        levels = loss.values["levels"] if loss.name == _SEVERAL and loss.values["prediction"] == "quantiles" else ()
        if (not loss.elementwise and not levels) or loss.card.task in CLASSES:
            mend = "use LinearClassifier" if loss.card.task in CLASSES else "take a loss of y_true and y_pred"
            raise ParameterError(f"{loss} cannot be fitted to numbers by a line of one number a row; {mend}")
        X, y, weight = self._read(X, y, sample_weight, y_numeric=True)
        y = np.asarray(y, dtype=np.float64)
        self.loss_ = loss
        if levels:  # their mean is least where each is
            shared = replace(settings, l1=settings.l1 * len(levels), l2=settings.l2 * len(levels))
            fits = [fit(parse(f"quantile(level={level!r})"), X, y, weight, shared) for level in levels]
        else:
            fits = [fit(loss, X, y, weight, settings)]
        slopes = np.concatenate([found.slopes for found in fits])
        intercepts = np.concatenate([found.intercepts for found in fits])
        self.coef_ = slopes if levels else slopes[0]
        self.intercept_: Any = intercepts if levels else float(intercepts[0])
        self._keep(fits)
        return self

    def predict_raw(self, X: Any) -> Array:
        """Return the raw prediction of each row, before the inverse link."""
        return self._raw(X)

    def predict(self, X: Any) -> Array:
        """Return the prediction of each row on the scale of the target; several quantiles in ascending order."""
        raw = self.predict_raw(X)
        raw = raw if raw.ndim == 1 else np.sort(raw, axis=1)  # lines cross; sorted they are nearer to the truth
        return self.loss_.link.inverse(raw)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return R² as regressors do; of several quantiles D², the share of the best constants' cost that is gone.

        Both are 1 for the best predictions that there could be and 0 for the best constant, of squared error and of the
        loss. For the cost itself there is ``lossmith.sklearn.scorer``.

        Args:
            X: rows by columns.
            y: a target for each row.
            sample_weight: weights of the rows.
        """
        check_is_fitted(self)
        if self.loss_.elementwise:
            return float(super().score(X, y, sample_weight))
        return d2(self.loss_, y, self.predict(X), sample_weight)


class LinearClassifier(ClassifierMixin, _Linear):  # type: ignore[misc]
    """A linear classifier, fitted by any loss of labels (one against the rest, for more than two) or of classes.

    It minimises what ``LinearRegressor`` minimises, in the same ways; ``LogisticRegression(C)`` is the default loss
    with ``penalty=L2(1 / (2 * C * n))``. ``predict`` decides by the raw prediction, as the loss would have it;
    ``predict_proba`` repairs what the loss does to probabilities, see ``Loss.to_probability``, and is there where the
    loss tells any.

    Args:
        loss: a binary or categorical loss or its text; by default binary cross-entropy.
        penalty, strength, fit_intercept, tol, max_iter: see ``LinearRegressor``.

    Attributes:
        classes_: the classes, in order.
        coef_: (1, columns) for two classes, else (classes, columns).
        intercept_: (1,) or (classes,).
        loss_, n_iter_, dual_gap_, n_features_in_, feature_names_in_: see ``LinearRegressor``.
    """

    def __init__(
        self,
        loss: Loss | str = "binary_cross_entropy",
        penalty: Regularizer | str | None = None,
        *,
        strength: float | None = None,
        fit_intercept: bool = True,
        tol: float = 1e-10,
        max_iter: int = 1000,
    ) -> None:
        super().__init__(loss, penalty, strength=strength, fit_intercept=fit_intercept, tol=tol, max_iter=max_iter)

    @told(all_of(lambda name, _: "It is called sample_weight here" if name in ("weight", "weights") else ""))
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit the model.

        Args:
            X: rows by columns, dense or sparse.
            y: a class for each row, of any kind.
            sample_weight: weights of the rows.

        Raises:
            ParameterError: for a loss of other targets, or an unknown penalty.
            DomainError: for rows of one class only, and labels that are missing.
            KindError: for labels of several kinds.
        """
        settings, loss = self._settings(), parse(self.loss).raw_form
        refuse_numbers(loss, "LinearRegressor")
        refuse_no_labels(y)
        X, y, weight = self._read(X, y, sample_weight)
        check_classification_targets(y)
        loss, rows = counted(loss, y)
        if rows is not None:
            X, y, weight = X[rows], y[rows], weight[rows]
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(np.unique(codes[weight > 0])) < len(self.classes_) or len(self.classes_) == 1:
            raise DomainError("labels of one class say nothing to fit, and every class needs a row with weight")
        self.loss_ = loss
        fits = (self._one_each if loss.elementwise else self._together)(X, codes, weight, settings)
        self._keep(fits)
        self.coef_ = np.concatenate([found.slopes for found in fits])
        self.intercept_ = np.concatenate([found.intercepts for found in fits])
        if not loss.elementwise and len(self.classes_) == 2:  # only the difference counts
            self.coef_, self.intercept_ = np.diff(self.coef_, axis=0), np.diff(self.intercept_)
        return self

    def _one_each(self, X: Any, codes: Array, weight: Array, settings: Settings) -> list[Fit]:
        positives = range(1, 2) if len(self.classes_) == 2 else range(len(self.classes_))
        no = -1.0 if self.loss_.domains["y"].low == -1 else 0.0
        return [fit(self.loss_, X, np.where(codes == place, 1.0, no), weight, settings) for place in positives]

    def _together(self, X: Any, codes: Array, weight: Array, settings: Settings) -> list[Fit]:
        classes = len(self.classes_)
        targets = codes if self.loss_.class_indices else np.eye(classes)[codes]
        return [fit(self.loss_, X, targets, weight, settings, classes)]

    def decision_function(self, X: Any) -> Array:
        """Return raw predictions: (rows,) for two classes, positive for the second, else (rows, classes)."""
        raw = self._raw(X)
        return raw[:, 0] if raw.shape[1] == 1 else raw

    def predict(self, X: Any) -> Array:
        """Return the class of each row by its raw prediction."""
        raw = self.decision_function(X)
        return np.asarray(self.classes_[(raw > 0).astype(int) if raw.ndim == 1 else raw.argmax(axis=1)])

    @available_if(lambda model: tells_probabilities(model.loss))  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, (rows, classes), what the loss does to probabilities undone."""
        raw = self.decision_function(X)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # logits are known to be some, wherever they lie
            if not self.loss_.elementwise:
                return self.loss_.to_probability(np.stack([-raw / 2, raw / 2], axis=-1) if raw.ndim == 1 else raw)
            found = self.loss_.to_probability(raw)
        if raw.ndim == 1:
            return np.stack([1 - found, found], axis=-1)
        total = found.sum(axis=1, keepdims=True)
        return np.where(total > 0, found / np.where(total > 0, total, 1.0), 1 / found.shape[1])


def linear_model(
    loss: Loss | str, penalty: Regularizer | str | None = None, **settings: Any
) -> LinearRegressor | LinearClassifier:
    """Return the linear model that a loss is for: a classifier for labels and classes, else a regressor.

    ``make_pipeline`` names its step by the class, ``linearregressor`` or ``linearclassifier``. Searches reach the
    parameters of a loss or penalty as ``loss__delta`` and ``penalty__strength``.

    Args:
        loss: a loss or its text.
        penalty: see ``LinearRegressor``.
        settings: further ones of it.
    """
    known = parse(loss)
    kind = LinearClassifier if known.card.task in CLASSES else LinearRegressor
    return kind(loss, penalty, **settings)

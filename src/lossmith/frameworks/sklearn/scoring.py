"""Losses as scikit-learn scorers and metrics."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.utils.metadata_routing import UNUSED, _MetadataRequester

from lossmith.core.loss import Loss
from lossmith.core.mistakes import LossmithWarning
from lossmith.core.registry import parse
from lossmith.errors import DomainError, ParameterError, ShapeError
from lossmith.frameworks.labels import CLASSES, counted
from lossmith.structures.composite import Sum
from lossmith.structures.levels import Levels

Array = npt.NDArray[Any]
Response = Literal["auto", "predict", "predict_proba", "decision_function"]

_RESPONSES = ("auto", "predict", "predict_proba", "decision_function")


def on_scale(loss: Loss) -> Loss | None:
    """Return the loss declared on predictions of the target's scale, or ``None`` where it cannot be declared so."""
    if isinstance(loss, Sum):
        terms = [(weight, on_scale(term)) for weight, term in loss.parts]
        known = [(weight, term) for weight, term in terms if term is not None]
        return Sum(known) if len(known) == len(terms) else None
    if isinstance(loss, Levels):
        return loss.replace(prediction="quantiles")
    option = loss._options.get("prediction")
    if option is not None and len(option.choices) > 1:
        return loss if loss.values["prediction"] != option.choices[0] else loss.replace(prediction=option.choices[1])
    return loss if loss.link.name == "identity" and loss.card.task not in CLASSES else None


def takes_scale(loss: Loss) -> bool:
    """Return whether predictions of the target's scale can be brought to the loss."""
    return loss.link.name != "identity" or on_scale(loss) is not None


class Metric:
    """The cost of predictions on the target's scale: values, rates, probabilities. Lower is better.

    Args:
        loss: of a target and a prediction.
    """

    def __init__(self, loss: Loss) -> None:
        self.loss = _paired(loss)
        self.__name__ = loss.name

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        """Return the weighted mean loss.

        Args:
            y_true: targets; class indices for losses over classes.
            y_pred: what ``predict`` gives, or the probability of the positive class, or of each class.
            sample_weight: weights of the rows.
        """
        return _cost(self.loss, y_true, np.asarray(y_pred), sample_weight, scaled=True)

    def __repr__(self) -> str:
        return f"metric({self.loss!r})"


class Scorer(_MetadataRequester):  # type: ignore[misc]  # scikit-learn has no types
    """Minus the cost of an estimator's predictions, as scikit-learn asks for it. Greater is better.

    Args:
        loss: of a target and a prediction.
        response: what the estimator is asked for, see ``scorer``.
    """

    __metadata_request__score = {"estimator": UNUSED}  # noqa: RUF012  # as scikit-learn looks for it

    def __init__(self, loss: Loss, response: Response = "auto") -> None:
        if response not in _RESPONSES:
            raise ParameterError(f"response={response!r} is not known; it is one of {', '.join(_RESPONSES)}")
        self.loss, self.response = _paired(loss), response

    def __call__(self, estimator: Any, X: Any, y_true: Any, sample_weight: Any = None) -> float:
        """Return the score; see ``score``."""
        return self.score(estimator, X, y_true, sample_weight)

    def score(self, estimator: Any, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return minus the weighted mean loss of a fitted estimator.

        Args:
            estimator: what is judged.
            X: its features.
            y: targets, or labels as the estimator knows them.
            sample_weight: weights of the rows.
        """
        method = self._method(estimator)
        answer = np.asarray(getattr(estimator, method)(X))
        loss, labels = self.loss, y
        classes = getattr(estimator, "classes_", None)
        if classes is not None and self.loss.card.task in CLASSES:
            labels = np.asarray(y)
            loss, rows = counted(self.loss, labels)
            if rows is not None:
                labels, answer = labels[rows], answer[rows]
                sample_weight = None if sample_weight is None else np.asarray(sample_weight)[rows]
            labels = self._codes(estimator, classes, labels)
        if self.loss.elementwise and answer.ndim > 1 and answer.shape != np.shape(labels):
            answer = self._one(estimator, answer)
        if self.loss.card.task in CLASSES and not self.loss.elementwise and answer.ndim == 1:
            answer = np.stack([-answer / 2, answer / 2], axis=-1)
        return -_cost(loss, labels, answer, sample_weight, scaled=method != "decision_function")

    def _method(self, estimator: Any) -> str:
        if self.response != "auto":
            return self.response
        if self.loss.card.task not in CLASSES:
            return "predict"
        if takes_scale(self.loss) and hasattr(estimator, "predict_proba"):
            return "predict_proba"
        if hasattr(estimator, "decision_function"):
            return "decision_function"
        wanted = "probabilities" if takes_scale(self.loss) else "raw predictions (decision_function)"
        raise ParameterError(f"{self} judges {wanted}, and {type(estimator).__name__} gives none")

    def _one(self, estimator: Any, answer: Array) -> Array:
        """Return the column of answers that a loss of one number a row judges: of two classes the second."""
        columns = answer.shape[1:]
        if columns == (1,):
            return answer[:, 0]
        if columns == (2,) and len(getattr(estimator, "classes_", ())) == 2:
            return answer[:, 1]
        raise ShapeError(
            f"{self} judges one number for each target, and answers of {type(estimator).__name__} have shape "
            f"{answer.shape}; judge a column by lossmith.sklearn.metric, or quantiles by scorer('multi_quantile(...)')"
        )

    def _codes(self, estimator: Any, classes: Any, y: Array) -> Array:
        """Return labels as the loss takes them, by the order of the estimator's classes."""
        codes = np.searchsorted(classes, y).clip(0, len(classes) - 1)
        strange = np.asarray(classes)[codes] != y
        if strange.any():
            raise DomainError(f"{self}: {type(estimator).__name__} has never seen the class {y[strange][0]!r}")
        if self.loss.elementwise:
            if len(classes) != 2:
                raise DomainError(f"{self} judges two classes, and {type(estimator).__name__} knows {len(classes)}")
            return 2 * codes - 1 if self.loss.domains["y"].low == -1 else codes
        return codes if self.loss.class_indices else np.eye(len(classes))[codes]

    def _accept_sample_weight(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"scorer({self.loss!r}{'' if self.response == 'auto' else f', response={self.response!r}'})"


def metric(loss: Loss | str) -> Metric:
    """Return a loss as a metric ``(y_true, y_pred, sample_weight=None) -> cost`` of predictions on the target's scale.

    For ``make_scorer(metric(loss), greater_is_better=False)``, ``eval_metric=`` of XGBoost's estimators and the like.

    Args:
        loss: a loss of a target and a prediction, or its text.
    """
    return Metric(parse(loss))


def scorer(loss: Loss | str, *, response: Response = "auto") -> Scorer:
    """Return a loss as a scorer for ``cross_val_score``, ``GridSearchCV`` and ``cross_validate``: minus the cost.

    What the estimator is asked for follows from the loss: values, rates and quantiles from ``predict``; of labels and
    classes probabilities from ``predict_proba`` where the loss takes those, repaired ones if that is what the estimator
    gives, else ``decision_function``. Whether the loss was declared on logits or probabilities, on a rate or its
    logarithm, does not matter. Weights come by metadata routing:
    ``scorer(loss).set_score_request(sample_weight=True)``.

    Args:
        loss: a loss of a target and a prediction, or its text.
        response: ``auto`` (default), or the method to call, whose answers are raw predictions for
            ``decision_function``, else on the target's scale.
    """
    return Scorer(parse(loss), response)


def d2(loss: Loss, y: Any, quantiles: Array, weight: Any = None) -> float:
    """Return D² of quantiles in a row for each target: the share of the best constants' cost that is gone."""
    known = loss.replace(prediction="quantiles")
    y = np.asarray(y, dtype=np.float64)
    cost = float(known.cost(y, quantiles, weight))
    share = known.context(y, weight).share(cost)
    return float(cost == 0) if share is None else share  # a constant target, as r2_score has it


def _paired(loss: Loss) -> Loss:
    if not loss.paired or not (loss.elementwise or loss.card.task in CLASSES or isinstance(loss, Levels)):
        names = ", ".join(item.name for item in loss.inputs)
        raise ParameterError(f"{loss} cannot judge an estimator: it needs {names}, more than one prediction a target")
    return loss


def _cost(loss: Loss, y: Any, answer: Array, weight: Any, *, scaled: bool) -> float:
    """Return the cost of answers on the target's scale, or of raw ones."""
    form = loss.raw_form
    if scaled:
        if not takes_scale(loss):
            raise ParameterError(f"{loss} takes raw predictions alone; probabilities say nothing to it")
        known = on_scale(loss)
        form, answer = (form, loss.link.forward(answer)) if known is None else (known, answer)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LossmithWarning)  # what the answers are is known
        return float(form.cost(y, answer, weight=weight))

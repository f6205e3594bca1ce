"""Metrics: one number that says how good predictions are, for judging and never for training.

A metric reads predictions on the target's scale: a plain number, a rate, or the probability of the positive class.
Where a loss of the catalogue says the same, the metric is its cost, and any other loss is a metric as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from lossmith.errors import DomainError, EmptyError, MissingDependencyError, ParameterError, ShapeError, did_you_mean

if TYPE_CHECKING:
    from lossmith.core.loss import Loss

Numbers = npt.NDArray[np.float64]
Kind = Literal["regression", "binary"]
Function = Callable[[Numbers, Numbers, Numbers | None], float]


@dataclass(frozen=True)
class Metric:
    """A way to judge predictions; call it with truth and predictions.

    Attributes:
        name: What ``get`` finds it by, such as ``"rmse"`` or ``"pinball:0.9"``.
        title: Its name in reports.
        kind: ``"regression"``, or ``"binary"`` for labels 0 and 1 and probabilities.
        greater_is_better: Whether a larger value is the better one.
        function: ``(y_true, prediction, weight) -> float`` on checked float64 arrays; ``weight`` may be ``None``.
    """

    name: str
    title: str
    kind: Kind
    greater_is_better: bool
    function: Function

    def __call__(self, y_true: npt.ArrayLike, prediction: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
        """Return the metric.

        Args:
            y_true: The truth, one-dimensional; labels are 0 and 1.
            prediction: Predictions on the scale of the truth; a probability for a binary metric.
            weight: Weights of the rows, at least 0; each row counts 1 by default.

        Returns:
            NaN where the data leave it undefined, such as the area under the curve of a single class.

        Raises:
            ShapeError: The arrays are not one-dimensional and of one length.
            DomainError: A value outside the metric's domain; the row is named.
            EmptyError: No rows, or no row with weight.
        """
        y, p = np.asarray(y_true, dtype=np.float64), np.asarray(prediction, dtype=np.float64)
        w = None if weight is None else np.asarray(weight, dtype=np.float64)
        if y.ndim != 1 or p.shape != y.shape or (w is not None and w.shape != y.shape):
            shapes = f"{y.shape} and {p.shape}" + ("" if w is None else f", weights {w.shape}")
            raise ShapeError(f"{self.name} needs one-dimensional arrays of one length, got {shapes}.")
        if w is not None:
            self._refuse(~((w >= 0) & np.isfinite(w)), "weight", w, "finite and at least 0")
        if not (y.size if w is None else w.any()):
            raise EmptyError(f"{self.name} of no rows with weight is not defined.")
        self._refuse(~np.isfinite(y), "y_true", y, "finite")
        self._refuse(~np.isfinite(p), "prediction", p, "finite")
        if self.kind == "binary":
            self._refuse((y != 0) & (y != 1), "y_true", y, "0 or 1")
            self._refuse((p < 0) | (p > 1), "prediction", p, "a probability, from 0 to 1")
        elif self.name == "mape":
            self._refuse(y == 0, "y_true", y, "different from 0, since the error is taken relative to it")
        return float(self.function(y, p, w))

    def _refuse(self, wrong: npt.NDArray[np.bool_], label: str, values: Numbers, wanted: str) -> None:
        if wrong.any():
            row = int(np.argmax(wrong))
            raise DomainError(f"{self.name}: {label} must be {wanted}, but {label}[{row}] is {values[row]:g}.")

    def __repr__(self) -> str:
        return f"Metric({self.name!r})"


def names() -> tuple[str, ...]:
    """Return the names of the metrics; ``pinball:LEVEL`` stands for any level. Losses are metrics too."""
    return (*_TABLE, "pinball:LEVEL")


def get(text: str) -> Metric:
    """Return the metric that ``text`` names: one of ``names()``, ``pinball:0.9``, or a loss such as ``huber(delta=2)``.

    Raises:
        ParameterError: No metric and no loss has that name (the nearest are offered), a level is outside (0, 1), or
            the loss cannot judge predictions on the target's scale.
    """
    text = text.strip()
    key = text.lower().replace("-", "_")
    if key in _TABLE:
        title, kind, greater, function = _TABLE[key]
        return Metric(key, title, kind, greater, function)
    if key.partition(":")[0] == "pinball":
        return _pinball(key.partition(":")[2], text)
    return _of_loss(text)


def _pinball(level: str, text: str) -> Metric:
    try:
        number = float(level)
    except ValueError:
        number = math.nan
    if not 0 < number < 1:
        raise ParameterError(f"{text!r} needs a level between 0 and 1, such as {text.partition(':')[0]}:0.9.")
    return Metric(
        f"pinball:{number:g}", f"pinball loss at {number:g}", "regression", False, _cost(f"quantile({number})")
    )


def _of_loss(text: str) -> Metric:
    import lossmith as lm

    try:
        loss = lm.parse(text)
    except lm.LossNotFoundError:
        hint = did_you_mean(text, (*names(), *lm.names()))
        known = ", ".join(names())
        raise ParameterError(f"{text!r} is no metric.{hint} Metrics are {known}, and the losses.") from None
    require_columns(loss)
    if loss.card.estimates == "nothing":
        raise ParameterError(f"{loss} cannot judge: it rewards predictions that are too high or too low.")
    binary = loss.card.task == "binary"
    if binary and loss.link.name == "identity":
        raise ParameterError(f"{loss} judges scores without a scale, and a metric reads probabilities.")
    return Metric(str(loss), loss.card.title, "binary" if binary else "regression", False, _cost(loss))


def require_columns(loss: Loss) -> None:
    """Refuse a loss that a column of targets and a column of predictions cannot feed.

    Raises:
        ParameterError: With what it takes, and what to do.
    """
    if loss.elementwise:
        return
    names = ", ".join(f"{item.name}=..." for item in loss.inputs)
    takes = f"the inputs {', '.join(item.name for item in loss.inputs)}"
    if loss.paired:
        takes = "a row of predictions for each target"
    raise ParameterError(
        f"{loss} takes {takes}, and not one column of targets and one of predictions. "
        f"Load the arrays in Python and call loss.cost({names})."
    )


def _cost(loss: str | Loss) -> Function:
    """Return the cost of a loss as a function of predictions on the target's scale."""

    def function(y: Numbers, p: Numbers, w: Numbers | None) -> float:
        import lossmith as lm

        ready, raw = on_target_scale(lm.parse(loss), p)
        return float(ready.cost(y, raw, weight=w))

    return function


def on_target_scale(loss: Loss, prediction: Numbers) -> tuple[Loss, Numbers]:
    """Return the loss and the array to give it when predictions are on the target's scale.

    A loss that can be told so reads them as they are: the way through its link would lose the probabilities 0 and 1.
    """
    if loss.link.name == "identity":
        return loss, prediction
    option = loss.options().get("prediction")
    if option is not None and len(option.choices) > 1:
        return loss.replace(prediction=option.choices[-1]), prediction
    return loss.raw_form, loss.link.forward(prediction)


def _mean(values: Numbers, w: Numbers | None) -> float:
    return float(np.average(values, weights=w))


def _r2(y: Numbers, p: Numbers, w: Numbers | None) -> float:
    total = _mean((y - _mean(y, w)) ** 2, w)
    return 1.0 - _mean((y - p) ** 2, w) / total if total > 0 else math.nan


def _single_class(y: Numbers, w: Numbers | None) -> bool:
    counted = y if w is None else y[w > 0]
    return bool(counted.min() == counted.max())


def _sklearn(name: str, *, two_classes: bool = False) -> Function:
    def function(y: Numbers, p: Numbers, w: Numbers | None) -> float:
        if two_classes and _single_class(y, w):
            return math.nan  # scikit-learn warns or guesses, and no guess is right
        return float(getattr(_sklearn_metrics(), name)(y, p, sample_weight=w))

    return function


def _sklearn_metrics() -> Any:
    try:
        from sklearn import metrics
    except ImportError:
        raise MissingDependencyError(
            "this metric needs scikit-learn. Install it with: pip install 'lossmith[lab]'"
        ) from None
    return metrics


def _root(function: Function) -> Function:
    return lambda y, p, w: math.sqrt(function(y, p, w))


_TABLE: dict[str, tuple[str, Kind, bool, Function]] = {
    "rmse": ("root mean squared error", "regression", False, _root(_cost("squared_error"))),
    "mae": ("mean absolute error", "regression", False, _cost("absolute_error")),
    "r2": ("coefficient of determination", "regression", True, _r2),
    "median_absolute_error": ("median absolute error", "regression", False, _sklearn("median_absolute_error")),
    "rmsle": ("root mean squared logarithmic error", "regression", False, _root(_cost("squared_log_error"))),
    "mape": ("mean absolute percentage error", "regression", False, _cost("absolute_percentage_error")),
    "log_loss": ("log loss", "binary", False, _cost("binary_cross_entropy")),
    "brier": ("Brier score", "binary", False, _cost("squared_error")),
    "zero_one": ("share of wrong decisions", "binary", False, _cost("zero_one")),
    "roc_auc": ("area under the ROC curve", "binary", True, _sklearn("roc_auc_score", two_classes=True)),
    "average_precision": ("average precision", "binary", True, _sklearn("average_precision_score", two_classes=True)),
}

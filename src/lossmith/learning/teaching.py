"""``learn``: what is asked of it, checked, and the lesson given."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lossmith.core.contract import numbers
from lossmith.core.loss import Loss
from lossmith.core.mistakes import LossmithWarning
from lossmith.core.parameter import rounded
from lossmith.core.registry import parse
from lossmith.core.taken import all_of, told
from lossmith.errors import DomainError, EmptyError, ParameterError, ShapeError, did_you_mean, plural
from lossmith.learning.descent import State, Task, best, descend
from lossmith.learning.record import Array, Learning, fixed

MODELS = ("line", "constant")
STARTS = ("zeros", "constant")

_CLASSES = 1000  # each is predicted for every example at every step, and all of that is kept


_CALLED = {
    **dict.fromkeys(("lr", "learning_rate", "step_size", "eta"), "rate"),
    **dict.fromkeys(("epochs", "iterations", "max_iter", "n_steps", "rounds"), "steps"),
    **dict.fromkeys(("feature_names", "features"), "names"),
    **dict.fromkeys(("init", "initial", "x0"), "start"),
}
"""What others call the arguments."""


@told(all_of(lambda name, _: f"It is called {_CALLED[name]} here" if name in _CALLED else ""))
def learn(
    loss: Loss | str,
    X: npt.ArrayLike | None,
    y: npt.ArrayLike,
    *,
    model: str = "line",
    rate: float | None = None,
    steps: int = 50,
    start: str | npt.ArrayLike = "zeros",
    names: Sequence[str] | None = None,
) -> Learning:
    """Teach a small model with a loss by gradient descent, and return every step.

    The model gives raw predictions (logits, log rates), which the loss is told. Each step subtracts ``rate`` times
    the gradient of the mean loss over all examples, by the chain rule from the exact gradient of the loss. Nothing is
    random. Features far from the size of 1 make learning slow; take off their means and divide by their deviations.

    Args:
        loss: a loss of a target and a prediction, or its name. Where it takes a row of predictions, one for each class
            or level, each of these has parameters of its own.
        X: the features, shape (n,) or (n, features); ``None`` for a constant, which ignores them.
        y: the targets, shape (n,), or as the loss takes them.
        model: ``line`` (default), an intercept and a slope for each feature, or ``constant``.
        rate: what the gradient is multiplied with. By default a power of two: the lowest that comes as far down as
            any, but for a ten-thousandth, in so many steps; where the loss has no kinks, no step raises the cost.
            The first step moves no prediction further than the largest target, or 10.
        steps: how many steps to take at most, 50 by default; fewer where it converges or diverges before.
        start: the parameters to begin with: ``zeros`` (default), ``constant`` for the best constant prediction with
            slopes of zero, or the numbers, as ``Step.parameters`` has them.
        names: of the features, for those who read; by default ``x``, or ``x1``, ``x2``, ...

    Raises:
        LossNotFoundError, ParameterError: for a loss that does not exist, or takes other inputs than a target and a
            prediction; for another argument that cannot be.
        ShapeError, KindError, DomainError, EmptyError: for data that cannot be learned from.
        NoConstantError: for ``start="constant"``, where there is no best one.
    """
    found = parse(loss)
    if not found.paired:
        inputs = ", ".join(item.name for item in found.inputs)
        raise ParameterError(
            f"learn: {found} is a loss of {inputs}, and a model here predicts one thing for each target; take a loss "
            "of y_true and y_pred, such as Huber()"
        )
    for label, value, known in (("model", model, MODELS), ("start", start, STARTS)):
        if isinstance(value, str) and value not in known:
            guess = did_you_mean(value, known)
            raise ParameterError(
                f"learn: {label}={value!r} is not known; it is {' or '.join(map(repr, known))}.{guess}"
            )
    if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
        raise ParameterError(f"learn: steps must be a whole number of at least 1, got {steps!r}")
    if rate is not None and not (isinstance(rate, int | float | np.number) and 0 < rounded(rate) < math.inf):
        raise ParameterError(
            f"learn: rate must be a finite number above 0, got {rate!r}; leave it out to have one chosen"
        )
    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore"):
        # The warnings tell callers of likely mistakes in their predictions, and these are the model's own.
        warnings.simplefilter("ignore", LossmithWarning)
        raw = found.raw_form
        design, targets = _data(raw, X, y, model)
        task = Task(raw, design, targets, () if raw.elementwise else (_width(raw, targets),))
        first = task.begin(start)
        if not first.is_finite:
            raise _no_beginning(task, first, start)
        descent = best(task, first, int(steps)) if rate is None else descend(task, first, float(rate), int(steps))
        states = descent.states
        return Learning(
            loss=raw,
            model=model,
            names=("intercept", *_feature_names(names, design.shape[1] - 1)),
            X=fixed(design[:, 1:]),
            y=fixed(targets),
            rate=descent.rate,
            chosen=rate is None,
            steps=tuple(map(task.step, range(len(states)), states, [*states[1:], states[-1]])),
            outcome=descent.outcome,
            reason=descent.reason,
        )


def _no_beginning(task: Task, first: State, start: str | npt.ArrayLike) -> DomainError:
    """Return the error for a start with a cost or a gradient that is not finite."""
    small = task.y / max(float(np.max(np.abs(task.y))), 1.0)
    try:
        found = task.loss.evaluate(small, first.raw, ("losses", "gradient"), trusted=True) if not task.width else {}
    except DomainError:
        found = {}
    for name, values in found.items():
        # With small targets, too: it is not for their size.
        for place in np.flatnonzero(~np.isfinite(values))[:1]:
            what = "no number" if np.isnan(values[place]) else "infinite"
            kind = "prediction" if task.loss.link.name == "identity" else "raw prediction"
            elsewhere = "start='constant' or" if isinstance(start, str) and start == "zeros" else "start= with"
            return DomainError(
                f"learn: {'the gradient of ' if name == 'gradient' else ''}{task.loss} is {what} at a {kind} of "
                f"{first.raw[place]:g}, where the model begins; begin elsewhere, by {elsewhere} parameters of your own"
            )
    return DomainError(
        f"learn: {task.loss} or its gradient is too large for a float where the model begins; bring the targets to a "
        "smaller scale, or begin closer to them"
    )


def _data(loss: Loss, X: npt.ArrayLike | None, y: npt.ArrayLike, model: str) -> tuple[Array, Array]:
    """Return the features behind a column of ones, and the targets."""
    targets = numbers("learn", "y", y)
    if targets.ndim != 1 and (loss.elementwise or targets.ndim != 2):
        raise ShapeError(f"learn: y must have one axis, a target for each example, got shape {targets.shape}")
    count = targets.shape[0 if targets.ndim == 1 or loss.row_axis != 0 else 1]
    if count == 0:
        raise EmptyError("learn: there are no examples to learn from: y is empty")
    ones = np.ones((count, 1))
    if model == "constant":
        return ones, targets
    if X is None:
        raise ParameterError("learn: model='line' needs the features X; without them take model='constant'")
    features = numbers("learn", "X", X).astype(np.float64)
    if features.ndim == 1:
        features = features[:, None]
    if features.ndim != 2 or len(features) != count:
        raise ShapeError(
            f"learn: X has shape {np.shape(X)}, for {plural(count, 'target')}; X must be ({count},) or "
            f"({count}, features)"
        )
    if not np.all(np.isfinite(features)):
        row, column = (int(place[0]) for place in np.nonzero(~np.isfinite(features)))
        raise DomainError(
            f"learn: X must be finite, but X[{row}, {column}] is {features[row, column]:g}; drop the row, or fill it in"
        )
    return np.hstack([ones, features]), targets


def _width(loss: Loss, y: Array) -> int:
    """Return how many numbers are predicted for each example: one for each level or class."""
    values = getattr(loss, "parts", ((1, loss),))[0][1].values
    sized = next((len(value) for value in values.values() if isinstance(value, tuple)), None)
    if sized is not None:
        return sized
    if y.ndim > 1:
        return int(y.shape[loss.row_axis or 0])
    if not loss.class_indices:
        return 2  # rows are wanted, which the loss says
    counted = y[y != values["ignore_index"]] if values.get("ignore_index") is not None else y
    largest = np.max(counted[np.isfinite(counted)], initial=0)  # of what is no number the loss tells
    if largest >= _CLASSES:
        place = int(np.flatnonzero(y == largest)[0])
        raise DomainError(
            f"learn: class indices count from 0, and y[{place}] is {largest:.15g}; a lesson has at most {_CLASSES} "
            "classes. Number those that there are, for example by numpy.unique(y, return_inverse=True)[1]; if y holds "
            "amounts, take a loss for these, such as Huber()"
        )
    return max(int(largest) + 1, 2)


def _feature_names(names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    if names is None:
        return ("x",) if count == 1 else tuple(f"x{number}" for number in range(1, count + 1))
    if isinstance(names, str) or len(names) != count:
        raise ParameterError(f"learn: names must hold a name for each of the {count} features, got {names!r}")
    return tuple(map(str, names))

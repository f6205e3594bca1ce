"""Losses that are wrong on purpose, each in one way. ``test_laws_can_fail`` says which law catches which."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

import lossmith as lm
from lossmith import CostState, Loss
from lossmith.certify.points import Array
from lossmith.core.card import Kink
from lossmith.core.state import ExactSum
from lossmith.program import TABLE, Instruction, Ops, Value


def with_card(kind: type[Loss], **changes: Any) -> type[Loss]:
    """Return the loss with another card."""
    return type(f"Wrong{kind.__name__}", (kind,), {"card": replace(kind.card, **changes), "__module__": __name__})


def with_trait(kind: type[Loss], trait: str) -> type[Loss]:
    """Return the loss with one trait turned around."""
    return with_card(kind, traits=replace(kind.card.traits, **{trait: not getattr(kind.card.traits, trait)}))


def with_rule(kind: type[Loss], name: str, rule: Any, monkeypatch: Any) -> type[Loss]:
    """Return a fresh class of the loss, differentiated with a changed rule for one instruction."""
    row: Instruction = TABLE[name]
    monkeypatch.setitem(TABLE, name, replace(row, tangent=rule))
    return type(f"Wrong{kind.__name__}", (kind,), {"__module__": __name__})


# --- formulas ---------------------------------------------------------------------------------------


class NaiveCrossEntropy(lm.BinaryCrossEntropy):
    """Overflows on the right and loses its digits on the left."""

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        return ops.log(1 + ops.exp(f)) - y * f


class ClippedCrossEntropy(lm.BinaryCrossEntropy):
    """Stops learning beyond a logit of 8, as if by a hidden epsilon."""

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        return super().formula(ops, y, ops.max(ops.min(f, 8.0), -8.0))


class NegatedCrossEntropy(lm.BinaryCrossEntropy):
    """Comes out as -0.0 where it vanishes."""

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        return -(ops.mul0(y, -ops.softplus(-f)) + ops.mul0(1 - y, -ops.softplus(f)))


class MisstatedGamma(lm.Gamma):
    """States a slope that is not its own."""

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        return ops.sloped(super().formula(ops, y, f), 1 - 1.000001 * ops.mul_exp(y, -f), f)


class UnderstatedError(lm.AbsoluteError):
    """States half of its slope, so that half of its bound is proved."""

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        return ops.sloped(super().formula(ops, y, f), ops.sign(f - y) / 2, f)


class UnlikeGamma(lm.Gamma):
    """Takes for one number in two forms what are two numbers."""

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        return ops.alike(f < 17, super().formula(ops, y, f), f)


class RoundedLabels(lm.Brier):
    """Brings labels of -1 to 1 to labels of 0 to 1, where small ones have no digits left."""

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        yes, (p, q) = (y + 1) / 2, self.probabilities(ops, f)
        return ((1 - yes) * p - yes * q) ** 2


class BakedHuber(lm.Huber):
    """Writes its parameter into the program as a constant."""

    def symbolic(self, values: Any) -> BakedHuber:
        return self


# --- cards ------------------------------------------------------------------------------------------


def example_that_is_false() -> type[Loss]:
    example = replace(lm.SquaredError.card.examples[0], losses=(4.0, 101.0))
    return with_card(lm.SquaredError, examples=(example,))


def example_with_a_wrong_last_digit() -> type[Loss]:
    example = replace(lm.BinaryCrossEntropy.card.examples[0], losses=(0.1053606, 2.3025851))
    return with_card(lm.BinaryCrossEntropy, examples=(example,))


def kink_at_the_wrong_place() -> type[Loss]:
    twice = Kink("f = y ± 2 delta", "hessian", lambda loss, y: (y - 2 * loss.delta, y + 2 * loss.delta))
    return with_card(lm.Huber, kinks=(twice,))


# --- constants --------------------------------------------------------------------------------------


class LowerMedian(lm.AbsoluteError):
    """Gives the lower end of the interval of medians."""

    def _best_constant(self, y: Array, w: Array) -> float:
        return float(np.sort(y)[(len(y) - 1) // 2])


class CautiousCrossEntropy(lm.BinaryCrossEntropy):
    """Never asks for certainty."""

    def _best_constant(self, y: Array, w: Array) -> float:
        return float(np.clip(super()._best_constant(y, w), -15, 15))


class UnweightedMean(lm.SquaredError):
    """Forgets the weights."""

    def _best_constant(self, y: Array, w: Array) -> float:
        return float(np.mean(y))


class SoCalledMean(lm.Huber):
    """Estimates what Huber estimates, and calls it the mean."""

    card = replace(lm.Huber.card, estimates="mean")

    def _best_constant(self, y: Array, w: Array) -> float:
        return lm.Huber(self.delta)._best_constant(y, w)


class HighFloor(lm.SquaredError):
    """Takes something else than the target for the best prediction of a row."""

    def best_prediction(self, y_true: Any) -> Array:
        return np.asarray(y_true) + 2.0

    def _best_constant(self, y: Array, w: Array) -> float:
        return float(np.average(y, weights=w))


# --- states -----------------------------------------------------------------------------------------


class MeanOfMeans(CostState):
    """Averages two means, whatever stands behind them."""

    __slots__ = ()

    def merge(self, other: CostState) -> CostState:
        plain = CostState.merge(self, other)
        return replace(plain, total=ExactSum().add((self.mean + other.mean) / 2 * plain.weight))


class RoundedState(CostState):
    """Adds sums in float64, so the order shows."""

    __slots__ = ()

    def merge(self, other: CostState) -> CostState:
        total = ExactSum().add(self.sum + other.sum)
        return RoundedState(**{**_fields(CostState.merge(self, other)), "total": total})


class MisplacedState(CostState):
    """Forgets that the rows of the other state come later."""

    __slots__ = ()

    def merge(self, other: CostState) -> CostState:
        return replace(CostState.merge(self, other), rows=max(self.rows, other.rows), first_bad=other.first_bad)


class WelcomingState(CostState):
    """Merges with anything."""

    __slots__ = ()

    def merge(self, other: CostState) -> CostState:
        return self


def _fields(state: CostState) -> dict[str, Any]:
    return {name: getattr(state, name) for name in CostState.__slots__}


def with_state(kind: type[Loss], state: type[CostState]) -> type[Loss]:
    """Return the loss with other states."""

    def make(self: Loss, *args: Any, **options: Any) -> CostState:
        return state(**_fields(kind.state(self, *args, **options)))

    return type(f"Wrong{kind.__name__}", (kind,), {"state": make, "__module__": __name__})


class Countless(lm.BinaryCrossEntropy):
    """Does not count the rows that are infinite."""

    def state(self, *args: Any, **options: Any) -> CostState:
        return replace(super().state(*args, **options), bad=0, first_bad=None)


# --- calls ------------------------------------------------------------------------------------------


class Widening(lm.SquaredError):
    """Answers in float64 whatever it is asked in."""

    def evaluate(self, *args: Any, **options: Any) -> dict[str, Array]:
        return {name: array.astype(np.float64) for name, array in super().evaluate(*args, **options).items()}


class Broadcasting(lm.SquaredError):
    """Squeezes what does not fit."""

    def _batch(self, given: Any, *args: Any, **options: Any) -> Any:
        squeezed = {name: np.squeeze(np.asarray(item, dtype=float)) for name, item in given.items()}
        return super()._batch(squeezed, *args, **options)


class Scribbling(lm.SquaredError):
    """Changes its arguments."""

    def evaluate(self, y_true: Any, y_pred: Any, *args: Any, **options: Any) -> dict[str, Array]:
        results = super().evaluate(y_true, y_pred, *args, **options)
        if isinstance(y_pred, np.ndarray) and y_pred.flags.writeable and y_pred.ndim:
            y_pred *= 0.5
        return results


class TwoMinds(lm.SquaredError):
    """Halves the gradient when it is asked for alone."""

    def gradient(self, y_true: Any, y_pred: Any) -> Array:
        return super().gradient(y_true, y_pred) / 2


class CountDivided(lm.SquaredError):
    """Divides the weighted sum by the number of rows and calls it the mean."""

    def cost(
        self, y_true: Any, y_pred: Any, weight: Any = None, mask: Any = None, reduction: str = "mean", **o: Any
    ) -> Any:
        return super().cost(y_true, y_pred, weight, mask, "count_mean" if reduction == "mean" else reduction, **o)


class RowWeights(lm.SquaredError):
    """Takes a weight a row for a weight a column."""

    def cost(self, y_true: Any, y_pred: Any, weight: Any = None, mask: Any = None, **options: Any) -> Any:
        if weight is not None and weight.shape == (3, 1):
            weight = np.resize(weight, (3, 4))
        return super().cost(y_true, y_pred, weight, mask, **options)


class MaskedAsZero(lm.SquaredError):
    """Counts a masked row as a row without error."""

    def cost_and_gradient(self, y_true: Any, y_pred: Any, *args: Any, mask: Any = None, **options: Any) -> Any:
        if mask is not None:
            y_true = y_pred = np.where(mask, y_true, 0.0)
        return super().cost_and_gradient(y_true, y_pred, *args, **options)


class LoudInfinity(lm.SquaredError):
    """Multiplies weight 0 with an infinite loss."""

    def cost(self, y_true: Any, y_pred: Any, weight: Any = None, *args: Any, **options: Any) -> Any:
        with np.errstate(all="ignore"):
            return float(np.average(self.losses(y_true, y_pred), weights=weight))


class LoudOverflow(lm.SquaredError):
    """Lets NumPy's warnings out."""

    def cost(self, y_true: Any, y_pred: Any, *args: Any, **options: Any) -> Any:
        with np.errstate(over="warn"):
            return np.mean(np.square(y_true - y_pred))


class EmptyIsFine(lm.SquaredError):
    """Finds that nothing costs nothing."""

    def cost(self, *args: Any, empty: str = "zero", **options: Any) -> Any:
        return super().cost(*args, empty="zero", **options)


class OutIgnored(lm.SquaredError):
    """Leaves ``out`` as it was."""

    def cost_and_gradient(self, *args: Any, out: Any = None, **options: Any) -> Any:
        return super().cost_and_gradient(*args, **options)


class Forgiving(lm.SquaredError):
    """Takes every weight, choice and output."""

    def cost(
        self, y_true: Any, y_pred: Any, weight: Any = None, mask: Any = None, reduction: str = "mean", **o: Any
    ) -> Any:
        return super().cost(y_true, y_pred) if np.size(y_true) else math.nan

    def cost_and_gradient(self, *args: Any, out: Any = None, **options: Any) -> Any:
        return super().cost_and_gradient(*args[:2])


class Changing(lm.Huber):
    """Can be changed in place."""

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, "_values", {**self.values, name: value})


class Boundless(lm.BinaryCrossEntropy):
    """Checks no domain."""

    def _refuse_invalid(self, *args: Any) -> None:
        return None

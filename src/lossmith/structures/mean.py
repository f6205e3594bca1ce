"""Losses of a target and its mean, whose slope is mean minus target over the variance."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from lossmith.core.domain import REAL, Domain
from lossmith.core.link import LOG, Link
from lossmith.core.parameter import Option
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise


class Mean(Pointwise):
    """A loss that the mean of the target minimises; ``y_pred`` is the log mean unless declared a mean.

    A subclass gives ``card``, ``of_log_mean`` and ``of_mean``. The slope is zero where the mean is the target, and
    the terms of a likelihood keep few digits near there. So the slope is stated, as mean less target.
    """

    link: Link = LOG
    mean: ClassVar[Domain] = Domain.parse(
        "(0, inf)", hint="a mean is positive; for log means pass prediction='log_mean'"
    )

    prediction = Option(
        "log_mean", ("log_mean", "mean"), doc="what y_pred holds: the logarithm of the mean, or the mean"
    )

    @property
    def prediction_domain(self) -> Domain:
        """Any log mean, or a mean above 0."""
        return self.mean if self.prediction == "mean" else REAL

    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``."""
        return self.of_mean(ops, y, f) if self.prediction == "mean" else self.of_log_mean(ops, y, f)

    @abstractmethod
    def of_log_mean(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss at a log mean."""

    @abstractmethod
    def of_mean(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss at a mean."""


def by_power(ops: Ops, value: Value, y: Value, f: Value, power: Value) -> Value:
    """Return a value at log mean ``f`` whose slope is that of a variance of mean to the ``power``; a whole one is 2 or
    more."""
    # exp((1 - power) f) (exp(f) - y) and its derivative in two forms: the first keeps the digits of a mean near the
    # target, or below; the second those of one above it, and of one so small or large that it has few or overflows.
    rise, fall, ratio = 2 - power, 1 - power, ops.mul_exp(y, -f)
    near, mean = ratio > ops.where(ops.abs(f) < 80, 0.25, 4), ops.exp(f)
    if isinstance(power, int):  # from 2 on the ratio overflows only where the slope does: what both share comes last
        slope = ops.mul_exp(ops.alike(near, ops.mul_exp(mean - y, -f), 1 - ratio), rise * f)
    else:
        slope = ops.alike(near, ops.mul_exp(mean - y, fall * f), ops.mul_exp(1 - ratio, rise * f))
    # A target so small that it has no digits to be multiplied is first brought half of the way to the result.
    half = fall * f / 2
    tiny = ops.mul_exp(fall * ops.mul_exp(mean - y, half), half) + ops.mul_exp(mean, fall * f)
    turn = ops.alike(f > -80, 2 * ops.mul_exp(rise * (mean / 2) - fall * (y / 2), fall * f), tiny)
    bend = ops.alike(near, turn, ops.mul_exp(rise - fall * ratio, rise * f))
    return ops.sloped(value, ops.sloped(slope, bend, f), f)


def grown(ops: Ops, size: Value, rate: Value, f: Value) -> Value:
    """Return size · exp(rate f) / rate; for small rates with a constant that cancels the pole at 0."""
    far, step = ops.mul_exp(size, rate * f), ops.div(ops.expm1(rate * f), rate)
    found = ops.alike(ops.abs(rate * f) > 1, ops.div(far - size, rate), ops.mul0(size, step))
    near = ops.where(ops.equal(rate, 0), size * f, found) + size * (4 * rate)
    return ops.where(ops.abs(rate) < 0.5, near, ops.div(far, rate))

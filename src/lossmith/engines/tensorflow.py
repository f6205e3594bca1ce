"""The engine of TensorFlow: programs over its tensors, in operations that ``tf.function``, tapes and XLA know."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

import tensorflow as tf

from lossmith.engines.arrays import Arrays, Formula, log1p_by_halves
from lossmith.engines.hosts import Rule, Tracing, by_symbol, differentiable, functions
from lossmith.errors import ProgramError

Tensor = Any

_NEIGHBOURS = 32
"""Numbers that are added in the type that they come in."""


def _where(condition: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
    """Return a choice between two of one type; a number takes the type of the other."""
    like: Any = a if tf.is_tensor(a) else b
    return tf.where(condition, *(x if tf.is_tensor(x) else tf.constant(x, like.dtype) for x in (a, b)))


def _copysign(a: Tensor, sign: Tensor) -> Tensor:
    whole = tf.int64 if sign.dtype == tf.float64 else tf.int32
    size = tf.abs(a)
    return tf.where(tf.bitcast(sign, whole) < 0, -size, size)  # a comparison does not see the sign of zero


def _log1p(a: Tensor) -> Tensor:
    """Return log(1 + a). That of XLA is off by 128 units in the last place of float64 near -0.414."""
    if a.dtype != tf.float64:
        return tf.math.log1p(a)
    return log1p_by_halves(_where, tf.math.log, tf.math.log1p, a)


def _take_along_axis(a: Tensor, indices: Tensor, axis: int) -> Tensor:
    rank = len(a.shape)
    if axis % rank != rank - 1:
        raise NotImplementedError("only the last axis is looked up")
    return tf.gather(a, indices, axis=-1, batch_dims=rank - 1)


def _places(like: Tensor) -> Tensor:
    return tf.range(tf.shape(like)[-1])


def _length(a: Tensor, like: Tensor) -> Any:
    return a.shape[-1] if a.shape[-1] is not None else tf.cast(tf.shape(a)[-1], like.dtype)


def _moveaxis(a: Tensor, source: int, destination: int) -> Tensor:
    order = list(range(len(a.shape)))
    order.insert(destination % len(order), order.pop(source % len(order)))
    return a if order == sorted(order) else tf.transpose(a, order)


def _paired(columns: Sequence[Tensor], single: Sequence[bool]) -> Sequence[Tensor]:
    """Return inputs that a step refuses if lengths differ that nobody knows yet: TensorFlow would repeat those of 1."""
    lead, alike = columns[single.index(False) if False in single else 0], []
    for x in columns:
        rows = len(x.shape)
        if x is not lead and not (lead.shape[:rows].is_fully_defined() and x.shape == lead.shape[:rows]):
            lengths = [tf.shape(a)[:rows] for a in (x, lead)]
            alike.append(tf.debugging.assert_equal(*lengths, "the inputs of a loss must have the same shape"))
            # XLA leaves out assertions, but stacks nothing of several shapes, be it without a number.
            alike.append(tf.stack([tf.zeros(tf.concat([[0], shape], 0)) for shape in lengths]))
    if not alike:
        return columns
    with tf.control_dependencies(alike):
        return [tf.identity(x) for x in columns]


class _Unknown(int):
    """A length that nobody knows while a function is traced: it equals every other, and is not nothing."""

    __hash__ = int.__hash__

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return "?"


_LIBRARY = SimpleNamespace(
    abs=tf.abs,
    all=tf.reduce_all,
    amax=tf.reduce_max,
    any=tf.reduce_any,
    argmax=lambda a, axis: tf.argmax(a, axis, output_type=tf.int32),
    copysign=_copysign,
    cumsum=tf.cumsum,
    exp=tf.exp,
    expm1=tf.math.expm1,
    floor=lambda a: a if a.dtype.is_integer else tf.floor(a),
    full_like=lambda a, value: tf.zeros_like(a) + value,
    inf=math.inf,
    isfinite=tf.math.is_finite,
    isinf=tf.math.is_inf,
    log=tf.math.log,
    log1p=_log1p,
    ones_like=tf.ones_like,
    sign=tf.sign,
    sqrt=tf.sqrt,
    square=tf.square,
    stack=tf.stack,
    sum=tf.reduce_sum,
    swapaxes=lambda a, one, other: tf.linalg.matrix_transpose(a),
    tanh=tf.tanh,
    where=_where,
    zeros_like=tf.zeros_like,
)
"""What TensorFlow has, under the names of NumPy."""


class TensorFlowArrays(Arrays):
    """Plain arithmetic on tensors of one type.

    Args:
        like: a tensor of that type, float32 or float64.
    """

    xp: ClassVar[Any] = _LIBRARY

    def __init__(self, like: Tensor) -> None:
        super().__init__(double=like.dtype == tf.float64)
        self._dtype = like.dtype

    def scalar(self, value: float | bool) -> Tensor:
        """Return a number, or a truth value, as a tensor without axes."""
        return tf.constant(value, tf.bool if isinstance(value, bool) else self._dtype)

    def power(self, a: Tensor, b: Tensor) -> Tensor:
        """Return a ** b."""
        return tf.pow(self._tensor(a), self._tensor(b))

    def erf(self, a: Tensor) -> Tensor:
        """Return the error function."""
        return tf.math.erf(a)

    def lgamma(self, a: Tensor) -> Tensor:
        """Return the logarithm of the gamma function."""
        return tf.math.lgamma(a)

    def _tensor(self, a: Tensor | float) -> Tensor:
        return self.scalar(a) if isinstance(a, float) else a


FUNCTIONS = functions(
    _LIBRARY,
    constant=lambda values, like: tf.constant(values, like.dtype),
    flip=lambda a, axis: tf.reverse(a, [axis]),
    holds=lambda number, like: bool(like.dtype.min <= number <= like.dtype.max),
    indices=lambda a: tf.cast(a, tf.int32),
    length=_length,
    log=tf.math.log,
    may_hold=lambda condition: True,
    most=lambda like: like.dtype.max,
    moveaxis=_moveaxis,
    nonzero=lambda condition: None,
    paired=_paired,
    places=_places,
    shape=lambda a: tuple(_Unknown() if length is None else length for length in a.shape),
    spread=lambda a, like: tf.broadcast_to(a, tf.shape(like)),
    take_along_axis=_take_along_axis,
    total=lambda a: tf.reduce_sum(a, axis=-1),
)


def _plain(formula: Formula, output: str, *inputs: Tensor) -> Tensor:
    found = formula.evaluate(TensorFlowArrays(inputs[0]), output, inputs)
    return found if found.shape.rank else tf.broadcast_to(found, tf.shape(inputs[0]))


def _evaluate(formula: Formula, output: str, *inputs: Tensor) -> Tensor:
    """Return an output of a formula over tensors of one shape and type; its derivatives are outputs of it too."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def found(*inputs: Tensor) -> tuple[Tensor, Callable[[Tensor], list[Tensor | None]]]:
        def slopes(g: Tensor) -> list[Tensor | None]:
            here = _here(inputs)
            return [_slope(formula, output, place, g, here) for place in range(len(here))]

        return _plain(formula, output, *inputs), slopes

    return found(*inputs)


def _here(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return tensors in the graph that is being traced: its own derivative finds no tensors two graphs away."""
    return tuple(tf.identity(x) for x in tensors)


def _apart(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the same, in functions as results that XLA does not take for the tensors.

    What a slope had in common with its loss, such as an exponential, would be written down and read by the loop that
    adds the losses, which takes far longer than to compute it twice.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def again(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        return tf.maximum(x, -math.inf), lambda g: g

    here = _here(tensors)
    return here if tf.executing_eagerly() else tuple(again(x) for x in here)


def _slope(formula: Formula, output: str, place: int, g: Tensor, inputs: Sequence[Tensor]) -> Tensor | None:
    """Return ``g`` times the derivative of an output by an input, or ``None`` where that is 0 everywhere.

    Raises:
        ProgramError: for a third derivative. Those of functions are traced whether anybody wants them, so they are NaN.
    """
    try:
        name = formula.derivative(output, place)
    except ProgramError:
        if tf.executing_eagerly():
            raise
        return g * math.nan
    return None if name is None else along(g, _evaluate(formula, name, *inputs))


def _bound(rule: Rule, *arrays: Tensor) -> tuple[Tensor, ...]:
    """Return the results of a rule, with its derivatives; see ``lossmith.engines.hosts.Rule``."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def results(*arrays: Tensor) -> tuple[tuple[Tensor, ...], Callable[..., list[Tensor | None]]]:
        found = rule.value(FUNCTIONS, *arrays)

        def slopes(*by: Tensor) -> list[Tensor | None]:
            return [rule.pull(FUNCTIONS, _here(arrays), _here(found), by), *[None] * (len(arrays) - 1)]

        return found, slopes

    made: tuple[Tensor, ...] = results(*arrays)
    return made


PLAIN = Tracing(FUNCTIONS, _plain)
"""TensorFlow where nobody differentiates."""
DIFFERENTIABLE = Tracing(differentiable(FUNCTIONS, held=tf.stop_gradient, bound=_bound), _evaluate)
"""TensorFlow where somebody does."""


def losses(loss: Any, *inputs: Tensor) -> Tensor:
    """Return the loss of each example over tensors of one type, with the derivatives that the loss says.

    Args:
        loss: made ready; see ``lossmith.core.traceable``.
        inputs: in its order, with the numbers of an example along the last axis. By those that are not predicted
            there is no derivative, so a tape gives ``None``.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def found(*inputs: Tensor) -> tuple[Tensor, Callable[[Tensor], list[Tensor | None]]]:
        def slopes(g: Tensor) -> list[Tensor | None]:
            given = by_symbol(loss, _here(inputs) if loss.row_axis is not None else _apart(inputs))
            names = [f"gradient:{item.symbol}" if item.predicted else None for item in loss.inputs]
            made = loss.compute(DIFFERENTIABLE, given, [name for name in names if name is not None])
            spread = g if loss.row_axis is None else g[..., None]
            pairs = zip(names, given.values(), strict=True)
            return [None if name is None else _tied(along(spread, made[name]), x) for name, x in pairs]

        return loss.compute(PLAIN, by_symbol(loss, inputs), ("losses",))["losses"], slopes

    return found(*inputs)


def _tied(slope: Tensor, x: Tensor) -> Tensor:
    """Return a slope that is a function of an input, be it a constant one: a tape has ``None`` for what is not."""
    return tf.where(tf.zeros_like(x, tf.bool), x, slope)


def along(g: Tensor, slope: Tensor) -> Tensor:
    """Return a product in which a factor of zero wins, whatever the slope: what does not count has no derivative.

    XLA adds up products in all threads, as for the slope of a bias, and choices in one.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def product(g: Tensor, slope: Tensor) -> tuple[Tensor, Callable[[Tensor], tuple[Tensor, Tensor]]]:
        def slopes(change: Tensor) -> tuple[Tensor, Tensor]:
            factor, here = _here((g, slope))
            return along(change, here), along(factor, change)

        return g * _where(g == 0, 0.0, slope), slopes

    found: Tensor = product(tf.broadcast_to(g, tf.shape(slope)), slope)
    return found


def times(share: Tensor, losses: Tensor) -> Tensor:
    """Return a product in which a share of zero wins, whatever the other is; its derivative by the share is a loss."""
    return along(share, losses)


def total(a: Tensor) -> Tensor:
    """Return the sum of all numbers.

    On processors it is off by 1.9e-6 of the sum of their sizes at most: those of 32 neighbours, which are added in the
    type that they come in, are added in double precision. XLA adds one after the other otherwise, or is as slow again.
    """

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def summed(a: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        flat = tf.reshape(a, [-1])
        whole = tf.size(flat) // _NEIGHBOURS * _NEIGHBOURS
        blocks = tf.reduce_sum(tf.reshape(flat[:whole], [-1, _NEIGHBOURS]), axis=1)
        found = tf.reduce_sum(tf.cast(blocks, tf.float64)) + tf.reduce_sum(tf.cast(flat[whole:], tf.float64))
        return found, lambda g: tf.broadcast_to(tf.cast(g, a.dtype), tf.shape(a))

    alone = all(device.device_type == "CPU" for device in tf.config.list_logical_devices())
    found: Tensor = summed(a) if alone else tf.reduce_sum(a)
    return found


def known(tensor: Tensor) -> bool:
    """Return whether the numbers of a tensor can be looked at."""
    return isinstance(tensor, tf.__internal__.EagerTensor)


def replicas() -> int:
    """Return how many copies of a model a cost is added over."""
    count: int = tf.distribute.get_strategy().num_replicas_in_sync
    return count


as_is = tf.autograph.experimental.do_not_convert
"""Lets a function run as it is written. TensorFlow rewrites what a ``tf.function`` calls, and cannot all of it."""

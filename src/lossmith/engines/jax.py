"""The engine of JAX: programs over its arrays, in operations that ``jit``, ``grad`` and ``vmap`` know."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from lossmith.engines.arrays import Arrays, Formula, log1p_by_halves
from lossmith.engines.coefficients import COEFFICIENTS
from lossmith.engines.hosts import Rule, Tracing, by_symbol, differentiable, functions
from lossmith.errors import KindError

Array = Any


def _log1p(a: Array) -> Array:
    """Return log(1 + a). That of XLA is off by 128 units in the last place of float64 near -0.414."""
    if a.dtype != jnp.float64:
        return jnp.log1p(a)
    return log1p_by_halves(jnp.where, jnp.log, jnp.log1p, a)


class JaxArrays(Arrays):
    """Plain arithmetic on arrays of one type.

    Args:
        like: an array of that type, float32 or float64.
    """

    xp: ClassVar[Any] = jnp

    def __init__(self, like: Array) -> None:
        super().__init__(double=like.dtype == jnp.float64)
        self._dtype = like.dtype

    def scalar(self, value: float | bool) -> Array:
        """Return a number, or a truth value, as an array without axes."""
        return jnp.asarray(value, dtype=jnp.bool_ if isinstance(value, bool) else self._dtype)

    def log1p(self, a: Array) -> Array:
        """Return log(1 + a)."""
        return _log1p(a)

    def logcosh(self, a: Array) -> Array:
        """Return log(cosh(a)), not from the hyperbolic tangent, its derivative: XLA would keep that in memory."""
        size, square, kind = self.abs(a), a * a, "double" if self.double else "float"
        near = square * self.polynomial(square, COEFFICIENTS["LOGCOSH", kind])
        e = self.xp.exp(-2.0 * size)
        far = (size - math.log(2)) + (e + e * e * self.polynomial(e, COEFFICIENTS["LOG1P_LITTLE", kind]))
        return self.select(size < 0.7, near, far)

    def power(self, a: Array, b: Array) -> Array:
        """Return a ** b."""
        return jnp.power(a, b)

    def erf(self, a: Array) -> Array:
        """Return the error function."""
        return jax.lax.erf(a)

    def lgamma(self, a: Array) -> Array:
        """Return the logarithm of the gamma function."""
        return jax.lax.lgamma(a)


def _argmax(a: Array, axis: int) -> Array:
    """Return the first place of the largest along an axis: XLA finds it in floats several times as fast."""
    most = jnp.max(a, axis=axis, keepdims=True)
    places = jax.lax.broadcasted_iota(a.dtype, a.shape, axis % a.ndim)
    return -jnp.max(jnp.where(a >= most, -places, 1.0 - a.shape[axis]), axis=axis).astype(int)


def _places(like: Array) -> Array:
    """Return 0, 1, 2, ... along the last of as many axes: JAX can be told to let no others broadcast."""
    return jax.lax.broadcasted_iota(int, (1,) * (like.ndim - 1) + like.shape[-1:], like.ndim - 1)


def _constant(values: Sequence[float], like: Array) -> Array:
    """Return numbers along the last of as many axes as another array has."""
    return jnp.asarray(np.reshape(values, (1,) * (like.ndim - 1) + (-1,)), like.dtype)


def _take_along_axis(a: Array, indices: Array, axis: int) -> Array:
    """Return the number of each row at an index."""
    if _lie_apart(a):
        return jnp.sum(jnp.where(_places(a) == indices, a, 0), axis, keepdims=True)
    return jnp.take_along_axis(a, indices, axis, mode="promise_in_bounds")


def _lie_apart(a: Array) -> bool:
    """Return whether rows lie on several devices by their type, which lets nobody look anything up in them."""
    return jax.typeof(a).sharding.spec[-1] is not None


def _by_rows(function: Callable[..., Array], a: Array, index: Array, *others: Array) -> Array:
    """Return what a function of a row, a place in it and numbers makes of all rows."""
    for _ in range(a.ndim - 1):
        function = jax.vmap(function)
    return function(a, index.astype(int)[..., None], *others)


def _picked(a: Array, index: Array, known: Array) -> Array:
    """Return the number of each row at an index, NaN where that is unknown; see ``hosts.functions``."""
    if _lie_apart(a):
        return jnp.where(known, _take_along_axis(a, index[..., None], -1)[..., 0], math.nan)
    ways, mode = jax.lax.GatherDimensionNumbers((), (0,), (0,)), jax.lax.GatherScatterMode.CLIP
    found = _by_rows(lambda a, place: jax.lax.gather(a, place, ways, (1,), mode=mode), a, index)
    return jnp.where(known, found, math.nan)


_FEW = 1024
"""Numbers up to which operations count: XLA takes a program of 1,000 of them or more to another thread."""


def _are_few(a: Array) -> bool:
    """Return whether operations on numbers count; those of a length that is not known yet may be any."""
    return isinstance(a.size, int) and a.size <= _FEW


def _placed(a: Array, index: Array, value: Array) -> Array:
    """Return rows with another number at an index.

    Of many, XLA chooses it on its way through the rows; to write it there is a pass of its own, of fewer operations.
    """
    if _lie_apart(a) or not _are_few(a):
        return jnp.where(_places(a) == index[..., None], value[..., None], a)
    ways, mode = jax.lax.ScatterDimensionNumbers((), (0,), (0,)), jax.lax.GatherScatterMode.FILL_OR_DROP
    return _by_rows(lambda a, place, value: jax.lax.scatter(a, place, value, ways, mode=mode), a, index, value)


def _total(a: Array) -> Array:
    """Return the sums of rows. On CPUs XLA multiplies rows with ones in less time than it adds them."""
    if _lie_apart(a) or _are_few(a):
        return jnp.sum(a, axis=-1)
    ways, exact = (((a.ndim - 1,), (0,)), ((), ())), jax.lax.Precision.HIGHEST
    return jax.lax.platform_dependent(
        a,
        cpu=lambda a: jax.lax.dot_general(a, jnp.ones(a.shape[-1:], a.dtype), ways, precision=exact),
        default=lambda a: jnp.sum(a, axis=-1),
    )


FUNCTIONS = functions(
    jnp,
    argmax=_argmax,
    constant=_constant,
    flip=jnp.flip,
    indices=lambda a: a.astype(int),
    log=jnp.log,
    log1p=_log1p,
    may_hold=lambda condition: True,
    moveaxis=jnp.moveaxis,
    nonzero=lambda condition: None,
    picked=_picked,
    placed=_placed,
    places=_places,
    take_along_axis=_take_along_axis,
    total=_total,
)


def product(a: Array, b: Array) -> Array:
    """Return a b, and 0 where a factor is 0, whatever the other is; arrays of one shape and type.

    It is linear in either factor, which where(a == 0, 0, a * b) is not to JAX: a derivative that passes through it can
    be transposed, and what does not count has none, however infinite the slope, in second derivatives too.
    """
    return _PRODUCT.bind(*_alike(a, b))  # type: ignore[no-untyped-call]


def _alike(*arrays: Array) -> Sequence[Array]:
    """Return arrays of one shape as they lie together: choices want all alike where types say how arrays are sharded.

    So do those of the meshes that ``jax.make_mesh`` makes.
    """
    if len({jax.typeof(array).sharding.spec for array in arrays}) == 1:
        return arrays
    together = jax.eval_shape(lambda *all_of_them: sum(all_of_them), *arrays).sharding
    return [jax.sharding.reshard(array, together) for array in arrays]  # type: ignore[no-untyped-call]


def varying(arrays: Any) -> Any:
    """Return a tree of arrays of which all differ between the devices of ``jax.shard_map`` if one does.

    Types say there which do, and a second derivative of what brings its own is refused where they disagree.
    """
    leaves, tree = jax.tree.flatten(arrays)
    axes = [jax.typeof(leaf).mat.varying for leaf in leaves]
    every: frozenset[Any] = frozenset().union(*axes)
    lacking = [tuple(sorted(every - own, key=str)) for own in axes]
    alike = [jax.lax.pcast(leaf, names, to="varying") for leaf, names in zip(leaves, lacking, strict=True)]
    return jax.tree.unflatten(tree, alike)


def _product_value(a: Array, b: Array) -> Array:
    # A plain product, once compiled, where one of them is a number that is known.
    nothing = jnp.where(jnp.isfinite(a), a == 0, b == 0)
    return jnp.where(nothing, jnp.zeros_like(a), a * b)


def _product_changes(factors: tuple[Array, Array], tangents: tuple[Any, Any]) -> tuple[Array, Array]:
    a, b = factors
    found = product(a, b)
    known = [product(change, other) for change, other in zip(tangents, (b, a), strict=True) if _is_known(change)]
    return found, sum(known[1:], start=known[0]) if known else jnp.zeros_like(found)


def _product_pulled(cotangent: Any, a: Array, b: Array) -> tuple[Any, Any]:
    """Return the cotangent of the factor that is to be transposed, which is one of the two."""
    if ad.is_undefined_primal(a):  # type: ignore[no-untyped-call]
        return (product(cotangent, b) if _is_known(cotangent) else ad.Zero(a.aval)), None
    return None, (product(a, cotangent) if _is_known(cotangent) else ad.Zero(b.aval))


def _product_batched(factors: tuple[Array, Array], axes: tuple[Any, Any]) -> tuple[Array, int]:
    """Return a product of batches, where an axis of ``None`` says that all of them have the same factor."""
    count = next(x.shape[axis] for x, axis in zip(factors, axes, strict=True) if axis is not None)
    a, b = (
        jnp.broadcast_to(x, (count, *x.shape)) if axis is None else jnp.moveaxis(x, axis, 0)
        for x, axis in zip(factors, axes, strict=True)
    )
    return product(a, b), 0


def _is_known(change: Any) -> bool:
    return type(change) is not ad.Zero


_PRODUCT = Primitive("product_in_which_zero_wins")
_PRODUCT.def_impl(_product_value)  # type: ignore[no-untyped-call]
_PRODUCT.def_abstract_eval(lambda a, b: a)  # type: ignore[no-untyped-call]
ad.primitive_jvps[_PRODUCT] = _product_changes
ad.primitive_transposes[_PRODUCT] = _product_pulled
batching.primitive_batchers[_PRODUCT] = _product_batched
mlir.register_lowering(_PRODUCT, mlir.lower_fun(_product_value, multiple_results=False))


def _plain(formula: Formula, output: str, *inputs: Array) -> Array:
    inputs = (*_alike(*inputs),)
    found = formula.evaluate(JaxArrays(inputs[0]), output, inputs)
    return found if jnp.shape(found) == inputs[0].shape else jnp.full_like(inputs[0], found, jnp.result_type(found))


@partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _evaluate(formula: Formula, output: str, *inputs: Array) -> Array:
    """Return an output of a formula over arrays of one shape and type; its derivatives are outputs of it too."""
    return _plain(formula, output, *inputs)


def _output_changes(
    formula: Formula, output: str, inputs: Sequence[Array], tangents: Sequence[Array | SymbolicZero]
) -> tuple[Array, Array]:
    """Return an output, and how it changes along tangents of the inputs; what is not predicted changes nothing.

    Raises:
        ProgramError: for a third derivative.
    """
    found = _evaluate(formula, output, *inputs)
    change = jnp.zeros_like(found)
    for place, tangent in enumerate(tangents):
        name = None if isinstance(tangent, SymbolicZero) else formula.derivative(output, place)
        if name is not None:
            change = change + product(tangent, _evaluate(formula, name, *inputs))
    return found, change


_evaluate.defjvp(_output_changes, symbolic_zeros=True)  # so that it is known which inputs are differentiated by


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _bound(rule: Rule, *arrays: Array) -> tuple[Array, ...]:
    """Return the results of a rule, with its derivatives; see ``lossmith.engines.hosts.Rule``."""
    return rule.value(FUNCTIONS, *arrays)


@_bound.defjvp
def _bound_changes(rule: Rule, arrays: Sequence[Array], tangents: Sequence[Array]) -> tuple[Any, Any]:
    found = _bound(rule, *arrays)
    return found, rule.push(FUNCTIONS, arrays, found, tangents[0])


PLAIN = Tracing(FUNCTIONS, _plain)
"""JAX where nobody differentiates."""
DIFFERENTIABLE = Tracing(differentiable(FUNCTIONS, held=jax.lax.stop_gradient, bound=_bound), _evaluate)
"""JAX where somebody does."""


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def losses(loss: Any, *inputs: Array) -> Array:
    """Return the loss of each example over arrays of one type, with the derivatives that the loss says.

    Where an example is invalid, its loss is no number, and its derivatives are not finite.

    Args:
        loss: made ready; see ``lossmith.core.traceable``.
        inputs: in its order, with the numbers of an example along the last axis.
    """
    return loss.marked(PLAIN, by_symbol(loss, inputs), ("losses",))["losses"]


def refuse_derivative(owner: str, name: str) -> NoReturn:
    """Say that nothing is differentiated by an input.

    Raises:
        KindError: always.
    """
    raise KindError(f"{owner} has no derivative by {name}; pass jax.lax.stop_gradient({name})")


def _losses_changes(
    loss: Any, inputs: Sequence[Array], tangents: Sequence[Array | SymbolicZero]
) -> tuple[Array, Array]:
    """Return losses, and how they change along tangents of the inputs."""
    found, changed = losses(loss, *inputs), {}
    for item, tangent in zip(loss.inputs, tangents, strict=True):
        if not isinstance(tangent, SymbolicZero):
            if not item.predicted:
                refuse_derivative(type(loss).__name__, item.name)
            changed[f"gradient:{item.symbol}"] = tangent
    slopes = loss.marked(DIFFERENTIABLE, by_symbol(loss, inputs), list(changed))
    change = jnp.zeros_like(found)
    for name, tangent in changed.items():
        term = product(tangent, slopes[name])
        change = change + (term if loss.row_axis is None else term.sum(-1))
    return found, change


losses.defjvp(_losses_changes, symbolic_zeros=True)


@jax.custom_jvp
def times(share: Array, losses: Array) -> Array:
    """Return a product in which a share of zero wins, whatever the other is."""
    return jnp.where(share == 0, 0, share * losses)


@times.defjvp
def _times_changes(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> tuple[Array, Array]:
    (share, losses), (share_change, losses_change) = primals, tangents
    kept = jnp.where(share == 0, 0, losses_change * share)
    return times(share, losses), kept + product(share_change, losses)


def total(a: Array) -> Array:
    """Return the sum of all numbers, in double precision where JAX has it."""
    return a.sum(dtype=jax.dtypes.canonicalize_dtype(np.float64))


def known(array: Array) -> bool:
    """Return whether the numbers of an array can be looked at."""
    return not isinstance(array, jax.core.Tracer)


def replicas() -> int:
    """Return how many copies of a model a cost is added over: a function of JAX sees all examples."""
    return 1

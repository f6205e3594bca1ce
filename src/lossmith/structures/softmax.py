"""The softmax structure: losses of the log-probability that a row gives to its target.

With target distribution t the loss of a row is Σₖ tₖ φ(pₖ). For a class index that is φ(p) of the
true class; for soft and smoothed targets it is the expected loss under t. The formula is φ. From
logits it is a function of u = -log p, and its derivatives are carried back in closed form; from
probabilities it is a function of p itself.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from lossmith.core.contract import Batch
from lossmith.core.fill import keeps
from lossmith.core.link import IDENTITY, Link
from lossmith.core.outputs import needed
from lossmith.core.parameter import Option, Parameter
from lossmith.engines.choice import Findings, compiled_rows
from lossmith.engines.hosts import REFERENCE, Host
from lossmith.engines.limits import SUM_TOLERANCE
from lossmith.errors import ParameterError, ShapeError, plural
from lossmith.program import Ops, Value
from lossmith.structures import row_math as rows
from lossmith.structures.plain import PASSED, Plain
from lossmith.structures.plain_rows import PlainRows
from lossmith.structures.rows import Rows, are_indices
from lossmith.structures.written import Written

if TYPE_CHECKING:
    from lossmith.engines.llvm.row_call import Prepared

Array = Any


_CERTAIN = 700.0  # -log p beyond this has no p in float64


class Softmax(Written, Rows):
    """A loss φ of the probability of the true class.

    A subclass gives ``card`` and ``of_true_class``.
    """

    link: Link = IDENTITY

    prediction = Option(
        "logits", ("logits", "probabilities"), doc="what y_pred holds: logits, or probabilities that sum to 1 by row"
    )
    z_loss = Parameter(
        None,
        domain="(0, inf)",
        symbol=r"\zeta",
        typical=(1e-5, 1e-2),
        doc="strength of (log Σ exp z)², which keeps logits from drifting; none by default",
        in_formula=False,
    )

    def _check(self) -> None:
        super()._check()
        if self.z_loss is not None and self.probabilities:
            raise ParameterError(f"{type(self).__name__}: z_loss is of logits; probabilities have none to keep small")

    @abstractmethod
    def of_true_class(self, ops: Ops, u: Value, p: Value, q: Value) -> Value:
        """Return φ, given u = -log p, the probability p of the true class and q = 1 - p.

        They say the same, each with its own digits: whichever a formula takes, it loses none.
        """

    def formula(self, ops: Ops, x: Value) -> Value:
        """Return φ at ``x``: u = -log p from logits, p from probabilities."""
        if self.probabilities:
            return self.of_true_class(ops, -ops.log(x), x, 1 - x)
        return self.of_true_class(ops, x, ops.exp(-x), -ops.expm1(-x))

    @property
    def symbols(self) -> tuple[str, ...]:
        """``u`` for logits, ``p`` for probabilities."""
        return ("p",) if self.probabilities else ("u",)

    @property
    def wrt(self) -> tuple[str, ...]:
        """The same: there is no other."""
        return self.symbols

    def reads(self, sympy: Any, output: str, part: Callable[..., Any]) -> Any:
        """Return an output in the probability of the true class, with derivatives carried back to each class."""
        p, other, rest = sympy.symbols("p_y p_k rest", positive=True)
        true_class = sympy.KroneckerDelta(sympy.Symbol("k"), sympy.Symbol("y"))

        def at(name: str) -> Any:
            found = part(self.raw_form, name, collected=False).subs(sympy.Symbol("u", real=True), -sympy.log(p))
            found = found.replace(sympy.exp, lambda power: p ** (power / sympy.log(p)))
            # SymPy collects powers of 1 - p rightly only when it knows that this is positive.
            return found if name == "value" else collected(found)

        def collected(found: Any) -> Any:
            short = sympy.powsimp(sympy.expand(found.subs(1 - p, rest)))
            return sympy.factor_terms(short).subs(rest, 1 - p)

        if output == "value":
            return at("value")
        first = at("gradient:u")
        if self.probabilities:
            step = -first / p if output == "gradient:f" else (at("hessian:u,u") + first) / p**2
            return collected(step) * true_class
        step = other - true_class
        return first * step if output == "gradient:f" else at("hessian:u,u") * step**2 + first * other * (1 - other)

    def shifted(self, host: Host, z: Array) -> Array:
        """Return the logits that the softmax sees; losses that adjust them by class do so here."""
        return z

    def _offsets(self, classes: int) -> Array:
        return np.asarray(self.shifted(REFERENCE, np.zeros((1, classes)))[0])

    @property
    def unanchored(self) -> Self:
        """The same loss without its z-loss."""
        return self if self.z_loss is None else self.replace(z_loss=None)

    @np.errstate(divide="ignore", invalid="ignore")
    def _label_shares(self, raw: Array, label_smoothing: float) -> Array:
        """Return class probabilities: here slopes of classes differ but by a factor, so each has its own equation."""
        u = np.minimum(rows.softmax(REFERENCE.xp, self.shifted(REFERENCE, raw)).u, _CERTAIN)
        slopes = REFERENCE.run(self, "formula", ["gradient:u"], [u])["gradient:u"]
        logs = -u - np.log(np.maximum(slopes, 0.0))
        top = logs.max(axis=-1, keepdims=True)
        t = np.where(np.isinf(top), logs == top, np.exp(logs - top))
        # Smoothing leaves each class a share that says nothing.
        rest = np.maximum(t / t.sum(axis=-1, keepdims=True) - (self.label_smoothing or 0.0) / t.shape[-1], 0.0)
        p = rest if self.class_weight is None else rest / self._weight_by_class(t.shape[-1])
        return p / p.sum(axis=-1, keepdims=True)

    def _centred(self, z: Array) -> Array:
        return z if self.z_loss is not None else super()._centred(z)

    def compute(self, host: Host, given: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """Return outputs of each example; see ``Traceable.compute``. One class of logits needs no distribution."""
        if not (host.traces and self._of_one_class):
            return super().compute(host, given, outputs)
        xp, y, z = host.xp, given["y"], self.shifted(host, given["f"])
        known = are_indices(host, y, z)
        u, slope = rows.of_one_class(xp, z, y, known)
        parts = needed(outputs, "u")
        found = host.run(self, "formula", parts, [u]) if parts else {}
        results = {"valid": u >= 0}  # which it is, unless it is no number
        if "losses" in outputs:
            results["losses"] = found["value"]
        if "gradient:f" in outputs:
            results["gradient:f"] = found["gradient:u"][..., None] * slope
        return results

    def _shows(self, output: str) -> bool:
        return output.startswith("gradient") and self._of_one_class

    @cached_property
    def _of_one_class(self) -> bool:
        """Whether one class of logits tells all of a row."""
        plain = self.single and not self.probabilities and self.z_loss is None
        return plain and keeps(type(self), "compute", ("row",))

    def ready(self) -> None:
        """Settle which way rows go; see ``Traceable.ready``."""
        super().ready()
        _ = self._of_one_class

    def row(self, host: Host, z: Array, t: Array, outputs: Sequence[str]) -> dict[str, Array]:
        """Return the outputs for rows of predictions and target distributions; see ``Rows.row``."""
        xp = host.xp
        if self.probabilities:
            return self._from_probabilities(host, z, t, outputs)
        s = rows.softmax(xp, self.shifted(host, z))
        value, a, b = self._terms(host, s.u, t, outputs)
        zeta = self.z_loss
        results: dict[str, Array] = {}
        if "losses" in outputs:
            results["losses"] = xp.sum(value, axis=-1) + (zeta * s.log_sum[..., 0] ** 2 if zeta else 0)
        if "gradient:f" in outputs:
            results["gradient:f"] = rows.mixture_gradient(xp, s, a) + (rows.log_sum_gradient(s, zeta) if zeta else 0)
        if "hessian:f,f" in outputs:
            results["hessian:f,f"] = rows.mixture_hessian(xp, s, a, b) + (rows.log_sum_hessian(s, zeta) if zeta else 0)
        if "full_hessian:f,f" in outputs:
            full = rows.mixture_full_hessian(xp, s, a, b)
            results["full_hessian:f,f"] = full + (rows.log_sum_full_hessian(xp, s, zeta) if zeta else 0)
        return results

    def _rows_for_kernel(self, batch: Batch, parts: Collection[str]) -> int:
        if any(part.startswith("full") for part in parts):
            return 0
        return compiled_rows(batch.size, batch.block, batch.inputs["f"].shape[1])

    def _run_kernel(
        self, rows: int, batch: Batch, into: Mapping[str, Array], *, summed: bool, divisor: float
    ) -> Findings:
        return self._prepared(rows, batch, into, summed=summed).run(divisor)

    def _prepared(self, rows: int, batch: Batch, into: Mapping[str, Array], *, summed: bool) -> Prepared:
        """Return the call of a kernel on the first rows."""
        from lossmith.engines.llvm import mixture_kernel, row_kernel

        (x,) = self.symbols
        outputs = {part.partition(":")[0]: array for part, array in into.items()}
        names = ["value", f"gradient:{x}", *([f"hessian:{x},{x}"] if "hessian" in outputs else [])]
        kind = "soft" if not self.indices else "smoothed" if self.label_smoothing else "indices"
        arrays = (batch.inputs["f"], batch.inputs["y"], self.free_parameters, outputs)
        given: dict[str, Any] = {
            "kind": kind,
            "block": batch.block,
            "share": self.label_smoothing or 0.0,
            "penalty": self.z_loss or 0.0,
            "double": batch.dtype == np.float64,
            "weight": None if batch.weight is None else batch.weight[:rows],
            "mask": None if batch.mask is None else batch.mask[:rows],
            "summed": summed,
        }
        added = self._offsets(batch.inputs["f"].shape[1])
        if np.any(added):
            given["adjustment"] = added.astype(batch.dtype)
        # One class of logits has a tail of its own, and targets of several need nothing of -log p but its sum.
        if not self.probabilities and (kind == "indices" or self._is_log_probability):
            return row_kernel.prepare(self.part(*names), rows, *arrays, **given)
        return mixture_kernel.prepare(self.part(*names), rows, *arrays, logits=not self.probabilities, **given)

    @cached_property
    def _plain(self) -> Plain | None:
        if self.class_weight is not None or self.ignore_index is not None or not keeps(type(self), "_plain", PASSED):
            return None
        return PlainRows(self, labels=self.indices, logits=() if self.probabilities else "f")

    @property
    def _is_log_probability(self) -> bool:
        """Whether φ is -log p itself, so that targets of several classes need nothing but its sum."""
        program = self.part("value", "gradient:u")
        slope = program.output("gradient:u") - len(program.inputs) - len(program.parameters)
        return 0 <= slope < len(program.constants) and program.constants[slope] == 1

    def _from_probabilities(self, host: Host, p: Array, t: Array, outputs: Sequence[str]) -> dict[str, Array]:
        value, gradient, diagonal = self._terms(host, p, t, outputs)
        results = {"gradient:f": gradient, "hessian:f,f": diagonal}
        if "losses" in outputs:
            results["losses"] = host.xp.sum(value, axis=-1)
        if "full_hessian:f,f" in outputs:
            results["full_hessian:f,f"] = rows.diagonal_blocks(host.xp, diagonal)
        return results

    def _terms(
        self, host: Host, x: Array, t: Array, outputs: Sequence[str]
    ) -> tuple[Array | None, Array | None, Array | None]:
        """Return t φ, t φ′ and t φ″ class by class, as far as needed, evaluating φ only where there is target."""
        (name,) = self.symbols
        parts = needed(outputs, name)
        found = host.shared(self, "formula", parts, x, t, single=self.single) if parts else {}
        return found.get("value"), found.get(f"gradient:{name}"), found.get(f"hessian:{name},{name}")


class AdjustedSoftmax(Softmax):
    """A softmax loss of logits to which each class adds a number of its own.

    A subclass gives ``adjustment`` besides.
    """

    prediction = Option(
        "logits",
        ("logits",),
        doc="what y_pred holds: logits, before the adjustment",
        why="The adjustment is for logits in training; probabilities are already divided by their sum.",
    )

    @abstractmethod
    def adjustment(self) -> Array | None:
        """Return what is added to the logits of each class, or ``None`` for nothing."""

    @cached_property
    def _added(self) -> tuple[float, ...] | None:
        found = self.adjustment()
        return None if found is None else tuple(found.tolist())

    def ready(self) -> None:
        """Settle the adjustment too; see ``Traceable.ready``."""
        super().ready()
        _ = self._added

    def shares(self, name: str) -> Array:
        """Return a vector of the loss, divided by its sum."""
        values: Array = np.asarray(self._values[name], dtype=np.float64)
        return np.asarray(values / values.sum())

    def require_shares(self, name: str) -> None:
        """Refuse a vector that does not sum to 1.

        Raises:
            ParameterError: with the sum.
        """
        total = sum(self._values[name] or (1.0,))
        if abs(total - 1) > SUM_TOLERANCE:
            raise ParameterError(
                f"{type(self).__name__}: {name} must sum to 1, but sums to {total:g}; divide it by that"
            )

    def shifted(self, host: Host, z: Array) -> Array:
        """Return the adjusted logits."""
        added = self._added
        if added is None:
            return z
        if len(added) != host.xp.shape(z)[-1]:
            raise ShapeError(
                f"{type(self).__name__}: its adjustment has {plural(len(added), 'number')}, but y_pred has "
                f"{plural(z.shape[-1], 'class', 'classes')}"
            )
        return z + host.xp.constant(added, z)

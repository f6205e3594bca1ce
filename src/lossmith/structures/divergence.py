"""The divergence structure: how far a distribution q is from a distribution p, one loss a row.

The loss of a row is the sum over classes of a formula of p and q. Such a formula is homogeneous:
its slopes depend on d = log(p/q) alone. So a loss is computed from p, q and a d that has its own
digits, and its derivatives are carried back in closed form to what the caller passed, which is
probabilities, log-probabilities or logits.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from lossmith.core.contract import Batch
from lossmith.core.domain import REAL, Domain
from lossmith.core.fill import keeps
from lossmith.core.inputs import Input
from lossmith.core.parameter import Integer, Option
from lossmith.core.rows import WANTED, agree, prepare_rows, row_error, valid_rows, warn_if_rows_of_probabilities
from lossmith.core.section import Section
from lossmith.engines.choice import Findings, compiled_rows
from lossmith.engines.hosts import REFERENCE, Host
from lossmith.program import Ops, Program, Value
from lossmith.structures import simplex_math as rows
from lossmith.structures.lines import along_shares
from lossmith.structures.plain import PASSED, Plain
from lossmith.structures.plain_rows import PlainRows
from lossmith.structures.written import Written

if TYPE_CHECKING:
    from lossmith.engines.llvm.row_call import Prepared

Array = npt.NDArray[Any]

KINDS = ("probabilities", "log_probabilities", "logits")
_DOMAINS = {
    "probabilities": Domain.parse("[0, 1]"),
    "log_probabilities": Domain(high=0.0, high_included=True),
    "logits": REAL,
    "values": Domain.parse("[0, inf)"),
    "log_values": REAL,
}
Pulls = Callable[[Ops, Value, Value, Value], tuple[Value, Value]]

_SHARES = (0.05, 0.95)


def _kind(symbol: str) -> Option:
    return Option("probabilities", KINDS, doc=f"what {symbol} holds: {', '.join(KINDS[:-1])} or {KINDS[-1]}")


class Divergence(Written):
    """A divergence of q from p.

    A subclass gives ``card``, ``formula(ops, p, q)`` of one class as it is defined, and ``terms`` and
    ``pulls``, the same and its derivatives by log p and log q, from p, q and d = log(p/q). Where the
    definition has a multiple of p - q beyond ``terms``, which is nothing on rows that sum to one, it
    states that as ``linear`` and gives ``defined_pulls``.
    """

    symbols = ("p", "q")
    wrt: ClassVar[tuple[str, ...]] = ("p", "q")
    inputs: ClassVar[tuple[Input, ...]] = (
        Input("p", "p", typical=_SHARES, doc="the distribution that q is compared with"),
        Input("q", "q", typical=_SHARES, doc="the distribution that is judged"),
    )
    linear: ClassVar[float] = 0.0
    """The multiple of p - q that the definition has beyond ``terms``."""
    entropic: ClassVar[bool] = False
    """Whether the loss is Σ p log(p/q) by definition, in the logits' own scale: over the square of ``scale``."""

    p_kind = _kind("p")
    q_kind = _kind("q")
    class_axis = Integer(-1, doc="axis along which the classes lie")

    @abstractmethod
    def terms(self, ops: Ops, p: Value, q: Value, d: Value) -> Value:
        """Return the loss of a class from p, q and d, never negative, and zero with zero slopes at d = 0."""

    @abstractmethod
    def pulls(self, ops: Ops, p: Value, q: Value, d: Value) -> tuple[Value, Value]:
        """Return the derivatives of ``terms`` by log p and by log q."""

    def defined_pulls(self, ops: Ops, p: Value, q: Value, d: Value) -> tuple[Value, Value]:
        """Return the derivatives of the definition itself, where ``linear`` tells it from ``terms``."""
        return self.pulls(ops, p, q, d)

    def slopes(self, ops: Ops, d: Value, pulls: Pulls) -> tuple[Value, Value]:
        """Return the derivatives by p and by q that belong to some pulls: these at p = 1 and at q = 1."""
        return pulls(ops, 1.0, ops.exp(-d), d)[0], pulls(ops, ops.exp(d), 1.0, d)[1]

    @property
    def exact(self) -> bool:
        """Whether p and q are given as such, so that their difference has all the digits that there are."""
        return all(_form_of(kind) == "probabilities" for kind in self.kinds)

    def difference(self, ops: Ops, p: Value, q: Value, d: Value) -> Value:
        """Return p - q, for ``terms``: within a factor e, d has digits that p and q may not have."""
        if self.exact:
            return p - q
        near = ops.where(ops.lt(d, 0), -p * ops.expm1(-d), q * ops.expm1(d))
        return ops.where(ops.lt(ops.abs(d), 1.0), near, p - q)

    @property
    def focus(self) -> Input:
        """The distribution that is judged."""
        return self.predicted[-1]

    @property
    def kinds(self) -> tuple[str, str]:
        """What p and q hold."""
        return str(self._values["p_kind"]), str(self._values["q_kind"])

    @property
    def raw_form(self) -> Self:
        """The same divergence of logits q, or of log amounts."""
        raw = [
            kind
            for kind in ("logits", "log_values")
            if "q_kind" in self._options and kind in self._options["q_kind"].choices
        ]
        return self.replace(q_kind=raw[0]) if raw else self

    @property
    def scale(self) -> float:
        """What logits are multiplied by first."""
        return 1.0

    @property
    def row_axis(self) -> int | None:
        """That of the classes."""
        axis: int = self.class_axis
        return axis

    @property
    def demands(self) -> Mapping[str, str]:
        """What p and q must be."""
        return {symbol: WANTED[kind] for symbol, kind in self._kinds.items()}

    @property
    def domains(self) -> Mapping[str, Domain]:
        """Domain of the entries of ``p`` and ``q``."""
        return MappingProxyType(dict(zip("pq", (_DOMAINS[kind] for kind in self.kinds), strict=True)))

    @property
    def _couples(self) -> bool:
        return True

    @np.errstate(over="ignore", invalid="ignore")
    def _batch(self, given: Mapping[str, Any], weight: Any, mask: Any, *, trusted: bool = False) -> Batch:
        arguments = [(item, given[item.name]) for item in self.inputs]
        batch = prepare_rows(type(self).__name__, arguments, weight, mask, axis=self.class_axis)
        for symbol, kind in () if trusted else self._kinds.items():
            if kind == "logits":
                mend = f"{symbol}_kind='probabilities'" if f"{symbol}_kind" in self._options else "their logarithms"
                warn_if_rows_of_probabilities(batch, symbol, mend)
        return batch

    def row_axis_of(self, shapes: Mapping[str, tuple[int, ...]]) -> int:
        """Return the axis of the classes; see ``Traceable.row_axis_of``."""
        return agree(type(self).__name__, self.inputs, shapes, axis=self.class_axis)[0]

    def _stream(
        self, batch: Batch, outputs: Sequence[str], first: int = 0
    ) -> Iterator[tuple[int, int, dict[str, Array]]]:
        for start, stop, given in batch.blocks(first):
            with np.errstate(all="ignore"):
                # In float64 whatever came in: a row is small, and nothing is lost between its classes.
                wide = {symbol: array.astype(np.float64) for symbol, array in given.items()}
                yield start, stop, self.compute(REFERENCE, wide, (*outputs, "valid"))

    def compute(self, host: Host, given: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """Return outputs of each example; see ``Traceable.compute``."""
        wanted, scale = [output for output in outputs if output != "valid"], self.scale
        results = self.row(host, given["p"] * scale, given["q"] * scale, wanted) if wanted else {}
        if "valid" in outputs:
            p, q = (valid_rows(host.xp, given[symbol], kind) for symbol, kind in self._kinds.items())
            results["valid"] = p & q
        return results

    def _invalid(self, batch: Batch, invalid: Array, start: int) -> Exception:
        options = {symbol: f"or say what they are with {symbol}_kind=" for symbol in "pq"}
        mends = {symbol: mend for symbol, mend in options.items() if f"{symbol}_kind" in self._options}
        return row_error(batch, self._kinds, invalid, start, mends)

    @property
    def _kinds(self) -> dict[str, str]:
        return dict(zip("pq", self.kinds, strict=True))

    def row(self, host: Host, p: Array, q: Array, outputs: Sequence[str]) -> dict[str, Array]:
        """Return the outputs for rows of ``p`` and ``q``, each (..., classes), in their kinds."""
        kinds = [_form_of(kind) for kind in self.kinds]
        left, right = (rows.view(host.xp, kind, array) for kind, array in zip(kinds, (p, q), strict=True))
        d = rows.log_ratio(host.xp, left, right)
        results: dict[str, Array] = {}
        if "losses" in outputs:
            terms = host.run(self, "terms", ("value",), (left.p, right.p, d))["value"]
            results["losses"] = host.xp.sum(terms, axis=-1) + self._surplus(host, left, right, d)
        for symbol, view in (("p", left), ("q", right)):
            if f"gradient:{symbol}" in outputs:
                pull = host.run(self, f"pull:{symbol}", ("value",), (left.p, right.p, d))["value"]
                slope = host.run(self, f"slope:{symbol}", ("value",), (d,))["value"]
                results[f"gradient:{symbol}"] = rows.gradient(host.xp, view, slope, pull) * self.scale
        if any("hessian" in output for output in outputs):
            results |= self._bends(left, right, d, outputs)
        return results

    def _bends(self, left: rows.View, right: rows.View, d: Array, outputs: Sequence[str]) -> dict[str, Array]:
        """Return the second derivatives, which NumPy alone is asked for."""
        xp, scale = REFERENCE.xp, self.scale**2
        found = {symbol: self._derivatives(symbol, left.p, right.p, d) for symbol in "pq"}
        results: dict[str, Array] = {}
        for symbol, view in (("p", left), ("q", right)):
            slope, pull, curve, bend = found[symbol]
            second = (slope, pull, curve, _over(bend, view.p))
            if f"hessian:{symbol},{symbol}" in outputs:
                results[f"hessian:{symbol},{symbol}"] = rows.hessian(xp, view, *second) * scale
            if f"full_hessian:{symbol},{symbol}" in outputs:
                results[f"full_hessian:{symbol},{symbol}"] = rows.full_hessian(xp, view, *second) * scale
        if "full_hessian:p,q" in outputs:
            bends = found["p"].bend, found["q"].bend
            # p² times the second derivative by p, which is q² times that by q too: from the one that is exact or
            # moderate.
            by_q = (np.abs(np.log(bends[1])) < np.abs(np.log(bends[0]))) | ~np.isfinite(bends[0])
            weight = np.where(by_q, right.p * bends[1], left.p * bends[0])
            inner = _inner(left, right, d, weight, *bends)
            results["full_hessian:p,q"] = rows.cross_hessian(xp, left, right, weight, inner) * scale
        return results

    def _derivatives(self, symbol: str, p: Array, q: Array, d: Array) -> _Derivatives:
        """Return the derivatives by p or by q."""
        pull = REFERENCE.run(self, f"pull:{symbol}", (), (p, q, d))
        slope = REFERENCE.run(self, f"slope:{symbol}", (), (d,))
        own, side = (p, 1) if symbol == "p" else (q, -1)
        # By the logarithm, the probability moves by itself and d by one.
        direct = np.where(own == 0, 0, own * pull[f"gradient:{symbol}"])
        curve = direct + side * pull["gradient:d"]
        return _Derivatives(slope["value"], pull["value"], curve, side * slope["gradient:d"])

    @property
    def programs(self) -> Mapping[str, Sequence[str]]:
        """The loss of a class, and its derivatives by p and q and by their logarithms."""
        return {"terms": (), "pull:p": _BY_ALL, "pull:q": _BY_ALL, "slope:p": (), "slope:q": ()}

    def program_of(self, label: str, outputs: Sequence[str]) -> Program:
        """Return one of these programs, with all that it has."""
        what, _, symbol = label.partition(":")
        if what == "terms":
            return self.kernel("terms", _terms, "pqd")
        place = "pq".index(symbol)
        if what == "slope":
            return self._slope(place, self.kinds[place])
        return self._pull(place, self.kinds[place], "pqd" if outputs == _BY_ALL else symbol + "d")

    @property
    def forms(self) -> Mapping[str, Pulls]:
        """The pulls of the general form and of the definition."""
        return {"general": self.pulls, "defined": self.defined_pulls}

    def _pull(self, place: int, kind: str, wrt: str) -> Program:
        """Return the program of the derivative by log p or log q, for the one or the other place."""
        form = _form(kind)

        def pulls(loss: Self, ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
            return {"value": loss.forms[form](ops, s["p"], s["q"], s["d"])[place]}

        return self.kernel(f"pull:{'pq'[place]} {form} {wrt}", pulls, "pqd", wrt=wrt)

    def _slope(self, place: int, kind: str) -> Program:
        """Return the program of the derivative by p or by q."""
        form = _form(kind)

        def slopes(loss: Self, ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
            return {"value": loss.slopes(ops, s["d"], loss.forms[form])[place]}

        return self.kernel(f"slope:{'pq'[place]} {form}", slopes, "d", wrt="d")

    def _rows_for_kernel(self, batch: Batch, parts: Collection[str]) -> int:
        if any(part.startswith("full") for part in parts):
            return 0
        return compiled_rows(batch.size, batch.block, batch.inputs["q"].shape[1])

    def _run_kernel(
        self, rows: int, batch: Batch, into: Mapping[str, Array], *, summed: bool, divisor: float
    ) -> Findings:
        return self._prepared(rows, batch, into, summed=summed).run(divisor)

    def _prepared(self, rows: int, batch: Batch, into: Mapping[str, Array], *, summed: bool) -> Prepared:
        """Return the call of a kernel on the first rows."""
        from lossmith.engines.llvm import divergence_kernel

        return divergence_kernel.prepare(
            self.kernel("terms", _terms, "pqd"),
            tuple(self.program_of(f"pull:{symbol}", ()) for symbol in "pq"),
            tuple(self.program_of(f"slope:{symbol}", ()) for symbol in "pq"),
            rows,
            batch.inputs["p"],
            batch.inputs["q"],
            self.free_parameters,
            into,
            kinds=self.kinds,
            block=batch.block,
            double=batch.dtype == np.float64,
            scale=self.scale,
            linear=self.linear,
            multiple=1 / self.scale**2 if self.entropic else None,
            weight=None if batch.weight is None else batch.weight[:rows],
            mask=None if batch.mask is None else batch.mask[:rows],
            summed=summed,
        )

    @cached_property
    def _plain(self) -> Plain | None:
        if not keeps(type(self), "_plain", PASSED):
            return None
        return PlainRows(self, labels=False, logits=[x for x, kind in self._kinds.items() if kind == "logits"])

    def _surplus(self, host: Host, left: rows.View, right: rows.View, d: Array) -> Array | float:
        """Return what the multiples of p and q add to the loss: the rounding of the rows' sums, or nothing."""
        if self.linear == 0 or left.kind == right.kind == "logits":
            return 0.0
        difference = left.p - right.p
        if not self.exact:
            # Where logarithms came in, d has digits of the difference that p and q have not.
            difference = host.xp.where(host.xp.abs(d) < 1, right.p * host.xp.expm1(d), difference)
        surplus: Array = self.linear * host.xp.sum(difference, axis=-1)
        return surplus

    def section(
        self, value: float | None = None, points: int = 401, between: tuple[float, float] | None = None
    ) -> Section:
        """Return the loss of two classes along what q says of the first; ``value`` is what p says of it.

        Both are drawn as probabilities, or as logits beside a logit of 0 where the loss takes nothing else.
        """
        return along_shares(self, value, points, between)


_BY_ALL = ("gradient:p", "gradient:q", "gradient:d")
_PLAIN = {"values": "probabilities", "log_values": "log_probabilities"}


class _Derivatives(NamedTuple):
    """Derivatives of each class by p or by q: see ``simplex_math``; ``bend`` is that of the slope by d or -d."""

    slope: Array
    pull: Array
    curve: Array
    bend: Array


def _form_of(kind: str) -> str:
    """Return the form that amounts or shares are given in."""
    return _PLAIN.get(kind, kind)


def _form(kind: str) -> str:
    # Logits sum to one whatever they are, and then multiples of p and q are constants.
    return "general" if kind == "logits" else "defined"


def _terms(loss: Divergence, ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
    return {"value": loss.terms(ops, s["p"], s["q"], s["d"])}


def _over(bend: Array, p: Array) -> Array:
    """Return the second derivative by a probability; a slope that never bends has none at 0 either."""
    return np.where(bend == 0, 0, bend / p)


def _inner(left: rows.View, right: rows.View, d: Array, weight: Array, by_p: Array, by_q: Array) -> Array:
    """Return the mixed second derivative of each class, by probabilities or by their logarithms."""
    if left.kind == right.kind == "probabilities":
        return -np.where(d < 0, _over(by_p, right.p), _over(by_q, left.p))
    if left.kind == "probabilities":
        return -by_p
    return -by_q if right.kind == "probabilities" else -weight

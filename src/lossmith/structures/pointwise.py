"""The pointwise structure: the formula's inputs are the target and the prediction of one example."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, reduce
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from lossmith.core.card import NOT_KNOWN, Estimate, Traits
from lossmith.core.columns import head
from lossmith.core.contract import Batch, prepare
from lossmith.core.domain import REAL, Domain
from lossmith.core.fill import keeps
from lossmith.core.halving import FARTHEST, least_between, searched
from lossmith.core.link import IDENTITY, LOGISTIC, Link
from lossmith.core.mistakes import are_no_probabilities, warn_if_probabilities
from lossmith.core.outputs import of_program
from lossmith.core.parameter import Option, Parameter
from lossmith.core.section import Section
from lossmith.engines import numpy as engine
from lossmith.engines.choice import Findings, compiled_rows
from lossmith.engines.facts import shown, shown_by_residual
from lossmith.engines.hosts import Host
from lossmith.engines.regimes import decided
from lossmith.errors import LossmithError, ParameterError
from lossmith.program import Ops, Value
from lossmith.program.bounds import bounds
from lossmith.program.proofs import Proof, prove
from lossmith.program.ranges import EVERYWHERE, Range
from lossmith.structures.lines import along_focus
from lossmith.structures.plain import PASSED, Plain
from lossmith.structures.plain_numbers import PlainNumbers
from lossmith.structures.written import Written

Array = npt.NDArray[Any]

_PROBABILITIES = Domain.parse("[0, 1]", hint="for logits pass prediction='logits'")
_FEW = 139
"""Up to so many numbers XLA computes an arithmetic loss in the thread that calls, which counts operations."""


class Pointwise(Written):
    """A loss of a target and a prediction, element by element, or of several inputs declared by name.

    A subclass gives ``card``, ``formula``, and what differs: ``target`` and ``prediction_domain``, or
    ``inputs`` and ``domains`` where it takes others than a target and a prediction (see ``Loss.inputs``).
    """

    target: ClassVar[Domain] = REAL

    @cached_property
    def symbols(self) -> tuple[str, ...]:
        """The symbols of its inputs."""
        return tuple(item.symbol for item in self.inputs)

    @cached_property
    def wrt(self) -> tuple[str, ...]:
        """The symbols of its predicted inputs."""
        return tuple(item.symbol for item in self.predicted)

    @property
    def prediction_domain(self) -> Domain:
        """Where predictions of the declared kind may lie."""
        return REAL

    @property
    def target_domain(self) -> Domain:
        """Where targets may lie."""
        return self.target

    @property
    def domains(self) -> Mapping[str, Domain]:
        """Domain of each input, by symbol; other inputs than target and prediction may be any number."""
        known = {"y": self.target_domain, "f": self.prediction_domain}
        return MappingProxyType({symbol: known.get(symbol, REAL) for symbol in self.symbols})

    def valid(self, ops: Ops, symbols: Mapping[str, Value]) -> Value:
        """Return the condition that every input lies in its domain."""
        conditions = [domain.contains(ops, symbols[symbol]) for symbol, domain in self.domains.items()]
        return reduce(ops.both, conditions)

    def _outputs(self, ops: Ops, symbols: Mapping[str, Value]) -> dict[str, Value]:
        # A domain that ends at zero is entered from above: there -0.0 would turn an infinite slope around.
        above = {x: ops.sub(symbols[x], -0.0) for x, domain in self.domains.items() if domain.low == 0}
        return {**super()._outputs(ops, {**symbols, **above}), "valid": self.valid(ops, symbols)}

    def best_prediction(self, y_true: npt.ArrayLike) -> Array:
        """Return the raw prediction with the least loss; see ``Loss.best_prediction``."""
        found = self.link.of_targets(y_true, self.target_domain.low, self.target_domain.high)
        if self.card.estimates != "not known" or not self.paired:
            return found
        if self.is_of_residuals:
            shift: Array = searched(self, np.zeros(1), np.zeros(1))  # as far from every target
            return np.asarray(found + shift[0])
        return searched(self.raw_form, np.asarray(y_true, dtype=float), found)

    @cached_property
    def _proof(self) -> Proof:
        """What is proved of the formula, for all values of its parameters."""
        if self.symbols[:2] != ("y", "f") or self.wrt != ("f",):
            return Proof()
        return prove(self.part("value"), "f", "y", self._ranges)

    @cached_property
    def _slopes(self) -> Range:
        """What the gradient is proved to stay between, for the values of its parameters; see ``bounds``."""
        return self._slopes_for({name: (value, value) for name, value in self.free_parameters.items()})

    def _slopes_for(self, values: Mapping[str, Range]) -> Range:
        if self.symbols[:2] != ("y", "f") or self.wrt != ("f",):
            return EVERYWHERE
        return bounds(self.part("gradient:f"), "gradient:f", tuple({**dict(self._ranges), **values}.items()))

    @property
    def _ranges(self) -> tuple[tuple[str, Range], ...]:
        """Where inputs and parameters may lie."""
        known = {**self.domains, **{name: item.domain for name, item in self.parameters().items()}}
        return tuple((name, (item.low, item.high)) for name, item in known.items())

    @cached_property
    def _level(self) -> float | None:  # type: ignore[override]  # nobody writes it
        if not (self.card.estimates == "not known" and self.is_of_residuals and self._proof.scales):
            return None
        above, below = self.losses([0.0, 0.0], [1.0, -1.0]).tolist()
        return below / (above + below) if above > 0 and below > 0 else None

    @property
    def is_of_residuals(self) -> bool:
        """Whether it is proved that residuals alone decide, and any target may be predicted."""
        free = all(item.low == -math.inf and item.high == math.inf for item in self.domains.values())
        return self.paired and free and self._proof.shifts

    @classmethod
    def _proved(cls) -> tuple[Traits, Estimate]:
        try:
            plain = cls()
            proof = plain._proof
        except (LossmithError, TypeError):  # no formula, or none that can be traced
            return super()._proved()
        traits = replace(
            NOT_KNOWN,
            convex=proof.convex,
            differentiable=proof.smooth,
            smooth=proof.smooth,
            lipschitz=all(map(math.isfinite, plain._slopes_for({}))),
            symmetric=proof.even,
            nonnegative=proof.nonnegative,
        )
        return traits, "mean" if proof.square and plain.paired and plain.link is IDENTITY else "not known"

    def section(
        self, value: float | None = None, points: int = 401, between: tuple[float, float] | None = None
    ) -> Section:
        """Return the loss along the input in its focus; ``value`` is the target. See ``Loss.section``."""
        return along_focus(self, value, points, between)

    def _batch(self, given: Mapping[str, Any], weight: Any, mask: Any, *, trusted: bool = False) -> Batch:
        return prepare(type(self).__name__, self.inputs, given, weight, mask)

    def _stream(
        self, batch: Batch, outputs: Sequence[str], first: int = 0
    ) -> Iterator[tuple[int, int, dict[str, Array]]]:
        columns = list(map(batch.inputs.__getitem__, self.symbols))
        return self._runner(tuple(outputs), batch.dtype).stream(columns, batch.block, first)

    def _runner(self, outputs: tuple[str, ...], dtype: np.dtype[Any], *, valid: bool = True) -> engine.Runner:
        """Return the program of some outputs, and of ``valid``, ready for the reference engine."""
        key = (outputs, dtype.char, valid)
        found = self._runners.get(key)
        if found is None:
            names = {part: of_program(part) for part in ((*outputs, "valid") if valid else outputs)}
            program = decided(self.part(*dict.fromkeys(names.values())), tuple(self.free_parameters.items()))
            found = self._runners[key] = engine.ready(program, self.free_parameters, dtype, names)
        return found

    @cached_property
    def _runners(self) -> dict[Any, engine.Runner]:
        return {}

    @property
    def programs(self) -> Mapping[str, Sequence[str]]:
        """The formula, which tells here what is valid."""
        return {label: [*outputs, "valid"] for label, outputs in super().programs.items()}

    def compute(self, host: Host, given: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """Return outputs of each example; see ``Traceable.compute``."""
        names = {part: of_program(part) for part in outputs}
        found = host.run(self, "formula", list(names.values()), [given[symbol] for symbol in self.symbols])
        return {part: found[name] for part, name in names.items()}

    def marked(self, host: Host, given: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """Return outputs of each example; see ``Traceable.marked``.

        Where all outputs show that a prediction is no number, it is the mark: XLA makes one loop of a formula and the
        sum of its values, but not of choices between them. Where they are not finite unless the residual is, that less
        itself marks it too, in a loop that waits for memory, and few losses in fewer operations: slopes need no mark.
        """
        if self._open.issuperset(outputs):
            residual = given["f"] - given["y"]
            mark = residual - residual  # in less time than 0 times that
            count = given["f"].size
            if not isinstance(count, int) or count > _FEW:  # a length that is not known yet may be any
                return self.compute(host, {**given, "f": given["f"] + mark}, outputs)
            found = self.compute(host, given, outputs)
            if "losses" in outputs:
                found["losses"] = found["losses"] + mark
            return found
        if not self._shown:
            return super().marked(host, given, outputs)
        first = self.wrt[0]
        marked = host.xp.where(self._valid(host, given), given[first], math.nan)
        return self.compute(host, {**given, first: marked}, outputs)

    @cached_property
    def _shown(self) -> bool:
        """Whether losses and gradients are no numbers wherever the first prediction is none."""
        program = self.program(1)
        return len(shown(program, program.inputs.index(self.wrt[0]))) == len(program.outputs)

    @cached_property
    def _open(self) -> frozenset[str]:
        """The outputs, losses and gradients, that are not finite wherever an example is invalid."""
        if not (self.paired and self.symbols == ("y", "f")):
            return frozenset()
        program = self.part("value", "gradient:f", "valid")
        found = shown_by_residual(program, program.inputs.index("f"), program.inputs.index("y"))
        return frozenset("losses" if name == "value" else name for name in found)

    def ready(self) -> None:
        """Settle how what is invalid is marked; see ``Traceable.ready``."""
        super().ready()
        _ = self._shown, self._open

    def _rows_for_kernel(self, batch: Batch, parts: Collection[str]) -> int:
        return compiled_rows(batch.size, batch.block, calls=self._calls)

    @cached_property
    def _calls(self) -> int:
        """About how many calls of NumPy the loss and its gradient take."""
        return engine.calls(self.part("value", *(f"gradient:{symbol}" for symbol in self.wrt), "valid"))

    def _run_kernel(
        self, rows: int, batch: Batch, into: Mapping[str, Array], *, summed: bool, divisor: float
    ) -> Findings:
        from lossmith.engines.llvm import kernel

        filled: dict[str, Array] = {}
        for part, array in into.items():
            filled.setdefault(of_program(part), array[:rows])
        program = self.part(*dict.fromkeys((*filled, *(["value"] if summed else []))), "valid")
        found = kernel.run(
            program,
            [head(batch.inputs[symbol], rows) for symbol in self.symbols],
            self.free_parameters,
            filled,
            weight=None if batch.weight is None else head(batch.weight, rows),
            mask=None if batch.mask is None else batch.mask[:rows],
            kind="float" if batch.dtype == np.float32 else "double",
            summed=summed,
            divisor=divisor,
        )
        for part, array in into.items():  # an entry of the full Hessian may be one of the diagonal
            if not np.may_share_memory(array, filled[of_program(part)]):
                array[:rows] = filled[of_program(part)]
        return found

    @cached_property
    def _plain(self) -> Plain | None:
        return PlainNumbers(self, self._is_clear) if keeps(type(self), "_plain", PASSED) else None

    @property
    def _is_clear(self) -> Callable[[Array], bool] | None:
        """What tells whether predictions need no closer look for a likely mistake, where they may need one."""
        return None

    def _value(self, y: Array, f: Array) -> Array:
        found = self._formula_at(y, f)
        unknown = np.isnan(found)
        if unknown.any():  # where infinity meets a zero, the loss of a prediction far out stands for the limit
            found = np.where(unknown, self._formula_at(y, np.clip(f, -FARTHEST, FARTHEST)), found)
        return found

    def _formula_at(self, y: Array, f: Array) -> Array:
        flat = [np.ascontiguousarray(array, dtype=np.float64).reshape(-1) for array in (y, f)]
        return engine.run(self.part("value"), flat, self.free_parameters)["value"].reshape(np.shape(y))


_OF_CLASSES = "and for more classes take a loss of them, such as sparse_categorical_cross_entropy"


class Binary(Pointwise):
    """A pointwise loss of a label that is no or yes.

    The formula takes what it needs of the label from ``shares``, which knows the declared labels, and of the
    prediction from ``log_probabilities`` and ``probabilities``, which keep to ``eps``.
    """

    link: Link = LOGISTIC
    target: ClassVar[Domain] = Domain.parse(
        "{0, 1}", hint=f"labels are 0 and 1; for labels -1 and +1 pass labels='signed', {_OF_CLASSES}"
    )
    signed_target: ClassVar[Domain] = Domain.parse(
        "{-1, 1}", hint="with labels='signed' they are -1 and +1; for 0 and 1 pass labels='binary'"
    )
    prediction = Option(
        "logits",
        ("logits", "probabilities"),
        doc="what y_pred holds: logits, or probabilities of the positive class",
    )
    labels = Option("binary", ("binary", "signed"), doc="what y_true holds: 0 and 1, or -1 and +1")
    eps = Parameter(
        None,
        domain="(0, 0.5)",
        symbol=r"\epsilon",
        typical=(1e-15, 1e-3),
        doc="probabilities are moved into [eps, 1 - eps]; by default they are taken as they are",
    )

    @property
    def target_domain(self) -> Domain:
        """Labels, as declared."""
        return self.signed_target if self.labels == "signed" else self.target

    @property
    def prediction_domain(self) -> Domain:
        """Any number for logits, [0, 1] for probabilities."""
        return _PROBABILITIES if self.prediction == "probabilities" else REAL

    def _check(self) -> None:
        if self.eps is not None and self.prediction != "probabilities":
            raise ParameterError(
                f"{type(self).__name__}(eps={self.eps:g}): eps is for probabilities; logits need none, "
                "since their logarithms are never infinite. Leave it out, or pass prediction='probabilities'"
            )

    def shares(self, y: Value) -> tuple[Value, Value]:
        """Return how much a label is a yes and how much a no, which add up to 1."""
        return ((1 + y) / 2, (1 - y) / 2) if self.labels == "signed" else (y, 1 - y)

    def log_probabilities(self, ops: Ops, f: Value) -> tuple[Value, Value]:
        """Return log p and log(1 - p) of the positive class."""
        if self.prediction == "logits":
            return -ops.softplus(-f), -ops.softplus(f)
        # Bounded as logarithms: the log of 1 - (1 - eps) would keep few digits of a small eps, or none.
        low, high = (0, 0) if self.eps is None else (ops.log(self.eps), ops.log1p(-self.eps))
        return self._kept(ops, f, low, ops.log(f), high), self._kept(ops, f, high, ops.log1p(-f), low)

    def probabilities(self, ops: Ops, f: Value) -> tuple[Value, Value]:
        """Return p and 1 - p of the positive class."""
        if self.prediction == "logits":
            return ops.sigmoid(f), ops.sigmoid(-f)
        low, high = (0, 1) if self.eps is None else (self.eps, 1 - self.eps)
        return self._kept(ops, f, low, f, high), self._kept(ops, f, high, 1 - f, low)

    def _kept(self, ops: Ops, f: Value, low: Value, inside: Value, high: Value) -> Value:
        """Return what holds at a probability, or at eps or 1 - eps where it comes nearer to the ends."""
        if self.eps is None:
            return inside
        return ops.where(f < self.eps, low, ops.where(1 - f < self.eps, high, inside))

    def best_prediction(self, y_true: npt.ArrayLike) -> Array:
        """Return the logit with the least loss: infinite for a certain label."""
        labels = np.asarray(y_true, dtype=float)
        found = self.link.of_targets(labels, self.target_domain.low, self.target_domain.high)
        unsure = np.isfinite(found)
        if self.card.estimates != "probability" and unsure.any():
            # Other losses answer a soft label with another probability than its own.
            y, ends = labels[unsure], np.full(int(unsure.sum()), np.inf)
            found = np.array(found)
            found[unsure] = least_between(self.raw_form, y, -ends, ends)
        return found

    @cached_property
    def _plain(self) -> Plain | None:  # its home is where ``_batch`` warns, which it knows
        return super()._plain

    @property
    def _is_clear(self) -> Callable[[Array], bool] | None:
        return are_no_probabilities if self.prediction == "logits" else None

    def _batch(self, given: Mapping[str, Any], weight: Any, mask: Any, *, trusted: bool = False) -> Batch:
        batch = super()._batch(given, weight, mask)
        if self.prediction == "logits" and not trusted:
            warn_if_probabilities(batch, "f", offered="probabilities" in self._options["prediction"].choices)
        return batch


class SoftBinary(Binary):
    """A loss of a label that may be a probability."""

    target = Domain.parse(
        "[0, 1]", hint=f"labels are 0 and 1, or probabilities; for -1 and +1 pass labels='signed', {_OF_CLASSES}"
    )
    signed_target = Domain.parse("[-1, 1]", hint="with labels='signed' they are -1 and +1")

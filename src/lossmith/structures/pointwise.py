"""The pointwise structure: the formula's inputs are the target and the prediction of one example."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Self
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from lossmith.core.contract import Batch, prepare, warn_if_probabilities
from lossmith.core.domain import REAL, Domain
from lossmith.core.link import LOGISTIC, Link
from lossmith.core.loss import Loss
from lossmith.core.parameter import Option, Parameter
from lossmith.engines import numpy as engine
from lossmith.errors import ParameterError
from lossmith.program import Ops, Program, Value, derive, trace

Array = npt.NDArray[Any]

_OUTPUT_NAMES = {"losses": "value", "gradient": "gradient:f", "hessian": "hessian:f,f"}
_PROBABILITIES = Domain.parse("[0, 1]", hint="for logits pass prediction='logits'")
_PROGRAMS: WeakKeyDictionary[type, dict[Any, Program]] = WeakKeyDictionary()


class Pointwise(Loss):
    """A loss of one target and one prediction, element by element.

    A subclass gives ``card``, ``formula``, and what differs from the real line in ``target`` and
    ``prediction_domain``.
    """

    target: ClassVar[Domain] = REAL

    @abstractmethod
    def formula(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the loss of target ``y`` at prediction ``f``, written with ``ops`` and arithmetic alone."""

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
        """Domain of the target ``y`` and of the prediction ``f``."""
        return MappingProxyType({"y": self.target_domain, "f": self.prediction_domain})

    def program(self, order: int = 2) -> Program:
        """Return the loss as a program: ``value`` and, by order, ``gradient:f`` and ``hessian:f,f``."""
        if order not in (0, 1, 2):
            raise ParameterError(f"{type(self).__name__}.program(order={order!r}): order must be 0, 1 or 2")
        return self._part(*tuple(_OUTPUT_NAMES.values())[: order + 1])

    def written(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the formula on what the caller passes, labels and kinds included.

        Structures bring the caller's conventions to the formula's here.
        """
        return self.formula(ops, y, f)

    def symbolic(self, values: Mapping[str, Value]) -> Self:
        """Return a twin whose parameters are the given symbols, for tracing and typesetting its formula."""
        twin = object.__new__(type(self))
        object.__setattr__(twin, "_values", MappingProxyType({**self._values, **values}))
        return twin

    @property
    def free_parameters(self) -> dict[str, float]:
        """The parameters that are present, which are inputs of the program."""
        return {name: self._values[name] for name in self._parameters if self._values[name] is not None}

    def _part(self, *outputs: str) -> Program:
        """Return the program of some outputs, traced once for each form of the loss."""
        # Parameters are inputs of the program: losses that differ only in those share it, if their domains agree.
        form = (
            *((value if name in self._options else value is None) for name, value in self._values.items()),
            *self.domains.values(),
        )
        parts = _PROGRAMS.setdefault(type(self), {})
        if (form, ()) not in parts:
            parts[form, ()] = derive(trace(self._outputs, ("y", "f"), tuple(self.free_parameters)), wrt=("f",), order=2)
        if (form, outputs) not in parts:
            parts[form, outputs] = parts[form, ()].select(outputs)
        return parts[form, outputs]

    def _outputs(self, ops: Ops, symbols: Mapping[str, Value]) -> dict[str, Value]:
        twin = self.symbolic({name: symbols[name] for name in self.free_parameters})
        y, f = symbols["y"], symbols["f"]
        valid = ops.both(self.domains["y"].contains(ops, y), self.domains["f"].contains(ops, f))
        return {"value": twin.written(ops, y, f), "valid": valid}

    def _batch(self, y_true: Any, y_pred: Any, weight: Any, mask: Any, *, trusted: bool = False) -> Batch:
        arguments = {"y": ("y_true", y_true), "f": ("y_pred", y_pred)}
        # A domain that ends at zero is entered from above: there -0.0 would turn an infinite slope around.
        at_zero = [symbol for symbol, domain in self.domains.items() if domain.low == 0]
        return prepare(type(self).__name__, arguments, weight, mask, unsigned_zero=at_zero)

    def _stream(self, batch: Batch, outputs: Sequence[str]) -> Iterator[tuple[int, int, dict[str, Array]]]:
        program = self._part(*(_OUTPUT_NAMES[name] for name in outputs), "valid")
        blocks = engine.stream(program, [batch.inputs["y"], batch.inputs["f"]], self.free_parameters)
        for start, stop, block in blocks:
            results = {name: block[_OUTPUT_NAMES[name]] for name in outputs}
            yield start, stop, {**results, "valid": block["valid"]}

    def _value(self, y: Array, f: Array) -> Array:
        """Return the losses without checks, also at infinite predictions, where they are limits."""
        program = self._part("value")
        flat = [np.ascontiguousarray(array, dtype=np.float64).reshape(-1) for array in (y, f)]
        return engine.run(program, flat, self.free_parameters)["value"].reshape(np.shape(y))


class Binary(Pointwise):
    """A pointwise loss of a label that is no or yes.

    The formula sees labels 0 and 1, or probabilities of 1 where the loss allows soft labels. It takes
    what it needs of the prediction from ``log_probabilities`` and ``probabilities``, which keep to ``eps``.
    """

    link: Link = LOGISTIC
    target: ClassVar[Domain] = Domain.parse(
        "{0, 1}", hint="labels are 0 and 1; for labels -1 and +1 pass labels='signed'"
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

    def written(self, ops: Ops, y: Value, f: Value) -> Value:
        """Return the formula with labels brought to 0 and 1."""
        return self.formula(ops, (y + 1) / 2 if self.labels == "signed" else y, f)

    def log_probabilities(self, ops: Ops, f: Value) -> tuple[Value, Value]:
        """Return log p and log(1 - p) of the positive class."""
        if self.prediction == "logits":
            return -ops.softplus(-f), -ops.softplus(f)
        # Bounded as logarithms: the log of 1 - (1 - eps) would keep few digits of a small eps, or none.
        low, high = (0, 0) if self.eps is None else (ops.log(self.eps), ops.log1p(-self.eps))
        return self._kept(ops, f, low, ops.log(f), high), self._kept(ops, f, high, ops.log1p(-f), low)

    def probabilities(self, ops: Ops, f: Value) -> tuple[Value, Value]:
        """Return p and 1 - p of the positive class, for predictions that are probabilities."""
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
        return super().best_prediction((labels + 1) / 2 if self.labels == "signed" else labels)

    def _best_constant(self, y: Array, w: Array) -> float:
        if self.labels == "signed":
            return self.replace(labels="binary")._best_constant((y + 1) / 2, w)
        return super()._best_constant(y, w)

    def _batch(self, y_true: Any, y_pred: Any, weight: Any, mask: Any, *, trusted: bool = False) -> Batch:
        batch = super()._batch(y_true, y_pred, weight, mask)
        if self.prediction == "logits" and not trusted:
            warn_if_probabilities(batch, "f", offered="probabilities" in self._options["prediction"].choices)
        return batch

"""Losses with a formula: tracing it, once for each form of the loss."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import Any, Self
from weakref import WeakKeyDictionary

from lossmith.core.loss import Loss
from lossmith.engines.arrays import Formula
from lossmith.errors import ParameterError
from lossmith.program import Ops, Program, Value, derive, trace

_PROGRAMS: WeakKeyDictionary[type, dict[Any, Program]] = WeakKeyDictionary()


class Written(Loss):
    """A loss with a formula of a few symbols, which its structure fills from the arrays of a call."""

    @property
    @abstractmethod
    def symbols(self) -> tuple[str, ...]:
        """The symbols that the formula takes, in order."""

    @property
    @abstractmethod
    def wrt(self) -> tuple[str, ...]:
        """Those of them that it is differentiated by."""

    @abstractmethod
    def formula(self, ops: Ops, *inputs: Any, **named: Any) -> Value:
        """Return the loss, written with ``ops`` and arithmetic alone on its inputs, in the order of the declaration."""

    def written(self, ops: Ops, *inputs: Value) -> Value:
        """Return the formula on what the caller passes, labels and kinds included.

        Structures bring the caller's conventions to the formula's here.
        """
        return self.formula(ops, *inputs)

    def valid(self, ops: Ops, symbols: Mapping[str, Value]) -> Value | None:
        """Return the condition that the inputs lie in their domains, or ``None`` when the structure checks them."""
        return None

    def program(self, order: int = 2) -> Program:
        """Return the formula as a program: ``value`` and, by order, gradients and Hessians.

        Raises:
            ParameterError: for an order other than 0, 1 or 2.
        """
        if order not in (0, 1, 2):
            raise ParameterError(f"{type(self).__name__}.program(order={order!r}): order must be 0, 1 or 2")
        first = [f"gradient:{x}" for x in self.wrt]
        second = [f"hessian:{x},{z}" for place, x in enumerate(self.wrt) for z in self.wrt[place:]]
        return self.part("value", *(first if order else []), *(second if order == 2 else []))

    def symbolic(self, values: Mapping[str, Value]) -> Self:
        """Return a twin whose parameters are the given symbols, for tracing and typesetting its formula."""
        twin = object.__new__(type(self))
        object.__setattr__(twin, "_values", MappingProxyType({**self._values, **values}))
        return twin

    def reads(self, sympy: Any, output: str, part: Callable[..., Any]) -> Any:
        """Return an output as people read it: an expression of SymPy, made of what ``part(loss, name)`` gives.

        Structures carry the formula's derivatives back to predictions here.
        """
        return part(self, output)

    def part(self, *outputs: str) -> Program:
        """Return the program of some outputs, among ``value``, ``gradient:x``, ``hessian:x,z`` and ``valid``."""
        if outputs not in self._found:
            form, parts = self._form, _PROGRAMS.setdefault(type(self), {})
            if (form, outputs) not in parts:
                if (form, ()) not in parts:
                    traced = trace(self._outputs, self.symbols, tuple(self.free_parameters))
                    parts[form, ()] = derive(traced, wrt=self.wrt, order=2)
                parts[form, outputs] = parts[form, ()].select(outputs)
            self._found[outputs] = parts[form, outputs]
        return self._found[outputs]

    def program_of(self, label: str, outputs: Sequence[str]) -> Program:
        """Return a program that the structure computes with; the formula has the label ``formula``."""
        return self.part(*outputs)

    @property
    def programs(self) -> Mapping[str, Sequence[str]]:
        """The outputs of each program that the structure computes with, by its label."""
        return {"formula": [name for name, _ in self.program(2).outputs]}

    @cached_property
    def formulas(self) -> Mapping[str, Formula]:
        """Each of these programs, ready for arrays that are traced."""
        free = self.free_parameters
        return {label: Formula(self.program_of(label, outputs), free) for label, outputs in self.programs.items()}

    def ready(self) -> None:
        """Make the programs, and tell the symbols; see ``Traceable.ready``."""
        _ = self.formulas, self.symbols

    @cached_property
    def _found(self) -> dict[tuple[str, ...], Program]:
        """The programs that were asked of this very loss, since telling its form takes longer than a short call."""
        return {}

    def kernel(
        self,
        label: str,
        function: Callable[[Any, Ops, Mapping[str, Value]], Mapping[str, Value]],
        symbols: Sequence[str],
        wrt: Sequence[str] = (),
    ) -> Program:
        """Return a further program of this form of the loss, for structures that compute with more than its formula.

        Args:
            label: what the structure calls it; it is traced once.
            function: ``(loss with symbols as parameters, ops, symbols) -> outputs``.
            symbols: inputs of the program.
            wrt: those that its output ``value`` is differentiated by.
        """
        form, parts = self._form, _PROGRAMS.setdefault(type(self), {})
        if (form, label) not in parts:
            free = tuple(self.free_parameters)

            def outputs(ops: Ops, given: Mapping[str, Value]) -> Mapping[str, Value]:
                return function(self.symbolic({name: given[name] for name in free}), ops, given)

            parts[form, label] = derive(trace(outputs, symbols, free), wrt=wrt, order=1 if wrt else 0)
        return parts[form, label]

    @cached_property
    def _form(self) -> tuple[Any, ...]:
        """What tells apart the losses of a class that need programs of their own."""
        # Parameters are inputs of the program: losses that differ only in those share it, if their domains agree.
        absent = (self._values[name] is None for name in self._parameters)
        return (*absent, *(self._values[name] for name in self._options), *self.domains.values())

    def _outputs(self, ops: Ops, symbols: Mapping[str, Value]) -> dict[str, Value]:
        twin = self.symbolic({name: symbols[name] for name in self.free_parameters})
        outputs = {"value": twin.written(ops, *(symbols[name] for name in self.symbols))}
        valid = self.valid(ops, symbols)
        return outputs if valid is None else {**outputs, "valid": valid}

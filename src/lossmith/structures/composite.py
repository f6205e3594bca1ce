"""The composite structure: a weighted sum of losses of the same inputs is a loss.

Every part of it is the sum of that part of its terms. What differs between terms, domains, kinks
and closed forms, is asked of each.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from lossmith.core.card import Card, Kink, Traits
from lossmith.core.constant import Context
from lossmith.core.contract import Batch
from lossmith.core.domain import Domain
from lossmith.core.halving import least_between
from lossmith.core.inputs import Input
from lossmith.core.loss import Loss
from lossmith.core.parameter import rounded
from lossmith.core.section import Section, in_common
from lossmith.core.traceable import NONE, Counting
from lossmith.engines.hosts import REFERENCE, Host
from lossmith.errors import NoConstantError, ParameterError
from lossmith.program import Program, trace
from lossmith.program.ops import Ops, Value
from lossmith.structures import row_constant, row_labels
from lossmith.structures.rows import Rows

Array = npt.NDArray[Any]

_CONVENTIONS = ("prediction", "labels", "targets", "class_axis", "p_kind", "q_kind")
COUNTING = ("class_weight", "ignore_index")
"""What all terms of a sum have in common."""
_TURNED = (
    "; turned around, a loss is least where it was greatest. For a score that is better when it is larger, "
    "take lossmith.sklearn.scorer(loss), or minus the cost"
)
_AGREED = ("mean", "median", "probability")


@dataclass
class Parts(Batch):
    """The batch of a sum: that of its first term, with those of all of them."""

    parts: tuple[Batch, ...] = ()


class Sum(Loss):
    """A sum of losses with weights, made as ``0.7 * lm.Huber() + 0.3 * lm.AbsoluteError()``.

    Args:
        terms: pairs of weight and loss. Sums among them are taken apart, and equal losses merge.

    Raises:
        ParameterError: for no terms, weights that are negative or not finite, and losses that do not
            take the same inputs in the same kind.
    """

    def __init__(self, terms: Iterable[tuple[float, Loss]]) -> None:
        flat: dict[Loss, float] = {}
        for weight, loss in terms:
            number = _weight(weight, loss)
            inner = loss.parts if isinstance(loss, Sum) else ((1.0, loss),)
            for factor, term in inner:
                flat[term] = flat.get(term, 0.0) + number * factor
        if not flat:
            raise ParameterError("a sum of losses needs at least one term")
        losses = tuple(flat)
        for other in losses[1:]:
            _refuse_mixture(losses[0], other)
        parts = tuple((weight, loss) for loss, weight in flat.items())
        object.__setattr__(self, "_values", MappingProxyType({"terms": parts}))
        object.__setattr__(self, "link", losses[0].link)
        object.__setattr__(self, "card", _card(parts))

    @property
    def parts(self) -> tuple[tuple[float, Loss], ...]:
        """Weight and loss of each term."""
        found: tuple[tuple[float, Loss], ...] = self._values["terms"]
        return found

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The arrays that every term takes."""
        return self.parts[0][1].inputs

    @property
    def row_axis(self) -> int | None:
        """That of every term."""
        return self.parts[0][1].row_axis

    def terms(
        self,
        y_true: Any = None,
        y_pred: Any = None,
        weight: npt.ArrayLike | None = None,
        mask: npt.ArrayLike | None = None,
        reduction: str = "mean",
        *,
        empty: str = "error",
        **named: Any,
    ) -> dict[str, Any]:
        """Return what each term contributes to the cost, its weight included; arguments as in ``cost``."""
        return {
            _text(factor, loss): factor * loss.cost(y_true, y_pred, weight, mask, reduction, empty=empty, **named)
            for factor, loss in self.parts
        }

    def replace(self, **changes: Any) -> Self:
        """Return the sum of other terms; only ``terms`` can be changed."""
        if set(changes) - {"terms"}:
            raise ParameterError(f"{self} has no parameters of its own; change its terms, and add them again")
        return type(self)(changes.get("terms", self.parts))

    def to_config(self) -> dict[str, Any]:
        """Return this as plain data, which ``lossmith.from_config`` turns back into it."""
        return {"loss": "sum", "parameters": {"terms": [[weight, loss.to_config()] for weight, loss in self.parts]}}

    def __repr__(self) -> str:
        return " + ".join(_text(weight, loss) for weight, loss in self.parts)

    @property
    def raw_form(self) -> Self:
        """The sum of the terms on raw predictions."""
        return type(self)((weight, loss.raw_form) for weight, loss in self.parts)

    @property
    def domains(self) -> Mapping[str, Domain]:
        """Domain of each input of the first term; each term checks its own."""
        return self.parts[0][1].domains

    @property
    def _couples(self) -> bool:
        return self.parts[0][1]._couples

    def program(self, order: int = 2) -> Program:
        """Return the sum of the terms' programs, with parameters as constants."""
        programs = [(weight, loss, loss.program(order)) for weight, loss in self.parts]
        if len({program.inputs for _, _, program in programs}) > 1:
            raise ParameterError(f"{self}: the formulas of its terms are of different symbols, so there is no program")

        def outputs(ops: Ops, symbols: Mapping[str, Value]) -> dict[str, Value]:
            total: dict[str, Value] = {}
            for weight, loss, program in programs:
                free = {name: loss.values[name] for name in program.parameters}
                for name, value in program.evaluate(ops, list(symbols.values()), free).items():
                    total[name] = weight * value + total.get(name, 0.0)
            return total

        return trace(outputs, programs[0][2].inputs)

    def best_prediction(self, y_true: npt.ArrayLike) -> Array:
        """Return the raw prediction with the least loss for each target: the terms' own, or one between them."""
        bests = np.stack([np.asarray(loss.best_prediction(y_true), dtype=float) for weight, loss in self.parts])
        low: Array = bests.min(axis=0)
        high: Array = bests.max(axis=0)
        apart = low < high
        if not apart.any():
            return low
        targets, between = np.unique(np.asarray(y_true, dtype=float)[apart], return_inverse=True)
        found = low.copy()
        first = [int(np.argmax(between == place)) for place in range(len(targets))]
        found[apart] = least_between(self.raw_form, targets, low[apart][first], high[apart][first])[between]
        return found

    def _best_constant(self, y: Array, w: Array) -> float:
        aimless = [str(loss) for _, loss in self.parts if loss.card.estimates == "nothing"]
        if aimless:
            raise NoConstantError(f"{self} has no best constant: {', '.join(aimless)} alone falls without bound")
        if len(self.parts) == 1:
            return self.parts[0][1]._best_constant(y, w)
        return super()._best_constant(y, w)

    def optimal_constant(self, y_true: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Any:
        """Return the best constant raw prediction of the sum; see the terms'."""
        rows = self._rows
        return (
            super().optimal_constant(y_true, weight)
            if rows is None
            else row_constant.best_constant(rows, y_true, weight)
        )

    def context(self, y_true: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> Context:
        """Return what a cost is to be compared with; see ``Loss.context``."""
        rows = self._rows
        return super().context(y_true, weight) if rows is None else row_constant.context(rows, y_true, weight)

    @property
    def _rows(self) -> list[tuple[float, Rows]] | None:
        """The terms where they are of rows over classes, else nothing.

        Raises:
            NoConstantError: when they take a row of predictions of another sort.
        """
        raw = [(weight, loss.raw_form) for weight, loss in self.parts if weight > 0]
        rows = [(weight, loss) for weight, loss in raw if isinstance(loss, Rows)]
        if rows and len(rows) == len(raw):
            return rows
        if self.paired and self._couples:
            raise NoConstantError(f"{self} has no best constant: each of its terms asks for a row of its own")
        return None

    def _label_shares(self, raw: Array, label_smoothing: float) -> Array:
        parts = self._rows
        return super()._label_shares(raw, label_smoothing) if parts is None else row_labels.shares(parts, raw)

    def section(
        self, value: float | None = None, points: int = 401, between: tuple[float, float] | None = None
    ) -> Section:
        """Return the sum along the line of its terms, as far as any of them goes; see ``Loss.section``."""
        lines = in_common([loss for _, loss in self.parts], value, points, between)

        def added(name: str) -> Array:
            shares = [weight * getattr(line, name) for (weight, _), line in zip(self.parts, lines, strict=True)]
            return np.asarray(sum(shares))

        bests = {line.best for line in lines}
        return replace(
            lines[0],
            losses=added("losses"),
            gradient=added("gradient"),
            hessian=added("hessian"),
            best=bests.pop() if len(bests) == 1 else None,
        )

    def _batch(self, given: Mapping[str, Any], weight: Any, mask: Any, *, trusted: bool = False) -> Batch:
        parts = tuple(loss._batch(given, weight, mask, trusted=trusted) for _, loss in self.parts)
        first = parts[0]
        for (_, loss), part in zip(self.parts, parts, strict=True):
            if not (_same(first.weight, part.weight) and _same(first.mask, part.mask)):
                raise self._differs(loss)
        return Parts(**{item.name: getattr(first, item.name) for item in fields(Batch)}, parts=parts)

    def _stream(
        self, batch: Batch, outputs: Sequence[str], first: int = 0
    ) -> Iterator[tuple[int, int, dict[str, Array]]]:
        assert isinstance(batch, Parts)
        streams = [loss._stream(part, outputs, first) for (_, loss), part in zip(self.parts, batch.parts, strict=True)]
        for blocks in zip(*streams, strict=True):
            start, stop, _ = blocks[0]
            with np.errstate(over="ignore", invalid="ignore"):
                yield start, stop, self._added(REFERENCE, [block for _, _, block in blocks], (*outputs, "valid"))

    def _added(self, host: Host, terms: Sequence[Mapping[str, Any]], outputs: Sequence[str]) -> dict[str, Any]:
        """Return the outputs of the sum from those of its terms."""
        total: dict[str, Any] = {}
        for (weight, _), found in zip(self.parts, terms, strict=True):
            for key in outputs:
                if key == "valid":
                    total[key] = total[key] & found[key] if key in total else found[key]
                else:
                    # Weight 0 takes nothing, not even from infinity.
                    share = weight * found[key] if weight else host.xp.zeros_like(found[key])
                    total[key] = total[key] + share if key in total else share
        return total

    @property
    def singles(self) -> Collection[str]:
        """Those of every term."""
        return self.parts[0][1].singles

    @property
    def class_indices(self) -> Collection[str]:
        """Those of every term."""
        return self.parts[0][1].class_indices

    @property
    def demands(self) -> Mapping[str, str]:
        """Those of every term."""
        return self.parts[0][1].demands

    def row_axis_of(self, shapes: Mapping[str, tuple[int, ...]]) -> int | None:
        """Ask every term; see ``Traceable.row_axis_of``."""
        axes = [loss.row_axis_of(shapes) for _, loss in self.parts]
        return axes[0]

    def ready(self) -> None:
        """Settle the terms; see ``Traceable.ready``."""
        for _, loss in self.parts:
            loss.ready()

    def compute(self, host: Host, given: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
        """Return outputs of each example; see ``Traceable.compute``."""
        return self._added(host, [loss.compute(host, given, outputs) for _, loss in self.parts], outputs)

    def counting(self, host: Host, given: Mapping[str, Any], vectors: Mapping[str, Any] = NONE) -> Counting:
        """Return how much each example counts to every term; see ``Traceable.counting``."""
        first = self.parts[0][1]
        for _, loss in self.parts:
            if any(loss.values.get(name) != first.values.get(name) for name in COUNTING):
                raise self._differs(loss)
        return first.counting(host, given, vectors)

    def _differs(self, loss: Loss) -> ParameterError:
        return ParameterError(
            f"{self}: {loss} weighs or leaves out other rows than {self.parts[0][1]}, as class weights and "
            "ignored indices do; give every term the same"
        )

    def _invalid(self, batch: Batch, invalid: Array, start: int) -> Exception:
        assert isinstance(batch, Parts)
        row = int(np.argmax(invalid))
        for (_, loss), part in zip(self.parts, batch.parts, strict=True):
            for first, stop, block in loss._stream(part, ()):
                if first <= start + row < stop and not block["valid"][start + row - first]:
                    return loss._invalid(part, invalid, start)
        raise AssertionError("a row was reported outside the domains, but lies inside")

    def _value(self, y: Array, f: Array) -> Array:
        found: Array = sum(weight * loss._value(y, f) for weight, loss in self.parts if weight) + np.zeros(np.shape(y))
        return found


def _weight(weight: Any, loss: Any) -> float:
    if not isinstance(loss, Loss):
        raise ParameterError(f"a sum is of losses; {loss!r} is none")
    if isinstance(weight, bool) or not isinstance(weight, numbers.Real):
        raise ParameterError(f"{weight!r} * {loss}: a loss is multiplied by a number, got {type(weight).__name__}")
    number = rounded(weight)
    if not 0 <= number < math.inf:
        raise ParameterError(f"{number:g} * {loss}: a weight must be finite and at least 0{_TURNED * (number < 0)}")
    return number


def _refuse_mixture(first: Loss, other: Loss) -> None:
    if [(item.symbol, item.name) for item in first.inputs] != [(item.symbol, item.name) for item in other.inputs]:
        mine, theirs = (", ".join(f"{item.name}=" for item in loss.inputs) for loss in (first, other))
        raise ParameterError(
            f"{first} and {other} cannot be added: the one takes {mine}, the other {theirs}; "
            "terms must take the same inputs"
        )
    for name in _CONVENTIONS:
        one, two = first.values.get(name), other.values.get(name)
        if one is not None and two is not None and one != two:
            raise ParameterError(
                f"{first} and {other} cannot be added: {name} is {one!r} in the one and {two!r} in the other; "
                f"make both with the same {name}="
            )
    if first._couples != other._couples:
        raise ParameterError(
            f"{first} and {other} cannot be added: the one takes a prediction an example, the other a row of them"
        )
    if first.link != other.link:
        raise ParameterError(
            f"{first} and {other} cannot be added: the one takes raw predictions behind the {first.link.name} link, "
            f"the other behind the {other.link.name} link, so the same number means different things to them"
        )


def _same(a: Array | None, b: Array | None) -> bool:
    return a is b or (a is not None and b is not None and bool(np.array_equal(a, b)))


def _text(weight: float, loss: Loss) -> str:
    return f"{weight:g} * {loss}" if float(f"{weight:g}") == weight else f"{weight!r} * {loss}"


def _card(parts: tuple[tuple[float, Loss], ...]) -> Card:
    cards = [loss.card for _, loss in parts]
    first = cards[0]
    kinks = tuple(_kink_of(loss, kink) for _, loss in parts for kink in loss.card.kinks)
    if len(cards) == 1:
        return replace(first, kinks=kinks, examples=(), formula=None)  # those are of weight 1
    traits = [card.traits for card in cards]
    estimates = {card.estimates for card in cards}
    agreed = len(estimates) == 1 and first.estimates in _AGREED
    together = " and ".join(card.title for card in cards)

    def merged(name: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(text for card in cards for text in getattr(card, name)))

    return Card(
        title=f"Sum of {together}",
        task=first.task,
        summary=f"A weighted sum: {together}.",
        picture="The pictures of its terms, added.",
        estimates=first.estimates if agreed else "a compromise of its terms",
        activation=first.activation,
        pros=merged("pros"),
        cons=merged("cons"),
        use_when=merged("use_when"),
        avoid_when=merged("avoid_when"),
        traits=Traits(
            **{item.name: all(getattr(trait, item.name) for trait in traits) for item in fields(Traits)},
        ),
        kinks=kinks,
        examples=(),
        references=tuple(dict.fromkeys(reference for card in cards for reference in card.references)),
    )


def _kink_of(loss: Loss, kink: Kink) -> Kink:
    return Kink(kink.where, kink.jumps, lambda _, target: kink.at(loss, target))

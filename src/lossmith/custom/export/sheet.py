"""What every target is told of a loss: its names, its numbers, its programs, and the words about them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from lossmith import __version__
from lossmith.core import reading
from lossmith.core.inputs import Input
from lossmith.core.loss import Loss
from lossmith.core.parameter import Parameter
from lossmith.custom.export.helpers import HELPERS
from lossmith.custom.export.readable import readable, summed
from lossmith.errors import MissingDependencyError, ParameterError
from lossmith.program import Program
from lossmith.structures.composite import Sum
from lossmith.structures.pointwise import Pointwise

TEXT_WIDTH = 84


@dataclass(frozen=True)
class Sheet:
    """A pointwise loss, or a weighted sum of such.

    Attributes:
        loss: what is exported.
        whole: its program to second order, with ``valid``.
        parameters: value of each parameter of the program.
        declared: what declares it.
    """

    loss: Loss
    whole: Program
    parameters: Mapping[str, float]
    declared: Mapping[str, Parameter]

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The arrays that the loss takes."""
        return self.loss.inputs

    @property
    def wrt(self) -> tuple[str, ...]:
        """The symbols of the inputs that are predicted."""
        return tuple(item.symbol for item in self.loss.predicted)

    @property
    def pairs(self) -> tuple[tuple[Input, Input], ...]:
        """Pairs of inputs with a second derivative."""
        found = self.loss.predicted
        return tuple((a, b) for place, a in enumerate(found) for b in found[place:])

    def program(self, *outputs: str) -> Program:
        """Return the program of some outputs, as people read it."""
        return readable(self.whole, outputs)

    @cached_property
    def gradients(self) -> tuple[str, ...]:
        """The outputs that are first derivatives."""
        return tuple(f"gradient:{symbol}" for symbol in self.wrt)

    @cached_property
    def hessians(self) -> tuple[str, ...]:
        """The outputs that are second derivatives."""
        return tuple(f"hessian:{a.symbol},{b.symbol}" for a, b in self.pairs)

    @property
    def class_name(self) -> str:
        """A name for classes."""
        return "WeightedSum" if isinstance(self.loss, Sum) else type(self.loss).__name__

    @property
    def name(self) -> str:
        """A name for functions, in lower case."""
        return "weighted_sum" if isinstance(self.loss, Sum) else self.loss.name


def sheet_of(loss: Loss) -> Sheet:
    """Return what is told of a pointwise loss, or of a weighted sum of them.

    Raises:
        ParameterError: for any other loss.
    """
    if isinstance(loss, Sum):
        return _sheet_of_sum(loss)
    if not isinstance(loss, Pointwise):
        raise ParameterError(
            f"{loss} computes with whole rows or vectors, and code is exported of losses of one example's numbers, "
            "such as huber; softmax losses of logits, divergences of probabilities and multi_quantile go to numpy, "
            "torch, jax and keras, and every loss goes to latex"
        )
    first, second = loss.wrt, [(a, b) for place, a in enumerate(loss.wrt) for b in loss.wrt[place:]]
    outputs = ["value", *(f"gradient:{a}" for a in first), *(f"hessian:{a},{b}" for a, b in second), "valid"]
    return Sheet(loss, loss.part(*outputs), dict(loss.free_parameters), dict(loss.parameters()))


def _sheet_of_sum(loss: Sum) -> Sheet:
    parts = [(weight, sheet_of(part)) for weight, part in loss.parts]
    names = [name for _, part in parts for name in part.parameters]

    def spell(place: int, name: str) -> str:
        return name if names.count(name) == 1 else f"{name}_{place + 1}"

    program = summed([(weight, part.whole) for weight, part in parts], parts[0][1].wrt, spell)
    values = {spell(n, name): value for n, (_, part) in enumerate(parts) for name, value in part.parameters.items()}
    declared = {spell(n, name): part.declared[name] for n, (_, part) in enumerate(parts) for name in part.parameters}
    return Sheet(loss, program, values, declared)


def called(sheet: Sheet, reserved: frozenset[str], words: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what a target calls each input and parameter, by symbol and name.

    Args:
        sheet: the loss.
        reserved: what means something else there; such names get a ``_``.
        words: the target's own names of inputs.
    """
    words = words or {}
    taken = reserved | set(words.values()) | set(HELPERS)
    names = {item.symbol: item.name for item in sheet.inputs} | {name: name for name in sheet.parameters}
    return {key: words.get(name, f"{name}_" if name in taken else name) for key, name in names.items()}


def about(loss: Loss, names: Mapping[str, str], parameters: Sequence[tuple[str, float, Parameter]]) -> list[str]:
    """Return the words about a loss that begin every file: formula, inputs, parameters, link, and where it is from.

    Args:
        loss: the loss.
        names: what its inputs are called, by symbol; others are left out.
        parameters: name, value and declaration of each.
    """
    lines = [*_wrapped(f"Generated by Lossmith {__version__} from {loss}."), ""]
    if drawn := _formula(loss):
        lines += [*(f"    {line}".rstrip() for line in drawn.splitlines()), ""]
    rows = [
        (names[item.symbol], f"{item.doc}, in {loss.domains[item.symbol]}")
        for item in loss.inputs
        if item.symbol in names
    ]
    lines += ["Inputs, arrays of one shape:", *_listed(rows)]
    if parameters:
        rows = [(name, f"{item.doc}, in {item.domain}; by default {value:g}") for name, value, item in parameters]
        lines += ["", "Parameters:", *_listed(rows)]
    if loss.link.name == "log":
        lines += ["", *_wrapped("A raw prediction f stands for the rate exp(f).")]
    elif loss.link.name == "logistic":
        lines += ["", *_wrapped("A logit f stands for the probability 1 / (1 + exp(-f)).")]
    return [*lines, "", *_wrapped("Nothing is checked here: outside of these domains results mean nothing.")]


@lru_cache(maxsize=256)
def _formula(loss: Loss) -> str:
    """Return the formula as text, as far as it can be shown here."""
    if text := getattr(loss, "text", ""):
        return "\n".join(_wrapped(str(text), TEXT_WIDTH - 4))
    try:
        return reading.pretty(loss, width=TEXT_WIDTH - 4)
    except MissingDependencyError:
        return ""


def _listed(rows: Sequence[tuple[str, str]]) -> list[str]:
    lines = []
    for name, text in rows:
        lines += textwrap.wrap(f"{name}: {text}", TEXT_WIDTH, initial_indent="    ", subsequent_indent=" " * 8)
    return lines


def _wrapped(text: str, width: int = TEXT_WIDTH) -> list[str]:
    return textwrap.wrap(re.sub(r"\s+", " ", text), width, break_on_hyphens=False)

"""What kernels over pairs of rows are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lossmith.engines.llvm.row_by_row import Form
from lossmith.program import Program

Given = Literal["probabilities", "log_probabilities", "logits"]


@dataclass(frozen=True, kw_only=True)
class DivergenceForm(Form):
    """What a kernel over pairs of rows does.

    Attributes:
        kinds: what p and q hold.
        amounts: whether they need not sum to one.
        scaled: whether logits are multiplied by a number first.
        linear: the multiple of p - q beyond the terms.
        crossed: whether the loss is a multiple of Σ p log(p/q).
        quick: whether rows take a quicker way, where there is one for them.
    """

    kinds: tuple[Given, Given]
    amounts: bool
    scaled: bool
    linear: float
    crossed: bool
    quick: bool = False

    @property
    def registers(self) -> int:
        """How many registers of the machine a vector of doubles takes: one of floats in the quicker way of lanes."""
        return 2 if self.quick and self.by_lane else 1

    @property
    def both_logits(self) -> bool:
        """Whether p and q are both given as logits."""
        return self.kinds == ("logits", "logits")

    def kind(self, symbol: str) -> Given:
        """Return what p or q holds."""
        return self.kinds["pq".index(symbol)]

    def logits(self) -> tuple[str, ...]:
        """Return which of p and q are given as logits."""
        return tuple(symbol for symbol in "pq" if self.kind(symbol) == "logits")

    def gradient(self, symbol: str) -> bool:
        """Return whether the gradient by p or q is written."""
        return f"gradient:{symbol}" in self.written

    def hessian(self, symbol: str) -> bool:
        """Return whether the diagonal of the Hessian by p or q is written."""
        return f"hessian:{symbol},{symbol}" in self.written

    def derived(self, symbol: str) -> bool:
        """Return whether any derivative by p or q is written."""
        return self.gradient(symbol) or self.hessian(symbol)

    def kept(self) -> tuple[str, ...]:
        """Return what the looks in double precision keep of each class."""
        names = []
        for symbol in self.logits():
            names.append(f"powers_{symbol}")
            if self.derived(symbol):
                names += [f"slope_{symbol}", f"beta_{symbol}"]
            if self.hessian(symbol):
                names.append(f"curve_{symbol}")
        return (*names, "ratio") if self.crossed and self.valued else (*names,)


@dataclass(frozen=True)
class Formulas:
    """The programs of a divergence.

    Attributes:
        terms: of p, q and d, with ``value``.
        pulls: of p, q and d, with ``value`` and the gradients by the symbol and by d, for p and for q.
        slopes: of d, with ``value`` and ``gradient:d``, for p and for q.
    """

    terms: Program
    pulls: tuple[Program, Program]
    slopes: tuple[Program, Program]

    def each(self) -> tuple[Program, ...]:
        """Return the programs, in the order in which their uniform values are passed."""
        return (self.terms, *self.pulls, *self.slopes)

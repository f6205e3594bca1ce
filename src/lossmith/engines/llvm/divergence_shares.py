"""The quicker way for Σ p log(p/q) of probabilities in single precision, with q given as such or by its logarithms.

The logarithm is that of the quotient and of what rounding took from it, or a difference that is rounded as what is
near 1, so a row is left to the looks in double precision only where its loss is a small difference of its terms, or
small beside what such differences are off by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

from lossmith.engines.limits import SUM_TOLERANCE
from lossmith.engines.llvm import divergence_quick as quick
from lossmith.engines.llvm import exponentials
from lossmith.engines.llvm import math as vector
from lossmith.engines.llvm.divergence_chunk import Add, Chunk, greater, plus
from lossmith.engines.llvm.divergence_form import DivergenceForm
from lossmith.engines.llvm.lanes import Lanes
from lossmith.engines.llvm.row_text import single

DIFFERENCES = 0.4
"""What logarithms less those of q are off by, beside their size, as a multiple of what rounds 1."""


def is_of_shares(form: DivergenceForm) -> bool:
    """Return whether a kernel has this way."""
    return (
        form.crossed
        and form.element == "float"
        and form.kinds in (("probabilities", "probabilities"), ("probabilities", "log_probabilities"))
        and {"losses", "gradient:p", "gradient:q"}.issuperset(form.written)
    )


class Shares(quick.Quick):
    """This way, which writes itself into a text; see ``Quick``."""

    @property
    def _summed(self) -> tuple[str, ...]:
        """What is summed over a row."""
        return ("value", "size", "total_p", "total_q")

    @property
    def _of_logarithms(self) -> bool:
        return self.form.kind("q") == "log_probabilities"

    def _sums(self, chunk: Chunk) -> dict[str, Add]:
        b = chunk.body
        p, q = chunk.load("p", b.number(0.0)), chunk.load("q", b.number(-math.inf if self._of_logarithms else 0.0))
        if self._of_logarithms:
            d, q = vector.log_inside(b, p, q), exponentials.exp_inside(b, q)
        else:
            inverse = 1.0 / q
            ratio = p * inverse
            # Of q where it should be of p, which makes no difference where these digits matter.
            lost = b.fma(-ratio, q, p) * inverse
            d = vector.log(b, ratio)
            d = b.select((ratio > 0.5) & (ratio < 2.0), d + lost, d)
        term = b.select(p > 0.0, p * d, 0.0)
        terms = {"value": term, "size": b.abs(term), "total_p": p, "total_q": q}
        found: dict[str, Add] = {name: partial(plus, value) for name, value in terms.items()}
        return found | {"bits": partial(greater, b.call("umax", b.bits(p), b.bits(q)))}

    def _decide(self, found: Mapping[str, Lanes]) -> None:
        b = self.row()
        names = ("value", "size", "total_p", "total_q")
        loss, size, *masses = (self.total(b, found[name]) for name in names)
        if self._of_logarithms:
            size = size + masses[0] * DIFFERENCES
        fits = self.are_shares(b, found["bits"]) & (loss > size * quick.SMALL)
        for mass in masses:
            fits = fits & (b.abs(mass - 1.0) <= SUM_TOLERANCE)
        multiple = single(b, "double", "%second_one")
        factor = self.factor(b) * multiple
        self.name(b, {"of_p": factor})
        self.name(b, {"of_slope": factor}, "double")
        self.settle(b, loss * multiple, fits)

    def _gradients(self, chunk: Chunk) -> dict[str, Add]:
        b = chunk.body
        p, given = (chunk.load(symbol, b.number(0.0)) for symbol in "pq")
        neither = p.equals(0.0) & given.equals(-math.inf if self._of_logarithms else 0.0)  # then they are equal
        if self.form.gradient("q"):
            slope = p if self._of_logarithms else b.select(neither, 1.0, p / given)
            chunk.store(-(slope * Lanes(b, b.real, "%of_p")), "gradient_q", self.form.streaming)
        if self.form.gradient("p"):
            wide = b.widened()
            below = wide.take(given) if self._of_logarithms else wide.number(0.0)
            ratio = wide.take(p) if self._of_logarithms else wide.take(p) / wide.take(given)
            d = b.select(ratio.equals(0.0), wide.number(-math.inf), vector.log_inside(wide, ratio) - below)
            factor = Lanes(wide, wide.real, "%of_slope")
            slope = (b.select(neither, wide.number(0.0), d) + 1.0) * factor
            chunk.store(b.give(b.select(factor > 0.0, slope, wide.number(0.0))), "gradient_p", self.form.streaming)
        return {}

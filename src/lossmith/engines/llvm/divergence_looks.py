"""What kernels over pairs of rows compute, as ``lossmith.structures.divergence`` and ``simplex_math`` define it.

A row is looked at up to six times while it stays in the caches: for the largest logits; for the sums of
exponentials; for how far the log-sums of two rows of logits are apart; for the terms and their slopes; for what
derivatives by logits need of the whole row; and to write these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from lossmith.engines.limits import LARGEST_LOG, SUM_TOLERANCES
from lossmith.engines.llvm import exponentials
from lossmith.engines.llvm import math as vector
from lossmith.engines.llvm.divergence_form import DivergenceForm, Formulas
from lossmith.engines.llvm.lanes import Body, Lanes
from lossmith.engines.llvm.logit_looks import LogitLooks
from lossmith.engines.llvm.row_by_row import Uniform
from lossmith.engines.llvm.row_text import (
    Look,
    Text,
    largest,
    with_largest,
    without_each,
    without_largest,
)
from lossmith.engines.llvm.vectors import Vector
from lossmith.engines.operations import evaluate
from lossmith.program import Program

SMALL = {"float": 1e-3, "double": 0.25}
"""Share of its parts that a loss must be to have its digits as their sum, by what arrays hold."""

_HUGE = 1e100
_PADDING = {"probabilities": 0.0, "log_probabilities": -math.inf, "logits": -math.inf}


@dataclass(frozen=True)
class _Apart:
    """How far two rows of logits are apart: at the likeliest class of q, in their log-sums; where that has digits."""

    first: Lanes
    shift: Lanes
    moderate: Lanes


@dataclass(frozen=True)
class _View:
    """One vector of p or q: what was given, the probabilities and their logarithms."""

    given: Lanes
    p: Lanes
    log_p: Callable[[], Lanes]


class Looks(LogitLooks):
    """The looks at a row, which write themselves into a text one after the other.

    Args:
        text: what is written into.
        form, formulas: what the kernel does.
        uniform: the values of each program that are the same for every class, by label.
    """

    def __init__(self, text: Text, form: DivergenceForm, formulas: Formulas, uniform: Uniform) -> None:
        super().__init__(text, form.logits(), form.element)
        self.form, self.formulas, self.uniform = form, formulas, uniform
        self.apart: _Apart | None = None

    # --- a vector of classes -----------------------------------------------------------------------

    def given(self, look: Look, symbol: str) -> Lanes:
        """Return what p or q was given as."""
        found = look.load(symbol, self.form.element, _PADDING[self.form.kind(symbol)])
        return found * look.named("%first_all") if self.form.scaled else found

    def _view(self, b: Body, symbol: str, given: Lanes, powers: Lanes | None = None) -> _View:
        """Return p or q; ``powers`` are the exponentials, where they are at hand."""
        kind = self.form.kind(symbol)
        if kind == "probabilities":
            return _View(given, given, lambda: vector.log(b, given))
        if kind == "log_probabilities":
            return _View(given, exponentials.exp(b, given), lambda: given)
        s = self.softmax[symbol]
        top, inverse, log_others = (Lanes(b, x.type, x.name) for x in (s.top, s.inverse, s.log_others))
        below = top - given
        if powers is None:
            powers = exponentials.exp_of_negative(b, -below)
        return _View(given, inverse * powers, lambda: -(below + log_others))

    def _views(self, look: Look) -> tuple[_View, _View]:
        left, right = (
            self._view(
                look.body, symbol, self.given(look, symbol),
                look.kept(f"powers_{symbol}") if symbol in self.softmax else None,
            )
            for symbol in "pq"
        )  # fmt: skip
        return left, right

    def _log_ratio(self, b: Vector, left: _View, right: _View) -> Lanes:
        """Return log(p/q); see ``simplex_math.log_ratio``."""
        p, q = left.p, right.p
        if self.form.kinds == ("probabilities", "probabilities"):
            neither = p.equals(0.0) & q.equals(0.0)
            found = b.select(neither, 0.0, vector.log_quotient(b, p, q))
            b.is_exp(found, lambda: b.select(neither, 1.0, p / (q + 0.0)))
            b.is_exp(-found, lambda: b.select(neither, 1.0, q / (p + 0.0)))
            return found
        log_p, log_q = left.log_p(), right.log_p()
        found = log_p - log_q
        if self.apart is not None:
            first, shift, moderate = (Lanes(b, x.type, x.name) for x in vars(self.apart).values())
            found = b.select(moderate, ((left.given - right.given) - first) - shift, found)
        return b.select(log_p.equals(log_q) & log_p.equals(-math.inf), 0.0, found)

    def _emit(self, b: Vector, program: Program, *inputs: Lanes) -> Mapping[str, Lanes]:
        uniform = {n: Lanes(b, x.type, x.name) for n, x in self.uniform[program].items()}
        return evaluate(b, program, list(inputs), uniform, tame=True)

    # --- the third: two rows of logits ----------------------------------------------------------------

    def growth(self) -> None:
        """Write the look that compares the log-sums of two rows of logits."""
        b = self.text.row("c")
        of_q = self.softmax["q"]
        p, q = (self.number(b, symbol, of_q.place) for symbol in "pq")
        first = p - q
        # What exponentials of p are multiplied by for those of log q + e.
        factor = replace(of_q.inverse, body=b) / self.text.kept_at(b, "powers_p", of_q.place)
        self.text.close(b)

        def write(look: Look, before: Mapping[str, Lanes]) -> dict[str, Lanes]:
            b = look.body
            left, right = self._views(look)
            e, q = (left.given - right.given) - look.of(first), right.p
            far = look.kept("powers_p") * look.of(factor) - q
            grown = b.select(b.abs(e) > 1.0, far, q * exponentials.expm1(b, e))
            both = left.given.equals(-math.inf) & right.given.equals(-math.inf)
            return {"grown": before["grown"] + b.select(both, 0.0, grown)}

        after = self.text.loop("grow", write, {"grown": (f"<{self.width} x double>", "zeroinitializer")})
        b = self.text.row("d")
        grown = self.text.total(b, after["grown"])
        self.apart = _Apart(first, vector.log1p(b, grown), (grown > -0.5) & (grown < 2.0))
        self.text.close(b)

    def number(self, b: Body, symbol: str, place: Lanes) -> Lanes:
        """Return what p or q was given as at one class."""
        found = super().number(b, symbol, place)
        return found * Lanes(b, b.real, "%first_all") if self.form.scaled else found

    # --- the fourth: terms ---------------------------------------------------------------------------

    def terms(self) -> dict[str, Lanes]:
        """Write the look that sums terms, writes what needs no sum, and keeps what derivatives by logits need.

        Returns:
            Of the row: ``value``; ``wrong`` where what is not given as logits is no distribution; and for each of p
            and q that derivatives by logits are written of, by ``_p`` or ``_q``, the slope of the likeliest class as
            ``top``, which is taken from all others.
        """
        form, nothing = self.form, "zeroinitializer"
        real, truth = (f"<{self.width} x {x}>" for x in ("double", "i1"))
        carried: dict[str, tuple[str, str]] = {"value": (real, nothing)}
        if self._crossed:
            carried["size"] = (real, nothing)
        plain = [symbol for symbol in "pq" if symbol not in self.softmax]
        if plain:
            carried["odd"] = (truth, nothing)
        if not form.amounts:
            carried |= {f"mass_{symbol}": (real, nothing) for symbol in plain}
        carried |= {f"top_{symbol}": (real, nothing) for symbol in self._derived}
        after = self.text.loop("term", self._terms, carried, form.streaming)
        b = self.text.row("e")
        wrong = self.text.anywhere(b, after["odd"]) if plain else Lanes(b, b.truth, nothing)
        for symbol in plain if not form.amounts else ():
            off = b.abs(self.text.total(b, after[f"mass_{symbol}"]) - 1.0)
            wrong = wrong | ((off <= SUM_TOLERANCES[form.kind(symbol)]) ^ b.always)
        found = {"value": self.text.total(b, after["value"]), "wrong": wrong}
        fits = found["value"] > self.text.total(b, after["size"]) * SMALL[form.element] if self._crossed else b.always
        found |= {name: self.text.total(b, value) for name, value in after.items() if name.startswith("top")}
        self.text.close(b)
        if self._crossed:
            found["value"] = self._with_care(found["value"], fits)
        return found

    @property
    def _derived(self) -> list[str]:
        """Which of p and q derivatives by logits are written of."""
        return [symbol for symbol in self.softmax if self.form.derived(symbol)]

    @property
    def _crossed(self) -> bool:
        """Whether losses are sums of p log(p/q) first."""
        return self.form.crossed and self.form.valued

    def _with_care(self, sums: Lanes, fits: Lanes) -> Lanes:
        """Write the look that sums terms which lose no digits, for rows that need it; return the losses of all."""
        b = self.text.row("h")
        direct = replace(sums, body=b) * Lanes(b, b.real, "%second_all")
        some = b.anywhere(replace(fits, body=b) ^ b.always)
        b.lines.append(f"  br label %summed\nsummed:\n  br i1 {some}, label %careful, label %settled\ncareful:")
        self.text.close(b)

        def write(look: Look, before: Mapping[str, Lanes]) -> dict[str, Lanes]:
            left, right = self._views(look)
            return {"value": before["value"] + look.counted(self._value(look.body, left, right, look.kept("ratio")))}

        after = self.text.loop("care", write, {"value": (b.real, "zeroinitializer")})
        b = self.text.row("i")
        careful = b.select(replace(fits, body=b), direct, self.text.total(b, after["value"]))
        b.lines.append("  br label %cared\ncared:\n  br label %settled\nsettled:")
        found = b.write(b.real, f"phi {b.real} [ {direct.name}, %summed ], [ {careful.name}, %cared ]")
        self.text.close(b)
        return found

    def _value(self, b: Vector, left: _View, right: _View, d: Lanes) -> Lanes:
        """Return the loss of each class, with its own digits."""
        form = self.form
        value = self._emit(b, self.formulas.terms, left.p, right.p, d)["value"]
        if not form.linear or form.both_logits:
            return value
        apart = left.p - right.p
        if form.kinds != ("probabilities", "probabilities"):
            # Where logarithms came in, d has digits of the difference that p and q have not.
            apart = b.select(b.abs(d) < 1.0, right.p * exponentials.expm1(b, d), apart)
        return value + apart * form.linear

    def _terms(self, look: Look, before: Mapping[str, Lanes]) -> dict[str, Lanes]:
        b, form = look.body, self.form
        left, right = self._views(look)
        p, q, d = left.p, right.p, self._log_ratio(look.body, left, right)
        found = dict(before)
        if self._crossed:
            look.keep(d, "ratio")
            term = b.select(p.equals(0.0), 0.0, p * d)
            found["value"], found["size"] = before["value"] + term, before["size"] + b.abs(term)
        elif form.valued:
            found["value"] = before["value"] + look.counted(self._value(b, left, right, d))
        for symbol, view in (("p", left), ("q", right)):
            if symbol not in self.softmax:
                found |= self._validity(look, found, symbol, view)
            if form.derived(symbol):
                found |= self._derivatives(look, before, symbol, view.p, (p, q, d))
        return found

    def _validity(self, look: Look, before: Mapping[str, Lanes], symbol: str, view: _View) -> dict[str, Lanes]:
        """Return what is carried along of whether p or q is a distribution; see ``valid_rows``."""
        b, x = look.body, view.given
        kind = self.form.kind(symbol)
        logarithm = kind == "log_probabilities"
        if self.form.amounts:
            right = x < LARGEST_LOG if logarithm else (x >= 0.0) & (x < math.inf)
            return {"odd": before["odd"] | look.holds(right ^ b.always)}
        right = (view.p >= 0.0) & (view.p <= (1.0 + SUM_TOLERANCES[kind] if logarithm else 1.0))
        mass = before[f"mass_{symbol}"] + view.p
        return {"odd": before["odd"] | (right ^ b.always), f"mass_{symbol}": mass}

    def _derivatives(
        self, look: Look, before: Mapping[str, Lanes], symbol: str, own: Lanes, at: tuple[Lanes, Lanes, Lanes]
    ) -> dict[str, Lanes]:
        """Write derivatives by p or by q, or keep and carry along what they need."""
        b, form, place = look.body, self.form, "pq".index(symbol)
        side, kind = (1.0, -1.0)[place], form.kind(symbol)

        def slopes() -> Mapping[str, Lanes]:
            return self._emit(b, self.formulas.slopes[place], at[2])

        def pulls() -> Mapping[str, Lanes]:
            return self._emit(b, self.formulas.pulls[place], *at)

        def curve() -> Lanes:
            found = pulls()
            direct = b.select(own.equals(0.0), 0.0, own * found[f"gradient:{symbol}"])
            return direct + found["gradient:d"] * side

        if kind != "logits":
            by_share = kind == "probabilities"
            if form.gradient(symbol):
                self._write(look, f"gradient_{symbol}", (slopes() if by_share else pulls())["value"])
            if form.hessian(symbol):
                bend = slopes()["gradient:d"] * side if by_share else curve()
                second = b.select(bend.equals(0.0), 0.0, bend / own) if by_share else bend
                self._write(look, f"hessian_{symbol}", second)
            return {}
        slope = slopes()["value"]
        look.keep(slope, f"slope_{symbol}")

        def keep_pull() -> Lanes:
            look.keep(pulls()["value"], f"beta_{symbol}")
            return slope

        b.rarely(_huge(b, slope), keep_pull, slope)
        if form.hessian(symbol):
            look.keep(curve(), f"curve_{symbol}")
        top = b.compare_whole("eq", look.places, look.of(self.softmax[symbol].place))
        return {f"top_{symbol}": b.select(top, slope, before[f"top_{symbol}"])}

    def _write(self, look: Look, part: str, value: Lanes) -> None:
        """Write derivatives; a row of factor 0 has none, whatever came out."""
        factor = look.named(f"%factor_{part.partition('_')[0]}")
        live = look.body.select(factor > 0.0, value * factor, 0.0)
        look.store(live, part, self.form.element)

    # --- the fifth: sums of slopes ---------------------------------------------------------------------

    def sums_of_slopes(self, found: Mapping[str, Lanes]) -> dict[str, Lanes]:
        """Write the look that sums what derivatives by logits need, given what the fourth found.

        Returns:
            For each of p and q that they are written of, by ``_p`` or ``_q``, the sum of the pulls as ``beta`` and
            the largest curvature, the sum of all others and the place of the largest as ``best``, ``rest`` and
            ``place``.
        """
        carried: dict[str, tuple[str, str]] = {}
        for symbol in self._derived:
            carried[f"beta_{symbol}"] = (f"<{self.width} x double>", "zeroinitializer")
            if self.form.hessian(symbol):
                carried |= largest(symbol, self.width)

        def write(look: Look, before: Mapping[str, Lanes]) -> dict[str, Lanes]:
            b, sums = look.body, {}
            for symbol in self._derived:
                own = look.kept(f"powers_{symbol}") * look.of(self.softmax[symbol].inverse)
                slope, top = look.kept(f"slope_{symbol}"), look.of(found[f"top_{symbol}"])
                share = own * top
                beta = b.rarely(_huge(b, slope), partial(_less, look, f"beta_{symbol}", share), own * (slope - top))
                look.keep(beta, f"beta_{symbol}")
                sums[f"beta_{symbol}"] = before[f"beta_{symbol}"] + look.counted(beta)
                if self.form.hessian(symbol):
                    h = look.counted(look.kept(f"curve_{symbol}") - share)
                    look.keep(h, f"curve_{symbol}")
                    sums |= with_largest(look, before, symbol, h)
            return sums

        if not carried:
            return {}
        after = self.text.loop("beta", write, carried)
        b, sums = self.text.row("r"), {}
        for symbol in self._derived:
            sums[f"beta_{symbol}"] = self.text.total(b, after[f"beta_{symbol}"])
            if self.form.hessian(symbol):
                sums |= without_largest(self.text, b, after, symbol)
        self.text.close(b)
        return sums

    # --- the sixth: derivatives by logits --------------------------------------------------------------

    def derivatives(self, found: Mapping[str, Lanes]) -> None:
        """Write the look that writes derivatives by logits, given what the fifth found."""
        form = self.form

        def write(look: Look, before: Mapping[str, Lanes]) -> dict[str, Lanes]:
            for symbol in self._derived:
                s, beta_all = self.softmax[symbol], look.of(found[f"beta_{symbol}"])
                inverse = look.of(s.inverse)
                p = look.kept(f"powers_{symbol}") * inverse
                if form.gradient(symbol):
                    self._write(look, f"gradient_{symbol}", look.kept(f"beta_{symbol}") - p * beta_all)
                if form.hessian(symbol):
                    rest_p = s.rest_of(look, p)
                    h = look.kept(f"curve_{symbol}")
                    each = without_each(look, found, symbol, h)
                    value = h * rest_p * rest_p + p * p * each - beta_all * p * rest_p
                    self._write(look, f"hessian_{symbol}", value)
            return {}

        if self._derived:
            self.text.loop("write", write, {}, form.streaming)


def _less(look: Look, name: str, share: Lanes) -> Lanes:
    """Return what scratch holds, less a share."""
    return look.kept(name) - share


def _huge(b: Vector, slope: Lanes) -> Lanes:
    """Return where a slope is too large to be multiplied by a share that is nothing, or no number."""
    return (b.abs(slope) < _HUGE) ^ b.always

"""What kernels over rows compute for targets of several classes: Σ t φ, with φ of each class's probability.

Definitions are those of ``lossmith.structures.softmax`` and ``row_math``. A row of probabilities is looked at once.
One of logits is looked at up to four times while it stays in the caches: for the largest; for the sum of
exponentials; for the terms and what derivatives need of the whole row; and to write those.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lossmith.engines.llvm.distributions import InPlace, are_none, seen, unseen
from lossmith.engines.llvm.lanes import Body, Lanes
from lossmith.engines.llvm.logit_looks import LogitLooks, Softmax
from lossmith.engines.llvm.memory import in_memory, whole
from lossmith.engines.llvm.row_by_row import Form, Uniform
from lossmith.engines.llvm.row_frame import Targets
from lossmith.engines.llvm.row_text import (
    Look,
    Text,
    largest,
    single,
    with_largest,
    without_each,
    without_largest,
)
from lossmith.engines.llvm.vectors import Vector
from lossmith.engines.operations import evaluate
from lossmith.program import Program


@dataclass(frozen=True, kw_only=True)
class MixtureForm(Form):
    """What a kernel over mixtures does.

    Attributes:
        targets: class indices, for rows of probabilities alone; class indices with part of each spread evenly; or a
            distribution a row.
        labels: what class indices are in memory, a key of ``lossmith.engines.llvm.memory.SIZES``.
        logits: whether rows hold logits; else probabilities.
        spread: whether part of targets that are distributions is spread evenly.
        penalised: whether a multiple of the squared log-sum of exponentials is added to each loss.
        adjusted: whether each class adds a number of its own to its logits.
    """

    targets: Targets
    logits: bool
    labels: str = "i64"
    spread: bool = False
    penalised: bool = False
    adjusted: bool = False

    @property
    def gradient(self) -> bool:
        """Whether the gradient is written."""
        return "gradient" in self.written

    @property
    def hessian(self) -> bool:
        """Whether the diagonal of the Hessian is written."""
        return "hessian" in self.written

    @property
    def in_place(self) -> bool:
        """Whether rows are looked at where they lie: one number of each is all that is computed with."""
        return self.targets == "indices" and not (self.gradient or self.hessian)

    @property
    def registers(self) -> int:
        """How many registers of the machine a vector takes; two where what is computed is short of other work."""
        return 2 if self.in_place else 1


class MixtureLooks(LogitLooks):
    """The looks at a row.

    Args:
        text: what is written into.
        form: what the kernel does.
        program: φ, with ``value``, ``gradient`` and ``hessian`` as far as needed.
        uniform: the values of the program that are the same for every class.
    """

    def __init__(self, text: Text, form: MixtureForm, program: Program, uniform: Uniform) -> None:
        super().__init__(text, ("f",) if form.logits else (), form.element)
        self.form, self.program, self.uniform = form, program, uniform[program]
        self._in_place = InPlace(text, "f", self.element)

    def given(self, look: Look, symbol: str) -> Lanes:
        """Return the logits or probabilities."""
        found = look.load(symbol, self.element, -math.inf if self.form.logits else 0.0)
        return found + look.shared("adjustment") if self.form.adjusted else found

    def enter(self) -> None:
        """Write what is the same for all rows."""
        b = self.text.row("v")
        b.lines.append("  %class_count = uitofp i64 %classes to double")
        b.lines.append(f"  %even_all = fdiv {b.real} %first_all, {single(b, 'double', '%class_count').name}")
        self.text.close(b)
        if self.form.in_place:
            self._in_place.enter()

    def row(self) -> dict[str, Lanes]:
        """Write all looks at a row; return ``value``, and ``wrong`` where it is none."""
        form = self.form
        if form.targets != "soft":
            self._find_target()
        if form.targets == "indices":
            return self._one_class()
        wrong = self.largest() if form.logits else None
        if form.logits:
            self.sums()
        found = self._terms()
        if form.logits and (form.gradient or form.hessian):
            self.text.loop("write", lambda look, before: self._derive(look, found), {}, form.streaming)
        b = self.text.row("g")
        if wrong is not None:
            found["wrong"] = replace(found["wrong"], body=b) | wrong
        if form.penalised:
            log_sum = self._log_sum(b)
            found["value"] = replace(found["value"], body=b) + Lanes(b, b.real, "%second_all") * (log_sum * log_sum)
        self.text.close(b)
        return found

    # --- pieces ----------------------------------------------------------------------------------

    @property
    def _softmax(self) -> Softmax:
        return self.softmax["f"]

    def _log_sum(self, b: Body) -> Lanes:
        top, log_others = (Lanes(b, x.type, x.name) for x in (self._softmax.top, self._softmax.log_others))
        return top + log_others

    def _formula(self, b: Vector, x: Lanes) -> list[Lanes]:
        """Return φ and its derivatives, 0 for those that nobody needs."""
        uniform = {n: Lanes(b, value.type, value.name) for n, value in self.uniform.items()}
        found = {name.partition(":")[0]: part for name, part in evaluate(b, self.program, [x], uniform).items()}
        return [found.get(name, b.number(0.0)) for name in ("value", "gradient", "hessian")]

    def _shares(self, look: Look) -> tuple[Lanes, Lanes]:
        """Return what targets say of these classes: as given, and with what is spread."""
        b, form, spread = look.body, self.form, look.named("%first_all")
        if form.targets == "soft":
            given = mixed = look.load("targets", self.element, 0.0)
        else:
            given = b.select(b.compare_whole("eq", look.places, look.of(self._target)), b.number(1.0), 0.0)
        if form.spread or form.targets == "smoothed":
            mixed = look.counted(given * (1.0 - spread) + look.named("%even_all"))
        return given, mixed

    def _find_target(self) -> None:
        """Write which class is the row's, the first one where its index is none."""
        b, labels = self.text.row("o"), self.form.labels
        label = whole(b, self.text.of_row(b, "targets", in_memory(labels)), labels)
        self._no_class = b.compare_whole("uge", label, single(b, "i64", "%classes"))
        self._target = b.select(self._no_class, Lanes(b, label.type, "zeroinitializer"), label)
        self.text.close(b)

    def _wrong(self, b: Body, after: Mapping[str, Lanes]) -> Lanes:
        """Return where a row is none, given what a loop carried along."""
        wrong = are_none(self.text, b, after)
        return wrong if self.form.targets == "soft" else wrong | replace(self._no_class, body=b)

    def _write(self, look: Look, part: str, value: Lanes) -> None:
        """Write derivatives; a row of factor 0 has none, whatever came out."""
        factor = look.named("%factor_row")
        look.store(look.body.select(factor > 0.0, value * factor, 0.0), part, self.element)

    def _write_all(self, look: Look, gradient: Lanes, hessian: Lanes) -> None:
        for part, value in (("gradient", gradient), ("hessian", hessian)):
            if part in self.form.written:
                self._write(look, part, value)

    # --- a class index and probabilities ------------------------------------------------------------

    def _one_class(self) -> dict[str, Lanes]:
        b = self.text.row("c")
        value, first, second = self._formula(b, self.number(b, "f", self._target))
        self.text.close(b)
        if self.form.in_place:
            return {"value": value, "wrong": self._in_place.look(self._no_class)}

        def write(look: Look, before: Mapping[str, Lanes]) -> dict[str, Lanes]:
            b, x = look.body, self.given(look, "f")  # which the gradient may be written over
            hit = b.compare_whole("eq", look.places, look.of(self._target))
            self._write_all(look, *(b.select(hit, look.of(part), 0.0) for part in (first, second)))
            return seen(look, before, {"f": x})

        after = self.text.loop("term", write, unseen(self.width, ["f"]), self.form.streaming)
        b = self.text.row("e")
        found = {"value": value, "wrong": self._wrong(b, after)}
        self.text.close(b)
        return found

    # --- several classes ------------------------------------------------------------------------------

    def _terms(self) -> dict[str, Lanes]:
        """Write the look that sums terms; derivatives by probabilities are written at once.

        Returns:
            Of the row ``value`` and ``wrong``, and of the slopes and bends what ``without_each`` needs.
        """
        form = self.form
        carried = unseen(self.width, ("" if form.logits else "f") + ("t" if form.targets == "soft" else ""))
        carried["value"] = (f"<{self.width} x double>", "zeroinitializer")
        of_row = [name for name, needed in (("slope", form.gradient or form.hessian), ("bend", form.hessian)) if needed]
        of_row = of_row if form.logits else []
        for name in of_row:
            carried |= largest(name, self.width)

        def write(look: Look, before: Mapping[str, Lanes]) -> dict[str, Lanes]:
            b, x = look.body, self.given(look, "f")
            given, t = self._shares(look)
            rows = {**({} if form.logits else {"f": x}), **({"t": given} if form.targets == "soft" else {})}
            at = (look.of(self._softmax.top) - x) + look.of(self._softmax.log_others) if form.logits else x
            live = t > 0.0
            value, first, second = (b.select(live, t * part, 0.0) for part in self._formula(b, at))
            found = {**seen(look, before, rows), "value": before["value"] + value}
            for name, term in (("slope", first), ("bend", second)):
                if name in of_row:
                    look.keep(term, name)
                    found |= with_largest(look, before, name, term)
            if not form.logits:
                self._write_all(look, first, second)
            return found

        after = self.text.loop("term", write, carried, form.streaming and not form.logits)
        b = self.text.row("e")
        found = {"value": self.text.total(b, after["value"]), "wrong": self._wrong(b, after)}
        for name in of_row:
            found |= without_largest(self.text, b, after, name)
        self.text.close(b)
        return found

    def _derive(self, look: Look, found: Mapping[str, Lanes]) -> dict[str, Lanes]:
        """Write derivatives by logits; see ``row_math.mixture_gradient`` and ``mixture_hessian``."""
        b, form, s = look.body, self.form, self._softmax
        p = look.kept("powers_f") * look.of(s.inverse)
        q = s.rest_of(look, p)

        def times(bend: Lanes, share: Lanes) -> Lanes:
            return b.select(share.equals(0.0), 0.0, bend * share)

        slope, second = look.kept("slope"), b.number(0.0)
        first = p * without_each(look, found, "slope", slope) - slope * q
        if form.hessian:
            bend = look.kept("bend")
            whole = look.of(found["rest_slope"]) + look.of(found["best_slope"])
            second = p * times(without_each(look, found, "bend", bend), p) + times(bend, q) * q + whole * p * q
        if form.penalised:
            pull = look.named("%second_all") * 2.0
            log_sum = self._log_sum(b)
            first, second = first + pull * log_sum * p, second + pull * (p * p + log_sum * p * q)
        self._write_all(look, first, second)
        return {}

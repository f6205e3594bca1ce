"""The looks at rows of logits that tell their softmax, as ``lossmith.structures.row_math`` defines it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from lossmith.engines.llvm import exponentials
from lossmith.engines.llvm import math as vector
from lossmith.engines.llvm.lanes import Body, Kind, Lanes
from lossmith.engines.llvm.row_text import Look, Text


@dataclass(frozen=True)
class Softmax:
    """Numbers of a row of logits: the largest and its place, and see ``row_math.Softmax``."""

    top: Lanes
    place: Lanes
    others: Lanes
    inverse: Lanes
    log_others: Lanes

    def rest_of(self, look: Look, p: Lanes) -> Lanes:
        """Return 1 - p of some classes, with its own digits."""
        top = look.body.compare_whole("eq", look.places, look.of(self.place))
        return look.body.select(top, look.of(self.others) * look.of(self.inverse), 1.0 - p)


class LogitLooks(ABC):
    """The looks at a row, which write themselves into a text one after the other.

    Args:
        text: what is written into.
        symbols: what is given as logits; its exponentials are kept in scratch as ``powers_{symbol}``.
        element: type of the numbers in arrays.
    """

    def __init__(self, text: Text, symbols: Sequence[str], element: Kind) -> None:
        self.text, self.width, self.symbols, self.element = text, text.width, symbols, element
        self.tops: dict[str, tuple[Lanes, Lanes]] = {}
        self.softmax: dict[str, Softmax] = {}

    @abstractmethod
    def given(self, look: Look, symbol: str) -> Lanes:
        """Return what is looked at: minus infinity beyond the end of a row of logits."""

    def number(self, b: Body, symbol: str, place: Lanes) -> Lanes:
        """Return what an array holds at one class."""
        return b.convert("fpext", self.text.at_class(b, symbol, self.element, place), b.real)

    def largest(self) -> Lanes:
        """Write the look for the largest logits; return where a row of logits is none."""
        real, long, truth = (f"<{self.width} x {x}>" for x in ("double", "i64", "i1"))
        least = Body("double", self.width).number(-math.inf).name
        carried: dict[str, tuple[str, str]] = {"odd": (truth, "zeroinitializer")}
        for symbol in self.symbols:
            carried |= {f"top_{symbol}": (real, least), f"place_{symbol}": (long, "zeroinitializer")}

        def write(look: Look, before: Mapping[str, Lanes]) -> dict[str, Lanes]:
            b, found = look.body, {"odd": before["odd"]}
            for symbol in self.symbols:
                z, top, place = self.given(look, symbol), before[f"top_{symbol}"], before[f"place_{symbol}"]
                better = z > top
                found[f"top_{symbol}"] = b.select(better, z, top)
                found[f"place_{symbol}"] = b.select(better, look.places, place)
                found["odd"] = found["odd"] | ((z < math.inf) ^ b.always)
            return found

        after = self.text.loop("look", write, carried)
        b = self.text.row("a")
        wrong = self.text.anywhere(b, after["odd"])
        for symbol in self.symbols:
            top, place = self.text.first_largest(b, after[f"top_{symbol}"], after[f"place_{symbol}"])
            wrong = wrong | ((top > -math.inf) ^ b.always)
            self.tops[symbol] = top, place
        self.text.close(b)
        return wrong

    def sums(self) -> None:
        """Write the look that sums exponentials and keeps them."""
        real = f"<{self.width} x double>"
        names = [f"{name}_{symbol}" for symbol in self.symbols for name in ("others", "ties")]

        def write(look: Look, before: Mapping[str, Lanes]) -> dict[str, Lanes]:
            b, found = look.body, {}
            for symbol in self.symbols:
                below = look.of(self.tops[symbol][0]) - self.given(look, symbol)
                powers = exponentials.exp_of_negative(b, -below)
                look.keep(powers, f"powers_{symbol}")
                top, others, ties = below.equals(0.0), before[f"others_{symbol}"], before[f"ties_{symbol}"]
                found[f"others_{symbol}"] = others + b.select(top, 0.0, powers)
                found[f"ties_{symbol}"] = ties + b.select(top, 1.0, b.number(0.0))
            return found

        after = self.text.loop("sum", write, dict.fromkeys(names, (real, "zeroinitializer")))
        b = self.text.row("b")
        others = [
            self.text.total(b, after[f"others_{symbol}"]) + (self.text.total(b, after[f"ties_{symbol}"]) - 1.0)
            for symbol in self.symbols
        ]
        logs = self.text.together(b, partial(vector.log1p_of_sum, b), others)
        for symbol, rest, log in zip(self.symbols, others, logs, strict=True):
            self.softmax[symbol] = Softmax(*self.tops[symbol], rest, 1.0 / (rest + 1.0), log)
        self.text.close(b)

"""What every target is told of a loss: its names, its numbers, and its programs or statements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from lossmith.core.inputs import Input
from lossmith.core.loss import Loss
from lossmith.core.parameter import Parameter
from lossmith.custom.export.printer import WIDE, Language, Printer
from lossmith.custom.export.readable import readable, summed
from lossmith.custom.export.recipes import recipe_of
from lossmith.custom.export.rowwise import OTHER, Recipe, Statement
from lossmith.errors import ParameterError
from lossmith.program import Program
from lossmith.structures.composite import Sum
from lossmith.structures.distance import Distance
from lossmith.structures.divergence import Divergence
from lossmith.structures.pointwise import Pointwise
from lossmith.structures.rows import Rows


@dataclass(frozen=True)
class Sheet(ABC):
    """What targets are told of any loss.

    Attributes:
        loss: what is exported.
        parameters: value of each parameter of its formulas.
        declared: what declares it.
    """

    loss: Loss
    parameters: Mapping[str, float]
    declared: Mapping[str, Parameter]

    @abstractmethod
    def written(
        self, language: Language, names: Mapping[str, str], helpers: dict[str, None], *outputs: str
    ) -> tuple[list[str], dict[str, str]]:
        """Return the lines that outputs take in a library of arrays, and the expression of each."""

    shape: ClassVar[str] = "arrays of one shape"
    """How large inputs are, in words."""

    def told(self, item: Input) -> str:
        """Return what an input holds and where it lies, in words."""
        kinds = _KINDS.get(item.symbol, "prediction") if item.predicted or item.symbol in _KINDS else ""
        terms = [part for _, part in self.loss.parts] if isinstance(self.loss, Sum) else [self.loss]
        kind = str(terms[0].values.get(kinds) or "").replace("_", " ")
        doc = f"{item.doc} ({kind})" if kind and kind not in item.doc else item.doc
        return f"{doc}, in {self.loss.domains[item.symbol]}"

    @property
    def lists(self) -> Mapping[str, tuple[float, ...]]:
        """Lists of numbers that the code begins with, by what they are called."""
        return {}

    @property
    def counts(self) -> bool:
        """Whether rows count by their targets, as with class weights."""
        return False

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


@dataclass(frozen=True)
class PointSheet(Sheet):
    """What they are told of a loss of one example's numbers, or of a weighted sum of such.

    Attributes:
        whole: its program to second order, with ``valid``.
    """

    whole: Program

    def program(self, *outputs: str) -> Program:
        """Return the program of some outputs, as people read it."""
        return readable(self.whole, outputs)

    def written(
        self, language: Language, names: Mapping[str, str], helpers: dict[str, None], *outputs: str
    ) -> tuple[list[str], dict[str, str]]:
        """Return the lines that outputs take, and the expression of each."""
        return Printer(language, names, helpers).body(self.program(*outputs))


@dataclass(frozen=True)
class RowSheet(Sheet):
    """What targets are told of a loss of rows.

    Attributes:
        recipe: what it computes.
    """

    recipe: Recipe

    @property
    def shape(self) -> str:  # type: ignore[override]  # which depends on the loss here
        """How large inputs are."""
        names = [item.name for item in self.loss.inputs if item.symbol in self.recipe.wholes]
        return f"arrays of one shape, (rows, {self.entries})" + (f", and {names[0]}, (rows,)" if names else "")

    def told(self, item: Input) -> str:
        """Return what an input holds and where it lies, in words."""
        if item.symbol == "y" and isinstance(self._first, Rows):
            return "class indices from 0" if self._first.indices else "distributions over the classes"
        return super().told(item)

    @property
    def entries(self) -> str:
        """What lies along a row."""
        if isinstance(self._first, Distance):
            return "coordinates"
        return "classes" if isinstance(self._first, Rows | Divergence) else "levels"

    @property
    def counts(self) -> bool:
        """Whether rows count by their targets."""
        return "weight" in self.recipe.outputs

    @property
    def class_axis(self) -> int:
        """The axis of the entries."""
        return int(self._first.values.get("class_axis", -1))

    @property
    def _first(self) -> Loss:
        return self.loss.parts[0][1] if isinstance(self.loss, Sum) else self.loss

    def written(
        self, language: Language, names: Mapping[str, str], helpers: dict[str, None], *outputs: str
    ) -> tuple[list[str], dict[str, str]]:
        """Return the lines that outputs take, and the expression of each."""
        recipe, rows = self.recipe, language.rows
        needed = recipe.needed(*outputs)
        like = names[self.wrt[0]]
        local = _local(recipe, names, language)
        printer = Printer(language, local, helpers, like)
        lines = [
            f"{names[name]} = {rows['begin'].format(names[name])}"
            for name in recipe.wholes
            if any(name in statement.of for statement in needed.values())
        ]
        last = recipe.outputs[outputs[0]] if len(outputs) == 1 else None
        for name, statement in needed.items():
            if name == last and statement.kind == "sum":
                return lines, {outputs[0]: rows["total"].format(local[statement.of[0]])}
            if statement.kind == "across":
                more, text = _across(local[name], statement, printer, local, rows)
                lines += [line for line in more if line not in lines]
            elif statement.program is not None:
                printer.like = f"{like}[..., :1]" if recipe.whole(name) else like
                more, results = printer.body(statement.program)
                lines += more
                text = results["value"]
            else:
                if statement.kind in language.own:
                    helpers[statement.kind] = None
                text = _gathered(name, statement, local, rows, like)
            if name == last and not recipe.whole(name):
                return lines, {outputs[0]: text}
            lines.append(f"{local[name]} = {text}")
        results = {}
        for output in outputs:
            made = recipe.outputs[output]
            text = local.get(str(made), str(made))
            results[output] = rows["end"].format(text) if recipe.whole(str(made)) else text
        return lines, results

    @property
    def lists(self) -> dict[str, tuple[float, ...]]:
        """The lists of numbers, by what they are called."""
        return {
            name.upper(): statement.numbers
            for name, statement in self.recipe.statements.items()
            if statement.kind in ("numbers", "lookup")
        }


_KINDS = {"p": "p_kind", "q": "q_kind", "f": "prediction"}


def sheet_of(loss: Loss) -> Sheet:
    """Return what is told of a loss, or of a weighted sum of losses.

    Raises:
        ParameterError: for a loss that has no plain form.
    """
    terms: list[Loss] = [part for _, part in loss.parts] if isinstance(loss, Sum) else [loss]
    names = [name for part in terms for name in part.free_parameters]

    def spell(place: int, name: str) -> str:
        return name if names.count(name) == 1 else f"{name}_{place + 1}"

    values = {spell(n, name): value for n, part in enumerate(terms) for name, value in part.free_parameters.items()}
    declared = {
        spell(n, name): part.parameters()[name] for n, part in enumerate(terms) for name in part.free_parameters
    }
    points = [part for part in terms if isinstance(part, Pointwise)]
    if len(points) < len(terms):
        return RowSheet(loss, values, declared, recipe_of(loss, spell))
    whole = _whole(points[0])
    if isinstance(loss, Sum):
        shares = [factor for factor, _ in loss.parts]
        whole = summed(list(zip(shares, map(_whole, points), strict=True)), points[0].wrt, spell)
    return PointSheet(loss, values, declared, whole)


def point_sheet_of(loss: Loss, target: str) -> PointSheet:
    """Return the same of a loss of one example's numbers.

    Raises:
        ParameterError: for any other loss.
    """
    sheet = sheet_of(loss)
    if not isinstance(sheet, PointSheet):
        raise ParameterError(f"{loss} computes with whole rows, and {target} takes losses of one example's numbers")
    return sheet


def _whole(loss: Pointwise) -> Program:
    first, second = loss.wrt, [(a, b) for place, a in enumerate(loss.wrt) for b in loss.wrt[place:]]
    outputs = ["value", *(f"gradient:{a}" for a in first), *(f"hessian:{a},{b}" for a, b in second), "valid"]
    return loss.part(*outputs)


def _local(recipe: Recipe, names: Mapping[str, str], language: Language) -> dict[str, str]:
    """Return what each value is called within a function."""
    found = {**names}
    for name in recipe.statements:
        spelt = name
        while spelt in language.reserved or spelt in found.values() or spelt in language.rows.get("taken", ""):
            spelt += "_"
        found[name] = spelt
    return found


def _across(
    name: str, statement: Statement, printer: Printer, local: Mapping[str, str], rows: Mapping[str, str]
) -> tuple[list[str], str]:
    """Return the lines and the text of a sum over pairs of entries, the second of which lie along a further axis."""
    assert statement.program is not None
    here = {item: f"{local[item]}_here" for item in statement.of}
    there = {item: f"{local[item]}_there" for item in statement.others}
    lines = [f"{spelt} = {rows['begin'].format(local[item])}" for item, spelt in here.items()]
    lines += [f"{spelt} = {rows['there'].format(local[item])}" for item, spelt in there.items()]
    second = {f"{item}{OTHER}": spelt for item, spelt in there.items()}
    names, like = {**local, **here, **second}, next(iter(here.values()))
    inner = Printer(printer.language, names, printer.helpers, like)
    printer.taken |= inner.taken
    inner.taken = printer.taken
    more, results = inner.body(statement.program)
    lines, text = [*lines, *more], results["value"]
    if len(text) > WIDE - len(name):
        lines.append(f"{name}_pairs = {text}")
        text = f"{name}_pairs"
    return lines, rows["total"].format(text)


def _gathered(name: str, statement: Statement, local: Mapping[str, str], rows: Mapping[str, str], like: str) -> str:
    given = [local[item] for item in statement.of]
    marks = f"{int(statement.numbers[0])}" if statement.kind == "place" else ""
    return rows[statement.kind].format(*given, like=like, list=name.upper(), number=marks)

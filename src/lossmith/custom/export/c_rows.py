"""Losses of rows in C: a loop for each number that is gathered along a row, in which entries are computed again.

Nothing is stored but what the caller passes, so no function needs memory of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lossmith.custom.export.printer import Language, Printer
from lossmith.custom.export.rowwise import OTHER, Recipe, Statement
from lossmith.custom.export.sheet import RowSheet

NOTES = (
    "The numbers of a row lie side by side. {name} and its derivatives are of one row; {name}_each and {name}_mean "
    "loop over rows. For a compiler of C99; link with -lm."
)


def head(start: str, arguments: Sequence[str]) -> list[str]:
    """Return the head of a function, on one line where that is short."""
    line = f"{start}{', '.join(arguments)})"
    if len(line) <= 88:
        return [line]
    return [start, *(f"    {item}," for item in arguments[:-1]), f"    {arguments[-1]})"]


def functions(
    sheet: RowSheet, name: str, names: Mapping[str, str], language: Language, helpers: dict[str, None]
) -> list[str]:
    """Return the functions of a row, and the loops over rows."""
    writer = _Writer(sheet, sheet.recipe.lowered(), names, language, helpers)
    found = [writer.function(name, "value", "The loss of a row.")]
    for symbol in sheet.wrt:
        found.append(
            writer.function(
                f"{name}{_ending(sheet, names, symbol)}", f"gradient:{symbol}", f"Its derivatives by {names[symbol]}."
            )
        )
    if sheet.counts:
        found.append(writer.function(f"{name}_row_weight", "weight", "What a row counts, by its target."))
    return [*found, *_loops(sheet, name, names)]


def _ending(sheet: RowSheet, names: Mapping[str, str], symbol: str) -> str:
    return "_gradient" if len(sheet.wrt) == 1 else f"_gradient_{names[symbol]}"


@dataclass
class _Writer:
    sheet: RowSheet
    recipe: Recipe
    names: Mapping[str, str]
    language: Language
    helpers: dict[str, None]
    local: dict[str, str] = field(default_factory=dict)
    second: dict[str, str] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        found = {**self.names}
        for name in self.recipe.statements:
            spelt = name
            while spelt in self.language.reserved or spelt in found.values() or spelt in (self.sheet.entries, *"jk"):
                spelt += "_"
            found[name] = spelt
        self.local, self.second = self._of_entry(found, "k", ""), self._of_entry(found, "j", "_j")

    def _of_entry(self, names: Mapping[str, str], at: str, ending: str) -> dict[str, str]:
        """Return what values are called in a loop over entries."""
        found = {**names}
        for name in (*self.recipe.entries, *self.recipe.statements):
            kind = self.recipe.statements[name].kind if name in self.recipe.statements else "entry"
            spelt = {"places": at, "numbers": f"{self._list(name)}[{at}]", "entry": f"{names[name]}_{at}"}.get(kind)
            if spelt or not self.recipe.whole(name):
                found[name] = spelt or f"{names[name]}{ending}"
        return found

    def _list(self, name: str) -> str:
        return f"{self.language.prefix}{name}".upper()

    def function(self, name: str, output: str, meaning: str) -> str:
        """Return the function of one output."""
        recipe, made = self.recipe, self.recipe.outputs[output]
        outer = self._printer()
        lines: list[str] = []
        self.running = set()
        for item, statement in recipe.needed(output).items():
            if recipe.whole(item) and item == made and statement.program is not None:
                more, results = outer.body(statement.program)
                lines += [*more, f"return {results['value']};"]
            elif recipe.whole(item):
                lines += self._gathered(item, statement, outer)
        fills = output.startswith("gradient")
        if fills:
            inside, text = self._entry(str(made), outer)
            lines += [*self._starts(str(made)), self._loop(), *_within(inside), f"    gradient[k] = {text};", "}"]
        elif not lines or not lines[-1].startswith("return"):
            lines.append(f"return {self.local.get(str(made), str(made))};")
        arguments = [f"long {self.sheet.entries}"]
        for x in (item.symbol for item in self.sheet.inputs):
            kind = "const double *" if x in recipe.entries else "double "
            arguments.append(f"{'long ' if x in recipe.places else kind}{self.names[x]}")
        arguments += [f"double {self.names[parameter]}" for parameter in recipe.parameters]
        arguments += ["double *gradient"] if fills else []
        body = "\n".join(lines)
        unused = [word for word in (item.rpartition(" ")[2].lstrip("*") for item in arguments) if not _in(word, body)]
        result = "void" if fills else "double"
        return "\n".join([
            f"/* {meaning} */",
            *head(f"static inline {result} {name}(", arguments),
            "{",
            *(f"    (void){word};" for word in unused),
            *_within(lines),
            "}",
        ])  # fmt: skip

    def _printer(self, outer: Printer | None = None, local: Mapping[str, str] | None = None) -> Printer:
        printer = Printer(self.language, local or self.local, self.helpers, self.names[self.sheet.wrt[0]])
        printer.taken |= {*"jk", "gradient", self.sheet.entries} | (outer.taken if outer else set())
        return printer

    def _loop(self, at: str = "k") -> str:
        return f"for (long {at} = 0; {at} < {self.sheet.entries}; {at}++) {{"

    def _gathered(self, name: str, statement: Statement, outer: Printer) -> list[str]:
        """Return the lines of a number of a row."""
        made, given = self.local[name], [self.local.get(item, item) for item in statement.of]
        if statement.kind == "formula" and statement.program is not None:
            lines, results = outer.body(statement.program)
            return [*lines, f"const double {made} = {results['value']};"]
        if statement.kind == "place":
            number = int(statement.numbers[0])
            return [f"const long {made} = {given[0]} == {number} ? 0 : {given[0]};"]
        if statement.kind == "lookup":
            return [f"const double {made} = {self._list(name)}[{given[0]}];"]
        if statement.kind == "width":
            return [f"const double {made} = (double){self.sheet.entries};"]
        if statement.kind == "pick" and statement.of[0] in self.recipe.entries:
            return [f"const double {made} = {self.names[statement.of[0]]}[{given[1]}];"]
        inside, text = self._entry(statement.of[0], outer)
        if statement.kind == "pick":
            lines = [f"const long k = {given[1]};", *inside, f"{made} = {text};"]
            return [f"double {made};", "{", *_within(lines), "}"]
        if statement.kind != "sum" and not text.isidentifier():
            inside, text = [*inside, f"const double {statement.of[0]} = {text};"], statement.of[0]
        start, step = {
            "sum": ([f"double {made} = 0.0;"], [f"{made} += {text};"]),
            "max": ([f"double {made} = -HUGE_VAL;"], [f"if ({text} > {made})", f"    {made} = {text};"]),
            "argmax": (
                [f"long {made} = 0;", f"double {made}_is = -HUGE_VAL;"],
                [f"if ({text} > {made}_is) {{", f"    {made}_is = {text};", f"    {made} = k;", "}"],
            ),
        }[statement.kind]
        return [*start, *self._starts(statement.of[0]), self._loop(), *_within([*inside, *step]), "}"]

    def _needed(self, name: str) -> dict[str, Statement]:
        """Return the statements of entries that one of them needs, itself included."""
        wanted, found = {name}, []
        for item, statement in reversed(self.recipe.statements.items()):
            if item in wanted and not self.recipe.whole(item):
                wanted |= set(statement.of)
                found.append(item)
        return {item: self.recipe.statements[item] for item in reversed(found)}

    def _starts(self, name: str) -> list[str]:
        """Return the lines before a loop in which sums run."""
        running = [item for item, statement in self._needed(name).items() if statement.kind == "cumsum"]
        lines = [f"{'' if item in self.running else 'double '}{self.local[item]} = 0.0;" for item in running]
        self.running |= set(running)
        return lines

    def _entry(self, name: str, outer: Printer) -> tuple[list[str], str]:
        """Return the lines within a loop that compute a value of an entry, and its text."""
        return self._computed(name, self._printer(outer), self.local, "k")

    def _computed(self, name: str, printer: Printer, local: Mapping[str, str], at: str) -> tuple[list[str], str]:
        needed = self._needed(name)
        lines: list[str] = []
        used = {name, *(item for statement in needed.values() for item in statement.of)}
        for item in self.recipe.entries:
            if item in used:
                lines.append(f"const double {local[item]} = {self.names[item]}[{at}];")
        for item, statement in needed.items():
            if statement.kind == "cumsum":
                lines.append(f"{local[item]} += {local[statement.of[0]]};")
            elif statement.kind == "across":
                lines += self._across(local[item], statement, printer)
            elif statement.program is not None:
                more, results = printer.body(statement.program)
                lines += more
                if item == name:
                    return lines, results["value"]
                lines.append(f"const double {local[item]} = {results['value']};")
        return lines, local[name]

    def _across(self, made: str, statement: Statement, outer: Printer) -> list[str]:
        """Return the lines of a sum over pairs: a loop over the second entry, whose values are computed within it."""
        assert statement.program is not None
        named = {**self.local, **{f"{item}{OTHER}": self.second[item] for item in statement.others}}
        lines: list[str] = []
        for item in statement.others:
            more, text = self._computed(item, self._printer(outer, self.second), self.second, "j")
            lines += [line for line in more if line not in lines]
            if text != self.second[item]:
                lines.append(f"const double {self.second[item]} = {text};")
        more, results = self._printer(outer, named).body(statement.program)
        inside = [*lines, *more, f"{made} += {results['value']};"]
        return [f"double {made} = 0.0;", self._loop("j"), *_within(inside), "}"]


def _in(word: str, text: str) -> bool:
    return any(part == word for part in "".join(x if x.isalnum() or x == "_" else " " for x in text).split())


def _within(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _loops(sheet: RowSheet, name: str, names: Mapping[str, str]) -> list[str]:
    size, recipe = sheet.entries, sheet.recipe
    arrays, given = [], [size]
    for item in sheet.inputs:
        spelt, whole = names[item.symbol], item.symbol in recipe.wholes
        arrays.append(f"const {'long' if item.symbol in recipe.places else 'double'} *{spelt}")
        given.append(f"{spelt}[i]" if whole else f"{spelt} + i * {size}")
    numbers = [names[key] for key in recipe.parameters]
    arguments = ", ".join([*given, *numbers])
    first = [*("long rows", f"long {size}"), *arrays, *(f"double {key}" for key in numbers), "const double *weight"]
    slopes = {_ending(sheet, names, symbol): _ending(sheet, names, symbol)[1:] for symbol in sheet.wrt}
    weight = "const double w = weight ? weight[i] : 1.0;"
    each = [
        "/* Losses and derivatives of rows, times weight. Where weight is NULL it is 1;",
        "   results that are NULL are left out. */",
        *head(
            f"static inline void {name}_each(", [*first, "double *losses", *(f"double *{x}" for x in slopes.values())]
        ),
        "{",
        "    for (long i = 0; i < rows; i++) {",
        f"        {weight}",
        "        if (losses)",
        f"            losses[i] = w * {name}({arguments});",
    ]
    for ending, array in slopes.items():
        each += [
            f"        if ({array}) {{",
            f"            {name}{ending}({arguments}, {array} + i * {size});",
            f"            for (long k = 0; k < {size}; k++)",
            f"                {array}[i * {size} + k] *= w;",
            "        }",
        ]
    counted = f"w * {name}_row_weight({arguments})" if sheet.counts else "w"
    mean = [
        "/* The mean loss of rows, by weight unless that is NULL. */",
        *head(f"static inline double {name}_mean(", first),
        "{",
        "    double sum = 0.0, total = 0.0;",
        "    for (long i = 0; i < rows; i++) {",
        f"        {weight}",
        f"        sum += w * {name}({arguments});",
        f"        total += {counted};",
        "    }",
        "    return sum / total;",
        "}",
    ]
    return ["\n".join([*each, "    }", "}"]), "\n".join(mean)]

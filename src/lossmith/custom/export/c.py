"""A loss as a header of C99: value, gradient and Hessian of one example, and loops over arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lossmith.core.loss import Loss
from lossmith.custom.export import c_rows
from lossmith.custom.export.c_rows import head
from lossmith.custom.export.printer import Language, Printer, definitions
from lossmith.custom.export.sheet import PointSheet, RowSheet, Sheet, sheet_of
from lossmith.custom.export.words import about, called, wrapped

_KEYWORDS = frozenset((
    "auto", "break", "case", "char", "const", "continue", "default", "do", "double", "else", "enum", "extern", "float",
    "for", "goto", "if", "inline", "int", "long", "register", "restrict", "return", "short", "signed", "sizeof",
    "static", "struct", "switch", "typedef", "union", "unsigned", "void", "volatile", "while",
))  # fmt: skip
_KEYWORDS_OF_CPP = frozenset((  # which includes headers of C
    "alignas", "alignof", "and", "and_eq", "asm", "bitand", "bitor", "bool", "catch", "char16_t", "char32_t", "char8_t",
    "class", "co_await", "co_return", "co_yield", "compl", "concept", "const_cast", "consteval", "constexpr",
    "constinit", "decltype", "delete", "dynamic_cast", "explicit", "export", "false", "friend", "mutable", "namespace",
    "new", "noexcept", "not", "not_eq", "nullptr", "operator", "or", "or_eq", "private", "protected", "public",
    "reinterpret_cast", "requires", "static_assert", "static_cast", "template", "this", "thread_local", "throw", "true",
    "try", "typeid", "typename", "using", "virtual", "wchar_t", "xor", "xor_eq",
))  # fmt: skip
_LIBRARY = frozenset((
    "exp", "expm1", "log", "log1p", "fabs", "sqrt", "pow", "tanh", "hypot", "erf", "lgamma", "min", "max", "size_t",
    "n", "i", "w", "weight", "losses", "gradient", "hessian", "sum", "total",
    "HUGE_VAL", "INFINITY", "NAN", "NULL",
))  # fmt: skip


def _arguments(names: Sequence[str]) -> str:
    return ", ".join(f"double {name}" for name in names)


def _define(name: str, arguments: Sequence[str], meaning: str, lines: Sequence[str], result: str) -> list[str]:
    return [
        f"/* {meaning} */",
        f"static inline double {name}({_arguments(arguments)})",
        "{",
        *(f"    {line}" for line in lines),
        f"    return {result};",
        "}",
    ]


C = Language(
    calls={
        "abs": "fabs({0})",
        "pow": "pow({0}, {1})",
        "sqrt": "sqrt({0})",
        "exp": "exp({0})",
        "expm1": "expm1({0})",
        "log": "log({0})",
        "log1p": "log1p({0})",
        "tanh": "tanh({0})",
        "hypot": "hypot({0}, {1})",
        "lgamma": "lgamma({0})",
        "normal_within": "erf({0} * 0.7071067811865476)",
    },
    define=_define,
    joins=("&&", "||"),
    infinity="HUGE_VAL",  # INFINITY is a float
    reserved=_KEYWORDS | _KEYWORDS_OF_CPP | _LIBRARY,
    assign=("const double {0} = {1};", "const int {0} = {1};"),
)


def _side(name: str, sign: str) -> list[str]:
    return [f"static inline double {name}(double a, double b)", "{", f"    return a {sign} b || a != a ? a : b;", "}"]


def _language(sheet: Sheet) -> Language:
    """Return C in which small functions have the name of the loss before theirs, since C has no modules."""
    prefix = f"{sheet.name}_"
    own = {
        "min": (f"{prefix}min", ["/* the smaller one; no number where one is none */", *_side(f"{prefix}min", "<")]),
        "max": (f"{prefix}max", ["/* the larger one; no number where one is none */", *_side(f"{prefix}max", ">")]),
    }
    return replace(C, prefix=prefix, own=own)


def export(loss: Loss) -> str:
    """Return a header of C99."""
    sheet = sheet_of(loss)
    name = f"{sheet.name}_loss"
    names = called(sheet, C.reserved | {sheet.name})
    language, helpers = _language(sheet), dict[str, None]()
    if isinstance(sheet, RowSheet):
        functions, notes = c_rows.functions(sheet, name, names, language, helpers), c_rows.NOTES
    else:
        assert isinstance(sheet, PointSheet)
        functions, notes = _functions(sheet, name, names, language, helpers), _NOTES
    small = ["\n".join(lines) for lines in definitions(language, helpers)]
    lists = [
        f"static const double {language.prefix.upper()}{key}[] = {{{', '.join(map(C.number, x))}}};"
        for key, x in sheet.lists.items()
    ]
    guard = f"{name.upper()}_H"
    comment = [*about(sheet, names), "", *wrapped(notes.format(name=name))]
    return "\n".join([
        *["/*", *(f" * {line}".rstrip().replace("*/", "* /") for line in comment), " */"],
        *["", f"#ifndef {guard}", f"#define {guard}", "", "#include <math.h>", "#include <stddef.h>", ""],
        "\n\n".join([*lists, *small, *functions]),
        *["", "#endif", ""],
    ])  # fmt: skip


_NOTES = (
    "{name}_each and {name}_mean loop over arrays of double; with an f at the end they loop over arrays of float, and "
    "compute in double. For a compiler of C99; link with -lm."
)


def _functions(
    sheet: PointSheet, name: str, names: Mapping[str, str], language: Language, helpers: dict[str, None]
) -> list[str]:
    found = [
        text
        for what in _outputs(sheet, names)
        for text in _function(sheet, name, names, Printer(language, names, helpers), *what)
    ]
    return [*found, *_loops(sheet, name, names)]


def _outputs(sheet: PointSheet, names: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return output, name and meaning of each function of one example."""
    found = [("value", "", "The loss of one example.")]
    single = len(sheet.wrt) == 1
    for symbol in sheet.wrt:
        by = names[symbol]
        found.append((f"gradient:{symbol}", "_gradient" if single else f"_gradient_{by}", f"Its derivative by {by}."))
    for a, b in sheet.pairs:
        by = " and ".join(dict.fromkeys((names[a.symbol], names[b.symbol])))
        ending = "_hessian" if single else f"_hessian_{names[a.symbol]}_{names[b.symbol]}"
        found.append((f"hessian:{a.symbol},{b.symbol}", ending, f"Its second derivative by {by}."))
    return found


def _function(
    sheet: PointSheet, name: str, names: Mapping[str, str], printer: Printer, output: str, ending: str, text: str
) -> list[str]:
    program = sheet.program(output)
    lines, results = printer.body(program)
    used = {arg for step in program.steps for arg in step.args} | {program.output(output)}
    every = [names[key] for key in (*program.inputs, *program.parameters)]
    unused = [key for number, key in enumerate(every) if number not in used]
    return [
        "\n".join(
            [
                f"/* {text} */",
                *head(f"static inline double {name}{ending}(", [f"double {key}" for key in every]),
                "{",
                *(f"    (void)({key});" for key in unused),
                *(f"    {line}" for line in lines),
                f"    return {results[output]};",
                "}",
            ]
        )
    ]


def _loops(sheet: PointSheet, name: str, names: Mapping[str, str]) -> list[str]:
    inputs = [names[item.symbol] for item in sheet.inputs]
    numbers = [names[key] for key in sheet.parameters]
    given = ", ".join([*(f"{key}[i]" for key in inputs), *numbers])
    results = [ending or "_losses" for _, ending, _ in _outputs(sheet, names)]
    found = []
    for kind, mark in (("double", ""), ("float", "f")):
        first = ["size_t n", *(f"const {kind} *{key}" for key in inputs), *(f"double {key}" for key in numbers)]
        first.append(f"const {kind} *weight")
        cast, widened = ("(float)", "(double)") if mark else ("", "")
        fills = []
        for result in results:
            value = f"w * {name}{'' if result == '_losses' else result}({given})"
            fills += [f"        if ({result[1:]}) {{"]
            fills += [f"            {result[1:]}[i] = {f'{cast}({value})' if cast else value};", "        }"]
        found.append(
            "\n".join(
                [
                    "/* Losses and derivatives of n examples, times weight. Where weight is NULL it is 1;",
                    "   results that are NULL are left out. */",
                    *head(
                        f"static inline void {name}_each{mark}(",
                        [*first, *(f"{kind} *{result[1:]}" for result in results)],
                    ),
                    "{",
                    "    for (size_t i = 0; i < n; i++) {",
                    f"        const double w = weight ? {widened}weight[i] : 1.0;",
                    *fills,
                    "    }",
                    "}",
                ]
            )
        )
        found.append(
            "\n".join(
                [
                    "/* The mean loss of n examples, by weight unless that is NULL. */",
                    *head(f"static inline double {name}_mean{mark}(", first),
                    "{",
                    "    double sum = 0.0, total = 0.0;",
                    "    for (size_t i = 0; i < n; i++) {",
                    f"        const double w = weight ? {widened}weight[i] : 1.0;",
                    f"        sum += w * {name}({given});",
                    "        total += w;",
                    "    }",
                    "    return sum / total;",
                    "}",
                ]
            )
        )
    return found

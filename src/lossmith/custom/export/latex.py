"""A loss as LaTeX: formula, derivatives and a table of its parameters."""

from __future__ import annotations

import re
from contextlib import suppress

from lossmith.core import reading
from lossmith.core.loss import Loss
from lossmith.core.parameter import Parameter
from lossmith.errors import ProgramError

_SPECIAL = {
    "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$", "{": r"\{", "}": r"\}", "^": r"\^{}",
    "~": r"\~{}", "\\": r"\textbackslash{}", "<": "$<$", ">": "$>$", "|": "$|$",
}  # fmt: skip
_LETTERS = {
    "Σ": r"$\sum$", "²": "$^2$", "³": "$^3$", "α": r"$\alpha$", "β": r"$\beta$", "γ": r"$\gamma$",
    "ε": r"$\varepsilon$", "–": "--", "→": r"$\to$", "≥": r"$\ge$", "≤": r"$\le$", "≠": r"$\ne$",
}  # fmt: skip
_HELD = r"\operatorname{sg}"
WIDE = 68
"""Letters that a line may have beside what stands before it, for a page of 345 points in type of ten points."""


def export(loss: Loss) -> str:
    """Return a piece of a document, which needs ``amsmath``.

    Raises:
        MissingDependencyError: where SymPy is not installed.
    """
    rows = [rf"    \ell &= {_broken(loss, 'value', reading.latex(loss))}"]
    for symbol in (item.symbol for item in loss.predicted):
        with suppress(ProgramError):  # a structure that says nothing of it
            slope = _broken(loss, f"gradient:{symbol}", reading.latex_gradient(loss, symbol))
            rows.append(rf"    \frac{{\partial \ell}}{{\partial {symbol}}} &= {slope}")
    lines = [
        f"% {_ascii(loss.card.title)}, from {_ascii(str(loss))}; needs \\usepackage{{amsmath}}",
        r"\begin{align*}",
        " \\\\\n".join(rows),
        r"\end{align*}",
        "Here " + "; ".join(f"${item.symbol}$, {_plain(item.name)}: {_plain(item.doc)}" for item in loss.inputs) + ".",
    ]
    if any(_HELD in row for row in rows):
        lines[-1] += f" ${_HELD}\\left(x\\right)$ is $x$, which derivatives take for a constant (stop-gradient)."
    declared = [found for _, part in getattr(loss, "parts", [(1.0, loss)]) for found in _declared(part)]
    if declared:
        lines += [
            "",
            r"\begin{tabular}{lllp{0.5\textwidth}}",
            r"    parameter & value & domain & meaning \\",
            r"    \hline",
            *(
                rf"    ${item.symbol}$ & ${_number(value)}$ & ${_domain(str(item.domain))}$ & {_plain(item.doc)} \\"
                for item, value in declared
            ),
            r"\end{tabular}",
        ]
    return "\n".join([*lines, ""])


def _declared(loss: Loss) -> list[tuple[Parameter, float]]:
    """Return the parameters that a loss has, with their values."""
    return [(item, loss.values[name]) for name, item in loss.parameters().items() if loss.values[name] is not None]


def _plain(text: str) -> str:
    return "".join(_SPECIAL.get(letter, _LETTERS.get(letter, _ascii(letter))) for letter in text)


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()


def _broken(loss: Loss, output: str, formula: str) -> str:
    """Return a formula in several lines where it is wide, with names for what repeats where that is not enough."""
    lines = _lines(formula)
    if max(map(width, lines)) > WIDE and loss.card.formula is None:
        main, named = reading.latex_in_parts(loss, output)
        lines = _lines(main)
        for number, (name, meaning) in enumerate(named):
            word = r"\text{and }" if number else r"\text{with }"
            lines.append(f"{word} {name} = {meaning}{'.' if number == len(named) - 1 else ','}")
    return " \\\\\n    &\\quad ".join(lines)


def _lines(formula: str) -> list[str]:
    """Return the lines of a formula, each of which begins with the sign of a sum."""
    depth, start, terms = 0, 0, []
    for found in re.finditer(r"\\left\b|\\right\b|\\begin\b|\\end\b|\\[{}]|[{}]| [+-] ", formula):
        word = found[0]
        depth += (word in ("{", r"\left", r"\begin")) - (word in ("}", r"\right", r"\end"))
        if depth == 0 and word in (" + ", " - "):
            terms.append(formula[start : found.start()])
            start = found.start()
    lines = [""]
    for term in [*terms, formula[start:]]:
        if lines[-1] and width(lines[-1] + term) > WIDE:
            lines.append("")
        lines[-1] += term
    return [line.strip() for line in lines]


def width(formula: str) -> int:
    """Return about how many letters of a formula stand beside each other; signs, with room around them, are two."""
    before, bar, after = formula.partition(r"\frac")
    if bar:  # what is below a bar stands beside nothing of what is above
        above, rest = _group(after)
        below, rest = _group(rest)
        return width(before) + max(width(above), width(below)) + width(rest)
    shown = re.sub(r"\\(left|right|begin|end|text|operatorname|quad|:)\b|\{cases\}", "", formula)
    shown = re.sub(r"\\(log|exp|max|min|tanh|cosh|sinh)\b", r"\1", shown)
    letters = re.sub(r"[{}^_&\s]", "", re.sub(r"\\[a-zA-Z]+", "x", shown))
    return len(letters) + len(re.findall(r"[-+=<>]", letters))


def _group(formula: str) -> tuple[str, str]:
    """Return what the braces hold that a formula begins with, and what follows; a single letter needs none."""
    depth = 0
    for found in re.finditer(r"\\[{}]|[{}]", formula if formula.startswith("{") else ""):
        depth += (found[0] == "{") - (found[0] == "}")
        if depth == 0:
            return formula[1 : found.start()], formula[found.end() :]
    return formula[:1], formula[1:]


def _number(value: float) -> str:
    return f"{value:g}".replace("inf", r"\infty")


def _domain(text: str) -> str:
    return text.replace("inf", r"\infty").replace("{", r"\{").replace("}", r"\}").replace("without", r"\setminus")

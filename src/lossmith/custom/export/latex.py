"""A loss as LaTeX: formula, derivatives and a table of its parameters."""

from __future__ import annotations

from lossmith.core import reading
from lossmith.custom.export.sheet import Sheet

_SPECIAL = {"&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$", "{": r"\{", "}": r"\}"}


def export(sheet: Sheet) -> str:
    """Return a piece of a document, which needs ``amsmath``.

    Raises:
        MissingDependencyError: where SymPy is not installed.
    """
    loss = sheet.loss
    rows = [rf"    \ell &= {reading.latex(loss)}"]
    for symbol in sheet.wrt:
        rows.append(rf"    \frac{{\partial \ell}}{{\partial {symbol}}} &= {reading.latex_gradient(loss, symbol)}")
    lines = [
        f"% {loss.card.title}, from {loss}; needs \\usepackage{{amsmath}}",
        rf"\begin{{align*}}",
        " \\\\\n".join(rows),
        r"\end{align*}",
        "where " + ", ".join(f"${item.symbol}$ is {_plain(item.doc)}" for item in loss.inputs) + ".",
    ]
    if sheet.parameters:
        lines += [
            "",
            r"\begin{tabular}{llll}",
            r"    parameter & value & domain & meaning \\",
            r"    \hline",
            *(
                rf"    ${item.symbol}$ & ${_number(value)}$ & ${_domain(str(item.domain))}$ & {_plain(item.doc)} \\"
                for item, value in ((sheet.declared[name], value) for name, value in sheet.parameters.items())
            ),
            r"\end{tabular}",
        ]
    return "\n".join([*lines, ""])


def _plain(text: str) -> str:
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def _number(value: float) -> str:
    return f"{value:g}".replace("inf", r"\infty")


def _domain(text: str) -> str:
    return text.replace("inf", r"\infty").replace("{", r"\{").replace("}", r"\}").replace("without", r"\setminus")

"""A loss as LaTeX: formula, derivatives and a table of its parameters."""

from __future__ import annotations

from contextlib import suppress

from lossmith.core import reading
from lossmith.core.loss import Loss
from lossmith.core.parameter import Parameter
from lossmith.errors import ProgramError

_SPECIAL = {"&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "$": r"\$", "{": r"\{", "}": r"\}"}


def export(loss: Loss) -> str:
    """Return a piece of a document, which needs ``amsmath``.

    Raises:
        MissingDependencyError: where SymPy is not installed.
    """
    rows = [rf"    \ell &= {reading.latex(loss)}"]
    for symbol in (item.symbol for item in loss.predicted):
        with suppress(ProgramError):  # a structure that says nothing of it
            rows.append(rf"    \frac{{\partial \ell}}{{\partial {symbol}}} &= {reading.latex_gradient(loss, symbol)}")
    lines = [
        f"% {loss.card.title}, from {loss}; needs \\usepackage{{amsmath}}",
        r"\begin{align*}",
        " \\\\\n".join(rows),
        r"\end{align*}",
        "where " + ", ".join(f"${item.symbol}$ is {_plain(item.doc)}" for item in loss.inputs) + ".",
    ]
    declared = [found for _, part in getattr(loss, "parts", [(1.0, loss)]) for found in _declared(part)]
    if declared:
        lines += [
            "",
            r"\begin{tabular}{llll}",
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
    return "".join(_SPECIAL.get(letter, letter) for letter in text)


def _number(value: float) -> str:
    return f"{value:g}".replace("inf", r"\infty")


def _domain(text: str) -> str:
    return text.replace("inf", r"\infty").replace("{", r"\{").replace("}", r"\}").replace("without", r"\setminus")

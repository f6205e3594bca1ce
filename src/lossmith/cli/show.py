"""``lossmith show``: everything worth knowing about one loss, on one page."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from lossmith.cli import terminal
from lossmith.cli._code import code
from lossmith.cli._losses import LossCommand, LossName, parse_loss, takes_a_formula
from lossmith.core.parameter import Integer, Vector
from lossmith.errors import DomainError, MissingDependencyError

if TYPE_CHECKING:
    from lossmith.core.card import Example
    from lossmith.core.loss import Loss

_TASKS = {
    "regression": "for a numeric target",
    "counts": "for counts and positive amounts",
    "binary": "for a label that is no or yes",
    "categorical": "for one of several classes",
    "probabilistic": "for a numeric target and the spread around it",
    "distributions": "for two distributions",
    "embeddings": "for points in space",
    "adversarial": "for a game of two networks",
    "preference": "for two answers of which one is better",
}
_SYMBOLS = {
    "y": "y is the target",
    "p_y": "p_y is the probability of the true class",
    "z": "z are the predictions",
    "p": "p are the predicted probabilities",
    "q": "q are the predicted quantiles",
    "t": "t is the target as a distribution",
    "n": "n are the counts",
    "τ": "τ are the levels",
    "k": "k runs over the classes or levels",
}
_TRAITS = {
    "convex": ("convex", "not convex"),
    "differentiable": ("differentiable", "not differentiable"),
    "smooth": ("smooth", "not smooth"),
    "lipschitz": ("bounded gradient", "unbounded gradient"),
    "symmetric": ("symmetric", "not symmetric"),
    "nonnegative": ("never negative", "can be negative"),
}


@click.command("show", cls=LossCommand, short_help="Explain one loss: formula, picture, advice, examples.")
@click.argument("loss", type=LossName())
@takes_a_formula
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(loss: str, declaration: dict[str, Any], as_json: bool) -> None:
    """Explain one loss: formula, picture, advice, examples.

    LOSS is a name or alias, a name with values, or a formula.

    \b
    lossmith show huber
    lossmith show "quantile(level=0.9)"
    lossmith show bce --json
    lossmith show "k*abs(f - y)" --parameter "k=4 in (0, inf)"
    """
    found = parse_loss(loss, declaration)
    if as_json:
        terminal.write_json(facts(found))
    else:
        for line in Page(found, min(terminal.width(), terminal.WIDEST)).lines():
            terminal.write(line)


def facts(loss: Loss) -> dict[str, Any]:
    """Return all that the page says, as plain data; ``schema`` grows when the meaning of a field changes."""
    import lossmith as lm
    from lossmith import relations

    card = loss.card
    return {
        "schema": 1,
        "name": loss.name,
        "class": type(loss).__name__,
        "text": str(loss),
        "aliases": loss.aliases,
        "family": lm.family(loss.name) if loss.name in lm.names() else None,
        "title": card.title,
        "task": card.task,
        "summary": card.summary,
        "picture": card.picture,
        "estimates": card.estimates,
        "activation": card.activation,
        "link": loss.link.name,
        "values": loss.to_config()["parameters"],
        "inputs": [
            {"name": item.name, "symbol": item.symbol, "predicted": item.predicted, "doc": item.doc}
            for item in loss.inputs
        ],
        "formula": _latex(loss),
        "computed_from": _computed_from(loss),
        "parameters": [
            {
                "name": name,
                "value": loss.values[name],
                "default": item.default,
                "domain": str(item.domain),
                "typical": item.typical,
                "symbol": item.symbol,
                "doc": item.doc,
            }
            for name, item in loss.parameters().items()
        ],
        "options": [
            {
                "name": name,
                "value": loss.values[name],
                "default": item.default,
                "choices": item.choices,
                "doc": item.doc,
            }
            for name, item in loss.options().items()
        ],
        "further": [
            {"name": name, "value": loss.values[name], "default": item.default, "doc": item.doc}
            for name, item in _further(loss).items()
        ],
        **{key: getattr(card, key) for key in ("use_when", "avoid_when", "pros", "cons")},
        "traits": asdict(card.traits),
        "kinks": [{"where": kink.where, "jumps": kink.jumps} for kink in card.kinks],
        "relations": [str(relation) for relation in relations.of(loss)],
        "examples": [_worked(loss, example) for example in card.examples],
        "myths": [asdict(myth) for myth in card.myths],
        "references": [asdict(reference) for reference in card.references],
        "code": code(loss),
    }


def _further(loss: Loss) -> dict[str, Vector | Integer]:
    """Return what is declared besides parameters and options: vectors and axes."""
    return {name: item for name, item in loss.declared().items() if isinstance(item, Vector | Integer)}


def _latex(loss: Loss) -> dict[str, str] | None:
    from lossmith.core import reading

    try:
        return {
            "loss": reading.latex(loss),
            "gradient": reading.latex_gradient(loss),
            "hessian": reading.latex_hessian(loss),
        }
    except MissingDependencyError:
        return None


def _computed_from(loss: Loss) -> str | None:
    from lossmith.core import reading

    try:
        found = reading.beside(loss)
    except MissingDependencyError:
        return None
    return found[0] if found else None


def _worked(loss: Loss, example: Example) -> dict[str, Any]:
    """Compute a worked example now, so that the page shows what the library does."""
    told = type(loss)(**example.options)
    losses = told.losses(**example.arguments)
    return {
        "text": example.text,
        "loss": str(told),
        "inputs": example.arguments,
        "losses": losses.tolist(),
        "mean": float(losses.mean()),
    }


def _prediction(loss: Loss) -> str:
    """Return what people call the prediction of a loss."""
    kind = str(loss.values.get("prediction", ""))
    usual = {"identity": "prediction", "log": "log rate", "logistic": "logit"}[loss.link.name]
    return {"probabilities": "probability", "rate": "rate", "mean": "mean", "log_mean": "log mean"}.get(kind, usual)


def symbol(latex: str) -> str:
    """Return a LaTeX symbol as it is drawn: ``\\delta`` as δ and ``\\gamma_{+}`` as γ₊."""
    name, _, index = latex.lstrip("\\").partition("_")
    with contextlib.suppress(KeyError):
        name = unicodedata.lookup(f"GREEK SMALL LETTER {name.removeprefix('var').upper()}")
    return name + index.strip("{}").translate(str.maketrans("+-0123456789", "₊₋₀₁₂₃₄₅₆₇₈₉"))


class Page:
    """The page of one loss, as lines of text.

    Args:
        loss: The loss, with the values that its curve shall have.
        width: Columns to fill.
    """

    def __init__(self, loss: Loss, width: int) -> None:
        self.loss = loss
        self.card = loss.card
        self.width = width

    def lines(self) -> list[str]:
        """Return the lines of the page."""
        card = self.card
        return [
            terminal.bold(card.title),
            *self._wrap(f"{self.loss}, {_TASKS.get(card.task, f'for {card.task}')}{self._aliases()}"),
            "",
            *self._wrap(card.summary),
            *self._section("Formula", self._formula()),
            *self._section("Picture", self._picture()),
            *self._section("Facts", self._facts()),
            *self._section("Inputs", self._inputs()),
            *self._section("Parameters", self._parameters()),
            *self._section("Use it when", self._bullets(card.use_when)),
            *self._section("Avoid it when", self._bullets(card.avoid_when)),
            *self._section("For it", self._bullets(card.pros, "+")),
            *self._section("Against it", self._bullets(card.cons, "-")),
            *self._section("Relations", self._relations()),
            *self._section("Worked examples", self._examples()),
            *self._section("Often said, and wrong", self._myths()),
            *self._section("In Python", [f"  {line}".rstrip() for line in code(self.loss).splitlines()]),
            *self._section("Sources", self._bullets(map(str, card.references), "")),
        ]

    def _wrap(self, text: str, first: str = "", rest: str | None = None) -> list[str]:
        return terminal.wrap(text, self.width, first, rest)

    def _section(self, heading: str, lines: Sequence[str]) -> list[str]:
        return ["", terminal.heading(heading), *lines] if lines else []

    def _bullets(self, texts: Iterable[str], mark: str = "·") -> list[str]:
        first = f"  {mark} " if mark else "  "
        rest = "    "
        return [line for text in texts for line in self._wrap(text, first, rest)]

    def _aliases(self) -> str:
        return f"; also called {', '.join(self.loss.aliases)}" if self.loss.aliases else ""

    def _formula(self) -> list[str]:
        from lossmith.core import reading

        room = self.width - 2
        try:
            text = reading.pretty(self.loss, width=room)
            beside = reading.beside(self.loss, room - 2)
        except MissingDependencyError as error:
            return self._wrap(f"({error})", "  ")
        lines = [*_indented(text, "  "), "", *self._wrap(self._symbols(text), "  ")]
        if beside:
            lines += ["", *self._wrap("The library computes it from:", "  "), *_indented(beside[1], "    ")]
        return lines

    def _symbols(self, text: str) -> str:
        """Return what the symbols of the formula are."""
        loss = self.loss
        if loss.elementwise:
            return f"y is the target, f the {_prediction(loss)}."
        known = _SYMBOLS if loss.paired else {"k": _SYMBOLS["k"]}
        named = {} if loss.paired else {item.symbol: item.name for item in loss.inputs if item.symbol != item.name}
        told = [f"{symbol(name)} is {meaning}" for name, meaning in named.items()]
        own = {item.symbol for item in loss.parameters().values()}  # such as a k that a formula declares
        told += [
            meaning for mark, meaning in known.items() if mark not in own and re.search(rf"(?<!\w){mark}(?!\w)", text)
        ]
        return f"{'; '.join(told)}." if told else ""

    def _picture(self) -> list[str]:
        from lossmith.plotting.terminal import curve

        try:
            drawn = curve(self.loss, width=min(self.width, 76) - 2, height=9).splitlines()
        except DomainError as error:
            drawn = self._wrap(f"({error})")
        return [*self._wrap(self.card.picture, "  "), "", *(f"  {line}".rstrip() for line in drawn)]

    def _facts(self) -> list[str]:
        if self.card.estimates == "not known":
            told = "nothing is declared; `lossmith check` finds out what holds"
            return terminal.aligned([("last layer", self.card.activation), ("properties", told)], self.width)
        held = asdict(self.card.traits).items()
        words = [_TRAITS.get(name, (name, f"not {name}"))[not holds] for name, holds in held]
        kinks = "; ".join(f"the {kink.jumps.replace('h', 'H')} jumps at {kink.where}" for kink in self.card.kinks)
        estimates = self.card.estimates
        best = " (its cost has no minimum)" if estimates == "nothing" else " (the best constant prediction)"
        rows = [
            ("estimates", estimates + (best if self.loss.paired else "")),
            ("last layer", self.card.activation),
            ("properties", ", ".join(words)),
            ("kinks", kinks or "none"),
        ]
        return terminal.aligned(rows, self.width)

    def _parameters(self) -> list[str]:
        rows = []
        for name, item in self.loss.parameters().items():
            default = "none" if item.default is None else f"{item.default:g}"
            low, high = item.typical
            meaning = f"{item.doc}; in {item.domain}, typically {low:g} to {high:g}"
            rows.append((f"{name} ({symbol(item.symbol)})", default, meaning))
        for name, option in self.loss.options().items():
            choices = [str(choice) for choice in option.choices]
            told = "" if all(choice in option.doc for choice in choices) else f" ({' or '.join(choices)})"
            rows.append((name, str(option.default), option.doc + told))
        for name, further in _further(self.loss).items():
            default = "none" if further.default is None else str(further.default)
            rows.append(
                (
                    name,
                    default,
                    f"{further.doc}; each in {further.domain}" if isinstance(further, Vector) else further.doc,
                )
            )
        return terminal.aligned([("name", "default", "meaning"), *rows], self.width) if rows else []

    def _relations(self) -> list[str]:
        from lossmith import relations

        return self._bullets(map(str, relations.of(self.loss)))

    def _inputs(self) -> list[str]:
        rows = [(item.name, item.doc + ("" if item.predicted else "; no gradient")) for item in self.loss.inputs]
        return [] if self.loss.paired else terminal.aligned(rows, self.width)

    def _examples(self) -> list[str]:
        lines: list[str] = []
        for number, example in enumerate(self.card.examples):
            done = _worked(self.loss, example)
            lines += [""] * (number > 0) + self._wrap(example.text, "  ")
            rows = [(*example.arguments, "loss")]
            rows += [tuple(map(_cell, row)) for row in zip(*example.arguments.values(), done["losses"], strict=True)]
            lines += _table(rows, self.width)
            mean = f", mean {done['mean']:.6g}" if example.cost is not None else ""
            lines += self._wrap(f"by {done['loss']}{mean}", "    ")
        return lines

    def _myths(self) -> list[str]:
        lines: list[str] = []
        for number, myth in enumerate(self.card.myths):
            lines += [""] * (number > 0) + self._wrap(f"“{myth.claim}”", "  ") + self._wrap(myth.truth, "    ")
        return lines


def _indented(text: str, indent: str) -> list[str]:
    return [f"{indent}{line}".rstrip() for line in text.splitlines()]


def _cell(value: Any) -> str:
    return f"({', '.join(map(_cell, value))})" if isinstance(value, tuple) else f"{value:.6g}"


def _table(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return the rows with their cells below each other; where that is too wide, the columns one after another."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["    " + "  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
    if max(map(len, lines)) <= width:
        return lines
    longest = max(map(len, rows[0]))
    return [
        line
        for name, *cells in zip(*rows, strict=True)
        for line in terminal.wrap("  ".join(cells), width, f"    {name.ljust(longest)}  ", " " * (longest + 6))
    ]

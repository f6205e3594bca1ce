"""``lossmith show``: everything worth knowing about one loss, on one page."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from lossmith.cli import terminal
from lossmith.cli._losses import LossName, parse_loss
from lossmith.errors import MissingDependencyError

if TYPE_CHECKING:
    from lossmith.core.card import Example
    from lossmith.core.loss import Loss

_TASKS = {"regression": "for a numeric target", "counts": "for counts", "binary": "for a label that is no or yes"}
_TRAITS = {
    "convex": ("convex", "not convex"),
    "differentiable": ("differentiable", "not differentiable"),
    "smooth": ("smooth", "not smooth"),
    "lipschitz": ("bounded gradient", "unbounded gradient"),
    "symmetric": ("symmetric", "not symmetric"),
    "nonnegative": ("never negative", "can be negative"),
}


@click.command("show", short_help="Explain one loss: formula, picture, advice, examples.")
@click.argument("loss", type=LossName())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(loss: str, as_json: bool) -> None:
    """Explain one loss: formula, picture, advice, examples.

    LOSS is a name or alias, or a name with values.

    \b
    lossmith show huber
    lossmith show "quantile(level=0.9)"
    lossmith show bce --json
    """
    found = parse_loss(loss)
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
        "family": lm.family(loss.name),
        "title": card.title,
        "task": card.task,
        "summary": card.summary,
        "picture": card.picture,
        "estimates": card.estimates,
        "activation": card.activation,
        "link": loss.link.name,
        "values": dict(loss.values),
        "formula": _latex(loss),
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
        **{key: getattr(card, key) for key in ("use_when", "avoid_when", "pros", "cons")},
        "traits": asdict(card.traits),
        "kinks": [{"where": kink.where, "jumps": kink.jumps} for kink in card.kinks],
        "relations": [str(relation) for relation in relations.of(loss.name)],
        "examples": [_worked(loss, example) for example in card.examples],
        "myths": [asdict(myth) for myth in card.myths],
        "references": [asdict(reference) for reference in card.references],
        "code": code(loss),
    }


def code(loss: Loss) -> str:
    """Return a few lines of Python that use the loss."""
    lines = ["import lossmith as lm", "", f"loss = lm.{loss}"]
    lines += ["loss(y_true, y_pred)           # the cost: one number"]
    lines += ["loss.losses(y_true, y_pred)    # the loss of each example"]
    if not any(kink.jumps == "value" for kink in loss.card.kinks):
        lines += ["loss.gradient(y_true, y_pred)  # and its slope"]
        if loss.card.estimates != "nothing":
            lines += ["", "from lossmith.lightgbm import train", "model = train(loss, X, y)      # boosted trees"]
    return "\n".join(lines)


def _latex(loss: Loss) -> dict[str, str] | None:
    from lossmith.core import reading

    try:
        return {
            "loss": reading.latex(loss),  # type: ignore[arg-type]  # every loss so far is pointwise
            "gradient": reading.latex_gradient(loss),  # type: ignore[arg-type]
            "hessian": reading.latex_hessian(loss),  # type: ignore[arg-type]
        }
    except MissingDependencyError:
        return None


def _worked(loss: Loss, example: Example) -> dict[str, Any]:
    """Compute a worked example now, so that the page shows what the library does."""
    told = type(loss)(**example.options)
    losses = told.losses(example.y_true, example.y_pred)
    return {
        "text": example.text,
        "loss": str(told),
        "y_true": example.y_true,
        "y_pred": example.y_pred,
        "losses": losses.tolist(),
        "mean": float(losses.mean()),
    }


def symbol(latex: str) -> str:
    """Return a LaTeX symbol as one character: ``\\delta`` as δ."""
    try:
        return unicodedata.lookup(f"GREEK SMALL LETTER {latex.lstrip(chr(92)).upper()}")
    except KeyError:
        return latex.lstrip("\\")


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

        try:
            text = reading.pretty(self.loss)  # type: ignore[arg-type]  # every loss so far is pointwise
        except MissingDependencyError as error:
            return [f"  ({error})"]
        meaning = {"identity": "f the prediction", "log": "f the log rate", "logistic": "f the logit"}
        told = self.loss.values.get("prediction")
        f = {"probabilities": "f the probability", "rate": "f the rate"}.get(str(told)) or meaning[self.loss.link.name]
        return [*(f"  {line}".rstrip() for line in text.splitlines()), "", f"  y is the target, {f}."]

    def _picture(self) -> list[str]:
        from lossmith.plotting.terminal import curve

        drawn = curve(self.loss, width=min(self.width, 76) - 2, height=9).splitlines()
        return [*self._wrap(self.card.picture, "  "), "", *(f"  {line}".rstrip() for line in drawn)]

    def _facts(self) -> list[str]:
        held = asdict(self.card.traits).items()
        words = [_TRAITS.get(name, (name, f"not {name}"))[not holds] for name, holds in held]
        kinks = "; ".join(f"the {kink.jumps} jumps at {kink.where}" for kink in self.card.kinks)
        estimates = self.card.estimates
        best = "its cost has no minimum" if estimates == "nothing" else "the best constant prediction"
        rows = [
            ("estimates", f"{estimates} ({best})"),
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
            rows.append((name, str(option.default), f"{option.doc} ({' or '.join(map(str, option.choices))})"))
        return terminal.aligned([("name", "default", "meaning"), *rows], self.width) if rows else []

    def _relations(self) -> list[str]:
        from lossmith import relations

        return self._bullets(map(str, relations.of(self.loss.name)))

    def _examples(self) -> list[str]:
        lines: list[str] = []
        for number, example in enumerate(self.card.examples):
            done = _worked(self.loss, example)
            lines += [""] * (number > 0) + self._wrap(example.text, "  ")
            rows = [("y_true", "y_pred", "loss")]
            data = zip(done["y_true"], done["y_pred"], done["losses"], strict=True)
            rows += [tuple(f"{value:.6g}" for value in row) for row in data]  # type: ignore[misc]
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            lines += ["    " + "  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
            mean = f", mean {done['mean']:.6g}" if example.cost is not None else ""
            lines += [f"    by {done['loss']}{mean}"]
        return lines

    def _myths(self) -> list[str]:
        lines: list[str] = []
        for number, myth in enumerate(self.card.myths):
            lines += [""] * (number > 0) + self._wrap(f"“{myth.claim}”", "  ") + self._wrap(myth.truth, "    ")
        return lines

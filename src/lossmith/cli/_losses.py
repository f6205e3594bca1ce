"""Losses as arguments of commands, with completion of their names."""

from __future__ import annotations

import functools
import itertools
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

import click
from click.shell_completion import CompletionItem

from lossmith.core.card import Task
from lossmith.errors import ParameterError, did_you_mean

if TYPE_CHECKING:
    from lossmith.core.loss import Loss

F = TypeVar("F", bound=Callable[..., Any])

TARGET_KINDS = ("probabilities", "rate")  # predictions on the target's scale
RAW_KINDS = ("raw", "logits", "log_rate")


class LossName(click.types.StringParamType):
    """A loss as text: ``huber``, ``huber(delta=1.35)``, or a formula such as ``(f - y)**2``."""

    name = "loss"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Offer names, or aliases where no name begins like that."""
        return [CompletionItem(name, help=title) for name, title in complete(incomplete)]


class LossCommand(click.Command):
    """A command whose arguments are losses: a formula that begins with a minus is one and no option."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the arguments."""
        from lossmith.core.registry import is_formula

        def is_loss(word: str) -> bool:
            return re.match(r"-([\d.]|[^-].*[-+*/(])", word, re.DOTALL) is not None and is_formula(word)

        return super().parse_args(ctx, [f" {word}" if is_loss(word) else word for word in args])


def complete(start: str) -> list[tuple[str, str]]:
    """Return names of losses that begin with ``start``, each with the loss's title."""
    import lossmith as lm

    start = start.lower().replace("-", "_")
    titles = {name: lm.loss_class(name).card.title for name in lm.names()}
    found = [(name, title) for name, title in titles.items() if name.startswith(start)]
    aliases = ((alias, title) for name, title in titles.items() for alias in lm.loss_class(name).aliases)
    return found or [(alias, title) for alias, title in aliases if alias.startswith(start)]


def parse_losses(
    texts: Sequence[str], kind: str | None = None, declaration: Mapping[str, Any] | None = None
) -> list[Loss]:
    """Return the losses that the texts name; a text may hold several, with commas between them.

    Args:
        texts: Such as ``["mae,mse", "huber(delta=2)"]``.
        kind: What the predictions are, as for ``declare``.
        declaration: As for ``parse_loss``. It is of all the formulas, and each takes the symbols that stand in it.
    """
    parts = [part for text in texts for part in _parted(text)]
    shares = _shared(parts, declaration) if declaration is not None else [None] * len(parts)
    losses = [declare(parse_loss(part, share), kind) for part, share in zip(parts, shares, strict=True)]
    return list(dict.fromkeys(losses))


def _shared(texts: Sequence[str], declaration: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return what of a declaration is of each text; what is of none goes to the first, which says so."""
    from lossmith.core.registry import is_formula

    formulas = [text for text in texts if is_formula(text)] or texts[:1]

    def concerns(name: str, text: str) -> bool:
        stands = [other for other in formulas if re.search(rf"\b{re.escape(name)}\b", other)]
        return text in (stands or formulas[:1])

    def share(text: str) -> dict[str, Any]:
        if text not in formulas:
            return {}
        return {
            word: {name: value for name, value in said.items() if concerns(name, text)}
            if isinstance(said, Mapping)
            else said
            for word, said in declaration.items()
        }

    return [share(text) for text in texts]


def _parted(text: str) -> list[str]:
    """Return the parts of a text that commas outside of brackets part."""
    inside = list(itertools.accumulate(text, lambda depth, sign: depth + (sign == "(") - (sign == ")"), initial=0))
    ends = [at for at, sign in enumerate(text) if sign == "," and inside[at] == 0]
    parts = (text[a + 1 : b].strip() for a, b in itertools.pairwise([-1, *ends, len(text)]))
    return [part for part in parts if part]


def parse_loss(text: str, declaration: Mapping[str, Any] | None = None) -> Loss:
    """Return the loss that a text names, or states as a formula.

    Args:
        text: As ``lossmith.parse`` takes it.
        declaration: What the options of ``takes_a_formula`` say of the formula, where the command has them.

    Raises:
        FormulaError: For a formula that cannot be read.
        LossNotFoundError, ParameterError: With a remedy for what people often write: the name of a metric, and values
            without brackets.
    """
    import lossmith as lm
    from lossmith.core.registry import is_formula

    given = {word: value for word, value in (declaration or {}).items() if value}
    if is_formula(text):
        try:
            return lm.formula(text.strip(), **given)
        except lm.FormulaError as error:
            problem = in_options(error.problem)
            if problem != error.problem and declaration is None:
                problem += " where you call `lossmith check`, `export`, `plot` or `show`"
            raise lm.FormulaError(problem, error.text, error.column) from None
    if given:
        name = text.strip().partition("(")[0]
        raise ParameterError(
            f"{_OPTIONS[next(iter(given))]} declares what a formula takes, and {text!r} is none. Values of a loss of "
            f"the catalogue stand in brackets, as in {name}(...); `lossmith show {name}` has them."
        )
    try:
        return lm.parse(text)
    except lm.LossNotFoundError:
        name, _, rest = text.strip().partition(" ")
        if "=" in rest and complete(name):
            values = ", ".join(re.split(r"[,\s]+", rest.strip()))
            raise ParameterError(f"{text!r} is no loss. Write {name}({values}), in quotes.") from None
        from lossmith.scoring import metrics

        key = text.partition(":")[0].lower()
        if key not in {known.partition(":")[0] for known in metrics.names()}:
            raise
        hint = {
            "rmse": "Its square is the cost of mse.",
            "rmsle": "Its square is the cost of msle.",
            "pinball": "Write quantile(level=0.9).",
        }
        more = hint.get(key, "A metric judges whole tables: `lossmith choose --metric` takes it.")
        raise ParameterError(f"{text!r} is a metric and no loss. {more}") from None


def declare(loss: Loss, kind: str | None) -> Loss:
    """Return the loss told that predictions are of a kind, such as ``"probabilities"``.

    A loss without a link reads predictions on the target's scale, so probabilities and rates are fine as they are.

    Raises:
        ParameterError: An unknown kind, or one that the loss cannot read.
    """
    if kind is None:
        return loss
    known = (*RAW_KINDS, *TARGET_KINDS)
    if kind not in known:
        raise ParameterError(
            f"{kind!r} is no kind of prediction.{did_you_mean(kind, known)} Kinds: {', '.join(known)}."
        )
    if kind == "raw":
        return loss.raw_form
    if "prediction" in loss.options():
        return loss.replace(prediction=kind)
    if kind in RAW_KINDS:
        raise ParameterError(
            f"{loss} reads predictions on the target's scale, and cannot be told that they are {kind}."
        )
    return loss


_OPTIONS = {
    "parameters": "--parameter", "inputs": "--input", "predicted": "--predicted", "target": "--targets",
    "prediction": "--predictions", "task": "--task", "link": "--link",
}  # fmt: skip
"""What keywords of ``lossmith.formula`` are called by ``takes_a_formula``."""


def in_options(text: str) -> str:
    """Return a message about a formula in the words of the command line: ``--targets '(0, inf)'`` for ``target=``."""
    words = rf"\b({'|'.join(_OPTIONS)})=(?=(['\"])?)"
    return re.sub(words, lambda found: _OPTIONS[found[1]] + " " * bool(found[2]), text)


class Symbol(click.ParamType[Any]):
    """A symbol of a formula with what is said of it, as text: ``k=4``, ``k=4 in (0, inf)``, ``price in (0, inf)``."""

    name = "symbol"

    def __init__(self, *, has_value: bool) -> None:
        self.has_value = has_value

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, float | str | tuple[float, str]]:
        """Return the symbol, and its value, its domain or both."""
        if isinstance(value, tuple):
            return value
        left, _, domain = str(value).partition(" in ")
        symbol, sign, number = (part.strip() for part in left.partition("="))
        if not self.has_value:
            if sign:
                self.fail(f"'{value}' has a value; write NAME, or NAME in DOMAIN such as 'price in (0, inf)'")
            return symbol, domain.strip() or "(-inf, inf)"
        try:
            default = float(number)
        except ValueError:
            self.fail(f"'{value}' names no number; write NAME=NUMBER, or 'k=4 in (0, inf)'", param, ctx)
        return symbol, (default, domain.strip()) if domain else default


def takes_a_formula(command: F) -> F:
    """Add the options that declare what a formula takes; the command gets them together, as ``declaration``."""
    options = (
        click.option("--parameter", "parameters", type=Symbol(has_value=True), multiple=True, callback=_by_name,
                     metavar="TEXT", help="A parameter of a formula, as 'k=4' or 'k=4 in (0, inf)'; may be repeated."),
        click.option("--input", "inputs", type=Symbol(has_value=False), multiple=True, callback=_by_name,
                     metavar="TEXT", help="A further input of a formula, as 'price in (0, inf)'; may be repeated."),
        click.option("--predicted", type=Symbol(has_value=False), multiple=True, callback=_by_name,
                     metavar="TEXT", help="A further input that is predicted, likewise."),
        click.option("--targets", "target", metavar="DOMAIN", help="Where targets of a formula lie, as '(0, inf)'."),
        click.option("--predictions", "prediction", metavar="DOMAIN", help="Where f may lie, likewise."),
        click.option("--task", type=click.Choice(get_args(Task)), metavar="NAME",
                     help="What a formula is for: regression, counts, binary, ... By default regression."),
        click.option("--link", type=click.Choice(("identity", "log", "logistic")),
                     help="What leads from a prediction to f. By default that of the task."),
    )  # fmt: skip

    @functools.wraps(command)
    def together(*args: Any, **options: Any) -> Any:
        declaration = {word: options.pop(word) for word in _OPTIONS}
        return command(*args, declaration=declaration, **options)

    return functools.reduce(lambda made, option: option(made), reversed(options), cast(F, together))


def _by_name(context: click.Context, option: click.Parameter, pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return what was said of symbols, by symbol."""
    twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if twice:
        raise click.BadParameter(f"'{twice[0]}' is declared twice", context, option)
    return dict(pairs)

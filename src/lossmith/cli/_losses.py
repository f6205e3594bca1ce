"""Losses as arguments of commands, with completion of their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from lossmith.errors import ParameterError, did_you_mean

if TYPE_CHECKING:
    from lossmith.core.loss import Loss

TARGET_KINDS = ("probabilities", "rate")  # predictions on the target's scale
RAW_KINDS = ("raw", "logits", "log_rate")


class LossName(click.types.StringParamType):
    """A loss as text: ``huber`` or ``huber(delta=1.35)``."""

    name = "loss"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Offer names, or aliases where no name begins like that."""
        return [CompletionItem(name, help=title) for name, title in complete(incomplete)]


def complete(start: str) -> list[tuple[str, str]]:
    """Return names of losses that begin with ``start``, each with the loss's title."""
    import lossmith as lm

    start = start.lower().replace("-", "_")
    titles = {name: lm.loss_class(name).card.title for name in lm.names()}
    found = [(name, title) for name, title in titles.items() if name.startswith(start)]
    aliases = ((alias, title) for name, title in titles.items() for alias in lm.loss_class(name).aliases)
    return found or [(alias, title) for alias, title in aliases if alias.startswith(start)]


def parse_losses(texts: Sequence[str], kind: str | None = None) -> list[Loss]:
    """Return the losses that the texts name; a text may hold several, with commas between them.

    Args:
        texts: Such as ``["mae,mse", "huber(delta=2)"]``.
        kind: What the predictions are, as for ``declare``.
    """
    parts = [part.strip() for text in texts for part in re.split(r",(?![^(]*\))", text) if part.strip()]
    losses = [declare(parse_loss(part), kind) for part in parts]
    return list(dict.fromkeys(losses))


def parse_loss(text: str) -> Loss:
    """Return the loss that a text names.

    Raises:
        LossNotFoundError, ParameterError: With a remedy for what people often write: the name of a metric, and values
            without brackets.
    """
    import lossmith as lm

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

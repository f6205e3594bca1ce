"""Several losses side by side: their values, gradients and Hessians in three linked panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lossmith.core.loss import Loss
from lossmith.core.section import Section, in_common
from lossmith.errors import MissingDependencyError, ParameterError
from lossmith.plotting.curves import broken, calm, finite, folded, heights, remark, visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = (("losses", "loss"), ("gradient", "gradient"), ("hessian", "Hessian"))
# Colours of Okabe and Ito (2008), told apart also by readers who do not see red and green.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", ":", "-.")
_LETTERS = 48  # of a line of the legend
_ROOM = 0.05  # above and below the curves, as a share of the panel


def sections(losses: Sequence[Loss], value: float | None = None, points: int = 401) -> list[Section]:
    """Return the losses along one line, as far as any of them is interesting.

    Args:
        losses: one or more.
        value: what is held fixed, such as the target; by default what is typical for these losses.
        points: how many points of the line.

    Raises:
        ParameterError: when there is no loss, or they cannot share an axis.
        DomainError: when one of them does not take the value.
    """
    if not losses:
        raise ParameterError("name at least one loss to draw")
    lines = [loss.section(value, 2) for loss in losses]
    if not share_an_axis(lines):
        kinds = ", ".join(f"{loss} runs along {line.label}" for loss, line in zip(losses, lines, strict=True))
        raise ParameterError(f"these losses cannot share an axis: {kinds}; draw them one by one")
    return in_common(losses, value, points)


def compare(losses: Sequence[Loss], y_true: float | None = None) -> Figure:
    """Draw losses that read the same kind of prediction, at one target.

    Args:
        losses: one or more.
        y_true: the target, or what else is held fixed; by default one that is typical. See ``Loss.section``.

    Returns:
        A figure of three axes that share the prediction.

    Raises:
        ParameterError: when there is no loss, or they cannot share an axis.
        MissingDependencyError: when matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("plots need matplotlib: pip install 'lossmith[lab]'") from None
    lines = sections(losses, y_true)
    together = len({line.case for line in lines}) == 1
    figure = Figure(figsize=(11.0, 3.8 + 0.2 * (len(losses) // 3)), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, title) in zip(figure.subplots(1, 3, sharex=True), PANELS, strict=True):
        curves = [visible(line, name) for line in lines]
        for number, (loss, line, curve) in enumerate(zip(losses, lines, curves, strict=True)):
            style = {"color": _COLOURS[number % len(_COLOURS)], "linestyle": _DASHES[number % len(_DASHES)]}
            text = f"{loss}" if together else f"{loss} {line.case}"
            axes.plot(*broken(line.x, curve), label="\n".join(folded(text, _LETTERS)), linewidth=2, **style)
        low, high = heights([calm(line, name) for line in lines])
        room = _ROOM * (high - low) or 1.0
        axes.set_ylim(low - room, high + room)
        axes.axhline(0, color="0.7", linewidth=0.8, zorder=0)
        if all(finite(curve).size < 2 for curve in curves):
            remark(axes)
        axes.set_title(title)
        axes.set_xlabel(lines[0].label)
        axes.spines[["top", "right"]].set_visible(False)
    handles, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=min(len(losses), 3), frameon=False)
    if together:
        figure.suptitle(lines[0].case)
    return figure


def share_an_axis(lines: Sequence[Section]) -> bool:
    """Return whether the same runs along all of these lines."""
    return len({_axis(line.label) for line in lines}) <= 1


def _axis(label: str) -> str:
    """Return what runs along an axis, whatever a family calls it: logits are scores, and rates are means."""
    return label.replace("logit", "score").replace("rate", "mean")

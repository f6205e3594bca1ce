"""Several losses side by side: their values, gradients and Hessians in three linked panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lossmith.core.loss import Loss
from lossmith.errors import MissingDependencyError, ParameterError
from lossmith.plotting.curves import broken

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PANELS = (("losses", "loss"), ("gradient", "gradient"), ("hessian", "Hessian"))
# Colours of Okabe and Ito (2008), told apart also by readers who do not see red and green.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("-", "--", ":", "-.")


def compare(losses: Sequence[Loss], y_true: float | None = None) -> Figure:
    """Draw losses that read the same kind of prediction, at one target.

    Args:
        losses: one or more.
        y_true: the target; by default one that is typical for the first loss.

    Returns:
        A figure of three axes that share the prediction.

    Raises:
        ParameterError: when there is no loss, or their predictions are of different kinds.
        MissingDependencyError: when matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("plots need matplotlib: pip install 'lossmith[lab]'") from None
    if not losses:
        raise ParameterError("name at least one loss to draw")
    value = losses[0].section(y_true, 2).value
    lines = [loss.section(value) for loss in losses]
    labels = {line.label for line in lines}
    if len(labels) > 1:
        kinds = ", ".join(f"{loss} reads a {line.label}" for loss, line in zip(losses, lines, strict=True))
        raise ParameterError(f"these losses cannot share an axis: {kinds}; draw them one by one")
    ends = min(float(line.x[0]) for line in lines), max(float(line.x[-1]) for line in lines)
    lines = [loss.section(value, between=ends) for loss in losses]
    figure = Figure(figsize=(11.0, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (name, title) in zip(figure.subplots(1, 3, sharex=True), PANELS, strict=True):
        for number, (loss, line) in enumerate(zip(losses, lines, strict=True)):
            style = {"color": _COLOURS[number % len(_COLOURS)], "linestyle": _DASHES[number % len(_DASHES)]}
            axes.plot(line.x, broken(getattr(line, name)), label=str(loss), linewidth=2, **style)
        axes.axhline(0, color="0.7", linewidth=0.8, zorder=0)
        axes.set_title(title)
        axes.set_xlabel(lines[0].label)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].legend(frameon=False)
    figure.suptitle(lines[0].case)
    return figure

"""Curves of a loss, its gradient and its Hessian on matplotlib axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lossmith.core.loss import Loss
from lossmith.core.section import Array
from lossmith.errors import MissingDependencyError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colours of Okabe and Ito (2008), told apart also by readers who do not see red and green.
_STYLES = (
    ("losses", "loss", "#0072B2", "-"),
    ("gradient", "gradient", "#D55E00", "--"),
    ("hessian", "Hessian", "#009E73", ":"),
)


def plot(loss: Loss, y_true: float | None = None, *, ax: Axes | None = None) -> Axes:
    """Draw loss, gradient and Hessian against the prediction, with the target marked.

    The title says what is held fixed; see ``Loss.section``.

    Args:
        loss: any loss.
        y_true: the target, with classes the index of the true one; by default one that is typical for the loss.
        ax: where to draw; by default a new figure.

    Returns:
        The axes.

    Raises:
        MissingDependencyError: when matplotlib is not installed.
    """
    if ax is None:
        ax = _new_axes()
    line = loss.section(y_true)
    for name, label, colour, dashes in _STYLES:
        ax.plot(line.x, broken(getattr(line, name)), dashes, color=colour, linewidth=2, label=label)
    ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)
    if line.best is not None and line.x[0] <= line.best <= line.x[-1]:
        ax.axvline(line.best, color="0.7", linewidth=0.8, zorder=0)
    # Near probabilities of 0 the derivatives dwarf the loss; they may leave the picture.
    tall = 2.5 * float(np.max(np.abs(line.losses)))
    bottom, top = ax.get_ylim()
    ax.set_ylim(max(bottom, -tall), min(top, tall))
    ax.set_title(f"{loss} {line.case}")
    ax.set_xlabel(line.label)
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _new_axes() -> Axes:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("plots need matplotlib: pip install 'lossmith[lab]'") from None
    # Not through pyplot: a library should not touch the caller's figures or backend.
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes: Axes = figure.subplots()
    return axes


def broken(values: Array) -> Array:
    """Return the values with a gap at a jump, so that it is not drawn as a steep line."""
    steps = np.abs(np.diff(values))
    usual = float(np.median(steps)) if steps.size else 0.0
    jumps = steps > max(50 * usual, 0.05 * float(np.ptp(values)) + 1e-12)
    broken = values.astype(np.float64)
    broken[1:][jumps] = np.nan
    return broken

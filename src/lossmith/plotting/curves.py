"""Curves of a loss, its gradient and its Hessian on matplotlib axes."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
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
_TALL = 2.0  # the picture is at most this many times as high as the loss
_LETTERS = 52  # of a line of the title
_HIGHER = 2.5  # a panel is at most this many times as high as the middle one of its curves
_EDGE = 0.03  # the share of a line at either end where a curve may leave its panel
_CLIPPED = 1.25  # nothing is cut off for less than this


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
    # Near probabilities of 0 the derivatives dwarf the loss; they may leave the picture, but for their lower halves.
    halves = [float(np.median(np.abs(getattr(line, name)))) for name, *_ in _STYLES]
    tall = max(_TALL * float(np.max(np.abs(line.losses))), 1.25 * max(halves))
    bottom, top = ax.get_ylim()
    ax.set_ylim(max(bottom, -tall), min(top, tall))
    # The legend lies in a row of its own: no place inside is free in the picture of every loss.
    ax.set_title("\n".join([*folded(str(loss), _LETTERS), *folded(line.case, _LETTERS)]), pad=26)
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), borderaxespad=0.2, ncols=len(_STYLES), frameon=False)
    ax.set_xlabel(line.label)
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


def folded(text: str, letters: int) -> list[str]:
    """Return a text on several lines, broken between words alone."""
    return wrap(text, letters, break_long_words=False, break_on_hyphens=False)


def broken(values: Array) -> Array:
    """Return the values with a gap at a jump, so that it is not drawn as a steep line."""
    steps = np.abs(np.diff(values))
    usual = float(np.median(steps)) if steps.size else 0.0
    jumps = steps > max(50 * usual, 0.05 * float(np.ptp(values)) + 1e-12)
    broken = values.astype(np.float64)
    broken[1:][jumps] = np.nan
    return broken


def heights(curves: Sequence[Array]) -> tuple[float, float]:
    """Return the lower and upper end of a panel with 0 in it, such that no curve flattens the others, nor itself.

    A curve that is much higher than the middle one, or than itself away from the ends, leaves the picture.
    """
    low, high = min(float(np.min(curve)) for curve in curves), max(float(np.max(curve)) for curve in curves)
    low, high = min(low, 0.0), max(high, 0.0)
    edge = round(_EDGE * curves[0].size)
    tall = [float(np.max(np.abs(curve[edge : curve.size - edge]))) for curve in curves]
    limit = min(max(tall), _HIGHER * float(np.median([value for value in tall if value > 0] or [np.inf])))
    if limit > 0 and max(-low, high) > _CLIPPED * limit:
        low, high = max(low, -limit), min(high, limit)
    return low, high

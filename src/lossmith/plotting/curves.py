"""Curves of a loss, its gradient and its Hessian on matplotlib axes."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from lossmith.core.loss import Loss
from lossmith.core.section import Array, Section
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
_POLE, _MOST = 100.0, 0.9  # so many times as high as this share of a loss is a pole, which leaves the picture
_TALLEST = 1e300  # of what axes can take
NOTHING = "not finite on this line"


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
        ax.plot(*broken(line.x, visible(line, name)), dashes, color=colour, linewidth=2, label=label)
    ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)
    if line.best is not None and line.x[0] <= line.best <= line.x[-1]:
        ax.axvline(line.best, color="0.7", linewidth=0.8, zorder=0)
    # Near probabilities of 0 the derivatives dwarf the loss; they may leave the picture, but for their lower halves.
    seen = {name: calm(line, name) for name, *_ in _STYLES}
    halves = [float(np.median(np.abs(known))) for known in map(finite, seen.values()) if known.size]
    tall = max(_TALL * _highest(_apart(seen["losses"])), 1.25 * max(halves, default=0.0)) or 1.0
    tall = min(tall, _TALLEST)
    bottom, top = ax.get_ylim()
    ax.set_ylim(max(bottom, -tall), min(top, tall))
    if all(finite(curve).size < 2 for curve in seen.values()):
        remark(ax)
        ax.set_xlim(float(line.x[0]), float(line.x[-1]))
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


def broken(x: Array, values: Array) -> tuple[Array, Array]:
    """Return a curve with a gap inside of each jump, so that it is not drawn as a steep line and both ends are.

    A point between two gaps is no line, and left out, or axes would be made for it; but the ends of a curve stay.
    """
    shown = np.where(np.isfinite(values), values, np.nan).astype(np.float64)
    with np.errstate(over="ignore"):
        steps = np.abs(np.diff(shown))
        usual = float(np.median(finite(steps))) if finite(steps).size else 0.0
        span = float(np.ptp(finite(values))) if finite(values).size else 0.0
    jumps = np.flatnonzero(steps > max(50 * usual, 0.05 * span + 1e-12)) + 1
    drawn = np.insert(shown, jumps, np.nan)
    gaps = np.isnan(drawn)
    drawn[1:-1][gaps[:-2] & gaps[2:]] = np.nan
    return np.insert(x, jumps, x[jumps]), drawn


def finite(values: Array) -> Array:
    """Return the values that are finite."""
    return values[np.isfinite(values)]


def visible(line: Section, name: str) -> Array:
    """Return a curve of a section, with NaN where it is not finite, or where the loss is no number and has no slope."""
    curve: Array = getattr(line, name)
    return np.where(np.isfinite(curve) & ~np.isnan(line.losses), curve, np.nan)


def calm(line: Section, name: str) -> Array:
    """Return a curve as it is drawn, with NaN at poles of the loss too."""
    losses = np.abs(line.losses)
    usual = finite(losses)
    most = float(np.quantile(usual, _MOST)) if usual.size else 0.0
    return np.where((most > 0) & np.isfinite(losses) & (losses > _POLE * most), np.nan, visible(line, name))


def remark(axes: Axes) -> None:
    """Say on axes that there is nothing to draw."""
    axes.text(0.5, 0.6, NOTHING, transform=axes.transAxes, ha="center", va="center", color="0.4")


def heights(curves: Sequence[Array]) -> tuple[float, float]:
    """Return the lower and upper end of a panel with 0 in it, such that no curve flattens the others, nor itself.

    A curve that is much higher than the middle one, or than itself away from the ends, leaves the picture. Where it is
    not finite it ends as well.
    """
    low = min(float(np.min(finite(curve), initial=0.0)) for curve in curves)
    high = max(float(np.max(finite(curve), initial=0.0)) for curve in curves)
    low, high = max(low, -_TALLEST), min(high, _TALLEST)
    edge = round(_EDGE * curves[0].size)
    tall = [_highest(_apart(curve)[edge : curve.size - edge]) for curve in curves]
    limit = min(max(tall), _HIGHER * float(np.median([value for value in tall if value > 0] or [np.inf])))
    if limit > 0 and max(-low, high) > _CLIPPED * limit:
        low, high = max(low, -limit), min(high, limit)
    return low, high


def _apart(curve: Array) -> Array:
    """Return a curve without what lies next to a place where it is not finite, if anything is left."""
    edge = round(_EDGE * curve.size)
    near = np.convolve(~np.isfinite(curve), np.ones(2 * edge + 1), "same") > 0.5
    return curve if near.all() else np.where(near, np.nan, curve)


def _highest(curve: Array) -> float:
    return float(np.max(np.abs(finite(curve)), initial=0.0))

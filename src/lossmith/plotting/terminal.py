"""Curves in the terminal, drawn with Braille dots: two columns and four rows to a character."""

from __future__ import annotations

import numpy as np

from lossmith.core.loss import Loss
from lossmith.core.section import Array, Section
from lossmith.plotting.curves import NOTHING, calm, folded, heights, visible

_NARROWEST, _MARGIN = 30, 10
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])


def curve(loss: Loss, width: int = 60, height: int = 12, y_true: float | None = None) -> str:
    """Return the loss and its gradient as two text plots, one above the other.

    Args:
        loss: any loss.
        width: characters across, axis labels included; at least 30.
        height: lines of the upper plot; the lower one has half as many.
        y_true: the target, or what else is held fixed; by default one that is typical. See ``Loss.section``.
    """
    return drawn(loss.section(y_true, points=points(width)), width, height)


def points(width: int) -> int:
    """Return how many points a line has that is drawn so many characters wide."""
    return 2 * (max(width, _NARROWEST) - _MARGIN)


def drawn(line: Section, width: int, height: int) -> str:
    """Return the text plots of a section with as many points as ``points`` says; see ``curve``."""
    columns = points(width) // 2
    upper = _panel(visible(line, "losses"), columns, height, heights([calm(line, "losses")]))
    lower = _panel(visible(line, "gradient"), columns, max(height // 2, 3), heights([calm(line, "gradient")]))
    first, last = f"{line.x[0]:.3g}", f"{line.x[-1]:.3g}"
    room = columns - len(first) - len(last)
    labels = (line.label, line.label.partition(",")[0], line.label.partition(" of ")[0])
    label = next((label for label in labels if len(label) <= room - 2), "")
    axis = first + label.center(room) + last
    head = f"loss {line.case}".strip()
    return "\n".join([*folded(head, max(width, _NARROWEST)), *upper, "gradient", *lower, " " * (_MARGIN - 1) + axis])


def fall(costs: Array, width: int, height: int) -> str:
    """Return costs, one after each step, as a text plot with 0 in it; those that are not finite are left out.

    Args:
        costs: the cost after no step, after one, and so on.
        width: characters across, axis labels included; at least 30.
        height: lines of the plot.
    """
    seen = costs[np.isfinite(costs)]
    columns = points(width) // 2
    places = np.linspace(0, max(len(seen) - 1, 1), 2 * columns)
    ends = min(float(np.min(seen)), 0.0), max(float(np.max(seen)), 0.0)
    lines = _panel(np.interp(places, np.arange(len(seen)), seen), columns, height, ends)
    last = f"{max(len(seen) - 1, 1)}"
    return "\n".join([*lines, " " * (_MARGIN - 1) + "0" + "step".center(columns - 1 - len(last)) + last])


def _panel(values: Array, columns: int, height: int, ends: tuple[float, float]) -> list[str]:
    known = np.isfinite(values)
    if not known.any():
        return [f"{'':>7} ┤ {NOTHING}"]
    low, high = ends
    span = high - low or 1.0
    last = height * 4 - 1
    with np.errstate(over="ignore"):
        rows = np.clip((high - np.where(known, values, high)) / span * last, -1, last + 1).round().astype(int)
    cells = np.zeros((height, columns), dtype=int)
    previous = None
    for place, row in enumerate(rows.tolist()):
        if not known[place]:
            previous = None
            continue
        previous = row if previous is None else previous
        # Steep parts are filled, so that the curve stays connected; what lies above or below is left out.
        for dot in range(max(min(previous, row), 0), min(max(previous, row), last) + 1):
            cells[dot // 4, place // 2] |= _DOTS[dot % 4, place % 2]
        previous = row
    zero = round(high / span * last) // 4
    lines = []
    for number, line in enumerate(cells.tolist()):
        label = _short(high) if number == 0 else _short(low) if number == height - 1 else "0" if number == zero else ""
        blank = "·" if number == zero else " "
        lines.append(f"{label:>7} ┤" + "".join(chr(0x2800 + cell) if cell else blank for cell in line))
    return lines


def _short(value: float) -> str:
    """Return a number in at most 7 characters."""
    text = f"{value:.3g}"
    return text if len(text) <= 7 else f"{value:.1g}"

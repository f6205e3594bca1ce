"""Drawings for a page: matplotlib figures as small inline SVG that follows the page's colours.

A drawing uses colours by role (ink, grid, first series, ...). They become CSS variables, so that one drawing
serves a light page and a dark one. Text stays text. The same figure gives the same bytes.
"""

from __future__ import annotations

import html
import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DASHES", "FAINT", "GRID", "INK", "SERIES", "SURFACE", "Picture", "draw"]

# Colours that no drawing would use by chance; each stands for the CSS variable beside it.
INK, FAINT, GRID, SURFACE = "#010203", "#040506", "#070809", "#fafbfd"
SERIES = ("#a10001", "#a10002", "#a10003", "#a10004", "#a10005", "#a10006", "#a10007", "#a10008")
_VARIABLES = {INK: "ink", FAINT: "faint", GRID: "grid", SURFACE: "card"} | {
    color: f"series-{number}" for number, color in enumerate(SERIES, start=1)
}
# Lines differ by dash as well as by colour, for those who see colours differently.
DASHES = ("-", (0, (6, 2)), (0, (2, 1.5)), (0, (7, 2, 1.5, 2)), (0, (1, 1)), (0, (9, 3)), (0, (4, 1, 1, 1, 1, 1)), "--")

# Points, at 72 to the inch. A narrow drawing keeps its text readable when a phone scales it down.
_WIDTH = 330.0

_STYLE: dict[str, object] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib, so that the layout is the same everywhere
    "font.size": 10.5,
    "axes.labelsize": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in the name of a column is a dollar sign
    "lines.linewidth": 1.8,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
}


@dataclass(frozen=True)
class Picture:
    """A drawing with its words.

    Attributes:
        name: Short name, unique on the page; it prefixes all identifiers inside the drawing.
        title: What the drawing is.
        caption: What it shows, for everyone; also its text alternative.
        svg: The drawing, ready to be put into a page.
    """

    name: str
    title: str
    caption: str
    svg: str


def draw(name: str, title: str, caption: str, height: float, paint: Callable[[Figure], None]) -> Picture:
    """Make a picture.

    Args:
        name: Short name, unique on the page.
        title: What the drawing is.
        caption: What it shows, in one or two sentences.
        height: Height in points; every drawing is 330 points wide.
        paint: Draws on an empty figure.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    buffer = io.StringIO()
    with (
        # From matplotlib's own defaults, so that a person's settings file does not change the report.
        mpl.rc_context({**mpl.rcParamsDefault, **_STYLE, "svg.hashsalt": name}),
        warnings.catch_warnings(),
    ):
        # The page's own fonts draw the text, and they know more signs than the one that measures it here.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        figure = Figure(figsize=(_WIDTH / 72, height / 72), layout="constrained")
        figure.patch.set_visible(False)
        FigureCanvasSVG(figure)
        paint(figure)
        for axes in figure.axes:
            axes.patch.set_visible(False)
            axes.tick_params(length=0)
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    return Picture(name, title, caption, _inline(buffer.getvalue(), name, title, caption))


def _inline(text: str, name: str, title: str, caption: str) -> str:
    """Turn a stand-alone SVG document into an element that lives well inside a page."""
    text = text[text.index("<svg") :]
    # The style sheet of the document says "*", which would reach the whole page; the page has its own rule.
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    text = re.sub(r'(\bid="|url\(#|xlink:href="#)', rf"\g<1>{name}-", text)
    for color, variable in _VARIABLES.items():
        text = text.replace(color, f"var(--{variable})")
    text = re.sub(r' transform="rotate\(-0 [^"]*\)"', "", text)
    text = re.sub(r"\s*\n\s*", "\n", text)
    view = re.search(r'viewBox="[^"]*"', text)
    opening = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'{view.group() if view else ""} role="img" aria-labelledby="{name}-title {name}-text">\n'
        f'<title id="{name}-title">{html.escape(title)}</title>\n<desc id="{name}-text">{html.escape(caption)}</desc>'
    )
    return re.sub(r"<svg[^>]*>", lambda _: opening, text, count=1).strip()

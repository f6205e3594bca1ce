"""The picture of a run: how many times as long as Lossmith everybody took."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.peers import PEERS
from benchmarks.ratios import Record, line, middle, ratio

COLOURS = dict(zip(PEERS, ("#000000", "#56B4E9", "#D55E00", "#E69F00", "#009E73", "#CC79A7"), strict=True))
MARKERS = dict(zip(PEERS, "svoDP^", strict=True))


def draw(result: dict[str, Any], path: Path) -> None:
    """Draw a line for each line of the table: a mark at the mean of each peer, and its range."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter

    lines: dict[str, list[Record]] = {}
    for record in result["cases"]:
        if record["times"] and record["group"] != "custom":
            lines.setdefault(line(record), []).append(record)
    figure = Figure(figsize=(10, 0.36 * len(lines) + 1.7), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for name in ("floor", *PEERS):
        for place, cases in enumerate(lines.values()):
            found = [value for case in cases if (value := ratio(case, name)) is not None]
            if not found:
                continue
            if name == "floor":
                axes.plot([middle(found)], [place], "|", color="0.45", markersize=13, markeredgewidth=2.5)
                continue
            at = place + (PEERS.index(name) - (len(PEERS) - 1) / 2) * 0.11
            axes.plot([min(found), max(found)], [at, at], color=COLOURS[name], linewidth=1, alpha=0.6)
            axes.plot([middle(found)], [at], MARKERS[name], color=COLOURS[name], markersize=5)
    for name in PEERS:
        axes.plot([], [], MARKERS[name], color=COLOURS[name], label=name)
    axes.plot([], [], "|", color="0.45", markersize=11, markeredgewidth=2.5, label="memory alone")
    for place in range(len(lines)):
        if place % 2:
            axes.axhspan(place - 0.5, place + 0.5, color="0.96", zorder=0)
    axes.axvline(1, color="0.2", linewidth=1.2)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_yticks(
        range(len(lines)), [f"{label} ({len(cases)})" if len(cases) > 1 else label for label, cases in lines.items()]
    )
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_xlabel(
        "time as a multiple of Lossmith's: to the right of 1 Lossmith is faster\n"
        "marks: geometric means over losses (their number in brackets); lines: least to most"
    )
    axes.grid(axis="x", color="0.88", linewidth=0.8)
    axes.set_axisbelow(True)
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, ncols=7, loc="outside upper center")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)

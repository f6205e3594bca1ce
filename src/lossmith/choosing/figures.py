"""The pictures of a report."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lossmith.choosing.judging import gives_scores
from lossmith.choosing.svg import DASHES, FAINT, INK, SERIES, SURFACE, Picture, draw
from lossmith.choosing.words import capital, compact, number, share
from lossmith.errors import DomainError, plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from lossmith.choosing.choice import Choice

__all__ = ["pictures"]

FloatArray = NDArray[np.float64]

# More points than this make a page heavy and tell nothing new.
_POINTS = 900
_FEATURES = 10


def pictures(choice: Choice) -> dict[str, Picture]:
    """Draw every picture of a report, by name: target, curves, scores, gaps (if any), held-out, features."""
    binary = choice.profile.kind == "binary"
    drawn = {
        "target": _classes(choice) if binary else _target(choice),
        "curves": _curves(choice),
        "scores": _scores(choice),
    }
    if any(item.test is not None for item in choice.verdict.comparisons):
        drawn["gaps"] = _gaps(choice)
    if not binary:
        drawn["held-out"] = _scatter(choice)
    elif gives_scores(choice.leader.loss):
        drawn["held-out"] = _margins(choice)
    else:
        drawn["held-out"] = _reliability(choice)
    drawn["features"] = _features(choice)
    return drawn


def _wide(choice: Choice) -> bool:
    """Return whether the target spans so much that a linear axis would hide most rows."""
    low, high = np.quantile(choice.y, [0.05, 1.0])
    return bool(choice.profile.minimum > 0.0 and high > 30.0 * low)


def _plain_ticks(axis: Any) -> None:
    """Write tick labels as people do: 20,000 or 20k on a crowded axis, never 2e4."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: compact(float(f"{value:.6g}"))))
    axis.set_minor_formatter(FuncFormatter(lambda value, _: ""))


def _window(choice: Choice) -> tuple[float, float]:
    """Return the part of the axis to draw: all of it, unless a few far rows would press the others flat."""
    facts = choice.profile
    low, high = (float(value) for value in np.quantile(choice.y, [0.005, 0.995]))
    if facts.maximum - facts.minimum <= 2.0 * (high - low) or high <= low:
        return facts.minimum, facts.maximum
    return low, high


def _target(choice: Choice) -> Picture:
    facts, y = choice.profile, choice.y
    wide = _wide(choice)
    low, high = (facts.minimum, facts.maximum) if wide else _window(choice)
    inside = (y >= low) & (y <= high)
    far = np.abs(y - facts.median) > 3.0 * facts.robust_deviation

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        if wide:
            edges = np.geomspace(low, high, 41)
            axes.set_xscale("log")
        elif facts.integer and high - low <= 60:
            edges = np.arange(low - 0.5, high + 1.0)
        else:
            edges = np.linspace(low, high, 41)
        shown = [y[inside & ~far], y[inside & far]]
        axes.hist(shown, bins=edges.tolist(), stacked=True, color=[SERIES[0], SERIES[1]], rwidth=0.92)
        for value, style in ((facts.median, "-"), (facts.mean, (0, (3, 2)))):
            axes.axvline(value, color=INK, linewidth=1.2, linestyle=style)
        axes.margins(y=0.16)
        # The smaller one is named to its left and the larger one to its right, so that the names do not meet.
        first, second = sorted(((facts.median, "median"), (facts.mean, "mean")))
        top = axes.get_ylim()[1]
        axes.text(first[0], top, f"{first[1]} ", ha="right", va="top")
        axes.text(second[0], top, f" {second[1]}", ha="left", va="top")
        axes.grid(axis="x", visible=False)
        axes.set_xlabel(facts.name + (" (each step to the right multiplies)" if wide else ""))
        axes.set_ylabel("rows")
        _plain_ticks(axes.xaxis)
        _plain_ticks(axes.yaxis)

    caption = (
        f"How the targets are spread: median {number(facts.median)}, mean {number(facts.mean)}, from "
        f"{number(facts.minimum)} to {number(facts.maximum)}. "
    )
    if facts.outliers:
        caption += f"The second colour marks the {plural(facts.outliers, 'row')} beyond 3 robust deviations."
    else:
        caption += "No row lies beyond 3 robust deviations."
    if not inside.all():
        caption += f" {plural(int((~inside).sum()), 'row')} too far out to draw."
    return draw("target", f"The target {facts.name}", caption, 215, paint)


def _classes(choice: Choice) -> Picture:
    facts = choice.profile
    labels = facts.labels or ("0", "1")
    counts = (facts.rows - facts.positives, facts.positives)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.barh([1, 0], counts, height=0.55, color=[SERIES[0], SERIES[1]])
        for place, label, count in zip((1, 0), labels, counts, strict=True):
            axes.text(0, place + 0.31, f"{label}: {plural(count, 'row')}, {share(count / facts.rows)}", va="bottom")
        axes.set_ylim(-0.45, 1.75)
        axes.set_yticks([])
        axes.grid(axis="y", visible=False)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("rows")
        _plain_ticks(axes.xaxis)

    caption = f"{counts[0]:,} rows are '{labels[0]}' and {counts[1]:,} are '{labels[1]}'."
    return draw("target", f"The classes of {facts.name}", caption, 170, paint)


def _curves(choice: Choice) -> Picture:
    binary = choice.profile.kind == "binary"
    middle, unit = choice.profile.median, choice.profile.robust_deviation
    shown = choice.candidates[: len(SERIES)]
    columns = 2 if max(len(candidate.label) for candidate in shown) <= 18 else 1

    def curve(loss: Any, at: FloatArray, truth: float) -> FloatArray:
        with np.errstate(all="ignore"):
            raw = at if binary else np.asarray(loss.link.forward(at), dtype=np.float64)
        values = np.full(at.size, np.nan)
        inside = np.isfinite(raw)
        with contextlib.suppress(DomainError):  # a loss that is not defined at this truth has no curve here
            values[inside] = loss.losses(np.full(int(inside.sum()), truth), raw[inside])
        return values

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        steps = np.linspace(-4.0, 4.0, 161)
        for place, candidate in enumerate(shown):
            loss = candidate.loss
            if binary:
                values = curve(loss, steps, 1.0)
            else:
                values = curve(loss, middle + steps * unit, middle)
                values -= curve(loss, np.array([middle]), middle)[0]
                one = values[steps == 1.0][0]
                values = values / one if one > 0.0 else values
            axes.plot(steps, values, color=SERIES[place], linestyle=DASHES[place], label=candidate.label)
        axes.set_ylim(-0.15, 5.0 if binary else 6.0)
        axes.set_ylabel("loss" if binary else "loss, 1 at one deviation above")
        axes.set_xlabel(
            "raw prediction (logit or score) of a positive row"
            if binary
            else "prediction minus truth, in robust deviations"
        )
        figure.legend(loc="outside upper left", ncols=columns, handlelength=2.6, columnspacing=1.0)

    caption = (
        "What each loss charges for a row of the positive class: the further left, the more confidently wrong."
        if binary
        else f"What each loss charges for an error, at a truth of {number(middle)}. All curves are scaled to meet at "
        f"one robust deviation ({number(unit, 3)}) too high, so only their shapes compare."
    )
    return draw("curves", "The losses side by side", caption, 230 + 15 * -(-len(shown) // columns), paint)


def _ordered(choice: Choice) -> list[int]:
    return [choice.verdict.leader, *(item.rival for item in choice.verdict.comparisons)]


def _rows_with_names(axes: Axes, names: list[str], marks: list[bool]) -> None:
    """Write each row's name above its line, so that long names take no width."""
    places = range(len(names))
    axes.set_yticks([])
    axes.set_ylim(len(names) - 0.5, -0.75)
    axes.spines["left"].set_visible(False)
    for place, name, mark in zip(places, names, marks, strict=True):
        axes.text(
            0.0,
            place - 0.22,
            name,
            transform=axes.get_yaxis_transform(),
            va="bottom",
            fontweight="bold" if mark else "normal",
            # A line that passes behind a name leaves it readable.
            bbox={"facecolor": SURFACE, "edgecolor": "none", "pad": 0.8},
        )


def _scores(choice: Choice) -> Picture:
    results = choice.results
    order = [i for i in _ordered(choice) if np.isfinite(results.scores[i]).all()]
    names = [choice.candidates[i].label for i in order]
    base = float(results.baseline.mean())
    finite = results.scores[order]
    low, high = float(finite.min()), float(finite.max())
    inside = low - 0.5 * (high - low) <= base <= high + 0.5 * (high - low)

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for place, index in enumerate(order):
            color = SERIES[0] if index in choice.verdict.contenders else SERIES[1]
            values = results.scores[index]
            axes.plot(values, np.full(values.size, place), "o", color=color, markersize=4, alpha=0.45, linewidth=0)
            axes.plot([values.mean()], [place], "D", color=color, markersize=6.5)
        _rows_with_names(axes, names, [index in choice.verdict.contenders for index in order])
        if inside:
            axes.axvline(base, color=FAINT, linewidth=1.2, linestyle=(0, (4, 3)))
            axes.text(base, -0.72, " best constant", va="top", color=FAINT)
        axes.grid(axis="y", visible=False)
        better = "higher" if choice.metric.greater_is_better else "lower"
        axes.set_xlabel(f"{choice.metric.title} on held-out rows ({better} is better)")
        _plain_ticks(axes.xaxis)

    caption = (
        f"Each dot is one fold, each diamond the mean over {plural(results.scores.shape[1], 'fold')}. Names in bold, "
        "in the first colour, are the winner or cannot be told apart from the leader."
    )
    if not inside:
        caption += f" The best constant prediction, at {number(base)}, lies outside the picture."
    return draw("scores", f"{capital(choice.metric.title)} of every loss", caption, 62 + 36 * len(order), paint)


def _gaps(choice: Choice) -> Picture:
    tested = [(item, item.test) for item in choice.verdict.comparisons if item.test is not None]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        for place, (item, test) in enumerate(tested):
            color = SERIES[1] if item.beaten else SERIES[0]
            axes.plot([test.low, test.high], [place, place], color=color, linewidth=2.6, solid_capstyle="round")
            axes.plot([test.mean], [place], "D", color=color, markersize=6.5)
        axes.axvline(0.0, color=INK, linewidth=1.2)
        _rows_with_names(axes, [choice.candidates[i.rival].label for i, _ in tested], [not i.beaten for i, _ in tested])
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(f"how much worse than {choice.leader.label}, in {choice.metric.title}")
        _plain_ticks(axes.xaxis)

    confidence = share(choice.verdict.confidence).replace(".0%", "%")
    caption = (
        f"The gap between {choice.leader.label} and each other loss with its {confidence} interval. Where an "
        "interval crosses the line at zero, chance may explain the gap. Each interval stands for its comparison alone; "
        "the names in bold, which cannot be told apart from the leader, also allow for the number of comparisons."
    )
    return draw("gaps", "How far behind the others are", caption, 62 + 36 * len(tested), paint)


def _sample(size: int) -> NDArray[np.intp]:
    """Pick rows evenly over the table; the same rows each time."""
    if size <= _POINTS:
        return np.arange(size)
    return np.unique(np.linspace(0, size - 1, _POINTS).astype(np.intp))


def _scatter(choice: Choice) -> Picture:
    held, y = choice.results.held_out[choice.verdict.leader], choice.y
    # Sorted by truth before picking, so that both ends of the target are in the picture.
    rows = np.argsort(y, kind="stable")[_sample(y.size)]
    wide = _wide(choice) and bool((held[rows] > 0.0).mean() > 0.95)
    if wide:
        rows = rows[held[rows] > 0.0]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot(held[rows], y[rows], "o", color=SERIES[0], markersize=2.6, alpha=0.5, markeredgewidth=0)
        ends = [float(min(held[rows].min(), y[rows].min())), float(max(held[rows].max(), y[rows].max()))]
        axes.plot(ends, ends, color=INK, linewidth=1.2)
        if wide:
            axes.set_xscale("log")
            axes.set_yscale("log")
        axes.set_xlabel("held-out prediction")
        axes.set_ylabel("truth")
        for axis in (axes.xaxis, axes.yaxis):
            _plain_ticks(axis)

    shown = "" if rows.size == y.size else f" {rows.size:,} of {y.size:,} rows are drawn, evenly over the truth."
    caption = (
        f"Held-out predictions of {choice.leader.label} against the truth. On the line they agree; above it the truth "
        f"is larger than predicted.{shown}"
    )
    return draw("held-out", "Prediction and truth", caption, 280, paint)


def _reliability(choice: Choice) -> Picture:
    from scipy.optimize import isotonic_regression

    held, y = choice.results.held_out[choice.verdict.leader], choice.y
    order = np.argsort(held, kind="stable")
    steps = isotonic_regression(y[order]).x
    # Only the corners of the steps are drawn.
    keep = np.r_[True, (np.diff(steps[:-1]) != 0) | (np.diff(steps[1:]) != 0), True]
    gap = float(np.abs(steps - held[order]).mean())

    def paint(figure: Figure) -> None:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3.2, 1])
        upper.plot([0, 1], [0, 1], color=FAINT, linewidth=1.2, linestyle=(0, (4, 3)))
        upper.plot(held[order][keep], steps[keep], color=SERIES[0])
        upper.set_ylabel("share that came true")
        edges = np.linspace(0.0, 1.0, 31)
        lower.hist([held[y == 0.0], held[y == 1.0]], bins=edges.tolist(), stacked=True, color=[SERIES[0], SERIES[1]])
        lower.set_ylabel("rows")
        lower.set_xlabel("predicted probability, held out")
        _plain_ticks(lower.yaxis)

    caption = (
        f"Held-out probabilities of {choice.leader.label} against what happened. On the dashed line a predicted 70% "
        f"comes true in 70% of the rows; the mean distance from it is {number(gap, 2)}. Below, how often each "
        "probability was predicted, by class."
    )
    return draw("held-out", "Can the probabilities be trusted?", caption, 290, paint)


def _margins(choice: Choice) -> Picture:
    held, y = choice.results.held_out[choice.verdict.leader], choice.y
    labels = choice.profile.labels or ("0", "1")

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.hist(
            [held[y == 0.0], held[y == 1.0]],
            bins=np.linspace(float(held.min()), float(held.max()), 41).tolist(),
            stacked=True,
            color=[SERIES[0], SERIES[1]],
            label=list(labels),
        )
        axes.axvline(0.0, color=INK, linewidth=1.2)
        axes.set_xlabel("held-out score; above zero says " + labels[1])
        axes.set_ylabel("rows")
        figure.legend(loc="outside upper left", ncols=2)

    wrong = float(((held > 0.0) != (y == 1.0)).mean())
    caption = (
        f"Held-out scores of {choice.leader.label} by class. {share(wrong)} of the rows fall on the wrong side of "
        "zero. The scores are no probabilities."
    )
    return draw("held-out", "Scores and classes", caption, 230, paint)


def _features(choice: Choice) -> Picture:
    gain = choice.results.importance[choice.verdict.leader]
    order = np.argsort(-gain, kind="stable")[:_FEATURES]
    order = order[gain[order] > 0.0]

    def paint(figure: Figure) -> None:
        axes = figure.subplots()
        axes.barh(np.arange(order.size) + 0.1, 100.0 * gain[order], height=0.3, color=SERIES[0])
        _rows_with_names(axes, [choice.features[i] for i in order], [False] * order.size)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("share of the gain in training, %")

    if order.size:
        best = choice.features[order[0]]
        part = share(float(gain[order[0]]))
        caption = f"What the models of {choice.leader.label} split on: '{best}' brought {part} of the gain."
    else:
        caption = f"The models of {choice.leader.label} never split: no feature helped."
    return draw("features", "The features that matter most", caption, 50 + 30 * max(1, int(order.size)), paint)

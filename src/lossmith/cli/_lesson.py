"""What ``lossmith learn`` prints: a step by hand, the steps, the cost as it falls, and what the loss did."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lossmith.choosing.words import number, share
from lossmith.cli import terminal

if TYPE_CHECKING:
    from lossmith.learning import Learning, Step

Array = npt.NDArray[Any]

_COLUMN = 11  # letters of a column of numbers, and what is between
_RAW = {"logistic": "the log-odds of {}", "log": "the log of {}", "identity": "{}"}


@dataclass(frozen=True, eq=False)
class Material:
    """What is learned from.

    Attributes:
        X, y: features, shape (n, features), and targets.
        features, target: their names.
        story: what they are, in a sentence.
        scales: mean and deviation of the features that were centred and scaled.
    """

    X: Array
    y: Array
    features: tuple[str, ...]
    target: str
    story: str
    scales: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Lesson:
    """The page about one learning, as wide as ``columns``."""

    learning: Learning
    material: Material
    columns: int

    def write(self) -> None:
        """Write the page to standard output."""
        model = "a line" if self.learning.model == "line" else "a constant"
        for line in terminal.wrap(f"{self.learning.loss} teaches {model}", self.columns):
            terminal.write(terminal.bold(line))
        self._text(self.material.story, *self._scaled())
        if self._single:
            self._heading(f"The first step, for {self._watched}")
            for line in terminal.aligned(list(self._by_hand()), self.columns):
                terminal.write(line)
        if self._moved:
            self._heading(f"The steps, for {self._watched}" if self._single else "The steps")
            self._table()
            self._heading("The cost")
            self._chart()
        self._heading("What the loss did")
        self._text(self.learning.reason, *self._learned())
        if self._single and not self.learning.diverged:
            self._text(*self._pulls())
        elif not self._single:
            self._rows()

    def _heading(self, text: str) -> None:
        terminal.write()
        for line in terminal.wrap(text, self.columns):
            terminal.write(terminal.heading(line))

    def _text(self, *sentences: str) -> None:
        for line in terminal.wrap(" ".join(sentences), self.columns, "  "):
            terminal.write(line)

    def _scaled(self) -> Iterator[str]:
        if self.material.scales:
            yield "Features are centred and scaled: from each its mean is taken off, and the rest divided by its"
            yield "deviation."

    @property
    def _single(self) -> bool:
        """Whether one number is predicted for each example."""
        return self.learning.loss.elementwise

    @property
    def _moved(self) -> bool:
        """Whether a step was taken."""
        return len(self.learning.steps) > 1

    @cached_property
    def _place(self) -> int:
        """The example that is watched: the one with the largest loss where numbers are still finite."""
        return int(np.argmax(self._end.losses))

    @cached_property
    def _end(self) -> Step:
        """The last step with finite numbers."""
        return next(step for step in reversed(self.learning.steps) if np.isfinite(step.cost))

    @cached_property
    def _watched(self) -> str:
        facts = [f"{self.material.target} {number(float(self.material.y[self._place]))}"] if self._single else []
        if not self.material.scales:
            row = self.material.X[self._place, :2]
            facts = [
                f"{name} {number(value)}" for name, value in zip(self.material.features, row, strict=False)
            ] + facts
        return f"example {self._place + 1:,} ({', '.join(facts)})"

    def _by_hand(self) -> Iterator[tuple[str, str]]:
        """Yield what is done in the first step, and its numbers."""
        learning, step, place = self.learning, self.learning.steps[0], self._place
        raw, prediction = float(step.raw[place]), float(step.predictions[place])
        products = [
            f"{number(slope)} × {number(value)}"
            for slope, value in zip(step.parameters[1:], learning.X[place], strict=True)
        ][:3]
        more = ["…"] if len(learning.names) > 4 else []
        total = " + ".join([number(float(step.parameters[0])), *products, *more])
        link = "" if learning.loss.link.name == "identity" else f", which stands for {number(prediction)}"
        yield "predict", f"{total} = {number(raw)}{link}" if products else f"{total}{link}"
        yield (
            "measure",
            (
                f"its loss is {number(float(step.losses[place]))}; the mean of all {len(step.losses):,}, the cost, is "
                f"{number(step.cost)}"
            ),
        )
        yield "gradient", self._gradient_in_words(float(step.gradient[place]))
        if not self._moved:
            yield "adjust", "nothing"
            return
        for name, before, slope, after in itertools.islice(
            zip(learning.names, step.parameters, step.parameter_gradient, step.new_parameters, strict=True), 3
        ):
            mean = "the mean of all gradients" if name == "intercept" else f"the mean of gradient × {name}"
            yield (
                "adjust",
                (
                    f"{name}: {number(before)} − {learning.rate:g} × {_signed(slope)} = {number(after)}, where "
                    f"{number(slope)} is {mean}"
                ),
            )

    def _gradient_in_words(self, slope: float) -> str:
        if slope == 0:
            return "0: it does not pull"
        return f"{number(slope)}: its loss falls when its prediction {'rises' if slope < 0 else 'falls'}"

    def _table(self) -> None:
        fitting = max(self.columns // _COLUMN, 2)
        own = ("prediction", "loss", "gradient", *self.learning.names) if self._single else ()
        headers = ["step", "cost", *own][:fitting]
        rows = []
        for step in self._shown():
            numbers = [step.cost]
            if self._single:
                numbers += [float(array[self._place]) for array in (step.predictions, step.losses, step.gradient)]
                numbers += step.parameters.tolist()
            rows.append([f"{step.number}", *map(number, numbers[: fitting - 1])])
        terminal.print_table(headers, rows, right=range(len(headers)))

    def _shown(self) -> list[Step]:
        """Return steps 0, 1, 2, 5, 10, 20, 50 and so on, and the last."""
        steps = self.learning.steps
        wanted = {0, len(steps) - 1} | {first * 10**power for first in (1, 2, 5) for power in range(7)}
        return [steps[place] for place in sorted(wanted) if place < len(steps)]

    def _chart(self) -> None:
        from lossmith.plotting.terminal import fall

        terminal.write(fall(self.learning.costs, min(self.columns, 80), 8))

    def _learned(self) -> Iterator[str]:
        """Yield what the model knows at the end."""
        learning, costs = self.learning, self.learning.costs
        if not self._moved:
            return
        rate = f"the chosen rate of {learning.rate:g}" if learning.chosen else f"a rate of {learning.rate:g}"
        yield f"The cost went from {number(costs[0])} to {number(costs[-1])}, at {rate}."
        if self._single and not learning.diverged:
            scored = learning.loss.card.task == "binary" and learning.loss.link.name == "identity"
            raw = ("the score of {}" if scored else _RAW[learning.loss.link.name]).format(self.material.target)
            intercept, slopes = self._unscaled()
            terms = [f"{'−' if slope < 0 else '+'} {number(abs(slope))} × {name}" for name, slope in slopes]
            yield f"The model says: {raw} = {' '.join([number(intercept), *terms])}."

    def _rows(self) -> None:
        """Write what the model knows, a column for each class or level."""
        parameters = self.learning.parameters
        levels, kind = self.learning.loss.values.get("levels", ()), self.learning.loss.card.task
        known = "class" if kind == "categorical" else "output"
        headers = [f"level {level:g}" for level in levels] or [f"{known} {k}" for k in range(parameters.shape[1])]
        terminal.write()
        terminal.print_table(
            ["", *headers],
            [[name, *map(number, row)] for name, row in zip(self.learning.names, parameters.tolist(), strict=True)],
            right=range(1, len(headers) + 1),
        )

    def _unscaled(self) -> tuple[float, list[tuple[str, float]]]:
        """Return the intercept and the slopes in the units of the table."""
        intercept, *slopes = map(float, self.learning.parameters)
        found = []
        for name, slope in zip(self.material.features, slopes, strict=True):
            scale = self.material.scales.get(name, {"mean": 0.0, "deviation": 1.0})
            found.append((name, slope / scale["deviation"]))
            intercept -= found[-1][1] * scale["mean"]
        return intercept, found

    def _pulls(self) -> Iterator[str]:
        """Yield how the example with the largest loss pulls, and how it would under another loss."""
        end, place = self._end, self._place
        pulls, total = np.abs(end.gradient), float(end.losses.sum())
        if not (self._moved and pulls.sum() > 0):
            return
        held = f", {share(float(end.losses[place]) / total)} of all" if np.all(end.losses >= 0) and total > 0 else ""
        yield f"At the end {self._watched} has the largest loss{held}: it is predicted"
        yield f"{number(float(end.predictions[place]))}. Its gradient is {number(float(end.gradient[place]))}:"
        yield f"{share(float(pulls[place] / pulls.sum()))} of all pull on the model."
        if self.learning.loss.card.task != "regression":
            return  # what is predicted is on another scale than the targets
        import lossmith as lm

        squared, absolute = lm.SquaredError(), lm.AbsoluteError()
        other, kind = (squared, "squared") if self.learning.loss != squared else (absolute, "absolute")
        theirs = other.gradient(np.asarray(self.material.y, float), np.array(end.raw))
        if not theirs.any():
            return
        yield f"Under {kind} error its gradient there would be {number(float(theirs[place]))}:"
        yield f"{share(float(abs(theirs[place]) / np.abs(theirs).sum()))} of all pull."


def _signed(value: float) -> str:
    return f"({number(value)})" if value < 0 else number(value)

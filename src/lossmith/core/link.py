"""Links: the maps between a raw prediction and the prediction that people read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


def _logit(p: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.asarray(np.log(p) - np.log1p(-p))


def _expit(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, small) / (1.0 + small))


@dataclass(frozen=True)
class Link:
    """A named, increasing map from predictions to raw predictions and back.

    Attributes:
        name: ``identity``, ``log`` or ``logistic``.
        latex: the map from raw prediction ``f`` to prediction.
    """

    name: str
    latex: str
    _forward: Callable[[Any], Any]
    _inverse: Callable[[Any], Any]

    def forward(self, prediction: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the raw prediction: the logit of a probability, the log of a rate."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self._forward(np.asarray(prediction, dtype=float)))

    def of_targets(self, y_true: npt.ArrayLike, low: float, high: float) -> npt.NDArray[Any]:
        """Return the raw predictions to expect for targets between two ends, such as labels of -1 and 1.

        A logit is of the share of the way that a target has gone from no to yes. What a link cannot read is NaN.
        """
        y = np.asarray(y_true, dtype=float)
        between = self.name == "logistic" and np.isfinite(high - low)
        return self.forward((y - low) / (high - low) if between else y)

    def inverse(self, raw: npt.ArrayLike) -> npt.NDArray[Any]:
        """Return the prediction that a raw prediction stands for."""
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(self._inverse(np.asarray(raw, dtype=float)))

    def __reduce__(self) -> tuple[Callable[[str], Link], tuple[str]]:
        return _by_name, (self.name,)


def _by_name(name: str) -> Link:
    return LINKS[name]


IDENTITY = Link("identity", "f", np.array, np.array)
LOG = Link("log", "e^{f}", np.log, np.exp)
LOGISTIC = Link("logistic", r"\sigma(f)", _logit, _expit)
LINKS = {link.name: link for link in (IDENTITY, LOG, LOGISTIC)}

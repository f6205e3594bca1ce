"""The form of losses over levels: a quantile for each level in a row."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.errors import ParameterError
from lossmith.frameworks.boosting.forms import CERTAIN, Derivatives, Form
from lossmith.structures.levels import Levels

Array = npt.NDArray[Any]


class Quantiles(Form):
    """A raw prediction for each level: the quantile, or an increment.

    Quantiles have trees of their own, so they can cross while they are trained; predictions are put in order.
    Increments cannot cross at all: the trees predict the lowest quantile, and what a softplus makes the steps to the
    next ones.
    """

    def __init__(self, loss: Levels) -> None:
        super().__init__(loss, len(loss.levels))
        self.levels = loss
        self._increments = loss.prediction == "increments"

    def start(self, y: Array, weight: Array | None) -> Array:
        """Return the quantiles of the targets; no step between equal ones is infinite. See ``Form.start``."""
        found = super().start(y, weight)
        return np.maximum(found, -CERTAIN) if self._increments else found

    def expected(self, raw: Array) -> Derivatives:
        """Refuse: quantiles are no target.

        Raises:
            ParameterError: always.
        """
        raise ParameterError(
            f"{self.loss}: hessian='gauss_newton' needs predictions that could be targets; take 'floor'"
        )

    def best(self, y: Array) -> Array | None:
        """Return the target at every level; see ``Form.best``."""
        return None if self._increments else np.repeat(y[:, None], self.outputs, axis=1)

    def inner(self, raw: Array) -> tuple[Form, Array, Array] | None:
        """Return the quantiles that increments stand for; see ``Form.inner``."""
        if not self._increments:
            return None
        steps = 1 / (1 + np.exp(-raw))
        steps[:, 0] = 1.0
        slopes = np.tril(np.ones((self.outputs, self.outputs))) * steps[:, None, :]
        return Quantiles(self.levels.replace(prediction="quantiles")), self.levels.quantiles(raw), slopes

    def inverse(self, raw: Array) -> Array:
        """Return quantiles that ascend.

        Putting them in order never makes a quantile curve worse (Chernozhukov, Fernández-Val and Galichon 2010, doi
        10.3982/ECTA7880).
        """
        return np.sort(self.levels.quantiles(raw), axis=-1)

"""What trained models of all libraries share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy.typing as npt

from lossmith.core.loss import Loss
from lossmith.frameworks.boosting.head import Head

Array = npt.NDArray[Any]


class Trained(ABC):
    """A trained model, with start score and link inside; a face adds the booster and its file.

    Attributes:
        head: loss, start score and link.
    """

    head: Head

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.head})"

    @property
    def loss(self) -> Loss:
        """What it was trained with, in raw form."""
        return self.head.loss

    @property
    def start(self) -> Any:
        """Raw prediction that the trees add to: a number, or one for each of several outputs."""
        return self.head.start if self.head.outputs > 1 else float(self.head.start[0])

    @abstractmethod
    def predict_raw(self, X: Any) -> Array:
        """Return the raw prediction of each row, of shape (n,) or (n, outputs).

        That is a logit, a log rate, or the prediction itself; K logits, or quantiles as the trees have them.

        Args:
            X: features, rows by columns, as ``train`` takes them.
        """

    def predict(self, X: Any) -> Array:
        """Return the prediction of each row on the target's scale: a probability, a rate, a value.

        Several outputs are probabilities of classes in the order of their indices, or quantiles, put in ascending
        order. Scores of margin losses stay scores: they are no probabilities.
        """
        return self.head.predict(self.predict_raw(X))

    @abstractmethod
    def importance(self) -> Array:
        """Return how much each feature counts, in the library's own measure."""

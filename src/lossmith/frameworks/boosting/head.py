"""What a model needs besides its trees: loss, start score and link; and the metric that watches it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.configured import OWN
from lossmith.core.loss import Loss
from lossmith.core.registry import from_config
from lossmith.errors import LossmithError, ParameterError
from lossmith.frameworks.boosting.forms import Form, Kind
from lossmith.frameworks.boosting.suited import form_again

Array = npt.NDArray[Any]

FORMAT = 1


@dataclass(frozen=True)
class Head:
    """Loss, start score and link of a model; with its trees it predicts, without the training data.

    Attributes:
        form: the loss, as a booster sees it.
        start: the raw prediction of each output that the trees add to.
        hessian: the kind of Hessian that it was trained with.
        own: the library's name of its own objective, where that is the same and trained the model.
    """

    form: Form
    start: Array
    hessian: Kind
    own: str = ""

    def __str__(self) -> str:
        start = ", ".join(f"{number:.6g}" for number in self.start)
        start = start if self.outputs == 1 else f"[{start}]"
        own = f", trained by {self.own!r}" if self.own else ""
        return f"{self.loss}, start={start}, link={self.loss.link.name}, hessian={self.hessian!r}{own}"

    @property
    def loss(self) -> Loss:
        """The loss, in raw form."""
        return self.form.loss

    @property
    def outputs(self) -> int:
        """Raw predictions of a row."""
        return self.form.outputs

    def raw(self, trees: npt.ArrayLike) -> Array:
        """Return raw predictions from sums of trees that began at zero, of shape (n,) or (n, outputs)."""
        return np.asarray(trees, np.float64) + (self.start if self.outputs > 1 else self.start[0])

    def constant(self, rows: int) -> Array:
        """Return the start score of so many rows, of shape (n,) or (n, outputs)."""
        return np.tile(self.start, (rows, 1)) if self.outputs > 1 else np.full(rows, self.start[0])

    def predict(self, raw: npt.ArrayLike) -> Array:
        """Return predictions on the target's scale: values, rates, probabilities, quantiles that ascend.

        Scores of margin losses stay scores: they are no probabilities.
        """
        return self.form.inverse(np.asarray(raw, np.float64))

    def to_config(self) -> dict[str, Any]:
        """Return this as plain data."""
        return {
            "format": FORMAT,
            "loss": self.loss.to_config(),
            "outputs": self.outputs,
            "start": [float(number) for number in self.start],
            "link": self.loss.link.name,
            "hessian": self.hessian,
            **({"own": self.own} if self.own else {}),
        }

    def to_json(self) -> str:
        """Return this as one line of JSON, which ``from_json`` reads."""
        return json.dumps(self.to_config())

    @classmethod
    def from_json(cls, text: str, loss: Loss | None = None) -> Head:
        """Return the head that a text describes.

        Args:
            text: of ``to_json``.
            loss: the loss, where it is one of your own functions, which a text cannot hold.

        Raises:
            ParameterError: for another text, or a loss that cannot be found.
        """
        try:
            config: Mapping[str, Any] = json.loads(text)
            if config["format"] != FORMAT:
                raise ParameterError(f"a head of format {config['format']!r} is of another version of Lossmith")
            described, outputs, start = config["loss"], int(config["outputs"]), np.array(config["start"], np.float64)
        except (ValueError, KeyError, TypeError) as error:
            raise ParameterError(f"this is no description of a loss with its start score: {error}") from None
        if loss is None:
            try:
                loss = from_config(described)
            except LossmithError as error:
                own = str(described["loss"]).removeprefix(OWN)
                raise ParameterError(
                    f"the model was trained with {own!r}, which is not of the catalogue; pass the loss "
                    f"as loss= ({error})"
                ) from None
        elif loss.raw_form.to_config() != described:
            raise ParameterError(f"the model was trained with {described}, and not with {loss}")
        return cls(form_again(loss.raw_form, outputs), start, config["hessian"], config.get("own", ""))


@dataclass(frozen=True)
class Metric:
    """The mean loss, as what watches a training: it takes raw predictions, and less is better.

    Attributes:
        form: the loss.
        higher_is_better: false, always.
    """

    form: Form
    higher_is_better: bool = False

    @property
    def name(self) -> str:
        """The name of the loss, as boosters print it."""
        return self.form.loss.name

    def __call__(self, y: npt.ArrayLike, raw: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
        """Return Σwl/Σw at raw predictions, start score included, of shape (n,) or (n, outputs)."""
        losses = self.form.losses(np.asarray(y, np.float64), np.asarray(raw, np.float64))
        return float(np.average(losses, weights=None if weight is None else np.asarray(weight, np.float64)))

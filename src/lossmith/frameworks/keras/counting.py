"""Counters of examples outside the domains of a loss, for steps that are compiled and cannot stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from lossmith.core.loss import Loss
from lossmith.engines.keras import backend
from lossmith.errors import ParameterError
from lossmith.frameworks.calls import outside, settled
from lossmith.frameworks.keras import configs, costs
from lossmith.frameworks.keras.inputs import inputs_of, mask_of

Tensor = Any

_MEND = "compile the model with run_eagerly=True to see which"


@keras.saving.register_keras_serializable(package="lossmith")
class Invalid(keras.metrics.Metric):  # type: ignore[misc]
    """How many examples lie outside the domains of a loss, as a metric, for ``metrics=`` of ``model.compile``.

    Args:
        loss: a loss of a target and a prediction, or an object of Keras made of one.
        name: what logs call it.
        dtype: not used: it counts.
    """

    def __init__(self, loss: Any, name: str = "invalid", dtype: Any = None) -> None:
        found = getattr(loss, "loss", loss)
        if not isinstance(found, Loss):
            raise ParameterError(f"a loss, or an object of lossmith.keras, is wanted; got {type(loss).__name__}")
        super().__init__(name=name, dtype=dtype)
        self.loss = settled(found)
        self.count = self.add_variable((), "zeros", "int32", name="count")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count the examples of a batch; what a mask of Keras leaves out does not count."""
        inputs = inputs_of(self.loss, y_true, y_pred, {})
        found = backend().as_is(costs.invalid)(self.loss, inputs, sample_weight, mask_of(y_pred))
        self.count.assign(self.count + found)

    def result(self) -> Tensor:
        """Return how many there were since the last ``reset_state``, which Keras calls before each epoch."""
        return self.count + 0  # a number of its own: TensorFlow reads the variable where it lies, and Keras resets it

    def check(self) -> None:
        """Raise an error if there were any; not in a graph.

        Raises:
            DomainError: with their number.
        """
        self.refuse(int(keras.ops.convert_to_numpy(self.count)))

    def refuse(self, found: int) -> None:
        """Raise an error for a number of examples, unless it is 0.

        Raises:
            DomainError: with that number.
        """
        if found:
            raise outside(self.loss, found, {}, _MEND)

    def get_config(self) -> dict[str, Any]:
        """Return this as plain data, from which Keras makes it again."""
        return {"name": self.name, "loss": configs.plain(self.loss)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Invalid:
        """Return the metric that ``get_config`` described."""
        return cls(configs.read(config["loss"]), name=config["name"])


class Check(keras.callbacks.Callback):  # type: ignore[misc]
    """Raises an error at the end of an epoch, or of an evaluation, in which a counter met invalid examples.

    Args:
        counter: one of the metrics that the model is compiled with.

    Raises:
        ParameterError: for what is no counter, and after an epoch for one that is no metric of the model.
    """

    def __init__(self, counter: Invalid) -> None:
        if not isinstance(counter, Invalid):
            raise ParameterError(f"a counter, lossmith.keras.Invalid, is wanted; got {type(counter).__name__}")
        super().__init__()
        self.counter = counter

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Look at the counts of an epoch, and of its validation."""
        own = self.counter.name
        counts = [found for name, found in (logs or {}).items() if name == own or name.endswith(f"_{own}")]
        if not counts:
            raise ParameterError(
                f"the model has no metric {own!r} to look at, only {', '.join(logs or {})}; compile it with the "
                "counter of the callback among metrics="
            )
        for found in counts:
            self.counter.refuse(int(found))

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Look at the count of an evaluation."""
        self.on_epoch_end(0, logs)

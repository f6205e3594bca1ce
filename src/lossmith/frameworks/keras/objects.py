"""Losses as objects of Keras, made from the registry."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import keras

from lossmith.core.loss import Loss
from lossmith.core.registry import loss_class, names, parse
from lossmith.core.words import speaking
from lossmith.engines.keras import backend
from lossmith.errors import ParameterError, did_you_mean
from lossmith.frameworks.calls import settled
from lossmith.frameworks.keras import configs, costs
from lossmith.frameworks.keras.inputs import KEYWORDS, inputs_of, mask_of, words

Tensor = Any

HOME = "lossmith.keras"
_COMMON = {"reduction": "sum_over_batch_size", "name": None, "dtype": None}
"""What every object takes besides the values of its loss, with the defaults of Keras."""

_REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)
_WORDS = {
    "weight": "sample_weight",
    ", or leave it out by mask=": "",
}
_OURS = {"count_mean": " The count_mean of the catalogue is called 'sum_over_batch_size'."}


@keras.saving.register_keras_serializable(package="lossmith")
class LossObject(keras.losses.Loss):  # type: ignore[misc]
    """A loss as an object of Keras; called with ``(y_true, y_pred, sample_weight)``.

    Losses of single numbers are averaged along the last axis first, as those of Keras are, if there are several axes;
    ``sample_weight`` and masks have a number for each of what is left. Divergences take p as ``y_true`` and q as
    ``y_pred``. Losses of other inputs take them by name, for training loops of your own:
    ``loss(y_true, y_pred, variance=v)``.

    Targets are constants, also where they come from a model: nothing is differentiated by them. JAX tells what is, and
    so that is refused there; take ``keras.ops.stop_gradient(y_true)``.

    Args:
        loss: the loss, or its text.
        reduction: in the words of Keras: ``sum_over_batch_size`` or ``mean`` (Σwl/n, the default),
            ``mean_with_sample_weight`` (Σwl/Σw, which the catalogue calls ``mean``), ``sum``, ``none``.
        name: what Keras calls it; by default as the catalogue does.
        dtype: float64 to compute in that; with any other, costs are computed in float32 and have that type.
    """

    def __init__(
        self,
        loss: Loss | str,
        *,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: Any = None,
    ) -> None:
        found = parse(loss)
        if reduction not in _REDUCTIONS:
            known = ", ".join(repr(word) for word in _REDUCTIONS)
            raise ParameterError(
                f"reduction={reduction!r} is not known; in Keras it is one of {known}."
                f"{_OURS.get(str(reduction)) or did_you_mean(str(reduction), filter(None, _REDUCTIONS))}"
            )
        super().__init__(name=name or found.name, reduction=reduction, dtype=dtype)
        self.loss = settled(found)
        backend().in_graphs(type(found))

    def __call__(self, y_true: Any = None, y_pred: Any = None, sample_weight: Any = None, **named: Any) -> Tensor:
        """Return the cost.

        Args:
            y_true: targets.
            y_pred: predictions. What their mask of Keras leaves out does not count, whatever it holds.
            sample_weight: a weight for each example, at least 0.
            named: inputs by name.

        Returns:
            A tensor without axes, or the weighted loss of each example with ``reduction="none"``.

        Raises:
            ParameterError, ShapeError, KindError: also while tracing.
            DomainError: for an example outside the domains, where values are known; where not, the cost is NaN.
        """
        if type(self).call is not LossObject.call:  # of a class of your own, which Keras puts together
            return super().__call__(y_true, y_pred, sample_weight, **named)
        return self._cost(y_true, y_pred, sample_weight, named, self.reduction)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """Return the loss of each example; a class of your own may say another one, which is reduced by Keras."""
        return self._cost(y_true, y_pred, None, {}, "none")

    def _cost(self, y_true: Any, y_pred: Any, weight: Any, named: Mapping[str, Any], reduction: str | None) -> Tensor:
        inputs = inputs_of(self.loss, y_true, y_pred, named)
        with speaking({**_WORDS, **words(self.loss)}), keras.name_scope(self.name):
            cost, double = backend().as_is(costs.cost), self.dtype == "float64"
            return cost(self.loss, inputs, weight, mask_of(y_pred), reduction, double=double)

    def get_config(self) -> dict[str, Any]:
        """Return this as plain data, from which Keras makes it again."""
        return {**super().get_config(), "dtype": self.dtype, "loss": configs.plain(self.loss)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> LossObject:
        """Return the object that ``get_config`` described.

        Raises:
            LossNotFoundError: for a loss of your own whose class Keras has not heard of.
        """
        values = dict(config)
        return cls._of(configs.read(values.pop("loss")), values)

    @classmethod
    def _of(cls, loss: Loss, values: Mapping[str, Any]) -> LossObject:
        return cls(loss, **values)

    def __repr__(self) -> str:
        return f"<{self.loss}, reduction={self.reduction!r}>"


def _made(name: str) -> type[LossObject]:
    """Return the class of objects of a loss, known to Keras by that name."""
    cls = loss_class(name)

    def __init__(self: LossObject, *values: Any, **named: Any) -> None:
        common = {key: named.pop(key) for key in _COMMON if key in named}
        with speaking(KEYWORDS):
            loss = cls(*values, **named)
        LossObject.__init__(self, loss, **common)

    def _of(made: type[LossObject], loss: Loss, values: Mapping[str, Any]) -> LossObject:
        return made(**loss.values, **values)

    given = [
        inspect.Parameter(key, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=item.default)
        for key, item in cls.declared().items()
    ]
    given += [inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=x) for key, x in _COMMON.items()]
    body = {
        "__init__": __init__,
        "_of": classmethod(_of),
        "__doc__": cls.__doc__,
        "__module__": HOME,
        "__signature__": inspect.Signature(given),
    }
    made: type[LossObject] = type(cls.__name__, (LossObject,), body)
    return keras.saving.register_keras_serializable(package="lossmith")(made)  # type: ignore[no-any-return]


def every_class() -> dict[str, type[LossObject]]:
    """Return the classes of all losses by their names. Keras reads models of each, so all are there at once."""
    found = [_made(name) for name in names()]
    return {made.__name__: made for made in sorted(found, key=lambda made: made.__name__)}

"""Regularisers: a price on the size of a model's parameters, to add to a cost.

``L2(0.01)(parameters)`` is 0.01 times the sum of squares over all arrays of the list; there is no
hidden half and no mean, so a gradient step shrinks a parameter by twice the strength.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.configured import Configured
from lossmith.core.contract import numbers
from lossmith.core.parameter import Parameter
from lossmith.errors import DomainError, KindError, ParameterError, did_you_mean

Array = npt.NDArray[Any]
Parameters = npt.ArrayLike | Sequence[npt.ArrayLike]
"""An array, or a list or tuple of arrays."""


class Regularizer(Configured):
    """A price on parameter arrays. Instances are immutable, comparable, hashable and picklable."""

    @abstractmethod
    def _size(self, array: Array) -> float:
        """Return the price of one float64 array."""

    @abstractmethod
    def _slope(self, array: Array) -> Array:
        """Return the derivative of the price by each entry of one float64 array."""

    def __call__(self, parameters: Parameters) -> float:
        """Return the price; see ``value``."""
        return self.value(parameters)

    def value(self, parameters: Parameters) -> float:
        """Return the price of all arrays together.

        Args:
            parameters: an array, or a list or tuple of arrays of any shapes.

        Raises:
            KindError: for what is no array of real numbers.
            DomainError: for a parameter that is not finite; the first is named.
        """
        arrays, _ = self._arrays(parameters)
        return math.fsum(self._size(array.astype(np.float64)) for array in arrays)

    def gradient(self, parameters: Parameters) -> Any:
        """Return the derivative of ``value`` by each parameter: a list of arrays, or an array for one array."""
        arrays, single = self._arrays(parameters)
        slopes = [
            self._slope(array.astype(np.float64)).astype(array.dtype if array.dtype.kind == "f" else np.float64)
            for array in arrays
        ]
        return slopes[0] if single else slopes

    def to_config(self) -> dict[str, Any]:
        """Return this as plain data, which ``lossmith.from_config`` turns back into it."""
        return {"regularizer": self.name, "parameters": dict(self.values)}

    def _arrays(self, parameters: Parameters) -> tuple[list[Array], bool]:
        owner = type(self).__name__
        single = not isinstance(parameters, list | tuple) or all(np.isscalar(item) for item in parameters)
        if isinstance(parameters, Mapping | str):
            raise KindError(
                f"{owner}: parameters must be an array or a list of arrays, got {type(parameters).__name__}"
                + ("; pass list(parameters.values())" if isinstance(parameters, Mapping) else "")
            )
        given: Any = [parameters] if single else parameters
        arrays = [numbers(owner, f"parameters[{place}]", item) for place, item in enumerate(given)]
        for place, array in enumerate(arrays):
            wrong = ~np.isfinite(array)
            if wrong.any():
                where = ", ".join(str(int(i)) for i in np.argwhere(wrong)[0])
                raise DomainError(
                    f"{owner}: parameters must be finite, but parameters[{place}]"
                    f"{f'[{where}]' if where else ''} is {array[tuple(np.argwhere(wrong)[0])]:g}"
                )
        return arrays, single


def _strength() -> Parameter:
    return Parameter(
        0.01, domain="[0, inf)", symbol=r"\lambda", typical=(1e-6, 1.0), doc="what the price is multiplied by"
    )


class L1(Regularizer):
    """``strength`` times the sum of absolute values, which drives small parameters to exactly 0.

    Its derivative at 0 is taken to be 0.
    """

    strength = _strength()

    def _size(self, array: Array) -> float:
        return float(self.strength * np.sum(np.abs(array)))

    def _slope(self, array: Array) -> Array:
        return np.asarray(self.strength * np.sign(array))


class L2(Regularizer):
    """``strength`` times the sum of squares, which pulls every parameter towards 0 in proportion to its size."""

    strength = _strength()

    def _size(self, array: Array) -> float:
        with np.errstate(over="ignore"):
            return float(self.strength * np.sum(np.square(array)))

    def _slope(self, array: Array) -> Array:
        return np.asarray(2 * self.strength * array)


class ElasticNet(Regularizer):
    """``strength`` times a blend: ``l1_share`` of the absolute values and the rest of the squares."""

    strength = _strength()
    l1_share = Parameter(
        0.5,
        domain="[0, 1]",
        symbol=r"\rho",
        typical=(0.0, 1.0),
        doc="share of the absolute values; the rest is squares",
    )

    def _size(self, array: Array) -> float:
        with np.errstate(over="ignore"):
            blend = self.l1_share * np.sum(np.abs(array)) + (1 - self.l1_share) * np.sum(np.square(array))
        return float(self.strength * blend)

    def _slope(self, array: Array) -> Array:
        blend = self.l1_share * np.sign(array) + 2 * (1 - self.l1_share) * array
        return np.asarray(self.strength * blend)


_KNOWN = {cls.name: cls for cls in (L1, L2, ElasticNet)}


def from_config(config: Mapping[str, Any]) -> Regularizer:
    """Return the regulariser that ``to_config`` described.

    Raises:
        ParameterError: for an unknown name.
    """
    name = config["regularizer"]
    if name not in _KNOWN:
        raise ParameterError(f"no regulariser is called {name!r}.{did_you_mean(str(name), _KNOWN)}")
    return _KNOWN[name](**config["parameters"])

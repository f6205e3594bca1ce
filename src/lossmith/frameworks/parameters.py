"""Parameters of losses inside estimators of scikit-learn: ``loss__delta``, as searches and ``set_params`` name them."""

from __future__ import annotations

import inspect
from collections.abc import Collection
from typing import Any, Self

from sklearn.base import BaseEstimator

from lossmith.core.configured import Configured
from lossmith.core.registry import parse, with_parameter
from lossmith.errors import LossmithError, ParameterError, did_you_mean


class Nested(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """An estimator whose losses and penalties show their own parameters.

    These are values that nobody can change, so that setting one of their parameters puts another in their place, and
    estimators that share them are left alone. A text that names a loss shows those of that loss, and becomes one.
    """

    def __init_subclass__(cls, **given: Any) -> None:
        """Say what its arguments are, where Python before 3.11.3 would look at ``__new__``."""
        super().__init_subclass__(**given)
        _, *taken = inspect.signature(cls.__init__).parameters.values()
        cls.__signature__ = inspect.Signature(taken)

    def __new__(cls, *values: Any, **given: Any) -> Self:
        """Say what to write in the place of what is no argument."""
        taken = inspect.signature(cls.__init__).parameters
        unknown = [name for name in given if name not in taken]
        if unknown and not any(one.kind is one.VAR_KEYWORD for one in taken.values()):
            loss = values[0] if values else given.get("loss")
            raise ParameterError(
                f"{cls.__name__} has no argument {unknown[0]!r}; its arguments are {', '.join(list(taken)[1:])}"
                f"{cls._instead(unknown[0], taken, loss)}"
            )
        made: Self = super().__new__(cls)
        return made

    @staticmethod
    def _instead(name: str, taken: Collection[str], loss: Any) -> str:
        """Return what else there is to say of a keyword that is no argument."""
        changed = with_parameter(loss, name)
        return f", and it belongs to the loss: {changed}" if changed else f".{did_you_mean(name, taken)}"

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters of the estimator.

        Args:
            deep: whether those of losses and penalties are among them, as ``loss__delta``.
        """
        found: dict[str, Any] = super().get_params(deep=deep)
        if deep:
            for name in [*found]:
                held = _configured(name, found[name])
                if held is not None:
                    found |= {f"{name}__{key}": value for key, value in held.values.items() if key in held.declared()}
        return found

    def set_params(self, **params: Any) -> Self:
        """Set parameters of the estimator, and of its losses and penalties by ``loss__delta``.

        Args:
            params: by name.

        Raises:
            ParameterError: for one that a loss or penalty does not have, or cannot take.
        """
        known = self.get_params(deep=False)
        own: dict[str, Any] = {}
        inner: dict[str, dict[str, Any]] = {}
        for key, value in params.items():
            name, nested, of = key.partition("__")
            if nested and name in known:
                inner.setdefault(name, {})[of] = value
            else:
                own[key] = value
        super().set_params(**own)  # a loss before its parameters
        for name, changes in inner.items():
            value = getattr(self, name)
            held = _configured(name, value)
            if held is None:
                raise ParameterError(f"{name}={value!r} has no parameters, and cannot be given {', '.join(changes)}")
            setattr(self, name, held.replace(**changes))
        return self


def _configured(name: str, value: Any) -> Configured | None:
    """Return what a parameter of an estimator holds or names, if it has parameters of its own."""
    if name == "loss" and isinstance(value, str):
        try:
            value = parse(value)
        except LossmithError:
            return None  # fit says why
    return value if isinstance(value, Configured) else None

"""Parameters of losses inside estimators of scikit-learn: ``loss__delta``, as searches and ``set_params`` name them."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import BaseEstimator

from lossmith.core.configured import Configured
from lossmith.core.registry import parse
from lossmith.errors import LossmithError, ParameterError


class Nested(BaseEstimator):  # type: ignore[misc]  # scikit-learn ships no types
    """An estimator whose losses and penalties show their own parameters.

    These are values that nobody can change, so that setting one of their parameters puts another in their place, and
    estimators that share them are left alone. A text that names a loss shows those of that loss, and becomes one.
    """

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

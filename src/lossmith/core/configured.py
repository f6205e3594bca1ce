"""Configured values: what losses and regularisers have in common.

A class declares parameters, options and vectors; its instances are immutable values with those
set, which compare, hash, pickle, print and go through plain data.
"""

from __future__ import annotations

import inspect
import re
from abc import ABC
from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Self, TypeVar

from lossmith.core.elsewhere import keyword
from lossmith.core.parameter import Integer, Option, Parameter, Vector, plain
from lossmith.errors import ParameterError, did_you_mean, plural

T = TypeVar("T")
Declared = Parameter | Option | Vector | Integer


def snake_case(name: str) -> str:
    """Return ``binary_cross_entropy`` for ``BinaryCrossEntropy`` and ``gaussian_nll`` for ``GaussianNLL``."""
    words = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", words).lower()


CATALOGUE = "lossmith.losses."  # modules of the classes that a name finds
OWN = "own:"


class Configured(ABC):
    """Base of what is made by setting declared parameters. Instances are immutable."""

    name: ClassVar[str]
    elsewhere: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """What is said of keywords that other libraries have where this has none, by name."""
    _parameters: ClassVar[Mapping[str, Parameter]] = MappingProxyType({})
    _options: ClassVar[Mapping[str, Option]] = MappingProxyType({})
    _others: ClassVar[Mapping[str, Vector | Integer]] = MappingProxyType({})
    _values: Mapping[str, Any]

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "name" not in vars(cls):  # a class declares it where the capitals do not tell the words
            cls.name = snake_case(cls.__name__)
        cls._parameters = MappingProxyType(_declared(cls, Parameter))
        cls._options = MappingProxyType(_declared(cls, Option))
        cls._others = MappingProxyType({**_declared(cls, Vector), **_declared(cls, Integer)})
        cls.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # inspect reads it
            [
                inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=declared.default)
                for name, declared in cls.declared().items()
            ]
        )

    def __init__(self, *values: Any, **named: Any) -> None:
        """Make one with these parameters and options; see the class for which there are.

        Raises:
            ParameterError: for an unknown name or a value outside its domain.
        """
        cls = type(self)
        declared = cls.declared()
        if len(values) > len(declared):
            raise ParameterError(
                f"{cls.__name__} takes {plural(len(declared), 'value')} ({', '.join(declared)}), got {len(values)}"
            )
        given = dict(zip(declared, values, strict=False))
        for name, value in named.items():
            if name not in declared:
                known = f"it takes {', '.join(declared)}" if declared else "it takes none"
                mend = keyword(name, declared, own=cls.elsewhere) or did_you_mean(name, declared)
                raise ParameterError(f"{cls.__name__} has no parameter {name!r}; {known}.{mend}")
            if name in given:
                raise ParameterError(f"{cls.__name__} got {name} twice, by place and by name")
            given[name] = value
        checked = {name: item.validate(cls.__name__, given.get(name, item.default)) for name, item in declared.items()}
        object.__setattr__(self, "_values", MappingProxyType(checked))
        self._check()

    def _check(self) -> None:  # noqa: B027  # a hook: most classes have nothing to refuse
        """Refuse combinations of parameters that make no sense together."""

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{self} cannot be changed; make another, for example {type(self).__name__}({name}=...)")

    @classmethod
    def parameters(cls) -> Mapping[str, Parameter]:
        """Return the declared parameters by name."""
        return cls._parameters

    @classmethod
    def options(cls) -> Mapping[str, Option]:
        """Return the declared options by name."""
        return cls._options

    @classmethod
    def declared(cls) -> dict[str, Declared]:
        """Return all that is declared, in the order in which it is passed by place: the class's own first."""
        declared: dict[str, Declared] = {**cls._parameters, **cls._others, **cls._options}

        def depth(name: str) -> int:
            return next(place for place, base in enumerate(cls.__mro__) if name in vars(base))

        return {name: declared[name] for name in sorted(declared, key=depth)}

    @property
    def values(self) -> Mapping[str, Any]:
        """Value of each parameter and option."""
        return self._values

    @property
    def free_parameters(self) -> dict[str, float]:
        """The parameters that are present in the formula, which are inputs of the program."""
        return {
            name: self._values[name]
            for name, item in self._parameters.items()
            if item.in_formula and self._values[name] is not None
        }

    def replace(self, **changes: Any) -> Self:
        """Return the same with some parameters or options changed."""
        return type(self)(**{**self._values, **changes})

    def to_config(self) -> dict[str, Any]:
        """Return this as data of standard JSON, which ``lossmith.from_config`` turns back into it.

        Data cannot hold what a class of your own computes: ``own:`` before its name keeps it from being taken for
        another, and ``from_config`` says what to do.
        """
        known = type(self).__module__.startswith(CATALOGUE)
        return {
            "loss": self.name if known else OWN + self.name,
            "parameters": {name: plain(value) for name, value in self._values.items()},
        }

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and isinstance(other, Configured) and self._values == other._values

    @cached_property
    def _hash(self) -> int:
        return hash((type(self), tuple(self._values.items())))

    def __hash__(self) -> int:  # much is looked up by loss
        return self._hash

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), dict(self._values))

    def __repr__(self) -> str:
        shown = []
        for name, value in self._values.items():
            quiet = self._parameters[name].optional if name in self._parameters else True
            if not quiet or value != self.declared()[name].default:
                shown.append(
                    f"{name}={value:g}"
                    if isinstance(value, float) and float(f"{value:g}") == value
                    else f"{name}={value!r}"
                )
        return f"{type(self).__name__}({', '.join(shown)})"


def _declared(cls: type, kind: type[T]) -> dict[str, T]:
    # The loss's own come first, since those are the ones passed by place; a base's can be taken away.
    nearest: dict[str, Any] = {}
    for base in cls.__mro__:
        nearest = {**nearest, **{name: item for name, item in vars(base).items() if name not in nearest}}
    return {name: item for name, item in nearest.items() if isinstance(item, kind)}


def _rebuild(cls: type[Configured], values: dict[str, Any]) -> Configured:
    return cls(**values)

"""Losses from functions of ``(ops, y, f)``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, overload

from lossmith.core.card import Task
from lossmith.custom.declared import (
    REAL_LINE,
    LinkName,
    declared,
    is_constant,
    pair,
    refuse_lists,
    refuse_unknown,
    settled,
)
from lossmith.errors import ParameterError, ProgramError
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise

Function = Callable[..., Value]
_TRACED = (
    "The function is called once, with symbols for the numbers of all examples: it computes with arithmetic and ops "
    "alone, such as ops.exp(f) for math.exp(f) and numpy.exp(f)"
)
_KEYWORDS = ["parameters", "inputs", "predicted", "target", "prediction", "link", "task"]
NONE: Mapping[str, str] = {}


@overload
def loss(function: Function) -> type[Pointwise]: ...


@overload
def loss(
    *,
    parameters: Mapping[str, str] = NONE,
    inputs: Mapping[str, str] = NONE,
    predicted: Mapping[str, str] = NONE,
    target: str | None = None,
    prediction: str = REAL_LINE,
    link: LinkName | None = None,
    task: Task = "regression",
) -> Callable[[Function], type[Pointwise]]: ...


def loss(function: Function | None = None, **words: Any) -> Any:
    """Turn a function of ``(ops, y, f)`` into the class of a loss, like those of the catalogue.

    ::

        @lm.loss(parameters={"level": "(0, 1)"})
        def pinball(ops, y, f, level=0.9):
            return ops.max(level * (y - f), (1 - level) * (f - y))


        pinball(level=0.5).cost(y_true, y_pred)

    The function is traced once, so it computes with ``ops`` and arithmetic alone and branches by ``ops.where``.
    Arguments after ``f`` without a default are further inputs, those with one are parameters. Losses are pickled by
    the name of the function, which must be where it was defined, or by cloudpickle, as joblib and Dask do, with the
    function itself; ``lossmith.from_config`` cannot make them.

    Args:
        function: the formula.
        parameters: domains of parameters by name, where they may not be any number.
        inputs: domains of further inputs, likewise.
        predicted: further inputs that the loss is differentiated by, with their domains.
        target, prediction, link, task: see ``lossmith.formula``.

    Raises:
        ParameterError: for a function of another form, or a declaration that is none.
        ProgramError: when a loss is made, for a function that computes with something else, or is constant.
    """
    refuse_unknown("@loss", "keyword", words, _KEYWORDS)
    return (lambda found: _class_of(found, **words)) if function is None else _class_of(function, **words)


class FromFunction(Pointwise):
    """A loss that a function states."""

    def _check(self) -> None:
        super()._check()
        if is_constant(self):
            raise ProgramError(f"{type(self).__name__} is constant: no prediction changes what the function returns")


def _class_of(
    function: Function,
    *,
    parameters: Mapping[str, str] = NONE,
    inputs: Mapping[str, str] = NONE,
    predicted: Mapping[str, str] = NONE,
    target: str | None = None,
    prediction: str = REAL_LINE,
    link: LinkName | None = None,
    task: Task = "regression",
) -> type[Pointwise]:
    target_domain, link_name = settled(task, target, link)
    refuse_lists(parameters=parameters, inputs=inputs, predicted=predicted)
    symbols, defaults = _arguments(function)
    name = function.__name__
    others = symbols[2:]
    refuse_unknown(name, "parameter", parameters, list(defaults))
    refuse_unknown(name, "further input", {**inputs, **predicted}, others)

    def formula(self: Pointwise, ops: Ops, *values: Value) -> Value:
        """Return what the function returns."""
        given = {**dict(zip(order, values, strict=True)), **{key: self._values[key] for key in defaults}}
        try:
            return function(ops, **given)
        except (TypeError, AttributeError) as error:  # of what knows numbers and arrays alone
            raise ProgramError(f"{name}: {error}. {_TRACED}") from error

    made: type[Pointwise] = declared(
        FromFunction,
        name,
        formula,
        parameters={
            key: pair(name, key, (default, parameters.get(key, REAL_LINE))) for key, default in defaults.items()
        },
        inputs={key: inputs.get(key, REAL_LINE) for key in others if key not in predicted},
        predicted={key: predicted[key] for key in others if key in predicted},
        target=target_domain,
        prediction=prediction,
        link=link_name,
        task=task,
        __module__=function.__module__,
        __qualname__=function.__qualname__,
        __doc__=function.__doc__ or f"The loss ``{name}``.",
        __wrapped__=function,
    )
    order = [item.symbol for item in made.inputs]  # type: ignore[attr-defined]  # an attribute of the class here
    return made


def _arguments(function: Function) -> tuple[list[str], dict[str, Any]]:
    """Return the names of the inputs and the defaults of the parameters of a function."""
    if not callable(function):
        text = ". A formula as text is for lossmith.formula" if isinstance(function, str) else ""
        raise ParameterError(f"@loss stands before a function of (ops, y, f), got {function!r}{text}")
    if not hasattr(function, "__name__"):  # as functools.partial and objects that can be called
        raise ParameterError(f"@loss names the loss after its function, and {function!r} has no name: write a def")
    given = list(inspect.signature(function).parameters.values())
    named = all(item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY) for item in given)
    symbols = [item.name for item in given[1:] if item.default is item.empty]
    if not named or not given or given[0].name != "ops" or symbols[:2] != ["y", "f"]:
        raise ParameterError(
            f"{getattr(function, '__name__', function)}: a loss is a function of (ops, y, f), then of further inputs, "
            "then of parameters with their defaults, such as (ops, y, f, price, level=0.9)"
        )
    return symbols, {item.name: item.default for item in given[1:] if item.default is not item.empty}

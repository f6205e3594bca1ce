"""What a row of the table claims, and the check that it holds: value and derivatives, on given arrays."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.parity import adapters, arrays
from tests.parity.table import Difference, Row

Array = npt.NDArray[Any]


class Mismatch(AssertionError):
    """A row of the table is wrong."""


Function = Callable[[Array], Any]


def taken(word: str) -> tuple[Function, Function, Function]:
    """Return what ours takes of their input, as the table calls it: the function, with first and second derivative."""
    if word == "log":
        return np.log, lambda x: 1 / x, lambda x: -1 / x**2
    if word == "exp":
        return np.exp, np.exp, np.exp
    line = re.fullmatch(r"([\d.]+) x \+ ([\d.]+)", word)
    assert line, f"no function is called {word!r}"
    slope, start = float(line[1]), float(line[2])
    return lambda x: slope * x + start, lambda x: slope, lambda x: 0.0


def compare(what: str, theirs: Any, ours: Any, within: float, near_zero: float | None = None) -> None:
    """Raise ``Mismatch`` unless both are the same numbers, relatively or, by default, near 0 within the same."""
    theirs, ours = np.asarray(theirs, dtype=np.float64), np.asarray(ours, dtype=np.float64)
    if theirs.shape != ours.shape:
        raise Mismatch(f"{what}: theirs has shape {theirs.shape}, ours {ours.shape}")
    if not np.allclose(theirs, ours, rtol=within, atol=within if near_zero is None else near_zero, equal_nan=True):
        raise Mismatch(f"{what}: theirs is {theirs}, ours {ours}")


def expected(warning: str) -> AbstractContextManager[Any]:
    """Let pass the warning that the table says a peer gives, which must come, and no other."""
    return pytest.warns(UserWarning, match=re.escape(warning)) if warning else nullcontext()


def takes(row: Row | Difference, given: Mapping[str, Array]) -> dict[str, Array]:
    """Return the inputs of our loss."""
    return {name: taken(row.takes[name])[0](array) if name in row.takes else array for name, array in given.items()}


def check(row: Row, rng: np.random.Generator) -> None:
    """Raise ``Mismatch`` unless the row holds on random arrays, for every name and reduction that it states."""
    given = arrays.draw(row, rng)
    for name in row.names:
        for theirs, ours in adapters.reductions(row, name).items():
            _check_one(row, name, theirs, ours, given, None)
        for keyword, stated in adapters.weights(row, name).items():
            weight = rng.uniform(0.5, 2.0, _weight_shape(row))
            for theirs, ours in stated.items():
                _check_one(row, name, theirs, ours, given, (keyword, weight))
        if adapters.second_order(name) and "hessian" in row.derivatives:
            _check_hessian(row, name, given)


def _weight_shape(row: Row) -> tuple[int, ...]:
    return arrays.shape_of(row)[:1] if row.averages else arrays.shape_of(row)


def _check_one(
    row: Row, name: str, theirs: str, ours: str, given: Mapping[str, Array], weight: tuple[str, Array] | None
) -> None:
    """Compare cost and gradient under one reduction."""
    predicted = [item.name for item in row.loss.predicted] if "gradient" in row.derivatives else []
    found = adapters.call(name, row.options, row.arguments, given, predicted, reduction=theirs, weight=weight)
    value, gradients = _ours(row, ours, given, None if weight is None else weight[1])
    what = f"{row} as {name}, {theirs}{'' if weight is None else ', weighted'}"
    cost = found.value.sum(axis=-1) if ours == "terms" else found.value
    if row.constant == "of the target":
        # A term of the target alone drops out of the difference from another prediction.
        other = {**given, "y_pred": np.full_like(given["y_pred"], 0.3)}
        there = adapters.call(name, row.options, row.arguments, other, [], reduction=theirs, weight=weight).value
        compare(what, cost - there, value - _ours(row, ours, other, None)[0], row.within)
    else:
        compare(what, cost, value, row.within)
    for key, gradient in found.gradients.items():
        mine = gradients[key]
        if row.gradient == "along the simplex":
            gradient, mine = (x - x.mean(axis=-1, keepdims=True) for x in (gradient, mine))
        compare(f"{what}, gradient by {key}", gradient, mine, row.within)


def _ours(row: Row, word: str, given: Mapping[str, Array], weight: Array | None) -> tuple[Any, dict[str, Array]]:
    """Return what the row says that the peer's cost and its gradients are, in numbers of ours."""
    loss, mine = row.loss, takes(row, given)
    reduction, _, divisor = word.replace("terms", "none").partition(" / ")
    scale = arrays.CLASSES if divisor == "classes" else 1
    factor = 1 / arrays.CLASSES if row.factor == "1/classes" else float(row.factor)
    if row.averages and reduction in ("sum", "none"):
        scale *= arrays.COLUMNS
    if weight is not None and row.averages:
        weight = weight[:, None]
    inputs = {item.name: mine[item.name] for item in loss.inputs}
    cost, found = loss.cost_and_gradient(**inputs, weight=weight, reduction=reduction)
    if row.constant == "least":
        best = takes(row, {**given, "y_pred": given["y_true"]})
        cost = cost - loss.cost(**{key: best[key] for key in inputs}, weight=weight, reduction=reduction)
    if row.averages and reduction == "none":
        cost = cost.sum(axis=-1)
    gradients = found if isinstance(found, dict) else {loss.predicted[0].name: found}
    chained = {
        key: factor / scale * gradient * (taken(row.takes[key])[1](given[key]) if key in row.takes else 1)
        for key, gradient in gradients.items()
    }
    return factor / scale * cost, chained


def _check_hessian(row: Row, name: str, given: Mapping[str, Array]) -> None:
    """Compare diagonal Hessians, of peers that give them."""
    theirs = adapters.hessian(name, row.options, row.arguments, given)
    mine = takes(row, given)
    found = row.loss.evaluate(mine["y_true"], mine["y_pred"], ("gradient", "hessian"))
    ours = found["hessian"]
    if "y_pred" in row.takes:
        _, first, second = taken(row.takes["y_pred"])
        ours = ours * first(given["y_pred"]) ** 2 + found["gradient"] * second(given["y_pred"])
    compare(f"{row} as {name}, Hessian", theirs, float(row.factor) * ours, row.within)


OTHER = {"mean": "sum", "count_mean": "sum", "sum": "mean", "none": "sum", "terms": "none", "mean / classes": "mean"}
OTHER_MEAN = {"mean": "count_mean", "count_mean": "mean"}


def mutations(row: Row) -> Iterator[tuple[str, Row]]:
    """Yield rows with one thing wrong, and what it is."""
    factor = 1 / arrays.CLASSES if row.factor == "1/classes" else float(row.factor)
    yield "factor", replace(row, factor=factor * 1.01)
    for theirs, ours in row.reductions.items():
        yield f"reduction {theirs}", replace(row, reductions={**row.reductions, theirs: OTHER[ours]})
    if row.returns:
        yield "what is returned", replace(row, returns=OTHER[row.returns])
    for keyword, stated in row.weights.items():
        for theirs, ours in stated.items():
            wrong = {**stated, theirs: OTHER_MEAN.get(ours, OTHER[ours])}
            yield f"reduction {theirs} of weighted losses", replace(row, weights={keyword: wrong})
    if row.averages:
        yield "no averages", replace(row, averages=False)
    if row.constant:
        yield "no constant", replace(row, constant="")
    if row.gradient:
        yield "the whole gradient", replace(row, gradient="")
    if row.takes:
        yield "other inputs", replace(row, takes={})
    if not _symmetric(row):
        yield "arguments", replace(row, arguments=(row.arguments[1], row.arguments[0], *row.arguments[2:]))


def _symmetric(row: Row) -> bool:
    """Whether the loss is the same with its first two arguments in each other's place."""
    if row.inputs.get("y_true") == "-1 and +1":
        return True  # a function of the product
    given = takes(row, arrays.draw(row, np.random.default_rng(5)))
    one, two = row.arguments[:2]
    names = [item.name for item in row.loss.inputs]
    swapped = {**given, one: given[two], two: given[one]}
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            costs = [row.loss.cost(**{name: arrays_[name] for name in names}) for arrays_ in (given, swapped)]
    except ValueError:  # outside the domain
        return False
    return bool(np.isclose(*costs))


def is_caught(row: Row) -> bool:
    """Whether the check refuses a row: by other numbers, or since the peer or ours does not take such arrays."""
    try:
        with warnings.catch_warnings(action="ignore"):
            check(row, np.random.default_rng(1))
    except (Mismatch, ValueError, TypeError, RuntimeError, IndexError):
        return True
    return False

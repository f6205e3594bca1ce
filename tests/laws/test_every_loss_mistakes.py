"""Mistakes in calls of any loss, whatever its structure: one class of error each, naming argument, row and mend."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.certify.samples import CLASSES, axis_of, kind_of, sample, structure
from lossmith.core.parameter import Integer, Option, Parameter, Vector
from tests.laws.samples import EVERY, example_axis, spoiled
from tests.laws.test_mistakes import Tensor
from tests.together import by_name

pytestmark = pytest.mark.engines

METHODS: dict[str, Callable[..., Any]] = {
    "losses": lambda loss, data: loss.losses(**data),
    "gradient": lambda loss, data: loss.gradient(**data),
    "hessian": lambda loss, data: loss.hessian(**data),
    "call": lambda loss, data: loss(**data),
    "none": lambda loss, data: loss.cost(**data, reduction="none"),
    "state": lambda loss, data: loss.state(**data),
    "cost_and_gradient": lambda loss, data: loss.cost_and_gradient(**data),
}


def _refused(loss: Loss, data: dict[str, Any], error: type[Exception], *says: str) -> None:
    """Fail unless every method refuses the data with this error, which says these parts."""
    for name, method in METHODS.items():
        with pytest.raises(error) as caught:
            method(loss, data)
        assert isinstance(caught.value, lm.LossmithError)
        text = str(caught.value)
        assert re.match(r"\w+: |\w+ takes ", text), text
        for part in says:
            assert part in text, (name, part, text)


def wrong_types_are_refused(loss: Loss) -> None:
    """Text, objects, complex numbers, dates, other libraries' arrays, masked arrays and ragged lists are refused."""
    data = sample(loss, 6)
    for name, array in data.items():
        plain = array.astype(float)
        for change, says in (
            (np.full(array.shape, "yes"), ("must hold real numbers", "'yes'", "labels == 'yes'")),
            (np.full(array.shape, None), ("must hold real numbers", "dtype=float", "masked")),
            (plain + 1j, ("must hold real numbers", "complex128", "modulus")),
            (np.full(array.shape, "2024-01-01", "M8[D]"), ("must hold real numbers", "datetime64")),
            (Tensor(), ("is a torch Tensor",)),
            (np.ma.array(plain, mask=False), ("is a masked array", f"mask=~{name}.mask")),
        ):
            _refused(loss, {**data, name: change}, lm.KindError, f": {name} ", *says)
        _refused(loss, {**data, name: [[1.0], [1.0, 2.0]]}, lm.ShapeError, f": {name} is no rectangular array")


def other_shapes_are_refused(loss: Loss) -> None:
    """Nothing broadcasts that is not declared to: neither columns against rows, nor one example for many."""
    data = sample(loss, 6)
    if len(data) == 1:
        return
    for item in loss.inputs:
        array = data[item.name]
        changes = [array[..., None], array[None], np.concatenate([array, array], axis=example_axis(loss, item.name))]
        if not item.broadcast:
            changes += [array[0], array[:, :1] if example_axis(loss, item.name) else array[:1]]
        for changed in changes:
            _refused(loss, {**data, item.name: changed}, lm.ShapeError, "shape", item.name, str(changed.shape))


def missing_and_infinite_values_are_named(loss: Loss) -> None:
    """NaN in any argument, and infinity where it is no limit, is an error with the row and what to do."""
    data = sample(loss, 6)
    for item in loss.inputs:
        bad = spoiled(loss, data, item.name, 4, np.nan)
        _refused(loss, bad, lm.DomainError, item.name, "[4" if axis_of(loss) == -1 else "4]", "nan", "mask=")
        kind = kind_of(loss, item.symbol)
        for value in (np.inf, -np.inf):
            if value < 0 and kind in ("logits", "log_probabilities", "log_values"):
                continue  # a class that is ruled out
            bad = spoiled(loss, data, item.name, 2, value)
            _refused(loss, bad, lm.DomainError, item.name, "inf", "2")


def values_outside_domains_are_named(loss: Loss) -> None:
    """Labels, probabilities, rates and scales outside their domain are an error with the row and the domain."""
    data = sample(loss, 6)
    for item in loss.inputs:
        kind, domain = kind_of(loss, item.symbol), loss.domains[item.symbol]
        if kind == "numbers":
            ends = [np.nextafter(domain.low, -np.inf), np.nextafter(domain.high, np.inf), 0.5, -3.0]
            for value in [end for end in ends if math.isfinite(end) and not domain.includes(end)]:
                bad = spoiled(loss, data, item.name, 2, value)
                _refused(loss, bad, lm.DomainError, f"{item.name} must be in {domain}, but {item.name}[2] is")
        elif kind == "indices":
            for value in (CLASSES, -1, 0.5, 1e300):
                bad = spoiled(loss, data, item.name, 2, value)
                says = (f"whole numbers in [0, {CLASSES})", f"{item.name}[2] is {value:.17g}")
                _refused(loss, bad, lm.DomainError, *says)
        elif kind in ("probabilities", "log_probabilities", "values"):
            row = f"row [2] of {item.name} is ["
            for value, says in {
                "probabilities": ((1.5, "sum to 1"), (-0.25, "these are no probabilities"), (0.999, "divide it by")),
                "log_probabilities": ((0.5, "at most 0"), (-50.0, "subtract the logarithm")),
                "values": ((-1e-300, "finite and at least 0"),),
            }[kind]:
                bad = spoiled(loss, data, item.name, 2, value)
                _refused(loss, bad, lm.DomainError, row, says)


def bad_weights_and_masks_are_refused(loss: Loss) -> None:
    """Weights are finite and at least 0, masks are boolean, and both fit the examples."""
    data, ask = sample(loss, (2, 3)), (loss.cost, loss.state, loss.cost_and_gradient)
    for method in ask:
        for value in (-1.0, np.nan, np.inf):
            weight = np.ones((2, 3))
            weight[1, 0] = value
            with pytest.raises(lm.DomainError, match=r"weights must be finite and at least 0, but weight\[1, 0\] is"):
                method(**data, weight=weight)
        for shaped in (np.ones(3), np.ones((3, 2)), np.ones(6), np.ones((1, 2, 3)), np.ones((2, 3, 1))):
            with pytest.raises(lm.ShapeError, match=r"weight has shape .*only axes of size 1 broadcast"):
                method(**data, weight=shaped)
        with pytest.raises(lm.KindError, match="weight must hold real numbers"):
            method(**data, weight=np.full((2, 3), "a"))
        with pytest.raises(lm.KindError, match=r"mask must be boolean .*astype\(bool\)"):
            method(**data, mask=np.ones((2, 3), int))
        with pytest.raises(lm.ShapeError, match="mask has shape"):
            method(**data, mask=np.ones(3, bool))


def bad_choices_are_refused(loss: Loss) -> None:
    """Reductions, policies, outputs, kinds and inputs that do not exist are named, with a guess."""
    data = sample(loss, 6)
    with pytest.raises(lm.ParameterError, match=r"reduction='maen' is not known.*Did you mean 'mean'"):
        loss.cost(**data, reduction="maen")
    with pytest.raises(lm.ParameterError, match="reduction='avg'"):
        loss.cost_and_gradient(**data, reduction="avg")
    with pytest.raises(lm.ParameterError, match=r"call loss\.losses"):
        loss.state(**data).reduce("none")
    with pytest.raises(lm.ParameterError, match=r"empty='nothing' .*'error', 'zero', 'nan'"):
        loss.cost(**data, empty="nothing")
    with pytest.raises(lm.ParameterError, match=r"outputs must be among .*got 'jacobian'"):
        loss.evaluate(**data, outputs=("losses", "jacobian"))
    with pytest.raises(lm.ParameterError, match="unknown kind"):
        loss.hessian(**data, kind="diag")
    with pytest.raises(lm.ParameterError, match="parameter"):
        loss.replace(no_such=1)
    name = next(iter(data))
    with pytest.raises(lm.ParameterError, match=f"it has no input '{name}x'"):
        loss.cost(**data, **{f"{name}x": data[name]})
    with pytest.raises(lm.ParameterError, match=f"{name} is missing"):
        loss.cost(**{key: array for key, array in data.items() if key != name})


def bad_outputs_are_refused(loss: Loss) -> None:
    """``out`` must be one array of the right shape and type that can be written."""
    data = sample(loss, 6)
    if len(loss.predicted) > 1:
        for some in (np.empty(6), {loss.predicted[0].name: np.empty(6)}):
            with pytest.raises(lm.ParameterError, match="several predicted inputs, one for each of"):
                loss.cost_and_gradient(**data, out=some)
        return
    shape = data[loss.predicted[0].name].shape
    locked = np.empty(shape)
    locked.flags.writeable = False
    for out in (np.empty(shape, np.float32), np.empty(shape, int), [0.0], locked):
        with pytest.raises(lm.KindError, match="out must be a writeable float64 array"):
            loss.cost_and_gradient(**data, out=out)  # type: ignore[arg-type]
    with pytest.raises(lm.ShapeError, match="out has shape"):
        loss.cost_and_gradient(**data, out=np.empty((*shape, 1)))


LAWS = (
    wrong_types_are_refused,
    other_shapes_are_refused,
    missing_and_infinite_values_are_named,
    values_outside_domains_are_named,
    bad_weights_and_masks_are_refused,
    bad_choices_are_refused,
    bad_outputs_are_refused,
)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("loss", by_name(EVERY))
def test_mistakes_in_calls(loss: Loss, law: Callable[[Loss], None]) -> None:
    law(loss)


# --- parameters ------------------------------------------------------------------------------------


def bad_values(declared: Any) -> Iterator[Any]:
    """Yield values that a parameter, vector, option or integer may not have."""
    if isinstance(declared, Parameter):
        yield from ("1", True, math.nan, 1j, [1.0])
        ends = (declared.domain.low, declared.domain.high)
        outside = [np.nextafter(ends[0], -np.inf), np.nextafter(ends[1], np.inf), *ends]
        yield from (end for end in outside if not declared.domain.includes(end))
    elif isinstance(declared, Vector):
        yield from (3, "abc", (math.nan,), (1.0, declared.domain.low - 1), ("x",), {"a": 1})
    elif isinstance(declared, Integer):
        yield from (1.5, "1", True, math.nan)
    elif isinstance(declared, Option):
        yield from ("no such choice", 1.5, None, str(declared.choices[0]).upper() + "?")


@pytest.mark.parametrize("name", lm.names())
def test_parameters_outside_their_domain_are_refused(name: str) -> None:
    cls = lm.loss_class(name)
    for key, declared in cls.declared().items():
        for value in bad_values(declared):
            with pytest.raises(lm.ParameterError) as caught:
                cls(**{key: value})
            assert key in str(caught.value), (value, str(caught.value))
            assert cls.__name__ in str(caught.value)
    with pytest.raises(lm.ParameterError, match=f"{cls.__name__} has no parameter 'gama'"):
        cls(gama=2)


# --- logits that look like probabilities -------------------------------------------------------------


def logits_of(loss: Loss) -> list[str]:
    """Return the arguments that hold logits: of classes, or of one class with an option for probabilities."""
    plain = structure(loss).values.get("prediction") == "logits"
    return [
        item.name for item in loss.inputs if kind_of(loss, item.symbol) == "logits" or (plain and item.symbol == "f")
    ]


@pytest.mark.parametrize("loss", by_name(loss for loss in EVERY if logits_of(loss)))
def test_logits_that_look_like_probabilities_give_a_warning_with_the_evidence(loss: Loss) -> None:
    for name in logits_of(loss):
        data = sample(loss, 40)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            loss.cost(**data)
        odds = np.exp(data[name])
        rows = kind_of(loss, next(item.symbol for item in loss.inputs if item.name == name)) == "logits"
        data[name] = odds / odds.sum(axis=axis_of(loss), keepdims=True) if rows else odds / (1 + odds)
        for method in METHODS.values():
            with pytest.warns(
                lm.LossmithWarning, match=rf"{name} is declared as logits, but all .* in \[0, 1\]"
            ) as seen:
                method(loss, data)
            assert {warning.filename for warning in seen} == {__file__}
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            loss.evaluate(**data, trusted=True)

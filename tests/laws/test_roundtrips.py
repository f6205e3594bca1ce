"""A loss is a value: it goes through text, JSON, pickle and copies, and comes back equal."""

from __future__ import annotations

import copy
import json
import math
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lossmith as lm
from lossmith import Loss, Parameter, Program
from lossmith.certify.exactness import misses
from lossmith.certify.points import points
from tests.laws.grid import CASES

pytestmark = pytest.mark.engines


def survives(before: Loss, after: Loss) -> None:
    """Fail unless a loss that went somewhere and back is the same in all that shows."""
    assert after == before
    assert type(after) is type(before)
    assert hash(after) == hash(before)
    assert repr(after) == repr(before)
    assert dict(after.values) == dict(before.values)
    y, f = points(before)
    assert (after.losses(y[:20], f[:20]) == before.losses(y[:20], f[:20])).all()


def goes_through_configurations(loss: Loss) -> None:
    """A configuration is plain JSON and turns back into the loss."""
    config = loss.to_config()
    survives(loss, lm.from_config(config))
    survives(loss, lm.from_config(json.loads(json.dumps(config, allow_nan=False))))


def goes_through_its_text(loss: Loss) -> None:
    """What a loss prints reads back, as Python and as the command line writes it."""
    survives(loss, lm.parse(repr(loss)))
    survives(loss, lm.parse(str(loss).replace("'", "")))
    survives(loss, eval(repr(loss), {type(loss).__name__: type(loss), "inf": math.inf}))


def goes_through_pickles_and_copies(loss: Loss) -> None:
    """Every pickle protocol and both kinds of copy keep it."""
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        survives(loss, pickle.loads(pickle.dumps(loss, protocol)))
    survives(loss, copy.copy(loss))
    survives(loss, copy.deepcopy(loss))
    survives(loss, loss.replace())
    survives(loss, type(loss)(**loss.values))


def its_programs_go_through_json_and_pickle(loss: Loss) -> None:
    """Programs of every order are data."""
    for order in (0, 1, 2):
        program = loss.program(order)
        assert Program.from_json(program.to_json()) == program
        assert pickle.loads(pickle.dumps(program)) == program
        assert hash(Program.from_json(program.to_json())) == hash(program)


def parameters_do_not_change_the_program(loss: Loss) -> None:
    """Parameters are inputs of the program: one program serves all their values."""
    for name, value in loss.free_parameters.items():
        domain = loss.parameters()[name].domain
        changed = next(x for x in (value / 2, value * 1.5, 0.5) if domain.includes(x) and x != value)
        other = loss.replace(**{name: changed})
        assert other.program() == loss.program()
        if other.domains == loss.domains:  # else they differ in what is valid
            assert other.program() is loss.program()
        assert name in loss.program().parameters
        for one in (loss, other):
            y, f = (array[:40] for array in points(one))
            assert misses(one, 0, y, f, one.losses(y, f)) == []


def test_configurations(case: Loss) -> None:
    goes_through_configurations(case)


def test_text(case: Loss) -> None:
    goes_through_its_text(case)


def test_pickles_and_copies(case: Loss) -> None:
    goes_through_pickles_and_copies(case)


def test_programs(case: Loss) -> None:
    its_programs_go_through_json_and_pickle(case)


def test_parameters_do_not_change_the_program(case: Loss) -> None:
    parameters_do_not_change_the_program(case)


def test_different_losses_differ() -> None:
    assert len(set(CASES)) == len(CASES)
    assert all(a != b for a in CASES for b in CASES if a is not b)
    assert lm.Huber() != "Huber(delta=1)"


def inside(parameter: Parameter) -> st.SearchStrategy[float]:
    """Return a strategy for values that a parameter may take."""
    domain = parameter.domain
    return st.floats(
        None if math.isinf(domain.low) else domain.low,
        None if math.isinf(domain.high) else domain.high,
        exclude_min=not domain.low_included and math.isfinite(domain.low),
        exclude_max=not domain.high_included and math.isfinite(domain.high),
        allow_nan=False,
        allow_infinity=False,
    )


PARAMETERS = [
    (cls, name, parameter)
    for cls in (lm.loss_class(name) for name in lm.names())
    for name, parameter in cls.parameters().items()
]


@pytest.mark.engines("numpy")  # nothing is computed
@pytest.mark.parametrize(("cls", "name", "parameter"), PARAMETERS, ids=lambda item: getattr(item, "name", item))
@settings(max_examples=40)
@given(data=st.data())
def test_every_value_of_a_parameter_survives(
    cls: type[Loss], name: str, parameter: Parameter, data: st.DataObject
) -> None:
    values = {name: data.draw(inside(parameter)), **({"prediction": "probabilities"} if name == "eps" else {})}
    try:
        loss = cls(**values)
    except lm.ParameterError:
        assert name == "eps"  # margins have no probabilities to keep off the ends
        return
    for other in (lm.parse(repr(loss)), lm.from_config(json.loads(json.dumps(loss.to_config(), allow_nan=False)))):
        assert other == loss
        assert getattr(other, name).hex() == getattr(loss, name).hex()


INFINITE = [
    *(
        cls(**{name: end})
        for cls, name, parameter in PARAMETERS
        for end in (-math.inf, math.inf)
        if parameter.domain.includes(end)
    ),
    lm.formula("k*(y - f)**2 + 1/m", parameters={"k": (2.0, "(0, inf]"), "m": (math.inf, "(0, inf]")}).replace(
        k=math.inf
    ),
    0.5 * lm.Barron(alpha=-math.inf) + lm.Huber(),
]


def test_infinite_parameters_are_standard_json() -> None:
    assert len(INFINITE) > 3
    for loss in INFINITE:
        assert lm.from_config(json.loads(json.dumps(loss.to_config(), allow_nan=False))) == loss


@pytest.mark.parametrize(
    "config", [None, {}, {"loss": "huber"}, {"loss": "huber", "parameters": {}, "more": 1}, ["huber"]]
)
def test_what_is_no_configuration_is_refused(config: object) -> None:
    with pytest.raises(lm.ParameterError, match="a configuration is"):
        lm.from_config(config)  # type: ignore[arg-type]

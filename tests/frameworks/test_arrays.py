"""Programs over arrays of other libraries say what the reference engine says, and a wrong instruction is found."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

import lossmith as lm
from lossmith.certify.samples import sample
from lossmith.engines import facts
from lossmith.engines import numpy as reference
from lossmith.engines.arrays import Arrays, Formula
from lossmith.engines.jax import JaxArrays
from lossmith.engines.operations import OPERATIONS
from lossmith.engines.torch import Tensors
from lossmith.program import TABLE
from lossmith.structures.pointwise import Pointwise
from tests.frameworks.tolerance import ULPS
from tests.laws.samples import EVERY, name_of

FORMS = [loss for loss in EVERY if isinstance(loss, Pointwise)]
LIBRARIES: dict[str, tuple[type[Arrays], Callable[[Any], Any]]] = {
    "torch": (Tensors, torch.as_tensor),
    "jax": (JaxArrays, jnp.asarray),
}


def furthest(loss: Pointwise, library: str, dtype: Any, change: Callable[[Any], Any] = lambda x: x) -> float:
    """Return how far a library is from the reference engine over ordinary examples."""
    arithmetic, convert = LIBRARIES[library]
    data = sample(loss, 101)
    shape = data[loss.inputs[0].name].shape
    columns = [np.broadcast_to(data[item.name], shape).astype(dtype) for item in loss.inputs]
    names = [name for name, _ in loss.program(2).outputs]
    program = loss.part(*names, "valid")
    with np.errstate(all="ignore"):
        right = reference.run(program, columns, loss.free_parameters)
    formula, most = Formula(program, loss.free_parameters), 0.0
    given = [convert(column) for column in columns]
    for name in names:
        found = np.broadcast_to(np.asarray(change(formula.evaluate(arithmetic(given[0]), name, given))), shape)
        assert found.dtype == dtype
        finite = np.isfinite(right[name])
        np.testing.assert_array_equal(found[~finite], right[name][~finite])
        size = np.abs(right[name][finite]).max(initial=0)
        apart = np.abs(found[finite].astype(float) - right[name][finite]).max(initial=0)
        most = max(most, float(apart / np.spacing(size)) if apart else 0.0)
    return most


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("loss", FORMS, ids=name_of)
def test_every_formula_is_what_the_reference_says(loss: Pointwise, library: str) -> None:
    with jax.enable_x64(True):
        for dtype in (np.float32, np.float64):
            assert furthest(loss, library, dtype) <= ULPS[library]


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_is_wrong_is_found(library: str) -> None:
    with jax.enable_x64(True):
        assert furthest(lm.LogCosh(), library, np.float64, lambda x: x * (1 + 1e-13)) > ULPS[library]


@pytest.mark.parametrize("library", LIBRARIES)
def test_instructions_that_are_said_to_pass_on_what_is_no_number_do(library: str) -> None:
    arithmetic, convert = LIBRARIES[library]
    nothing, others = (convert(np.array(values)) for values in ([np.nan] * 4, [-1.5, -0.0, 0.0, 2.0]))
    for name in facts.PASSING:
        count = TABLE[name].arity
        for place in range(count):
            given = [nothing if number == place else others for number in range(count)]
            assert np.isnan(np.asarray(OPERATIONS[name](arithmetic(nothing), *given))).all(), name


@pytest.mark.parametrize("library", LIBRARIES)
def test_lengths_of_what_is_infinite_or_no_number_are_those_of_numpy(library: str) -> None:
    arithmetic, convert = LIBRARIES[library]
    legs = np.array(list(itertools.product((np.inf, -np.inf, np.nan, 0.0, -0.0, 3.0, 1e30), repeat=2)), np.float32).T
    one, other = map(convert, legs)
    np.testing.assert_allclose(np.asarray(arithmetic(one).hypot(one, other)), np.hypot(*legs), rtol=3e-7)


def test_a_choice_may_hide_what_is_no_number() -> None:
    for loss, outputs in ((lm.Huber(), {"value", "gradient:f"}), (lm.Hinge(), {"value"}), (lm.ZeroOne(), set())):
        assert facts.shown(loss.program(1), 1) == outputs


def test_formulas_of_jax_compile() -> None:
    loss = lm.Huber(delta=0.7)
    formula = Formula(loss.part("value", "gradient:f", "valid"), loss.free_parameters)
    y, f = jnp.zeros(5), jnp.linspace(-2, 2, 5)
    value = jax.jit(lambda y, f: formula.evaluate(JaxArrays(f), "value", [y, f]))(y, f)
    np.testing.assert_allclose(value, loss.losses(np.asarray(y), np.asarray(f)), rtol=1e-6)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_instruction_stays_short_where_values_are_written_out_at_each_use(name: str) -> None:
    # So PyTorch's compiler does on processors: steps that use the one before twice took it minutes, and gigabytes.
    x = torch.ones(2)
    given = [x > 0 if of == "bool" else x for of in TABLE[name].argument_types]
    length: dict[Any, int] = {}
    for node in make_fx(lambda *given: OPERATIONS[name](Tensors(x), *given))(*given).graph.nodes:
        length[node] = 1 + sum(length[each] for each in node.all_input_nodes)
    assert max(length.values()) < 4000

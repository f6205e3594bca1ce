"""Derivatives of derivatives in the ways that PyTorch has for them, in memory and as on other devices."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch._dynamo.testing
from torch.autograd import forward_ad, functional

import lossmith as lm
import lossmith.torch as lt
from lossmith import Loss
from tests.frameworks.elsewhere import trace
from tests.frameworks.test_traced import ONE_EACH, drawn

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.* is deprecated:DeprecationWarning")

Cost = Callable[[torch.Tensor], torch.Tensor]
LOGITS = torch.tensor([[0.3, -0.9, 0.5], [2.0, 0.1, -0.4]], dtype=torch.float64)
ALONG = torch.tensor([[1.0, -0.5, 0.25], [0.5, 2.0, -1.0]], dtype=torch.float64)
LABELS, NUMBERS = torch.tensor([2, 0]), torch.zeros_like(LOGITS)
PAIRS: dict[str, tuple[Cost, Cost]] = {
    "huber": (lambda x: torch.nn.HuberLoss()(x, NUMBERS), lambda x: lt.Huber()(x, NUMBERS)),
    "classes": (
        lambda x: torch.nn.CrossEntropyLoss()(x, LABELS),
        lambda x: lt.SparseCategoricalCrossEntropy()(x, LABELS),
    ),
    "masked": (
        lambda x: torch.nn.CrossEntropyLoss()(x[:1], LABELS[:1]),
        lambda x: lt.SparseCategoricalCrossEntropy()(x, LABELS, mask=torch.tensor([True, False])),
    ),
}


def together(cost: Cost, directions: torch.Tensor, *, transformed: bool) -> torch.Tensor:
    """Return products of the Hessian with several directions at once."""
    x = LOGITS.clone().requires_grad_()
    (slope,) = torch.autograd.grad(cost(x), x, create_graph=True)
    product = functools.partial(torch.autograd.grad, slope, x, retain_graph=True)
    if transformed:
        return torch.vmap(lambda way: product(way)[0])(directions)
    return product(directions, is_grads_batched=True)[0]


WAYS: dict[str, Callable[[Cost], Any]] = {
    "jvp": lambda cost: functional.jvp(cost, LOGITS, ALONG)[1],
    "hvp": lambda cost: functional.hvp(cost, LOGITS, ALONG)[1],
    "vhp": lambda cost: functional.vhp(cost, LOGITS, ALONG)[1],
    "hessian": lambda cost: functional.hessian(cost, LOGITS),
    "vectorized": lambda cost: functional.hessian(cost, LOGITS, vectorize=True),
    "batched": lambda cost: together(cost, torch.stack([ALONG, LOGITS]), transformed=False),
    "vmap": lambda cost: together(cost, torch.stack([ALONG, LOGITS]), transformed=True),
}


@pytest.mark.parametrize("traced", [False, True], ids=["in memory", "traced"])
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_way_to_a_derivative_gives_that_of_pytorch(
    way: Callable[[Cost], Any], pair: tuple[Cost, Cost], traced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if traced:
        trace(monkeypatch)
    right, found = (way(cost) for cost in pair)
    assert right.abs().sum() > 0
    torch.testing.assert_close(found, right)


def test_a_third_derivative_is_right_or_refused() -> None:
    def third(cost: Cost) -> torch.Tensor:
        return torch.func.jacrev(torch.func.jacrev(torch.func.grad(cost)))(LOGITS)

    # The formula of a cross-entropy is linear in what softmax gives, and that has all derivatives.
    torch.testing.assert_close(third(PAIRS["classes"][1]), third(PAIRS["classes"][0]))
    with pytest.raises(lm.ProgramError, match="no third one"):
        third(lambda x: lt.LogCosh()(x, NUMBERS))
    with pytest.raises(lm.ProgramError, match="no third one"):
        torch.func.jacfwd(torch.func.jacfwd(torch.func.jacfwd(lambda x: lt.LogCosh()(x, NUMBERS))))(LOGITS)
    x = LOGITS.clone().requires_grad_()
    (slope,) = torch.autograd.grad(lt.LogCosh()(x, NUMBERS), x, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), x, create_graph=True)
    with pytest.raises(lm.ProgramError, match="no third one"):
        bend.sum().backward()


def tangent_by(value: torch.Tensor, cost: Cost) -> torch.Tensor:
    """Return a tangent by dual tensors, which are neither wrapped nor ask for a gradient."""
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(cost(forward_ad.make_dual(value, ALONG))).tangent


def through(place: int, *outer: Callable[..., Any]) -> Callable[[], Any]:
    """Return a derivative by the target, of whichever orders, beside that by the input."""
    cost = lt.SquaredError()
    for function in outer[:-1]:
        cost = function(cost)
    return lambda: outer[-1](cost, argnums=place)(LOGITS, NUMBERS)


def by_target(target: torch.Tensor) -> torch.Tensor:
    return lt.SquaredError()(LOGITS, target)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "forward": (lambda: torch.func.jvp(by_target, (NUMBERS,), (ALONG,)), "target"),
    "both": (lambda: torch.func.jvp(lt.SquaredError(), (LOGITS, NUMBERS), (ALONG, ALONG)), "target"),
    "jacfwd": (through(1, torch.func.jacfwd), "target"),
    "backward of backward": (through(1, torch.func.grad, torch.func.jacrev), "target"),
    "forward of backward": (through(1, torch.func.grad, torch.func.jacfwd), "target"),
    "backward of forward": (through(1, torch.func.jacfwd, torch.func.jacrev), "target"),
    "distributions": (
        lambda: torch.func.jvp(
            lambda p: lt.CategoricalCrossEntropy()(LOGITS, p), (LOGITS.softmax(1),), (torch.ones_like(LOGITS),)
        ),
        "target",
    ),
    "dual target": (lambda: tangent_by(NUMBERS, by_target), "target"),
    "dual weight": (
        lambda: tangent_by(NUMBERS, lambda weight: lt.SquaredError()(LOGITS, NUMBERS, weight=weight)),
        "weight",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_has_no_derivative_says_so_at_every_level(case: tuple[Callable[[], Any], str]) -> None:
    call, name = case
    with pytest.raises(lm.KindError, match=rf"{name} requires a gradient.*pass {name}\.detach\(\)"):
        call()


def test_a_target_that_nobody_differentiates_by_is_let_through() -> None:
    through(0, torch.func.grad, torch.func.jacrev)()
    detached = torch.func.jacrev(torch.func.grad(lambda x: lt.SquaredError()(x, (2 * x).detach())))(LOGITS)
    torch.testing.assert_close(detached.reshape(6, 6), torch.eye(6).double() / 3)


BESIDE = {"weight": torch.tensor([1.0, 2.0]), "mask": torch.tensor([True, False])}


@pytest.mark.parametrize("name", BESIDE)
def test_what_is_written_into_a_weight_or_mask_is_seen(name: str) -> None:
    module, targets = lt.CategoricalCrossEntropy(), LOGITS.softmax(1)
    for order in range(2):
        for call in (module, lambda *given, **more: module.state(*given, **more).total):
            x, written = LOGITS.clone().requires_grad_(), BESIDE[name].clone()
            found = call(x, targets, **{name: written})
            for _ in range(order):
                found = torch.autograd.grad(found, x, create_graph=True)[0].pow(2).sum()
            written.zero_()
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                torch.autograd.grad(found, x)


@pytest.mark.parametrize("traced", [False, True], ids=["memory", "traced"])
@pytest.mark.parametrize("name", BESIDE)
def test_an_array_of_numpy_is_taken_as_it_was(name: str, traced: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if traced:
        trace(monkeypatch)
    module, targets = lt.CategoricalCrossEntropy(), LOGITS.softmax(1).flip(1)
    for call in (module, lambda *given, **more: module.state(*given, **more).total):
        for order in (1, 2):
            found = []
            for write in (lambda array: None, lambda array: array.fill(0)):
                x, given = LOGITS.clone().requires_grad_(), BESIDE[name].clone().numpy()
                total = call(x, targets, **{name: given})
                write(given)
                for _ in range(order):
                    (slope,) = torch.autograd.grad(total, x, create_graph=order > 1, retain_graph=True)
                    total = slope.pow(2).sum()
                found.append(slope)
            assert found[0].any()
            torch.testing.assert_close(found[1], found[0], rtol=0, atol=0)


NESTED: dict[str, Callable[[Cost], Cost]] = {
    "second": lambda cost: torch.func.jacrev(torch.func.grad(cost)),
    "of each": lambda cost: torch.func.vmap(torch.func.grad(lambda row: cost(row.expand(2, 3)))),
    "hessian": torch.func.hessian,
}


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # the compiler asks for it
@pytest.mark.parametrize("way", NESTED.values(), ids=NESTED)
def test_levels_of_torch_func_are_taken_into_a_graph_or_run_without_one(way: Callable[[Cost], Cost]) -> None:
    torch.compiler.reset()
    module, theirs = lt.Huber(), PAIRS["huber"][0]

    def ours(x: torch.Tensor) -> torch.Tensor:
        return module(x, NUMBERS)

    one_graph = way is not torch.func.hessian
    found = torch.compile(way(ours), backend="aot_eager", fullgraph=one_graph)(LOGITS)
    torch.testing.assert_close(found, way(theirs)(LOGITS))
    if not one_graph:
        torch.compiler.reset()
        with pytest.raises(torch._dynamo.exc.Unsupported, match="no forward derivative of another"):
            torch.compile(way(ours), backend="aot_eager", fullgraph=True)(LOGITS)


@pytest.mark.parametrize("loss", ONE_EACH.values(), ids=ONE_EACH)
def test_a_compiled_cost_has_second_derivatives_or_says_that_there_are_none(loss: Loss) -> None:
    torch.compiler.reset()
    given, module = drawn(loss), lt.module(loss)
    along = loss.predicted[0].name

    def penalised(module: Any) -> torch.Tensor:
        """Return the gradient of a cost that its own gradient is part of."""
        x = given[along].detach().requires_grad_()
        cost = module(**given | {along: x})
        (slope,) = torch.autograd.grad(cost, x, create_graph=True)
        (cost + slope.square().sum()).backward()
        return x.grad

    torch.testing.assert_close(penalised(torch.compile(module, backend="eager", fullgraph=True)), penalised(module))
    with pytest.raises(RuntimeError, match="does not currently support double backward"):
        penalised(torch.compile(module, backend="aot_eager", fullgraph=True))


def penalised(cost: Cost) -> Cost:
    """Return a cost with a penalty on its own gradient."""

    def both(x: torch.Tensor) -> torch.Tensor:
        found = cost(x)
        (slope,) = torch.autograd.grad(found, x, create_graph=True)
        return found + slope.square().sum()

    return both


def slope_of(cost: Cost) -> torch.Tensor:
    x = LOGITS.clone().requires_grad_()
    return torch.autograd.grad(cost(x), x)[0]


@pytest.mark.parametrize("loss", ONE_EACH.values(), ids=ONE_EACH)
def test_a_penalty_on_a_gradient_is_compiled_where_pytorch_follows_what_takes_it(loss: Loss) -> None:
    torch.compiler.reset()
    given, module, along = drawn(loss), lt.module(loss), loss.predicted[0].name
    both = penalised(lambda x: module(**given | {along: x}))
    x = given[along].clone().requires_grad_()
    with torch._dynamo.config.patch(trace_autograd_ops=True):
        cost = torch.compile(both, backend="aot_eager", fullgraph=True)(x)
    torch.testing.assert_close(torch.autograd.grad(cost, x), torch.autograd.grad(both(x), x))


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # the compiler asks for it
@pytest.mark.parametrize("which", [0, 1], ids=["theirs", "ours"])
def test_elsewhere_pytorch_leaves_it_out_of_a_gradient_that_is_asked_for_alone(which: int) -> None:
    # Where this fails, PyTorch has learned it, and the README need not tell of a setting.
    torch.compiler.reset()
    cost = PAIRS["classes"][which]
    found = slope_of(torch.compile(penalised(cost), backend="aot_eager"))
    torch.testing.assert_close(found, slope_of(cost))
    assert not torch.allclose(found, slope_of(penalised(cost)))


def test_a_batch_of_another_length_compiles_nothing_again() -> None:
    torch.compiler.reset()
    counter, loss = torch._dynamo.testing.CompileCounter(), ONE_EACH["softmax"]
    module = torch.compile(lt.module(loss), backend=counter, fullgraph=True, dynamic=True)
    for rows in (6, 5):
        module(**drawn(loss, rows))
    assert counter.frame_count == 1

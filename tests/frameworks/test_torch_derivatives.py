"""Derivatives of derivatives in the ways that PyTorch has for them, in memory and as on other devices."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch._dynamo.testing
from torch.autograd import functional

import lossmith as lm
import lossmith.torch as lt
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
    x = LOGITS.clone().requires_grad_()
    (slope,) = torch.autograd.grad(lt.LogCosh()(x, NUMBERS), x, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), x, create_graph=True)
    with pytest.raises(lm.ProgramError, match="no third one"):
        bend.sum().backward()


def test_a_batch_of_another_length_compiles_nothing_again() -> None:
    torch.compiler.reset()
    counter, loss = torch._dynamo.testing.CompileCounter(), ONE_EACH["softmax"]
    module = torch.compile(lt.module(loss), backend=counter, fullgraph=True, dynamic=True)
    for rows in (6, 5):
        module(**drawn(loss, rows))
    assert counter.frame_count == 1

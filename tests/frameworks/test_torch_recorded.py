"""Whoever records operations of PyTorch, or runs them on tensors without numbers, gets those of a module."""

from __future__ import annotations

from collections.abc import Callable

import functorch.compile
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

import lossmith as lm
import lossmith.torch as lt

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.* is deprecated:DeprecationWarning")

Module = Callable[..., torch.Tensor]
LOGITS = torch.tensor([[0.3, -0.9, 0.5], [2.0, 0.1, -0.4]])
LABELS, NUMBERS, SPREAD = torch.tensor([2, 0]), torch.zeros_like(LOGITS), torch.tensor([1.0, 2.0, 3.0])
PAIRS: dict[str, tuple[Module, Module, torch.Tensor]] = {
    "huber": (lt.Huber(), torch.nn.HuberLoss(), NUMBERS),
    "each": (lt.Huber(reduction="none"), torch.nn.HuberLoss(reduction="none"), NUMBERS),
    "classes": (lt.SparseCategoricalCrossEntropy(), torch.nn.CrossEntropyLoss(), LABELS),
}


def slope(module: Module) -> Module:
    return lambda x, y: torch.autograd.grad(module(x, y).sum(), x)[0]


@pytest.mark.parametrize("mode", ["real", "fake", "symbolic"])
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_make_fx_records_the_cost_and_its_gradient(pair: tuple[Module, Module, torch.Tensor], mode: str) -> None:
    ours, theirs, y = pair
    x, other = LOGITS.clone().requires_grad_(), (3 * LOGITS).requires_grad_()
    for function in (lambda module: module, slope):
        recorded = make_fx(function(ours), tracing_mode=mode)(x, y)
        torch.testing.assert_close(recorded(other, y), function(theirs)(other, y))


def test_make_fx_reads_class_weights_where_they_lie() -> None:
    module = lt.SparseCategoricalCrossEntropy(class_weight=SPREAD)
    recorded = make_fx(module)(LOGITS, LABELS)
    right = torch.nn.CrossEntropyLoss(SPREAD)
    torch.testing.assert_close(recorded(3 * LOGITS, LABELS), right(3 * LOGITS, LABELS))
    assert not [node for node in recorded.graph.nodes if node.target == torch.ops.aten.add_.Tensor]


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_tensors_without_numbers_are_taken(pair: tuple[Module, Module, torch.Tensor]) -> None:
    ours, theirs, y = pair
    with FakeTensorMode() as mode:
        found = ours(mode.from_tensor(LOGITS), mode.from_tensor(y))
    assert found.shape == theirs(LOGITS, y).shape
    recorded = functorch.compile.aot_function(ours, fw_compiler=lambda graph, _: graph)
    torch.testing.assert_close(recorded(LOGITS.clone().requires_grad_(), y), theirs(LOGITS, y))


def test_class_weights_may_be_made_and_moved_without_numbers() -> None:
    with FakeTensorMode() as mode:
        module = lt.SparseCategoricalCrossEntropy(class_weight=SPREAD.tolist())
        assert module.half().to("meta").class_weight.is_meta
        assert (
            lt.SparseCategoricalCrossEntropy(class_weight=[1, 2, 3])(
                mode.from_tensor(LOGITS), mode.from_tensor(LABELS)
            ).shape
            == ()
        )


def test_who_only_looks_on_changes_nothing() -> None:
    module, wrong = lt.Huber(), torch.tensor([[torch.nan, 0.0, 0.0]])
    with FlopCounterMode(display=False):
        assert torch.equal(module(LOGITS, NUMBERS), lt.Huber()(LOGITS, NUMBERS))
        with pytest.raises(lm.DomainError):
            module(wrong, NUMBERS[:1])

"""Whoever records operations of PyTorch, or runs them on tensors without numbers, gets those of a module."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import functorch.compile
import pytest
import torch
from torch._dynamo import compiled_autograd
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

import lossmith as lm
import lossmith.torch as lt

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{text}:DeprecationWarning")
    for text in (".*torch.jit.script.* is deprecated", ".*Function.* should not be instantiated")
]

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


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_backward_passes_are_compiled_in_one_graph(pair: tuple[Module, Module, torch.Tensor]) -> None:
    ours, theirs, y = pair
    for share in (1.0, 0.5, 3.0):
        x, other = LOGITS.clone().requires_grad_(), LOGITS.clone().requires_grad_()
        torch._dynamo.reset()
        with compiled_autograd._enable(torch.compile(backend="eager", fullgraph=True)):
            (share * ours(x, y).sum()).backward()
        (share * theirs(other, y).sum()).backward()
        torch.testing.assert_close(x.grad, other.grad)


class Headed(torch.nn.Module):
    """A model with its loss, as who trains an exported program wants it."""

    def __init__(self, criterion: Module) -> None:
        super().__init__()
        self.head, self.criterion = torch.nn.Linear(3, 3), criterion

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.criterion(self.head(x), y)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_a_model_is_exported_with_its_loss(pair: tuple[Module, Module, torch.Tensor], strict: bool) -> None:
    ours, theirs, y = pair
    model = Headed(ours)
    exported = torch.export.export(model, (LOGITS, y), strict=strict).module()
    model.criterion = theirs
    costs = [found(LOGITS, y) for found in (exported, model)]
    torch.testing.assert_close(*costs)
    slopes = [
        torch.autograd.grad(cost.sum(), list(found.parameters()))
        for cost, found in zip(costs, (exported, model), strict=True)
    ]
    torch.testing.assert_close(*slopes)


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


class Model(torch.nn.Module):
    """A model whose ``forward`` gives its cost."""

    def __init__(self, criterion: torch.nn.Module, **more: torch.Tensor) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.criterion, self.more = torch.nn.Linear(3, 3), criterion, more

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.criterion(self.first(x), y, **self.more)


class Doubled(lt.Huber):
    """A module that does more than ours."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(x, y)


def same(found: Module, right: Module, *given: torch.Tensor) -> None:
    """Compare costs and gradients; there may be a gradient by the input."""
    x = LOGITS.clone().requires_grad_()
    costs = [each(x, *given) for each in (found, right)]
    torch.testing.assert_close(*costs)
    torch.testing.assert_close(*(torch.autograd.grad(cost.sum(), x) for cost in costs))


WRITTEN = {"subclass": (Doubled(), None, NUMBERS), "sum": (lt.module("huber + log_cosh"), None, NUMBERS), **PAIRS}


@pytest.mark.parametrize("pair", WRITTEN.values(), ids=WRITTEN)
def test_a_graph_of_torch_fx_calls_the_module(pair: tuple[Any, Any, torch.Tensor]) -> None:
    torch.compiler.reset()
    module, _, y = pair
    for right in (Model(module), module):
        written = torch.fx.symbolic_trace(right)
        written.graph.lint()
        again = (copy.deepcopy(written), torch.fx.symbolic_trace(written))
        for found in (written, *again, torch.compile(written, backend="eager", fullgraph=True)):
            same(found, right, y)


def test_a_graph_of_a_module_alone_takes_what_the_module_takes() -> None:
    module = lt.SparseCategoricalCrossEntropy(class_weight=SPREAD)
    written = torch.fx.symbolic_trace(module)
    same(lambda x, y: written(target=y, input=x, weight=SPREAD[:2]), lambda *xy: module(*xy, weight=SPREAD[:2]), LABELS)
    same(lambda x, y: written(x, y, mask=LABELS > 0), lambda *xy: module(*xy, mask=LABELS > 0), LABELS)
    assert next(written.buffers()) is module.class_weight
    same(pickle.loads(pickle.dumps(written)), module, LABELS)
    of_three = lt.GaussianNLL()
    same(torch.fx.symbolic_trace(of_three), of_three, NUMBERS, SPREAD[:2, None])


def test_a_graph_holds_hooks_and_weights_once() -> None:
    model = Model(lt.Huber())
    model.criterion.register_forward_hook(lambda module, given, found: 3 * found)
    same(torch.fx.symbolic_trace(model), model, NUMBERS)
    weighted = Model(lt.SparseCategoricalCrossEntropy(), weight=SPREAD[:2])
    same(torch.fx.symbolic_trace(weighted), weighted, LABELS)

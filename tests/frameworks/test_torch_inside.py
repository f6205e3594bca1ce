"""Modules that are made inside of a function under ``torch.compile`` are those that are made outside of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import lossmith as lm
import lossmith.torch as lt

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{text}:DeprecationWarning")
    for text in (".*torch.jit.script.* is deprecated", ".*Function.* should not be instantiated")
]

Step = Callable[..., torch.Tensor]
LOGITS = torch.tensor([[0.3, -0.9, 0.5], [2.0, 0.1, -0.4]], dtype=torch.float64)
LABELS, NUMBERS = torch.tensor([2, 0]), torch.zeros_like(LOGITS)
LOSS = lm.Huber() + 0.5 * lm.LogCosh()
STEPS: dict[str, tuple[Step, torch.Tensor]] = {
    "by name": (lambda x, y: lt.Huber(delta=0.5)(x, y), NUMBERS),
    "by place": (lambda x, y: lt.Huber(0.5, reduction="sum")(x, y), NUMBERS),
    "two": (lambda x, y: lt.Huber(0.5)(x, y) + lt.Huber(0.25)(x, y) * lt.Huber(0.5)(x, y), NUMBERS),
    "vectors": (
        lambda x, y: lt.SparseCategoricalCrossEntropy(class_weight=[1.0, 2.0, 0.5], label_smoothing=0.1)(x, y),
        LABELS,
    ),
    "text": (lambda x, y: lt.module("huber(delta=0.5)", reduction="none")(x, y).square().mean(), NUMBERS),
    "loss": (lambda x, y: lt.module(LOSS)(x, y), NUMBERS),
    "losses that graphs hear of one after the other": (
        lambda x, y: lt.Huber()(x, y) + lt.module("abs(y - f)**5")(x, y) + lt.module("3*(y - f)**4")(x, y),
        NUMBERS,
    ),
}


def agree(compiled: Step, step: Step, *given: Any) -> None:
    """Compare costs and gradients."""
    x = LOGITS.clone().requires_grad_()
    costs = [each(x, *given) for each in (compiled, step)]
    torch.testing.assert_close(*costs)
    torch.testing.assert_close(*(torch.autograd.grad(cost, x)[0] for cost in costs))


@pytest.mark.parametrize("case", STEPS.values(), ids=STEPS)
def test_a_module_may_be_made_inside_of_what_is_compiled(case: tuple[Step, torch.Tensor]) -> None:
    torch.compiler.reset()
    step, y = case
    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    for _ in range(2):
        agree(compiled, step, y)


def test_a_number_may_be_another_one_in_the_next_call() -> None:
    torch.compiler.reset()

    def step(x: torch.Tensor, y: torch.Tensor, delta: float) -> torch.Tensor:
        return lt.Huber(delta=delta)(x, y)

    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    for delta in (0.5, 0.25, 0.75, 0.5):
        agree(compiled, step, NUMBERS, delta)


def test_a_tensor_is_no_constant_and_ends_the_graph() -> None:
    torch.compiler.reset()

    def step(x: torch.Tensor, y: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        return lt.SparseCategoricalCrossEntropy(class_weight=weights)(x, y)

    compiled, weights = torch.compile(step, backend="aot_eager"), torch.tensor([1.0, 2.0, 0.5])
    for given in (weights, weights.flip(0)):
        agree(compiled, step, LABELS, given)
    torch.compiler.reset()
    with pytest.raises(torch._dynamo.exc.Unsupported, match="is to be made outside of"):
        torch.compile(step, backend="aot_eager", fullgraph=True)(LOGITS, LABELS, weights)


def test_a_mistake_is_named_as_outside() -> None:
    torch.compiler.reset()

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return lt.Huber(delta=-1.0)(x, y)

    with pytest.raises(lm.ParameterError, match=r"Huber\(delta=-1\): delta must lie in"):
        torch.compile(step, backend="aot_eager")(LOGITS, NUMBERS)
    torch.compiler.reset()
    with pytest.raises(torch._dynamo.exc.Unsupported, match="there is no such module"):
        torch.compile(step, backend="aot_eager", fullgraph=True)(LOGITS, NUMBERS)


def test_what_such_modules_met_outside_the_domains_is_told_when_somebody_asks() -> None:
    torch.compiler.reset()
    lt.check()
    steps = [lambda x, y: lt.SparseCategoricalCrossEntropy()(x, y), lambda x, y: lt.Huber()(x[:, 0], y.double())]
    classes, single = (torch.compile(step, backend="aot_eager", fullgraph=True) for step in steps)
    assert classes(LOGITS, torch.tensor([3, 0])).isnan()
    module = lt.SparseCategoricalCrossEntropy()
    torch.compile(module, backend="aot_eager")(LOGITS, torch.tensor([3, 0]))
    told = []
    for ask in (lt.check, module.check):
        with pytest.raises(lm.DomainError, match=r"1 example of .*target: class indices must be whole") as caught:
            ask()
        told.append(str(caught.value))
    assert told[0] == told[1]
    lt.check()
    assert single(LOGITS * torch.inf, LABELS).isnan()
    for _ in range(2):
        classes(LOGITS, torch.tensor([3, -1]))
    with pytest.raises(lm.DomainError, match=r"CrossEntropy: 4 examples of") as caught:
        lt.check()
    assert "Huber: 2 examples of traced calls lie outside the domains (target must be finite;" in str(caught.value)
    lt.check()


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("name", ["Huber", "SparseCategoricalCrossEntropy"])
def test_what_is_invalid_has_a_gradient_that_is_no_number_unless_it_weighs_nothing(name: str, reduction: str) -> None:
    """So that a ``GradScaler`` leaves the step out where predictions overflowed."""
    torch.compiler.reset()
    weight, labels = torch.tensor([1.0, 1.0, 1.0, 0.0]), torch.tensor([0, 1, 7, 2])
    logits = torch.tensor([[1.0, 0, 0], [torch.inf, 0, 0], [0, 1, 0], [torch.nan, 0, 0]])
    single = name == "Huber"
    leaf = (logits[:, 0] if single else logits).clone().requires_grad_()
    target = torch.where(labels == 7, torch.nan, labels) if single else labels
    module = torch.compile(getattr(lt, name)(reduction=reduction), backend="aot_eager", fullgraph=True)
    module(leaf, target, weight=weight).backward()
    assert leaf.grad is not None
    slopes = leaf.grad.reshape(4, -1)
    assert slopes.isnan().all(1).tolist() == [False, True, True, False]
    assert slopes[0].abs().sum() > 0
    assert (slopes[3] == 0).all()


def test_losses_of_many_classes_are_compiled_side_by_side() -> None:
    torch.compiler.reset()
    classes = [
        lt.Huber,
        lt.SquaredError,
        lt.AbsoluteError,
        lt.LogCosh,
        lt.Cauchy,
        lt.Welsch,
        lt.Fair,
        lt.Tukey,
        lt.Brier,
    ]
    assert len(classes) > torch._dynamo.config.recompile_limit
    for cls in classes:
        module = cls(reduction="none")
        compiled = torch.compile(module, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(LOGITS, NUMBERS), module(LOGITS, NUMBERS))

"""Modules keep what PyTorch expects of modules: vectors as buffers, copies, autocast, and refusals on every way."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import lossmith as lm
import lossmith.torch as lt
from lossmith import Loss
from lossmith.structures.composite import Sum
from tests.frameworks.elsewhere import trace
from tests.frameworks.test_traced import ONE_EACH, drawn, learning
from tests.mistakes import Mistake, is_named

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{text}:DeprecationWarning")
    for text in (".*torch.jit.script.* is deprecated", ".*Function.* should not be instantiated")
]

STRUCTURES: dict[str, Loss] = {"pointwise": lm.Huber(delta=0.7), "moments": lm.GaussianNLL(), **ONE_EACH}
WEIGHTS = torch.tensor([1.0, 2.0, 0.1], dtype=torch.float64)
Z, Y = torch.linspace(-2, 2, 18).double().sin().reshape(6, 3), torch.tensor([0, 1, 2, 2, 1, 0])


def weighted(weights: Any = WEIGHTS) -> lt.LossModule:
    return lt.SparseCategoricalCrossEntropy(class_weight=weights)


def says(module: lt.LossModule, weights: torch.Tensor) -> bool:
    """Return whether a module weighs classes so, in memory and traced."""
    right = torch.nn.CrossEntropyLoss(weights)(Z, Y)
    traced = torch.vmap(module, (0, None))(Z[None], Y)[0]
    return all(torch.allclose(found, right, rtol=1e-13) for found in (module(Z, Y), traced))


# --- vectors ------------------------------------------------------------------------------------------


def test_class_weights_are_a_buffer_as_in_pytorch() -> None:
    module = weighted()
    assert says(module, WEIGHTS)
    assert list(module.state_dict()) == ["class_weight"]
    assert weighted(None).state_dict() == {}
    other = weighted((1, 1, 1))
    other.load_state_dict(module.state_dict())
    assert other.loss == module.loss
    assert says(other, WEIGHTS)
    assert not says(weighted((1, 1, 1)), WEIGHTS)  # which the comparison above would find


def test_what_is_written_into_a_buffer_holds() -> None:
    module = weighted()
    module.class_weight.mul_(torch.tensor([3, 1, 1]))
    assert says(module, torch.tensor([3, 2, 0.1], dtype=torch.float64))
    loss = module.loss
    module.class_weight.copy_(module.class_weight.clone())  # as DistributedDataParallel does at every step
    assert says(module, torch.tensor([3, 2, 0.1], dtype=torch.float64))
    assert module.loss is loss
    module.class_weight = torch.tensor([1.0, 4.0, 2.0])
    assert says(module, torch.tensor([1, 4, 2], dtype=torch.float64))
    with torch.no_grad():
        module.class_weight[1] = -1
    with pytest.raises(lm.ParameterError, match=r"class_weight\[1\] is -1"):
        module(Z, Y)


def by_data(vector: torch.Tensor, numbers: torch.Tensor) -> None:
    vector.data.copy_(numbers)


def by_other_data(vector: torch.Tensor, numbers: torch.Tensor) -> None:
    vector.data = numbers.clone()


def by_numpy(vector: torch.Tensor, numbers: torch.Tensor) -> None:
    vector.numpy()[:] = numbers.numpy()


@pytest.mark.parametrize("write", [by_data, by_other_data, by_numpy])
def test_what_is_written_without_a_word_holds_too(write: Callable[[torch.Tensor, torch.Tensor], None]) -> None:
    module, other = weighted(), WEIGHTS.flip(0)
    for numbers in (other, WEIGHTS, other):
        write(module.class_weight, numbers)
        assert says(module, numbers)
    write(module.class_weight, WEIGHTS)
    assert says(module.float(), WEIGHTS)


def test_what_is_written_into_a_module_of_inference_holds() -> None:
    with torch.inference_mode():
        module = weighted()
        module.class_weight[0] = 7
        assert says(module, torch.tensor([7, 2, 0.1], dtype=torch.float64))


def test_a_module_of_inference_counts_outside_of_it() -> None:
    with torch.inference_mode():
        made, moved = weighted(), weighted().to("meta").to_empty(device="cpu")
    for module in (made, moved):
        torch.compile(module, fullgraph=True, backend="aot_eager")(Z, Y + 9)
        with pytest.raises(lm.DomainError, match="6 examples"):
            module.check()


def test_class_weights_may_be_given_later_and_taken_away() -> None:
    torch.compiler.reset()
    module = lt.SparseCategoricalCrossEntropy()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    assert module.class_weight is None
    for weights in (WEIGHTS, None, WEIGHTS.flip(0)):
        module.class_weight = weights
        right = torch.nn.CrossEntropyLoss(weights)(Z, Y)
        for found in (module(Z, Y), compiled(Z, Y)):
            torch.testing.assert_close(found, right)
    del module.class_weight
    for found in (module(Z, Y), compiled(Z, Y)):
        torch.testing.assert_close(found, torch.nn.CrossEntropyLoss()(Z, Y))
    whole = lt.module(
        lm.SparseCategoricalCrossEntropy(class_axis=1)
        + lm.SparseCategoricalCrossEntropy(class_axis=1, label_smoothing=0.1)
    )
    whole.class_weight = WEIGHTS
    assert all(term.values["class_weight"] == tuple(WEIGHTS.tolist()) for _, term in whole.loss.parts)


@pytest.mark.parametrize("given", [None, WEIGHTS])
def test_class_weights_that_are_none_leave_the_others(given: torch.Tensor | None) -> None:
    module = weighted(given)
    for bad, error, text in (
        (torch.nn.Parameter(WEIGHTS), lm.KindError, "pass class_weight.detach()"),
        (WEIGHTS.clone().requires_grad_(), lm.KindError, "pass class_weight.detach()"),
        (WEIGHTS.to("meta"), lm.KindError, "which has no numbers"),
        (-WEIGHTS, lm.ParameterError, "class_weight[0] is -1"),
    ):
        with pytest.raises(error) as caught:
            module.class_weight = bad
        assert text in str(caught.value)
        torch.testing.assert_close(module(Z, Y), torch.nn.CrossEntropyLoss(given)(Z, Y))
    learning = weighted()
    learning.class_weight.requires_grad_()
    with pytest.raises(lm.KindError, match="class_weight requires a gradient"):
        learning(Z, Y)


def test_a_module_that_stays_where_it_is_keeps_its_buffers() -> None:
    module = weighted()
    vector, counter = module.class_weight, module.invalid
    assert module.share_memory().class_weight.is_shared()
    for same in (module.cpu(), module.half(), module.to_empty(device="cpu")):
        assert same.class_weight is vector
        assert same.invalid is counter


def test_an_option_that_is_set_later_leaves_the_buffers_where_they_are() -> None:
    for there in (weighted(), weighted().to("meta"), weighted().share_memory()):
        vector = there.class_weight
        there.label_smoothing = 0.1
        assert there.class_weight is vector
        assert there.loss == lm.SparseCategoricalCrossEntropy(
            class_axis=1, label_smoothing=0.1, class_weight=WEIGHTS.tolist()
        )
    away = weighted().to("meta")
    away.loss = lm.LogitAdjusted(prior=(0.5, 0.25, 0.25), class_weight=WEIGHTS.tolist(), class_axis=1)
    assert away.class_weight.is_meta
    assert away.prior.is_meta  # of a name that was not there, beside those that were
    assert away(Z.to("meta"), Y.to("meta")).is_meta
    single = weighted()
    single.class_weight = given = torch.tensor([1.0, 4.0, 0.1])
    single.label_smoothing = 0.0
    assert single.class_weight is given
    stale = weighted()
    stale.class_weight.data[0] = 7  # without a word
    stale.loss = weighted().loss
    assert says(stale, WEIGHTS)


@pytest.mark.parametrize("reduction", ["mean", "none"])
@pytest.mark.parametrize("beside", [{}, {"weight": torch.ones(6), "mask": Y > 0}], ids=["alone", "beside"])
def test_what_is_in_memory_stays_there_whatever_the_default_device_is(beside: dict[str, Any], reduction: str) -> None:
    module, z = lt.SparseCategoricalCrossEntropy(reduction=reduction), Z.clone().requires_grad_()
    with torch.device("meta"):
        cost = module(z, Y, **beside)
        state = module.state(z, Y, **beside)
        (slope,) = torch.autograd.grad(cost.sum(), z, create_graph=True)
        (bend,) = torch.autograd.grad(slope.square().sum(), z)
    assert all(x.is_cpu for x in (cost, slope, bend, *state.sums))
    assert bend.any()


def test_a_module_made_without_memory_counts_from_nothing() -> None:
    with torch.device("meta"):
        module = lt.Huber()
    assert module.invalid.is_meta
    made = iter([torch.tensor(7)])  # what memory holds that nobody wrote to
    module._apply(lambda x: next(made))
    assert int(module.invalid) == 0
    module.check()


def test_a_sum_has_the_vectors_of_its_terms() -> None:
    def terms(weights: tuple[float, ...], *priors: tuple[float, ...]) -> Loss:
        first, second = (lm.LogitAdjusted(prior=prior, class_weight=weights, class_axis=1) for prior in priors)
        return 0.7 * first + 0.3 * second

    ones, even, steep = (1.0, 1.0, 1.0), (0.25, 0.25, 0.5), (0.125, 0.125, 0.75)
    module, other = lt.module(terms(ones, steep, even)), lt.module(terms(ones, steep, even))
    module.prior_0 = torch.tensor(even)
    assert module(Z, Y) == lt.module(terms(ones, even, even))(Z, Y)  # where the terms are one
    module.class_weight.copy_(torch.tensor([3, 1, 2]))
    module.prior_1 = torch.tensor(steep)
    right = lt.module(terms((3.0, 1.0, 2.0), even, steep))
    assert other(Z, Y) != right(Z, Y) == module(Z, Y)
    assert set(module.state_dict()) == {"class_weight", "prior_0", "prior_1"}
    other.load_state_dict(module.state_dict())
    for same in (other, other.half(), copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert same.loss == right.loss
        assert same(Z, Y) == right(Z, Y)
        torch.testing.assert_close(torch.vmap(same, (0, None))(Z[None], Y)[0], right(Z, Y))


def test_compiled_graphs_read_the_buffer() -> None:
    torch.compiler.reset()
    module = weighted()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    for weights in (WEIGHTS, WEIGHTS.flip(0)):
        module.class_weight.copy_(weights)
        torch.testing.assert_close(compiled(Z, Y), torch.nn.CrossEntropyLoss(weights)(Z, Y))


def test_buffers_keep_their_digits_whatever_type_a_module_is_brought_to() -> None:
    for module in (weighted().half(), weighted().to(torch.bfloat16).float(), weighted().to_empty(device="cpu")):
        assert says(module, WEIGHTS)
    module = torch.nn.Sequential(weighted()).to("meta").to_empty(device="cpu")
    assert says(module[0], WEIGHTS)
    with torch.inference_mode():
        assert weighted().float()(Z, Y) == weighted()(Z, Y)


@pytest.mark.parametrize("loss", STRUCTURES.values(), ids=STRUCTURES)
def test_copies_say_the_same_and_hold_the_same(loss: Loss) -> None:
    given = drawn(loss)
    module = lt.module(loss)
    right = module(**given)  # a copy of one that was called, too
    vectors = (
        {"prior_0"} if isinstance(loss, Sum) else {name for name, x in loss.values.items() if isinstance(x, tuple)}
    )
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), copy.deepcopy(module).double()):
        assert other.loss == loss
        assert other(**given) == right
        assert other.state_dict().keys() == vectors
        other.load_state_dict(module.state_dict())


# --- autocast -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("traced", [False, True], ids=["memory", "traced"])
@pytest.mark.parametrize("loss", STRUCTURES.values(), ids=STRUCTURES)
def test_autocast_brings_half_precision_and_takes_no_digits(
    loss: Loss, traced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses compute in float32 within autocast, as those of PyTorch do, and gradients come back in its type."""
    if traced:
        trace(monkeypatch)
    exact = drawn(loss, dtype=np.float32)
    names = [item.name for item in loss.predicted]
    half = {name: x.bfloat16() if name in names else x for name, x in exact.items()}
    known, ends = learning(loss, half)
    module = lt.module(loss, reduction="sum")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cost = module(**known)
    cost.backward()
    wide, wide_ends = learning(loss, {name: x.float() if x.is_floating_point() else x for name, x in half.items()})
    right = module(**wide)
    right.backward()
    assert cost.dtype == torch.float32
    assert cost == right
    for end, other in zip(ends, wide_ends, strict=True):
        assert torch.equal(end.grad, other.grad.bfloat16())


def test_half_precision_within_would_be_seen() -> None:
    x, y = torch.linspace(-2, 3, 50).bfloat16(), torch.linspace(1, 0.3, 50)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours, theirs, plain = lt.SquaredError()(x, y), torch.nn.MSELoss()(x, y), (x - y.bfloat16()).square().mean()
    torch.testing.assert_close(ours, theirs)
    assert abs(plain - ours) > 1e-4 * ours


# --- refusals -----------------------------------------------------------------------------------------

ZEROS, FAR = torch.zeros(3), torch.zeros(3, device="meta")
ASKING = torch.zeros(3, requires_grad=True)


def compiled(*given: Any, **options: Any) -> Any:
    return torch.compile(lt.Huber(), backend="aot_eager")(*given, **options)


BAD: dict[str, Mistake] = {
    "devices": (lambda: lt.Huber()(FAR, ZEROS), lm.KindError, "target is on cpu"),
    "weight elsewhere": (lambda: lt.Huber()(ZEROS, ZEROS, weight=FAR), lm.KindError, "weight on meta"),
    "weight here": (lambda: lt.Huber()(FAR, FAR, weight=ZEROS), lm.KindError, "weight on cpu; bring both"),
    "mask elsewhere": (lambda: lt.Huber()(FAR, FAR, mask=ZEROS > 0), lm.KindError, "mask on cpu; bring both"),
    "mask of numbers": (lambda: lt.Huber()(FAR, FAR, mask=FAR), lm.KindError, "write mask.bool()"),
    "mask of numbers, in memory": (lambda: lt.Huber()(ZEROS, ZEROS, mask=ZEROS), lm.KindError, "write mask.bool()"),
    "an axis more": (
        lambda: lt.SparseCategoricalCrossEntropy()(Z, Y[:, None]),
        lm.ShapeError,
        "has (6, 1). Use target.squeeze(-1)",
    ),
    "label of no class": (lambda: lt.SparseCategoricalCrossEntropy()(Z, Y + 9), lm.DomainError, "but target[0] is 9"),
    "sample weights": (lambda: lt.Huber()(ZEROS, ZEROS, sample_weight=ZEROS), lm.ParameterError, "call as weight=."),
    "distributions by place": (lambda: lt.KLDivergence()(Z, Z), lm.ParameterError, "keywords alone, p=, q="),
    "state": (lambda: lt.Huber().state(ZEROS, ZEROS[:2]), lm.ShapeError, "target has shape (2,)"),
    "vector elsewhere": (lambda: weighted().to("meta")(Z, Y), lm.KindError, "class_weight is on meta and the input on"),
    "vector of nothing": (lambda: weighted(WEIGHTS.to("meta")), lm.KindError, "meta, which has no numbers"),
    "vector that learns": (lambda: weighted(WEIGHTS.clone().requires_grad_()), lm.KindError, "class_weight.detach()"),
    "whole input": (lambda: lt.Huber()(ZEROS.long(), ZEROS), lm.KindError, "input must hold floats, got torch.int64"),
    "whole input, compiled": (lambda: compiled(ZEROS.long(), ZEROS), lm.KindError, "must hold floats"),
    "target that learns": (lambda: lt.Huber()(FAR, FAR.clone().requires_grad_()), lm.KindError, "target.detach()"),
    "target that learns, compiled": (lambda: compiled(ZEROS, ASKING), lm.KindError, "pass target.detach()"),
    "target of torch.func": (
        lambda: torch.func.grad(lambda y: lt.Huber()(ZEROS, y))(ZEROS),
        lm.KindError,
        "pass target.detach()",
    ),
    "weight that learns": (lambda: compiled(ZEROS, ZEROS, weight=ASKING), lm.KindError, "weight.detach()"),
    "shapes, compiled": (lambda: compiled(ZEROS[:, None], ZEROS), lm.ShapeError, "Use input.squeeze(-1)"),
    "sparse": (lambda: lt.Huber()(ZEROS.to_sparse(), ZEROS), lm.KindError, "pass input.to_dense()"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_mistakes_are_named(case: Mistake) -> None:
    torch.compiler.reset()
    is_named(*case)


def test_weights_that_are_none_are_counted_where_nobody_can_look() -> None:
    torch.compiler.reset()
    module = lt.Huber()
    weight = torch.tensor([1.0, -1.0, torch.nan])
    assert torch.compile(module, fullgraph=True, backend="aot_eager")(ZEROS, ZEROS, weight=weight).isnan()
    with pytest.raises(lm.DomainError, match=r"2 examples of traced calls .*weights must be finite and at least 0"):
        module.check()
    assert lt.Huber()(FAR, FAR, weight=[1.0, 2.0, 3.0]).is_meta  # a list goes where the input is


def test_a_warning_points_at_the_caller() -> None:
    with pytest.warns(lm.LossmithWarning, match="input is declared as logits") as caught:
        lt.BinaryCrossEntropy()(torch.rand(50), torch.ones(50))
    assert caught[0].filename == __file__


THEIRS: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: lt.SparseCategoricalCrossEntropy(weight=torch.ones(3)),
        "no parameter 'weight'; it takes .* class_weight= weighs classes, and weight= of a call examples.",
    ),
    (
        lambda: lt.BinaryCrossEntropy(pos_weight=torch.ones(3)),
        "no parameter 'pos_weight'; .* call: w where target is 1, and 1 elsewhere; reduction='count_mean' divides by",
    ),
    (lambda: lt.BinaryCrossEntropy(weight=torch.ones(3)), "examples are passed to the call as weight=."),
    (lambda: lt.Huber()(predictions=Z, targets=Z), "no input 'predictions'. It is called input here."),
    (lambda: lt.KLDivergence(log_target=True), "Say p_kind='probabilities', which is the default, or p_kind='log_"),
    (lambda: lt.Poisson(log_input=False), "Say prediction='log_rate', which is the default, or prediction='rate'."),
    (lambda: lt.Triplet(p=1), "Say distance='euclidean', which is the default and a norm of 2, or another."),
    (lambda: lt.Huber(size_average=False), "Say reduction='mean', 'sum' or 'none'."),
]


@pytest.mark.parametrize(("call", "text"), THEIRS, ids=[text[-24:] for _, text in THEIRS])
def test_keywords_of_pytorch_are_told_what_they_are_called_here(call: Callable[[], Any], text: str) -> None:
    with pytest.raises(lm.ParameterError, match=text):
        call()


def test_what_is_said_of_keywords_is_what_pytorch_computes() -> None:
    z, y, w = torch.randn(8, 3), torch.arange(8) % 3, torch.tensor([1.0, 2.0, 0.5])
    found = lt.SparseCategoricalCrossEntropy(class_weight=w)(z, y)
    torch.testing.assert_close(found, torch.nn.CrossEntropyLoss(weight=w)(z, y))
    f, label = z[:, 0], (y > 0).float()
    counted = lt.BinaryCrossEntropy(reduction="count_mean")(f, label, weight=torch.where(label == 1, 3.0, 1.0))
    torch.testing.assert_close(counted, torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor(3.0))(f, label))

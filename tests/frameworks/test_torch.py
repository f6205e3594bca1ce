"""Modules of PyTorch say what the catalogue says, with its derivatives, and feel at home there."""

from __future__ import annotations

import copy
import inspect
import itertools
import pickle
import zlib
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import lossmith as lm
import lossmith.torch as lt
from lossmith import Loss
from lossmith.certify.samples import sample
from lossmith.engines import choice
from tests.laws.samples import EVERY, is_plain, name_of
from tests.mistakes import Mistake, is_named
from tests.parity import relation
from tests.parity.arrays import CLASSES, COLUMNS, draw
from tests.parity.table import ROWS, Row

# PyTorch warns of what its own compiler and torch.func do.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{text}:DeprecationWarning")
    for text in (".*torch.jit.script.* is deprecated", ".*Function.* should not be instantiated")
]

DEFAULTS = [loss for loss in map(lm.get, lm.names()) if isinstance(loss, lm.Pointwise)]
STATED = lm.loss_class("beta_nll")  # whose slope is by design not that of its value


def tensors(loss: Loss, rows: int = 5, dtype: Any = np.float64) -> dict[str, torch.Tensor]:
    data = sample(loss, rows)
    return {
        item.name: torch.as_tensor(np.array(data[item.name], dtype if data[item.name].dtype.kind == "f" else None))
        for item in loss.inputs
    }


def learning(loss: Loss, given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors with the predicted ones asking for gradients."""
    names = {item.name for item in loss.predicted}
    return {name: x.clone().requires_grad_(name in names) for name, x in given.items()}


def by_name(loss: Loss, found: Any) -> dict[str, np.ndarray]:
    return found if isinstance(found, dict) else {loss.predicted[0].name: found}


def turn_of(loss: Loss) -> int:
    """Return a number by which losses take turns."""
    return zlib.crc32(str(loss).encode())


WAYS = list(itertools.product((np.float32, np.float64), ("mean", "sum", "count_mean")))


@pytest.mark.parametrize("loss", EVERY, ids=name_of)
def test_cost_and_gradient_are_those_of_the_catalogue(loss: Loss) -> None:
    # A reduction of a type is one code for all losses: other forms than plain ones get one reduction of each type.
    first = turn_of(loss) % 3
    ways = WAYS if is_plain(loss) else [WAYS[first], WAYS[3 + (first + 1) % 3]]
    for dtype, reduction in ways:
        given = learning(loss, tensors(loss, dtype=dtype))
        cost = lt.module(loss, reduction=reduction)(**given)
        cost.backward()
        arrays = {name: x.detach().numpy() for name, x in given.items()}
        with choice.using("llvm"):  # which modules take for tensors of any size
            right, slopes = loss.cost_and_gradient(**arrays, reduction=reduction)
        assert cost.dtype == given[loss.predicted[0].name].dtype
        assert cost.item() == dtype(right)
        for name, slope in by_name(loss, slopes).items():
            np.testing.assert_array_equal(given[name].grad.numpy(), slope)


@pytest.mark.parametrize("loss", [loss for loss in EVERY if not isinstance(loss, STATED)], ids=name_of)
def test_derivatives_are_derivatives(loss: Loss) -> None:
    given = learning(loss, tensors(loss, 3))
    names = [item.name for item in loss.predicted]
    for reduction in ("mean", "none") if is_plain(loss) else ("none",):  # which has every derivative of the other
        module = lt.module(loss, reduction=reduction)

        def cost(*changed: torch.Tensor, module: lt.LossModule = module) -> torch.Tensor:
            return module(**{**given, **dict(zip(names, changed, strict=True))})

        ends = [given[name] for name in names]
        # Of other forms than plain ones, along one direction: each number is held against the core in test_traced.
        fast = not is_plain(loss)
        assert torch.autograd.gradcheck(cost, ends, atol=1e-4, rtol=1e-3, fast_mode=fast)
        assert torch.autograd.gradgradcheck(cost, ends, atol=1e-3, rtol=1e-2, fast_mode=fast)


@pytest.mark.parametrize("loss", DEFAULTS, ids=name_of)
def test_traced_calls_agree(loss: Loss) -> None:
    given = tensors(loss)
    name = loss.predicted[0].name
    module = lt.module(loss)

    def cost(x: torch.Tensor) -> torch.Tensor:
        return module(**{**given, name: x})

    arrays = {key: x.numpy() for key, x in given.items()}
    right, slopes = loss.cost_and_gradient(**arrays)
    np.testing.assert_allclose(cost(given[name]).item(), right, rtol=1e-13)
    grown, slope = torch.func.grad_and_value(cost)(given[name])[::-1]
    np.testing.assert_allclose(grown.item(), right, rtol=1e-13)
    np.testing.assert_allclose(slope.numpy(), by_name(loss, slopes)[name], rtol=1e-12, atol=1e-15)
    bends = loss.hessian(**arrays)
    second = torch.func.hessian(cost)(given[name])
    np.testing.assert_allclose(
        second.numpy(), np.diag(by_name(loss, bends)[name]) / len(second), rtol=1e-11, atol=1e-14
    )
    doubled = {key: torch.stack([x, x.flip(0)]) for key, x in given.items()}
    each = torch.vmap(lambda x: module(**x))(doubled)
    np.testing.assert_allclose(each.numpy(), [right, right], rtol=1e-13)


@pytest.mark.parametrize("name", [loss.name for loss in DEFAULTS[::4]])
def test_torch_compile_takes_it_in_one_graph(name: str) -> None:
    torch.compiler.reset()
    loss = lm.get(name)  # of which nobody has asked anything before
    given = learning(loss, tensors(loss))
    module = lt.module(loss)
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    cost = compiled(**given)
    cost.backward()
    names = [item.name for item in loss.predicted]
    slopes = [given[name].grad.clone() for name in names]
    right = module(**given)
    np.testing.assert_allclose(cost.item(), right.item(), rtol=1e-12)
    for slope, other in zip(slopes, torch.autograd.grad(right, [given[name] for name in names]), strict=True):
        np.testing.assert_allclose(slope.numpy(), other.numpy(), rtol=1e-11, atol=1e-15)


def test_what_is_compiled_counts_what_nobody_could_look_at() -> None:
    torch.compiler.reset()
    module = lt.BinaryCrossEntropy()
    compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
    assert compiled(torch.zeros(4), torch.tensor([0.0, 2.0, 1.0, -1.0])).isnan()
    assert compiled(torch.zeros(3), torch.ones(3)).item() == pytest.approx(np.log(2))
    with pytest.raises(lm.DomainError, match="2 examples of traced calls lie outside the domains"):
        module.check()
    module.check()


PEERS = [
    (row, name)
    for row in ROWS
    for name in row.names
    if name.startswith("torch.nn.") and inspect.isclass(getattr(torch.nn, name.rpartition(".")[2], None))
]


def furthest_from_theirs(row: Row, name: str, loss: Loss) -> float:
    """Return how far costs and gradients of our module are from those of PyTorch's that it replaces."""
    arrays = {key: torch.as_tensor(x) for key, x in draw(row, np.random.default_rng(0)).items()}
    options = {key: torch.tensor(x).double() if isinstance(x, list) else x for key, x in row.options.items()}
    names = [item.name for item in loss.inputs]
    ends = [arrays[item.name].requires_grad_() for item in loss.predicted if arrays[item.name].is_floating_point()]
    mine = {key: arrays[key].exp() if key in row.takes else arrays[key] for key in row.arguments if key in names}
    most = 0.0
    for theirs, words in row.reductions.items():
        reduction, _, divisor = words.replace("terms", "none").partition(" / ")
        module = lt.module(loss, reduction=reduction)
        ours = module(**mine) if "p" in names else module(*mine.values())
        factor = 1 / CLASSES if divisor or row.factor == "1/classes" else row.factor
        with relation.expected(row.warns if theirs == "mean" else ""):
            other = getattr(torch.nn, name.rpartition(".")[2])(**options, reduction=theirs)(
                *[arrays[key] for key in row.arguments]
            )
        other = other.sum(-1) if words == "terms" else other
        if row.averages:
            ours = ours.mean(-1) if reduction == "none" else ours / COLUMNS if reduction == "sum" else ours
        found = [(factor * ours, other)]
        slopes = (torch.autograd.grad(x.sum(), ends, retain_graph=True) for x in found[0])
        found += list(zip(*slopes, strict=True))
        assert all(a.shape == b.shape and a.dtype == b.dtype for a, b in found)
        most = max(most, *(float((a - b).detach().abs().max() / b.detach().abs().max()) for a, b in found))
    return most


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: str(peer[0]))
def test_it_replaces_the_module_of_pytorch(peer: tuple[Row, str]) -> None:
    row, name = peer
    assert furthest_from_theirs(row, name, row.loss) < 1e-12


def test_another_loss_would_be_seen() -> None:
    row, name = next(peer for peer in PEERS if peer[0].ours == "huber(delta=0.7)")
    assert furthest_from_theirs(row, name, lm.Huber(delta=0.71)) > 1e-3


def test_pixels_have_their_classes_along_the_second_axis() -> None:
    x, y = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True), torch.randint(0, 3, (2, 4, 5))
    found, other = lt.SparseCategoricalCrossEntropy()(x, y), torch.nn.CrossEntropyLoss()(x, y)
    torch.testing.assert_close(found, other, rtol=1e-12, atol=0)
    torch.testing.assert_close(*(torch.autograd.grad(cost, x)[0] for cost in (found, other)), rtol=1e-11, atol=1e-14)


def test_several_inputs_come_in_the_order_of_pytorch() -> None:
    x, y, v = torch.randn(5, requires_grad=True), torch.randn(5), torch.rand(5) + 0.5
    torch.testing.assert_close(lt.GaussianNLL()(x, y, v), F.gaussian_nll_loss(x, y, v))
    a, p, n = (torch.randn(4, 3) for _ in range(3))
    torch.testing.assert_close(lt.Triplet()(a, p, n), F.triplet_margin_loss(a, p, n), rtol=1e-5, atol=1e-5)
    logits, right = torch.randn(4, 3), torch.softmax(torch.randn(4, 3), 1)
    torch.testing.assert_close(
        lt.KLDivergence(q_kind="logits")(p=right, q=logits),
        F.kl_div(torch.log_softmax(logits, 1), right, reduction="batchmean"),
    )


def test_a_module_is_made_of_every_loss_with_its_keywords() -> None:
    assert set(lt.__all__) >= {lm.loss_class(name).__name__ for name in lm.names()}
    for name in lm.names():
        cls = lm.loss_class(name)
        made = getattr(lt, cls.__name__)
        keywords = list(inspect.signature(made).parameters)
        assert keywords == [*cls.declared(), "reduction", "empty"]
        assert made().loss == cls(**({"class_axis": 1} if "class_axis" in cls.declared() else {}))


def test_modules_are_copied_and_pickled_and_hold_no_weights_of_their_own() -> None:
    x, y = torch.randn(7), torch.randn(7)
    module = lt.Huber(delta=1.35, reduction="sum")
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), module.to(torch.float64)):
        assert other(x, y) == module(x, y)
        assert repr(other) == repr(module) == "Huber(delta=1.35, reduction='sum')"
    assert module.state_dict() == {}


def test_a_gradient_can_be_asked_for_twice() -> None:
    x = torch.randn(5, requires_grad=True)
    cost = lt.Huber()(x, torch.zeros(5))
    first = torch.autograd.grad(cost, x, retain_graph=True)[0]
    kept = first.clone()
    first.zero_()  # whoever has it may write over it
    torch.testing.assert_close(torch.autograd.grad(3 * cost, x)[0], 3 * kept)


def test_a_text_is_a_loss() -> None:
    x, y = torch.tensor([0.0, 5.0]), torch.tensor([1.0, 2.0])
    assert lt.module("huber(delta=2)")(x, y) == lt.Huber(delta=2)(x, y)
    assert lt.module("where(f < y, 4*(y - f)**2, (y - f)**2)", reduction="sum")(x, y) == 13


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(dtype: torch.dtype) -> None:
    x = torch.full((70_000,), 3.0, dtype=dtype, requires_grad=True)
    cost = lt.SquaredError()(x, torch.zeros(70_000, dtype=dtype))
    assert cost.dtype == torch.float32
    assert cost.item() == 9
    cost.backward()
    assert x.grad.dtype == dtype
    logits = torch.zeros((70_000, 2), dtype=dtype)
    assert lt.SparseCategoricalCrossEntropy()(logits, torch.zeros(70_000, dtype=torch.int64)).item() == pytest.approx(
        np.log(2)
    )


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_scaled_cost_of_half_precision_has_the_gradients_that_half_alone_would_lose(reduction: str) -> None:
    scale = torch.amp.GradScaler("cpu", init_scale=2.0**14).scale
    x, y = torch.linspace(1e-4, 4e-4, 4000).half(), torch.zeros(4000).half()
    for twice in (False, True):
        found = []
        for module in (lt.Huber(reduction=reduction), lambda f, y: F.huber_loss(f.float(), y.float())):
            f = x.clone().requires_grad_()
            (slope,) = torch.autograd.grad(scale(module(f, y).mean()), f, create_graph=twice)
            found.append(torch.autograd.grad(slope.float().sum(), f)[0] if twice else slope)
        assert found[0].dtype == torch.float16
        torch.testing.assert_close(*found)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_rows_that_were_rounded_to_half_precision_are_distributions(dtype: torch.dtype) -> None:
    z = torch.randn(200, 3000)
    z[0] = 0
    p, q = z.softmax(1).to(dtype), z.log_softmax(1).to(dtype)
    for now in (dtype, torch.float32):
        assert lt.CategoricalCrossEntropy()(z, p.to(now)).item() == pytest.approx(7.5, abs=0.1)
        assert abs(lt.KLDivergence(q_kind="log_probabilities")(p=p.to(now), q=q.to(now)).item()) < 0.01


def test_what_is_masked_counts_nothing_and_nothing_is_zero() -> None:
    x = torch.tensor([1.0, float("nan"), 3.0], dtype=torch.float64, requires_grad=True)
    y, mask, weight = (
        torch.zeros(3, dtype=torch.float64),
        torch.tensor([True, False, True]),
        torch.tensor([1.0, 2.0, 3]),
    )
    cost = lt.SquaredError()(x, y, mask=mask, weight=weight)
    slope = torch.autograd.grad(cost, x, create_graph=True)[0]
    assert cost.item() == 7
    assert slope.tolist() == [0.5, 0, 4.5]
    assert torch.autograd.grad(slope.sum(), x)[0].tolist() == [0.5, 0, 1.5]
    listed = lt.SquaredError()(x, y, mask=[True, False, True], weight=[1.0, 2.0, 3.0])
    assert torch.autograd.grad(listed, x, create_graph=True)[0].tolist() == [0.5, 0, 4.5]
    nothing = lt.SquaredError()(x, y, mask=torch.zeros(3, dtype=torch.bool))
    assert nothing.item() == 0
    assert torch.autograd.grad(nothing, x)[0].tolist() == [0, 0, 0]
    with pytest.raises(lm.EmptyError, match="all 3 examples are masked"):
        lt.SquaredError(empty="error")(x, y, mask=torch.zeros(3, dtype=torch.bool))


def test_traced_calls_leave_out_what_is_masked_whatever_it_holds() -> None:
    torch.compiler.reset()
    module = lt.SquaredError()
    nan = float("nan")
    x, y = torch.tensor([1.0, nan, 3.0], requires_grad=True), torch.zeros(3)
    options = {"mask": torch.tensor([True, False, True]), "weight": torch.tensor([1.0, nan, 3.0])}
    for call in (module, torch.compile(module, fullgraph=True, backend="aot_eager")):
        cost = call(x, y, **options)
        assert cost.item() == 7
        assert torch.autograd.grad(cost, x)[0].tolist() == [0.5, 0, 4.5]
    module.check()


def test_a_variance_for_all_gets_one_gradient() -> None:
    weight = torch.tensor([1.0, 2, 0, 3, 0.5])
    for reduction in ("mean", "none"):
        x, y = torch.randn(5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
        for size in ((), (1,)):
            v = torch.full(size, 0.7, dtype=torch.float64, requires_grad=True)
            ask = partial(lt.GaussianNLL(reduction=reduction), x, y, weight=weight)
            assert torch.autograd.gradcheck(ask, (v,))
            assert torch.autograd.gradgradcheck(ask, (v,))
            cost = ask(v).sum()
            plain, kept = (torch.autograd.grad(cost, v, retain_graph=True, create_graph=more) for more in (False, True))
            torch.testing.assert_close(kept, plain)
        assert torch.autograd.gradcheck(partial(lt.GaussianNLL(reduction=reduction), x, y), (v,))


BAD: list[Mistake] = [
    (lambda: lt.Huber()(torch.zeros(3), torch.zeros(4)), lm.ShapeError, "target has shape (4,) and input (3,)"),
    (lambda: lt.Huber()(torch.zeros(3, 1), torch.zeros(3)), lm.ShapeError, "broadcasting would give (3, 3)"),
    (lambda: lt.Huber()(torch.zeros(3)), lm.ParameterError, "target is missing"),
    (lambda: lt.Huber()(*[torch.zeros(3)] * 3), lm.ParameterError, "Huber takes input, target; got 3"),
    (lambda: lt.Huber()(torch.zeros(3), torch.zeros(3), target=torch.zeros(3)), lm.ParameterError, "twice"),
    (lambda: lt.Huber()(torch.zeros(3), [0.0, 0, 0]), lm.KindError, "must be a tensor, got list"),
    (lambda: lt.Huber()(torch.zeros(3), torch.zeros(3, requires_grad=True)), lm.KindError, "pass target.detach()"),
    (lambda: lt.Huber()(torch.zeros(3), torch.tensor([0, torch.nan, 0])), lm.DomainError, "target[1] is nan"),
    (lambda: lt.Huber()(torch.zeros(3, dtype=torch.complex64), torch.zeros(3)), lm.KindError, "complex64"),
    (lambda: lt.KLDivergence()(torch.ones(2, 2) / 2, torch.ones(2, 2) / 2), lm.ParameterError, "keywords alone"),
    (lambda: lt.Huber(delta=-1), lm.ParameterError, "delta"),
    (lambda: lt.Huber(reduction="avg"), lm.ParameterError, "reduction='avg' is not known"),
    (lambda: lt.Hubber, AttributeError, "module 'lossmith.torch' has no attribute 'Hubber'. Did you mean 'Huber'?"),
    (
        lambda: lt.CrossEntropyLoss,
        AttributeError,
        "SparseCategoricalCrossEntropy(class_axis=1) here",
    ),
    (lambda: lt.mse_loss, AttributeError, "That of PyTorch is called SquaredError() here."),
    (lambda: lt.CTCLoss, AttributeError, "That of PyTorch has no counterpart here (sequences)."),
    (lambda: lt.module(torch.nn.HuberLoss()), lm.ParameterError, "a text that names one, got HuberLoss"),
    (lambda: lt.nothing, AttributeError, "no attribute 'nothing'"),
    (
        lambda: lt.SparseCategoricalCrossEntropy()(torch.zeros(2, 3), torch.tensor([0, 3])),
        lm.DomainError,
        "class indices must be whole numbers in [0, 3), but target[1] is 3",
    ),
    (
        lambda: lt.KLDivergence()(p=torch.zeros(2, 2, device="meta"), q=torch.zeros(2, 2)),
        lm.KindError,
        "KLDivergence: p is on meta and q on cpu; bring both to one device",
    ),
    (
        lambda: torch.func.grad(lambda x: lt.Huber()(x, torch.zeros(4)))(torch.zeros(3)),
        lm.ShapeError,
        "target has shape (4,) and input (3,)",
    ),
]


@pytest.mark.parametrize("case", BAD, ids=lambda case: case[2])
def test_mistakes_are_named(case: Mistake) -> None:
    is_named(*case)


@pytest.mark.parametrize("loss", EVERY, ids=name_of)
def test_a_gradient_that_is_kept_for_more_is_the_same(loss: Loss) -> None:
    given = learning(loss, tensors(loss, 6))
    ends = [given[item.name] for item in loss.predicted]
    mask, weight = torch.tensor([True, True, False, True, True, True]), torch.tensor([1.0, 2.0, 3.0, 0.0, 1.0, 0.5])
    # Reductions, weights and masks lie around the formula: losses take turns with which of them meet.
    places = range(4) if is_plain(loss) else range(turn_of(loss) // 4 % 2, 4, 2)
    for place in places:
        weighted, masked = ((False, False), (True, True), (True, False), (False, True))[(place + turn_of(loss)) % 4]
        options = ({"weight": weight} if weighted else {}) | ({"mask": mask} if masked else {})
        reduction = ("mean", "count_mean", "sum", "none")[place]
        cost = lt.module(loss, reduction=reduction)(**given, **options).sum()
        plain = torch.autograd.grad(cost, ends, retain_graph=True)
        kept = torch.autograd.grad(cost, ends, create_graph=True)
        torch.testing.assert_close(kept, plain, rtol=1e-12, atol=1e-14)

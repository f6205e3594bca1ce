"""Plain calls of modules take a shorter way to the same bits."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad
from torch.utils.checkpoint import checkpoint

import lossmith as lm
import lossmith.torch as lt
from lossmith import Loss
from lossmith.certify.samples import axis_of
from lossmith.core.memory import LARGE, SPARE
from lossmith.engines import choice
from lossmith.frameworks.torch import modules, quick
from tests.frameworks.test_torch import by_name, learning, tensors
from tests.laws.samples import EVERY, name_of

FORMS = [loss for loss in EVERY if loss._plain is not None and axis_of(loss) == -1]
"""Losses that have plain calls."""


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Note of each call whether it took the shorter way."""
    took: list[bool] = []

    class Noting(modules.Quick):
        def __call__(self, *given: Any) -> Any:
            found = super().__call__(*given)
            took.append(found is not None)
            return found

    with monkeypatch.context() as patch:
        patch.setattr(modules, "Quick", Noting)
        yield took


def costs(module: Any, given: dict[str, torch.Tensor], **more: Any) -> list[torch.Tensor]:
    """Return the cost of a call by names, and the gradients by what wants one."""
    learns = [x for x in given.values() if x.requires_grad]
    cost = module(**given, **more)
    return [cost.detach(), *(torch.autograd.grad(cost, learns, retain_graph=True) if learns else ())]


def same(left: list[torch.Tensor], right: list[torch.Tensor]) -> bool:
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize("loss", FORMS, ids=name_of)
def test_it_comes_to_the_bits_of_the_kernel(loss: Loss, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = {name: x.float() if x.is_floating_point() else x for name, x in tensors(loss, 30).items()}
    given = learning(loss, plain)
    with counting(monkeypatch) as took:
        module = lt.module(loss)
        found = [costs(module, given) for _ in range(2)]
        known, places = learning(loss, plain), module._order
        cost = module(*map(known.get, places)) if places else module(**known)
        found.append([cost.detach(), *torch.autograd.grad(cost, [x for x in known.values() if x.requires_grad])])
    assert took == [True] * 3
    assert all(ways.tried for ways in module._quick._met.values())  # functions that read tensors themselves
    arrays = {name: x.detach().numpy() for name, x in given.items()}
    with choice.using("llvm"):
        right, slopes = loss.cost_and_gradient(**arrays)
    expected = [torch.tensor(right, dtype=torch.float32), *map(torch.from_numpy, by_name(loss, slopes).values())]
    assert all(same(one, expected) for one in found)


@pytest.mark.parametrize("loss", [lm.Huber(), lm.Focal(), lm.KLDivergence()], ids=name_of)
def test_second_derivatives_are_those_of_the_long_way(loss: Loss) -> None:
    given, found = tensors(loss, 30), []
    for more in ({}, {"mask": torch.ones(30, dtype=torch.bool)}):
        known = learning(loss, given)
        ends = [known[item.name] for item in loss.predicted]
        slopes = torch.autograd.grad(lt.module(loss)(**known, **more), ends, create_graph=True)
        found.append([*slopes, *torch.autograd.grad(sum(slope.pow(2).sum() for slope in slopes), ends)])
    assert same(*found)


def test_a_gradient_that_is_asked_for_twice_is_nobody_elses() -> None:
    f, y = torch.tensor([0.5, 3.0, -2.0], requires_grad=True), torch.zeros(3)
    cost = lt.Huber()(f, y)
    first = torch.autograd.grad(cost, f, retain_graph=True)[0]
    right = first.clone()
    first.zero_()
    assert torch.equal(torch.autograd.grad(cost, f, retain_graph=True)[0], right)
    f.data.add_(1)
    with torch.no_grad():
        f.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        cost.backward()


def test_several_gradients_are_taken_at_once() -> None:
    f, y = torch.tensor([0.5, 3.0], requires_grad=True), torch.zeros(2)
    for more in ({}, {"mask": torch.tensor([True, True])}):
        (found,) = torch.autograd.grad(
            lt.Huber()(f, y, **more), f, torch.tensor([1.0, 2.0, 0.0]), is_grads_batched=True
        )
        assert torch.equal(found, torch.tensor([[0.25, 0.5], [0.5, 1.0], [0.0, 0.0]]))


def test_calls_are_told_apart() -> None:
    module = lt.Huber()
    torch.manual_seed(0)
    f = torch.randn(4, 6, dtype=torch.float64) * 3
    y = torch.zeros_like(f)
    for _ in range(2):
        for kind in (torch.float32, torch.float64):
            for rows in (1, 2, 4):
                for y_kind in (kind, torch.int8, torch.bool):
                    given = {"input": f[:rows].to(kind).requires_grad_(), "target": y[:rows].to(y_kind)}
                    with choice.using("llvm"):
                        right = costs(module, given, mask=torch.ones(rows, 6, dtype=torch.bool))
                    assert same(costs(module, given), right)
                    with torch.no_grad():
                        assert float(module(**given)) == float(right[0])
    with choice.using("numpy"):
        assert same(costs(module, given), costs(module, given, mask=torch.ones(4, 6, dtype=torch.bool)))


def test_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick, "MOST", 2)
    monkeypatch.setattr(quick, "TRIED", 1)
    module = lt.SquaredError()
    for kind in (torch.float32, torch.int8, torch.int16, torch.float32):
        for rows in (1, 2):
            assert float(module(torch.ones(rows), torch.zeros(rows, dtype=kind))) == 1
            (ways,) = module._quick._met.values()
            assert len(ways.tried) == 1
            assert len(ways.made) <= 2


def wrapped() -> torch.Tensor:
    """Return what is left of a tensor that a function of ``torch.func`` saw."""
    kept: list[torch.Tensor] = []
    torch.func.grad(lambda f: (kept.append(f), f.sum())[1])(torch.tensor([3.0, 1.0]))
    return kept[0]


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")
@pytest.mark.parametrize(
    "odd",
    [
        lambda: torch.tensor([[3.0, 9.0], [1.0, 9.0]])[:, 0],
        lambda: torch._neg_view(torch.tensor([-3.0, -1.0])),
        lambda: torch.frombuffer(b"." + np.array([3, 1], np.float32).tobytes(), dtype=torch.float32, offset=1),
        wrapped,
    ],
    ids=["strided", "negated", "misaligned", "left over"],
)
def test_what_lies_otherwise_is_seen_each_time(odd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with counting(monkeypatch) as took:
        module = lt.SquaredError()
        assert float(module(torch.zeros(2), torch.ones(2))) == 1
        assert float(module(odd(), torch.ones(2))) == 2
    assert took == [True, False]


def test_rows_that_lie_otherwise_are_seen_each_time() -> None:
    module, right = lt.SparseCategoricalCrossEntropy(), torch.nn.functional.cross_entropy
    torch.manual_seed(0)
    cube, labels = torch.randn(4, 4, 4) * 3, torch.arange(4)
    for z in (cube[0], cube[0, :2], cube[0].T, cube[:, 0], cube[0, :, :3], cube):  # classes are along the second axis
        y = labels[: len(z)] % z.shape[1]
        y = y if z.ndim == 2 else y.repeat(4, 1)
        torch.testing.assert_close(module(z, y), right(z, y))
    for z, y in ((cube[0], labels[:3]), (cube[0], labels[:, None]), (cube[0, 0], labels)):
        with pytest.raises(lm.ShapeError):
            module(z, y)


def test_what_they_hold_is_looked_at_each_time() -> None:
    rows, labels = torch.tensor([[-1.0, 2.0], [0.5, 3.0]]), torch.tensor([0, 1])
    module = lt.SparseCategoricalCrossEntropy()
    for kind in (torch.int64, torch.int32, torch.uint8):
        module(rows, labels.to(kind))
        with pytest.raises(lm.DomainError, match="target"):
            module(rows, labels.to(kind) + 1)
    for classes, learns in ((2, False), (100, True)):  # rows in lanes, and one row after the other
        wide = torch.linspace(-1, 1, 2 * classes).reshape(2, classes).requires_grad_(learns)
        module(wide, labels)
        for beyond in (-1, classes, 2**60):
            with pytest.raises(lm.DomainError):
                module(wide, torch.tensor([1, beyond]))
    shares = lt.SparseCategoricalCrossEntropy(prediction="probabilities")  # whose kernel does not look at labels
    for count in (2, 300):
        halves, many = torch.full((count, 2), 0.5), torch.zeros(count, dtype=torch.int64)
        assert float(shares(halves, many)) == pytest.approx(math.log(2))
        many[0] = 2
        with pytest.raises(lm.DomainError):
            shares(halves, many)
    with pytest.warns(UserWarning, match=r"all values lie in \[0, 1\]"):
        module(torch.tensor([[0.25, 0.75], [0.5, 0.5]]), labels)
    binary, f, y = lt.BinaryCrossEntropy(), torch.linspace(-1, 1, 32), torch.ones(32)
    binary(f, y)
    with pytest.warns(UserWarning, match=r"all 32 values lie in \[0, 1\]"):
        binary(f.abs(), y)
    with pytest.raises(lm.DomainError, match="target"):
        binary(f, y * 3)


def test_threads_keep_out_of_each_others_way() -> None:
    module = lt.Huber()
    pairs = [(torch.full((16_384,), float(n)), torch.zeros(16_384)) for n in range(2, 6)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(100):
            found = list(pool.map(lambda pair: float(module(*pair)), pairs * 4))
            assert found == [n - 0.5 for n in range(2, 6)] * 4


@pytest.mark.parametrize(
    "change",
    [
        lambda f, y: (f.half(), y),
        lambda f, y: (f, y.bfloat16()),
        lambda f, y: (f, y.double()),
        lambda f, y: (f, y[:2]),
        lambda f, y: (f[:0], y[:0]),
        lambda f, y: (f * torch.nan, y),
    ],
)
def test_what_is_not_plain_goes_the_long_way(change: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    f, y = change(torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 1.0, 0.0]))
    said = []
    with counting(monkeypatch) as took:
        module = lt.Huber()
        for call in (lambda: module(f, y), lambda: module(input=f, target=y)):
            try:
                said.append(str(call()))
            except lm.LossmithError as error:
                said.append(str(error))
    assert took == [False] * 2
    assert said[0] == said[1]


def test_a_target_that_wants_a_gradient_is_refused() -> None:
    with pytest.raises(lm.KindError, match="requires a gradient"):
        lt.Huber()(torch.zeros(2), torch.zeros(2, requires_grad=True))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.* is deprecated:DeprecationWarning")  # by PyTorch itself
def test_tangents_are_not_lost() -> None:
    f = torch.tensor([0.0, 3.0], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0.5, 0.5], dtype=torch.float64)
    for here in (f, f.detach()):  # what carries a tangent need not want a gradient
        with forward_ad.dual_level():
            cost = lt.Huber()(forward_ad.make_dual(here, torch.ones_like(f)), y)
            assert float(forward_ad.unpack_dual(cost).tangent.detach()) == 0.25
    with forward_ad.dual_level(), pytest.raises(lm.KindError, match=r"target\.detach\(\)"):
        lt.Huber()(f, forward_ad.make_dual(y, torch.ones_like(y)))


def test_nothing_is_kept_alive() -> None:
    gc.disable()  # what refers to itself would stay
    try:
        f = torch.zeros(4, requires_grad=True)
        scores = f * 2
        gone = weakref.ref(scores)
        cost = lt.SquaredError()(scores, torch.ones(4))
        cost.backward()
        del scores, cost
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("options", [{}, {"weight": torch.rand(30) + 0.5}], ids=["short way", "long way"])
def test_a_checkpoint_keeps_nothing_as_large_as_the_scores(options: dict[str, torch.Tensor]) -> None:
    head, criterion = torch.nn.Linear(4, 50), lt.SparseCategoricalCrossEntropy()
    f, y = torch.randn(30, 4, requires_grad=True), torch.arange(30)

    def cost_of(features: torch.Tensor) -> torch.Tensor:
        return criterion(head(features), y, **options)

    cost = checkpoint(cost_of, f, use_reentrant=False)
    kept = [x for x in gc.get_objects() if type(x) is torch.Tensor and x.shape == (30, 50)]
    assert not kept
    (found,) = torch.autograd.grad(cost, f)
    assert torch.equal(found, *torch.autograd.grad(cost_of(f), f))


def test_tensors_that_nobody_tells_of_go_by_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick, "_EXPORT", 0)  # as where a library keeps another table
    f, y = torch.linspace(-3, 3, 30, requires_grad=True), torch.zeros(30)
    with counting(monkeypatch) as took:
        module = lt.Huber()
        found = [costs(module, {"input": f, "target": y}) for _ in range(3)]
    assert took == [True] * 3
    for cost, slope in found:
        np.testing.assert_allclose(cost, lm.Huber().cost(y.numpy(), f.detach().numpy()), rtol=1e-6)
        np.testing.assert_allclose(slope, lm.Huber().cost_and_gradient(y.numpy(), f.detach().numpy())[1], rtol=1e-6)


@pytest.mark.parametrize("count", [40, 140_000])
@pytest.mark.parametrize("loss", [lm.GaussianNLL(), lm.KLDivergence(), lm.AlphaDivergence()], ids=str)
def test_gradients_that_nobody_wants_are_not_computed(loss: Loss, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {}
    for place, item in enumerate(loss.inputs):
        drawn = torch.linspace(0.1, 2, count).add(place).sin().abs().add(0.1)
        given[item.name] = drawn if loss.row_axis is None else drawn.reshape(-1, 10).softmax(-1)
    asked: list[set[str]] = []
    way: Any = type(loss._plain)
    original = way._compute

    def spied(plain: Any, columns: Any, into: dict[str, Any], mean: bool) -> Any:
        asked.append(set(into))
        return original(plain, columns, into, mean)

    monkeypatch.setattr(way, "_compute", spied)
    found = []
    for wanted in ([item.name for item in loss.predicted], [loss.predicted[-1].name]):
        leaves = {name: x.clone().requires_grad_(name in wanted) for name, x in given.items()}
        lt.module(loss)(**leaves).backward()
        found.append(leaves[loss.predicted[-1].name].grad)
        assert [name for name, leaf in leaves.items() if leaf.grad is not None] == wanted
    torch.testing.assert_close(*found)
    assert asked[-1:] == [{f"gradient:{loss.predicted[-1].symbol}"}] * (count > 40)  # few went a shorter way


@pytest.mark.skipif(not SPARE.can_keep, reason="this system has no mark for memory that is free")
def test_large_gradients_of_a_loop_lie_in_memory_that_is_kept() -> None:
    SPARE.clear()
    f = torch.zeros(LARGE // 4, requires_grad=True)
    lt.Huber()(f, torch.ones(LARGE // 4)).backward()
    assert SPARE.kept == 0
    f.grad = None
    assert SPARE.kept >= LARGE
    SPARE.clear()

"""Plain calls of modules take a shorter way to the same bits."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.autograd import forward_ad

import lossmith as lm
import lossmith.torch as lt
from lossmith import Loss
from lossmith.certify.samples import axis_of
from lossmith.frameworks.torch import modules
from tests.frameworks.test_torch import learning, tensors
from tests.laws.samples import EVERY, name_of

FORMS = [loss for loss in EVERY if loss.paired and loss._plain is not None and axis_of(loss) == -1]
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


@pytest.mark.parametrize("loss", FORMS, ids=name_of)
def test_it_comes_to_the_same_bits(loss: Loss, monkeypatch: pytest.MonkeyPatch) -> None:
    for reduction, kind in (("mean", torch.float32), ("sum", torch.float64)):
        given = {name: x.to(kind) if x.is_floating_point() else x for name, x in tensors(loss, 30).items()}
        found = []
        with counting(monkeypatch) as took:
            module = lt.module(loss, reduction=reduction)
            for short in (True, False):
                known = learning(loss, given)
                pair = (known["y_pred"], known["y_true"])
                cost = module(*pair) if short else module(input=pair[0], target=pair[1])
                (slope,) = torch.autograd.grad(cost, pair[:1], create_graph=True)
                found.append((cost, slope, *torch.autograd.grad(slope.sum(), pair[:1], allow_unused=True)))
        assert took == [True]
        for short, long in zip(*found, strict=True):
            assert (short is None and long is None) or (short.dtype == long.dtype and torch.equal(short, long))


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
    assert took == [False]
    assert said[0] == said[1]


def test_a_target_that_wants_a_gradient_is_refused() -> None:
    with pytest.raises(lm.KindError, match="requires a gradient"):
        lt.Huber()(torch.zeros(2), torch.zeros(2, requires_grad=True))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.* is deprecated:DeprecationWarning")  # by PyTorch itself
def test_tangents_are_not_lost() -> None:
    f = torch.tensor([0.0, 3.0], dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0.5, 0.5], dtype=torch.float64)
    with forward_ad.dual_level():
        cost = lt.Huber()(forward_ad.make_dual(f, torch.ones_like(f)), y)
        assert float(forward_ad.unpack_dual(cost).tangent.detach()) == 0.25


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

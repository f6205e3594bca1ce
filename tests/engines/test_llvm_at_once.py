"""Threads that share losses: each gets its own numbers, to the bit, from the first call on.

Kernels run outside Python's lock, and without one in free-threaded Python: whatever a call keeps for the next, two
calls could be in at once.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import llvmlite.binding as llvm
import numpy as np
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.certify.samples import sample
from lossmith.engines import choice
from lossmith.engines.llvm import compile as compiler
from lossmith.engines.llvm import divergence_kernel, kernel, mixture_kernel, row_kernel, threads
from tests.laws.samples import each_part, name_of

Call = Callable[[], Any]

CALLERS = 4

LOSSES = (
    lm.Asymmetric(),
    lm.GaussianNLL(),
    lm.SparseCategoricalCrossEntropy(),
    lm.SoftmaxFocal(gamma=0.5, label_smoothing=0.1),
    lm.KLDivergence(q_kind="logits"),
)


@pytest.fixture(autouse=True)
def _in_turns() -> Iterator[None]:
    """Let threads take turns as often as can be, where only one runs at a time."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
        threads.set_num_threads(None)


def all_at_once(works: Sequence[Call]) -> None:
    """Run each in a thread of its own, all from the same moment on, and raise what went wrong in any."""
    gate, errors = threading.Barrier(len(works), timeout=60), []

    def run(work: Call) -> None:
        try:
            gate.wait()
            work()
        except BaseException as error:
            errors.append(error)

    running = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    if errors:
        raise errors[0]


def forget_kernels() -> None:
    """Let the next calls be the first: kernels come from the disk again, or are compiled."""
    kernel.kernel.clear()
    kernel.ready.cache_clear()
    row_kernel.row_kernel.clear()
    mixture_kernel.mixture_kernel.clear()
    divergence_kernel.divergence_kernel.clear()


def given(loss: Loss, size: int, caller: int, dtype: Any) -> dict[str, Any]:
    """Return arrays that are another's for each caller."""
    whole = sample(loss, size * CALLERS)
    part = slice(size * caller, size * (caller + 1))
    return {name: x[part].astype(dtype) if x.dtype.kind == "f" else x[part] for name, x in whole.items()}


def bits(found: Any) -> list[bytes]:
    """Return a cost and its gradients as bytes."""
    cost, slopes = found
    return [np.float64(cost).tobytes(), *(slope.tobytes() for _, slope in each_part(slopes))]


@pytest.mark.parametrize("loss", LOSSES, ids=name_of)
def test_calls_of_a_shared_loss(loss: Loss) -> None:
    share(loss)


def test_calls_of_a_shared_loss_on_numpy() -> None:
    with choice.using("numpy"):
        share(lm.GaussianNLL())


def share(loss: Loss) -> None:
    """Let threads call a loss, of few numbers and many, with weights and without: each finds what it finds alone."""
    sizes = (7, 5000, 40_000)  # what there is a kept frame for, short and long, and blocks for the pool
    arrays = [[given(loss, size, caller, np.float32) for size in sizes] for caller in range(CALLERS)]
    right = [[bits(loss.replace().cost_and_gradient(**each)) for each in own] for own in arrays]
    weights = [np.linspace(1, 2, len(next(iter(own[0].values())))) for own in arrays]
    weighted = [loss.cost(**own[0], weight=weight) for own, weight in zip(arrays, weights, strict=True)]
    forget_kernels()
    shared = loss.replace()

    def call(caller: int) -> None:
        for turn in range(60):
            which = 2 if turn % 20 == 0 else turn % 2
            assert bits(shared.cost_and_gradient(**arrays[caller][which])) == right[caller][which]
            if turn % 5 == 0:
                threads.set_num_threads(1 + (turn + caller) % 3)
                assert shared.cost(**arrays[caller][0], weight=weights[caller]) == weighted[caller]

    all_at_once([lambda caller=caller: call(caller) for caller in range(CALLERS)])


def test_llvm_is_used_under_the_lock_that_forks_wait_for_alone() -> None:
    @compiler.kept(1)
    def make(number: int) -> Callable[[], int]:
        text = f"define i64 @number() {{ ret i64 {number} }}"
        return compiler.function(text, "number", ctypes.CFUNCTYPE(ctypes.c_int64))

    held: list[bool] = []

    def look() -> None:
        held.append(compiler._making._lock._is_owned())  # type: ignore[attr-defined]

    llvm.ffi.register_lock_callback(look, int)
    try:
        first = make(1)
        assert (make(2)(), first()) == (2, 1)
        del first  # its code goes, but not here and now
        assert make(3)() == 3
    finally:
        llvm.ffi.unregister_lock_callback(look, int)
    assert len(held) > 10
    assert all(held)

"""Blocks that threads share in machine code: each is taken once, and nobody leaves before the others."""

from __future__ import annotations

import ctypes
import threading
import time

import numpy as np
import pytest

import lossmith as lm

pytest.importorskip("llvmlite")

from lossmith.engines.llvm import shares, threads
from lossmith.engines.llvm.threads import Share

KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_double, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


def kernel(found: list[tuple[float, int, int, int]]) -> ctypes._FuncPointer:
    """Return a kernel that writes down what it is called with."""
    return KERNEL(lambda *given: found.append(given))


def call(function: ctypes._FuncPointer, share: Share, most: int) -> int:
    shared = shares.shared(("double", "i64"))
    return int(shared(ctypes.cast(function, ctypes.c_void_p), ctypes.addressof(share), most, 0.5, 7))


def test_blocks_are_taken_in_steps_until_it_is_enough_or_none_is_left() -> None:
    found: list[tuple[float, int, int, int]] = []
    function, share = kernel(found), Share(blocks=10, step=4)
    assert call(function, share, 1) == 1
    assert found == [(0.5, 7, 0, 4)]
    assert call(function, share, 5) == 1
    assert call(function, share, 100) == 0
    assert found == [(0.5, 7, 0, 4), (0.5, 7, 4, 8), (0.5, 7, 8, 10)]
    assert call(function, share, 100) == 0
    assert len(found) == 3
    assert share.active == 0


def test_each_block_is_taken_by_one_thread() -> None:
    found: list[tuple[float, int, int, int]] = []
    function, share = kernel(found), Share(blocks=2000, step=1)
    helpers = [threading.Thread(target=call, args=(function, share, 10**9)) for _ in range(4)]
    for helper in helpers:
        helper.start()
    for helper in helpers:
        helper.join()
    assert sorted(first for *_, first, _ in found) == list(range(2000))


def test_who_calls_waits_for_others_and_leaves_nothing_to_take() -> None:
    left: list[int] = []

    def slow(*given: float) -> None:
        time.sleep(0.1)
        left.append(1)

    function, share = KERNEL(slow), Share(blocks=9, step=1)
    helper = threading.Thread(target=call, args=(function, share, 10**9))
    helper.start()
    while not share.active:
        time.sleep(0.001)
    shares.settle(share)
    assert left == [1]
    helper.join()
    assert left == [1]


@pytest.mark.parametrize("weighted", [False, True])
def test_results_do_not_depend_on_how_blocks_are_shared(weighted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    n = 70 * 16_384 + 5000
    y, f = rng.integers(0, 2, n) * 1.0, rng.normal(size=n)
    logits, labels = rng.normal(size=(30_000, 10)), rng.integers(0, 10, 30_000)
    weight = rng.uniform(size=n) if weighted else None
    heavy = rng.uniform(size=30_000) if weighted else None
    found = []
    try:
        for number, step in ((1, 8), (2, 1), (3, 8), (7, 3)):
            lm.set_num_threads(number)
            monkeypatch.setattr(threads, "STEP", step)
            monkeypatch.setattr(threads, "PARTS", 1)
            numbers = lm.BinaryCrossEntropy().cost_and_gradient(y, f, weight=weight)
            rows = lm.SparseCategoricalCrossEntropy().cost_and_gradient(labels, logits, weight=heavy)
            found.append((numbers[0], numbers[1].tobytes(), rows[0], rows[1].tobytes()))
    finally:
        lm.set_num_threads(None)
    assert len(set(found)) == 1

"""Memory of large results: the next ones lie in it when they are gone, and never before."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.core import memory
from lossmith.core.memory import LARGE, SPARE, Spare, bytes_for

Array = np.ndarray[Any, Any]

pytestmark = pytest.mark.skipif(not SPARE.can_keep, reason="this system has no mark for memory that is free")


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    SPARE.clear()
    yield
    SPARE.clear()


def begin(array: Array) -> int:
    return int(array.ctypes.data)


def test_gradients_of_a_loop_lie_in_the_same_memory() -> None:
    y, f = np.zeros(LARGE // 4, np.float32), np.ones(LARGE // 4, np.float32)
    pages = set()
    for _ in range(3):
        cost, gradient = lm.Huber().cost_and_gradient(y, f)
        assert (cost, gradient[0] * y.size) == (0.5, 1)
        pages.add(begin(gradient) // 4096)
        del gradient
    assert len(pages) <= 2  # results begin elsewhere in their page each time
    assert SPARE.kept >= LARGE


def test_what_is_still_seen_is_not_lent_again() -> None:
    first = bytes_for(LARGE)
    first[:] = 1
    view = first[LARGE // 2 :].view(np.float32)[::2]
    del first
    assert SPARE.kept == 0
    second = bytes_for(LARGE)
    second[:] = 2
    assert np.all(view.view(np.uint32) == 0x01010101)
    del view
    assert SPARE.kept == LARGE


def test_little_is_left_to_the_allocator() -> None:
    bytes_for(LARGE - 1)
    assert SPARE.kept == 0


def test_a_block_serves_sizes_near_its_own() -> None:
    bytes_for(LARGE + LARGE // 8)
    near = bytes_for(LARGE)
    assert (near.size, SPARE.kept) == (LARGE, 0)
    del near
    other = bytes_for(2 * LARGE)
    assert SPARE.kept == LARGE + LARGE // 8
    del other
    SPARE.clear()
    bytes_for(2 * LARGE)
    small = bytes_for(LARGE)
    assert (small.size, SPARE.kept) == (LARGE, 2 * LARGE)


def test_the_oldest_go_where_too_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "KEPT", 3 * LARGE)
    held = [bytes_for(LARGE) for _ in range(3)]
    first = begin(held[0])
    held.append(bytes_for(LARGE))
    while held:
        del held[0]
    assert SPARE.kept == 3 * LARGE
    assert first not in {begin(array) for array in [bytes_for(LARGE) for _ in range(3)]}
    bytes_for(3 * LARGE + 1)
    assert SPARE.kept == 3 * LARGE


def test_the_system_may_take_pages_that_are_kept() -> None:
    if not Path("/proc/self/smaps_rollup").exists():
        pytest.skip("only Linux says what it may take")
    array = bytes_for(LARGE)
    array[:] = 1
    before = _free_to_take()
    del array
    assert _free_to_take() - before >= 0.9 * LARGE


def _free_to_take() -> int:
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("LazyFree"))


def test_nothing_is_kept_that_cannot_be_marked() -> None:
    spare = Spare()
    spare._mark = lambda block: False
    spare.lend(LARGE)
    assert spare.kept == 0


def test_what_is_kept_goes_before_memory_is_said_to_be_short() -> None:
    bytes_for(LARGE)
    assert SPARE.kept == LARGE
    with pytest.raises(MemoryError):
        bytes_for(1 << 60)
    assert SPARE.kept == 0


def test_a_block_that_another_thread_takes_first_is_not_lent_twice() -> None:
    spare, taken = Spare(), list[Array]()

    class Overtaken(dict[int, Any]):
        def items(self) -> Any:
            found = list(super().items())
            if not taken:
                taken.append(np.empty(0))
                taken[0] = spare.lend(LARGE)
            return found

    first = begin(spare.lend(LARGE))
    spare._blocks = Overtaken(spare._blocks)
    mine = spare.lend(LARGE)
    assert begin(taken[0]) == first
    assert not np.shares_memory(taken[0], mine)


def test_threads_never_share_a_block() -> None:
    def work(mark: int) -> bool:
        fine = True
        for _ in range(100):
            mine = bytes_for(LARGE)[:: LARGE // 4]
            mine[:] = mark
            fine = fine and bool(np.all(mine == mark))
            del mine
        return fine

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(work, range(1, 9)))
    finally:
        sys.setswitchinterval(interval)
    assert SPARE.kept >= LARGE


def test_a_process_ends_while_results_live() -> None:
    code = (
        "import numpy as np, lossmith as lm; n = 1 << 23;"
        "kept = lm.Huber().gradient(np.zeros(n, 'f4'), np.ones(n, 'f4')); print(float(kept[0]))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == ("1.0", "")

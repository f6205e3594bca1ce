"""Threads: the same result for any number of them, errors and interrupts that end a call, forks."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time

import pytest

import lossmith as lm
from lossmith.engines.llvm import threads


@pytest.fixture(autouse=True)
def _as_before() -> object:
    yield
    threads.set_num_threads(None)


def covered(blocks: int, least: int = 1) -> list[tuple[int, int]]:
    """Return the stretches that are worked on, in order."""
    found: list[tuple[int, int]] = []
    threads.run(lambda first, last: found.append((first, last)), blocks, least)
    return sorted(found)


@pytest.mark.parametrize("number", [1, 2, 3, 7])
@pytest.mark.parametrize("blocks", [1, 2, 5, 100, 5000])
def test_every_block_is_worked_on_once(number: int, blocks: int) -> None:
    threads.set_num_threads(number)
    found = covered(blocks)
    assert found[0][0] == 0
    assert found[-1][1] == blocks
    assert all(a[1] == b[0] for a, b in itertools.pairwise(found))
    assert len(found) >= min(number, blocks)


def test_little_work_stays_on_the_caller_s_thread() -> None:
    threads.set_num_threads(4)
    seen: set[str] = set()
    threads.run(lambda first, last: seen.add(threading.current_thread().name), 7, 4)
    assert seen == {threading.current_thread().name}


def test_work_really_runs_at_once() -> None:
    threads.set_num_threads(2)
    meeting = threading.Barrier(2, timeout=10)
    threads.run(lambda first, last: meeting.wait() and None, 2, 1)


def test_an_error_in_any_thread_is_the_caller_s_and_the_pool_goes_on() -> None:
    threads.set_num_threads(3)

    def work(first: int, last: int) -> None:
        if last == 9:
            raise ValueError("the last one")

    with pytest.raises(ValueError, match="the last one"):
        threads.run(work, 9, 1)
    assert covered(9)[-1][1] == 9


def test_an_interrupt_ends_a_long_call_before_its_end() -> None:
    threads.set_num_threads(2)
    calls: list[int] = []

    def work(first: int, last: int) -> None:
        calls.append(first)
        time.sleep(0.01)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        threads.run(work, 1000 * threads.SLICE, 1)
    assert len(calls) < 200
    assert covered(4)[-1][1] == 4


def test_the_environment_decides_unless_someone_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for given, expected in (("3", 3), ("2,1", 2), (" 5 ", 5)):
        monkeypatch.setenv("OMP_NUM_THREADS", given)
        assert threads.get_num_threads() == expected
    for given in ("", "many", "0"):
        monkeypatch.setenv("OMP_NUM_THREADS", given)
        assert threads.get_num_threads() >= 1
    threads.set_num_threads(6)
    assert threads.get_num_threads() == 6


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "2"])
def test_other_numbers_are_refused(number: object) -> None:
    with pytest.raises(lm.ParameterError, match="must be a whole number of at least 1"):
        threads.set_num_threads(number)  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_makes_its_own_threads() -> None:
    threads.set_num_threads(2)
    assert covered(8)[-1][1] == 8
    child = os.fork()
    if child == 0:
        os._exit(0 if covered(8)[-1][1] == 8 else 1)
    deadline = time.time() + 20
    while time.time() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the child hangs")


def test_many_callers_at_once() -> None:
    threads.set_num_threads(3)
    totals: list[int] = []

    def call() -> None:
        found: list[int] = []
        for _ in range(30):
            threads.run(lambda first, last: found.append(last - first), 60, 1)
        totals.append(sum(found))

    callers = [threading.Thread(target=call) for _ in range(6)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(20)
    assert totals == [30 * 60] * 6

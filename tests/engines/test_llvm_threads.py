"""Threads: the same result for any number of them, errors and interrupts that end a call, forks."""

from __future__ import annotations

import itertools
import signal
import threading
import time
import weakref

import pytest

import lossmith as lm
from lossmith.engines.llvm import threads
from tests.engines import child


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


def test_an_interrupt_ends_a_long_call_once_the_others_have_let_go() -> None:
    threads.set_num_threads(2)
    calls: list[int] = []
    at_work: set[int] = set()
    number = itertools.count()

    def work(first: int, last: int) -> None:
        calls.append(first)
        at_work.add(first)
        try:  # the interrupt may come here, in the caller's own part
            time.sleep(0.02)
        finally:
            at_work.remove(first)
        if next(number) == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        threads.run(work, 10**9, 1)
    assert not at_work
    assert len(calls) < 20
    assert covered(4)[-1][1] == 4


def test_a_slow_call_looks_up_often_and_a_fast_one_seldom() -> None:
    threads.set_num_threads(1)
    sizes: list[int] = []

    def work(first: int, last: int) -> None:
        sizes.append(last - first)
        time.sleep((last - first) * 1e-3)

    threads.run(work, 600, 1)
    assert max(sizes[1:]) <= 1000 * threads.PAUSE
    sizes.clear()
    threads.run(lambda first, last: sizes.append(last - first), 10**6, 1)
    assert len(sizes) < 10


LONG = """
import threading, time
loss, (y, f) = lm.Asymmetric(), data(1 << 22)
y = (y > 0).astype(np.float32)
out = np.empty_like(f)
with choice.using("llvm"):
    right = loss.cost_and_gradient(y[: 1 << 20], f[: 1 << 20])
    lm.set_num_threads(2)
    print("ready", flush=True)
    try:
        while True:
            began = time.monotonic()
            loss.cost_and_gradient(y, f, out=out)
    except KeyboardInterrupt:
        written = out.copy()
        time.sleep(0.2)
        print("quiet" if np.array_equal(written, out, equal_nan=True) else "still written", flush=True)
    again = loss.cost_and_gradient(y[: 1 << 20], f[: 1 << 20])
    print("same" if again[0] == right[0] and np.array_equal(again[1], right[1]) else "not the same")
"""


def test_a_real_interrupt_is_met_soon_and_the_next_call_is_right() -> None:
    process = child.start(LONG)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for _ in range(2):
        time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    assert child.end(process, timeout=20)[0] == "quiet\nsame\n"


def test_calls_from_within_calls_end() -> None:
    threads.set_num_threads(3)
    seen: list[int] = []

    def inner(first: int, last: int) -> None:
        seen.append(last - first)

    threads.run(lambda first, last: [threads.run(inner, 30, 1) for _ in range(first, last)] and None, 30, 1)
    assert sum(seen) == 900


def test_more_threads_join_those_that_are_there() -> None:
    def working() -> int:
        return sum(thread.name == "lossmith" for thread in threading.enumerate())

    for number in (2, 5, 3, 5, 4):
        threads.set_num_threads(number)
        assert covered(40)[-1][1] == 40
    first = working()
    assert first >= 4
    threads.set_num_threads(first + 3)
    assert covered(40)[-1][1] == 40
    assert working() == first + 2


def test_what_a_call_needed_is_let_go_of() -> None:
    threads.set_num_threads(4)

    class Big:
        pass

    big = Big()
    gone = weakref.ref(big)

    def work(first: int, last: int, held: object = big) -> None:
        time.sleep(0.001)

    threads.run(work, 8, 1)
    del work, big
    assert gone() is None


def test_without_threads_the_caller_works_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    threads.set_num_threads(50)
    assert covered(100)[-1][1] == 100


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


FORKS = """
import multiprocessing, threading

def cost(part):
    y, f = data(1 << 20)
    with choice.using("llvm"):
        return loss_.cost(y, f), loss_.gradient(y, f).tobytes(), threading.active_count()

loss_ = lm.Huber()
if __name__ == "__main__":
    lm.set_num_threads(3)
    stop = threading.Event()

    def compile_all_the_while():
        from lossmith.engines.llvm import compile as compiler
        while not stop.is_set():
            compiler.kept(1)(lambda: compiler.build("define i64 @one() { ret i64 1 }"))()

    right = cost(0)
    busy = threading.Thread(target=compile_all_the_while)
    busy.start()
    context = multiprocessing.get_context("fork")
    for _ in range(3):
        with context.Pool(3) as pool:
            for found in pool.map(cost, range(6)):
                assert found[:2] == right[:2]
                assert found[2] >= 3
    child = os.fork()
    if child == 0:
        os._exit(0 if lm.Quantile(0.3).cost(*data(1 << 20)) == lm.Quantile(0.3).cost(*data(1 << 20)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    stop.set()
    busy.join()
    assert cost(0)[:2] == right[:2]
    print("right")
"""


def test_a_child_makes_its_own_threads_even_when_forked_during_a_compilation() -> None:
    assert child.run(FORKS)[0] == "right\n"


AT_THE_END = """
import atexit

loss, (y, f) = lm.Asymmetric(), data(1 << 19)
y = (y > 0).astype(np.float32)
choice._forced = "llvm"
lm.set_num_threads(2)

atexit.register(lambda: os.write(1, b"%.6f " % loss.cost(y, f)))
os.write(1, b"%.6f " % loss.cost(y, f))
"""

ALL_THE_WHILE = """
import itertools, threading, time
from lossmith.engines.llvm import compile as compiler, loops

loss, (y, f) = lm.LogCosh(), data(1 << 20)

def call():
    while True:
        loss.cost_and_gradient(y, f)

program = lm.Asymmetric().part("value", "gradient:f", "hessian:f,f", "valid")
form = loops.Form("float", ("value", "gradient:f", "hessian:f,f"), True)
text = loops.pointwise(program, form, compiler.host().bits // 32, 64)

@compiler.kept(1)
def kernel(number):
    return compiler.build(text)

def compile_kernels():
    for number in itertools.count():
        kernel(number)
        time.sleep(0.001)

for target in (call, compile_kernels):
    threading.Thread(target=target, daemon=True).start()
time.sleep(0.1)
"""


def test_the_last_calls_of_a_process_are_right() -> None:
    costs = child.run(AT_THE_END)[0].split()
    assert len(costs) == 2
    assert len(set(costs)) == 1


def test_a_process_ends_while_its_threads_call_and_compile() -> None:
    for process in [child.start(ALL_THE_WHILE) for _ in range(4)]:
        assert child.end(process) == ("", "")


def test_the_number_of_threads_needs_no_compiler() -> None:
    script = """
    sys.modules["llvmlite"] = None
    lm.set_num_threads(np.int64(3))
    print(lm.get_num_threads(), "lossmith.engines.llvm.compile" in sys.modules)
    """
    assert child.run(script)[0] == "3 False\n"


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

"""Threads for kernels, which run outside Python's lock: each takes stretches of the blocks.

The pool is made at the first long call and grows when more threads are asked for. After a fork the child
has none of its parent's threads, so it makes its own. How work is split never changes a result: sums are
taken block by block.
"""

from __future__ import annotations

import ctypes
import itertools
import operator
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, SupportsIndex

from lossmith.engines.forks import ForkLock
from lossmith.errors import ParameterError

Work = Callable[[int, int], None]
Shared = Callable[[int, int], int]
"""Takes blocks of a share, given its address and how many blocks are enough, and returns whether some may be left."""

SLICE = 32
"""Blocks that a thread works on before it first looks up."""

STEP, PARTS = 8, 16
"""The most blocks that are taken at a time as a rule, and into how many parts a thread's share falls if it can."""

PAUSE = 0.03
"""Seconds that it works from then on before it looks up again, which is when an interrupt is met."""


class Share(ctypes.Structure):
    """Blocks that threads take by counting; see ``shares``.

    Attributes:
        next: the next block to take.
        active: how many threads may be at work.
        blocks: how many blocks there are.
        step: how many are taken at a time.
    """

    _fields_ = (
        ("next", ctypes.c_int64), ("active", ctypes.c_int64), ("blocks", ctypes.c_int64), ("step", ctypes.c_int64),
    )  # fmt: skip


class _Blocks(Protocol):
    """The blocks of a call, which threads take."""

    def take(self, most: int) -> bool:
        """Work on so many blocks, at most, and return whether some may be left."""

    def at_work(self) -> AbstractContextManager[Any]:
        """Return what a helper holds as long as it may be at work, where it has to be waited for."""

    def settle(self) -> None:
        """Leave nothing to take, and wait until nobody is at work."""


class _Parts:
    """Stretches of blocks, for work that is Python's.

    No counter is kept that an interrupt could leave wrong: what is taken has left the queue of parts, and a
    helper holds its lock as long as it may be at work.
    """

    def __init__(self, work: Work, blocks: int, parts: int) -> None:
        self._work: Work | None = work
        edges = [blocks * place // parts for place in range(parts + 1)]
        self._left = deque(itertools.pairwise(edges))
        self._helpers: list[threading.Lock] = []

    def take(self, most: int) -> bool:
        """Work on the beginning of a part, and put back the rest."""
        try:
            first, last = self._left.popleft()
        except IndexError:
            return False
        stop = min(first + most, last)
        if stop < last:
            self._left.appendleft((stop, last))
        if self._work is not None:
            self._work(first, stop)
        return True

    def at_work(self) -> threading.Lock:
        """Return a lock, which is held already when it is waited for."""
        lock = threading.Lock()
        self._helpers.append(lock)
        return lock

    def settle(self) -> None:
        """Take all that is left, wait for locks, and keep no arrays alive for who comes too late to help."""
        self._left.clear()
        for at_work in self._helpers:
            with at_work:
                pass
        self._work = None


class _Counted:
    """Blocks that are counted, for work that machine code does."""

    def __init__(self, shared: Shared, blocks: int, threads: int, step: int) -> None:
        self._shared: Shared | None = shared
        self._share = Share(blocks=blocks, step=max(1, min(step, blocks // (PARTS * threads))))

    def take(self, most: int) -> bool:
        """Have the kernel take blocks."""
        shared = self._shared
        return shared is not None and shared(ctypes.addressof(self._share), most) != 0

    def at_work(self) -> AbstractContextManager[Any]:
        """Return nothing: kernels count who is at work."""
        return nullcontext()

    def settle(self) -> None:
        """Leave nothing to take, and watch the counter; see ``_Parts.settle``."""
        from lossmith.engines.llvm.shares import settle

        settle(self._share)
        self._shared = None


class _Job:
    """A call, worked on by whoever is free: by its caller, if need be alone."""

    def __init__(self, blocks: _Blocks) -> None:
        self._blocks = blocks
        self._errors: list[BaseException] = []
        self._given_up = False

    def help(self) -> None:
        """Take blocks on another thread than the caller's."""
        with self._blocks.at_work():
            try:
                self._take()
            except BaseException as error:  # it belongs to the caller
                self._give_up(error)

    def run(self, waiting: queue.SimpleQueue[Callable[[], None]], helpers: int) -> None:
        """Call helpers, take blocks until none is left, wait for who helped, and raise what went wrong first.

        The arrays belong to the call: not even an interrupt ends it before others have let go of them.
        """
        while True:
            try:
                if not self._given_up:
                    for _ in range(helpers):
                        waiting.put(self.help)
                    self._take()
                self._blocks.settle()
                break
            except BaseException as error:  # an interrupt, most likely
                self._give_up(error)
        if self._errors:
            raise self._errors.pop(0)

    def _give_up(self, error: BaseException) -> None:
        self._errors.append(error)
        self._given_up = True

    def _take(self) -> None:
        size, more = SLICE, True
        while more and not self._given_up:
            begun = time.perf_counter()
            more = self._blocks.take(size)
            took = time.perf_counter() - begun
            size = max(1, int(min(8.0, PAUSE / max(took, 1e-9)) * size))


class _Pool:
    """Threads that wait for work."""

    def __init__(self) -> None:
        self.waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._threads = 0
        self._lock = ForkLock()

    def grow(self, threads: int) -> int:
        """Have at least so many threads, if the system grants them, and return how many there are."""
        if self._threads < threads:
            with self._lock:
                try:
                    while self._threads < threads:
                        threading.Thread(target=_serve, args=(self.waiting,), name="lossmith", daemon=True).start()
                        self._threads += 1
                except RuntimeError:  # a limit is reached, or the interpreter ends; the caller works all the same
                    pass
        return self._threads

    def forget(self) -> None:
        """Begin anew, as after a fork."""
        self.waiting, self._threads = queue.SimpleQueue(), 0


def _serve(waiting: queue.SimpleQueue[Callable[[], None]]) -> None:
    while True:
        waiting.get()()


_pool = _Pool()
_chosen: int | None = None

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.forget)


def get_num_threads() -> int:
    """Return how many threads a long call uses."""
    if _chosen is not None:
        return _chosen
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if given.isdecimal() and int(given) > 0:
        return int(given)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_num_threads(number: SupportsIndex | None) -> None:
    """Set how many threads a long call uses; results do not depend on it.

    Args:
        number: at least 1; ``None`` goes back to ``OMP_NUM_THREADS``, or as many as there are processors.

    Raises:
        ParameterError: for anything else.
    """
    global _chosen
    if number is None:
        _chosen = None
        return
    try:
        wanted = 0 if isinstance(number, bool) else operator.index(number)
    except TypeError:
        wanted = 0
    if wanted < 1:
        raise ParameterError(f"set_num_threads({number!r}): the number of threads must be a whole number of at least 1")
    _chosen = wanted


def run(work: Work, blocks: int, least: int, shared: Shared | None = None, step: int = STEP) -> None:
    """Run ``work(first, last)`` over all blocks, on several threads where each gets at least ``least`` of them.

    Args:
        work: works on the blocks from one to another.
        blocks: how many there are.
        least: blocks that are worth a thread of their own.
        shared: the same in machine code for several threads; see ``shares.shared``.
        step: the most blocks that it takes at a time.
    """
    parts = blocks // max(least, 1)
    if parts <= 1 and blocks <= SLICE:  # too short to be interrupted or shared
        work(0, blocks)
        return
    wanted = max(1, min(get_num_threads(), parts))
    helpers = min(wanted - 1, _pool.grow(wanted - 1))
    counted = _Counted(shared, blocks, wanted, step) if shared is not None and helpers else None
    _Job(counted or _Parts(work, blocks, wanted)).run(_pool.waiting, helpers)

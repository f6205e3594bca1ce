"""Threads for kernels, which run outside Python's lock: each takes one stretch of the blocks.

The pool is made at the first long call and grows when more threads are asked for. After a fork the child
has none of its parent's threads, so it makes its own. How work is split never changes a result: sums are
taken block by block.
"""

from __future__ import annotations

import itertools
import operator
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import SupportsIndex

from lossmith.engines.forks import ForkLock
from lossmith.errors import ParameterError

Work = Callable[[int, int], None]

SLICE = 32
"""Blocks that a thread works on before it first looks up."""

PAUSE = 0.03
"""Seconds that it works from then on before it looks up again, which is when an interrupt is met."""


class _Job:
    """The parts of one call, taken by whoever is free: by its caller, if need be all of them.

    No counter is kept that an interrupt could leave wrong: what is taken has left the queue of parts, and a
    helper holds its lock as long as it may be at work.
    """

    def __init__(self, work: Work, parts: list[tuple[int, int]]) -> None:
        self._work = work
        self._left = deque(parts)
        self._helpers: list[threading.Lock] = []
        self._errors: list[BaseException] = []
        self._given_up = False

    def help(self) -> None:
        """Take parts on another thread than the caller's."""
        at_work = threading.Lock()
        with at_work:
            self._helpers.append(at_work)
            try:
                self._take_parts()
            except BaseException as error:  # it belongs to the caller
                self._give_up(error)

    def run(self, waiting: queue.SimpleQueue[Callable[[], None]], helpers: int) -> None:
        """Call helpers, take parts until none is left, wait for who helped, and raise what went wrong first.

        The arrays belong to the call: not even an interrupt ends it before others have let go of them.
        """
        while True:
            try:
                if not self._given_up:
                    for _ in range(helpers):
                        waiting.put(self.help)
                    self._take_parts()
                self._left.clear()
                for at_work in self._helpers:
                    with at_work:
                        pass
                break
            except BaseException as error:  # an interrupt, most likely
                self._give_up(error)
        del self._work  # who comes too late to help shall not keep the arrays alive
        if self._errors:
            raise self._errors.pop(0)

    def _give_up(self, error: BaseException) -> None:
        self._errors.append(error)
        self._given_up = True

    def _take_parts(self) -> None:
        while True:
            try:
                first, last = self._left.popleft()
            except IndexError:
                return
            size = SLICE
            while first < last and not self._given_up:
                stop = min(first + size, last)
                begun = time.perf_counter()
                self._work(first, stop)
                took = time.perf_counter() - begun
                first, size = stop, max(1, int(min(8.0, PAUSE / max(took, 1e-9)) * size))


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


def run(work: Work, blocks: int, least: int) -> None:
    """Run ``work(first, last)`` over all blocks, on several threads where each gets at least ``least`` of them."""
    parts = blocks // max(least, 1)
    if parts <= 1 and blocks <= SLICE:  # too short to be interrupted or shared
        work(0, blocks)
        return
    wanted = max(1, min(get_num_threads(), parts))
    edges = [blocks * place // wanted for place in range(wanted + 1)]
    helpers = min(wanted - 1, _pool.grow(wanted - 1))
    _Job(work, list(itertools.pairwise(edges))).run(_pool.waiting, helpers)

"""Threads for kernels, which run outside Python's lock: each takes one stretch of the blocks.

The pool is made at the first long call. After a fork the child has none of its parent's threads, so
it makes its own. How work is split never changes a result: sums are taken block by block.
"""

from __future__ import annotations

import itertools
import os
import queue
import threading
from collections.abc import Callable

from lossmith.errors import ParameterError

Work = Callable[[int, int], None]

SLICE = 512
"""Blocks that a thread works on before it looks up."""


class _Pool:
    """Threads that wait for work; the caller is one of them."""

    def __init__(self, others: int) -> None:
        self.process = os.getpid()
        self.others = others
        self._waiting: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        for _ in range(others):
            threading.Thread(target=self._serve, name="lossmith", daemon=True).start()

    def _serve(self) -> None:
        while True:
            self._waiting.get()()

    def run(self, work: Work, parts: list[tuple[int, int]]) -> None:
        """Run ``work(first, last)`` for every part, and return when all are done."""
        done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        given_up = threading.Event()

        def task(first: int, last: int) -> Callable[[], None]:
            def run() -> None:
                try:
                    _in_slices(work, first, last, given_up)
                except BaseException as error:  # it belongs to the caller
                    done.put(error)
                else:
                    done.put(None)

            return run

        for part in parts[1:]:
            self._waiting.put(task(*part))
        failed: BaseException | None = None
        try:
            _in_slices(work, *parts[0], given_up)
        except BaseException as error:  # an interrupt, most likely
            failed = error
            given_up.set()
        # The arrays belong to the call: it does not end before the others have let go of them.
        for _ in parts[1:]:
            failed = done.get() or failed
        if failed is not None:
            raise failed


def _in_slices(work: Work, first: int, last: int, given_up: threading.Event) -> None:
    """Do the work in stretches of some milliseconds, since an interrupt is met only between them."""
    while first < last and not given_up.is_set():
        stop = min(first + SLICE, last)
        work(first, stop)
        first = stop


_lock = threading.Lock()
_pool: _Pool | None = None
_chosen: int | None = None


def get_num_threads() -> int:
    """Return how many threads a long call uses."""
    if _chosen is not None:
        return _chosen
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if given.isdigit() and int(given) > 0:
        return int(given)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_num_threads(number: int | None) -> None:
    """Set how many threads a long call uses; results do not depend on it.

    Args:
        number: at least 1; ``None`` goes back to ``OMP_NUM_THREADS``, or as many as there are processors.

    Raises:
        ParameterError: for anything else.
    """
    global _chosen
    if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 1):
        raise ParameterError(f"set_num_threads({number!r}): the number of threads must be a whole number of at least 1")
    _chosen = number


def run(work: Work, blocks: int, least: int) -> None:
    """Run ``work(first, last)`` over all blocks, on several threads where each gets at least ``least`` of them."""
    wanted = min(get_num_threads(), blocks // max(least, 1))
    if wanted <= 1:
        _in_slices(work, 0, blocks, threading.Event())
        return
    edges = [blocks * place // wanted for place in range(wanted + 1)]
    _pool_of(wanted - 1).run(work, list(itertools.pairwise(edges)))


def _pool_of(others: int) -> _Pool:
    global _pool
    with _lock:
        if _pool is None or _pool.process != os.getpid() or _pool.others < others:
            _pool = _Pool(others)
        return _pool


def _after_fork() -> None:
    """Give the child a lock of its own: the parent's may have been held at the moment of the fork."""
    global _lock, _pool
    _lock, _pool = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

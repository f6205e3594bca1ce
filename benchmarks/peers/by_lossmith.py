"""Lossmith: with its gradient written into the same array again and again, and into a new one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from benchmarks.cases import MAIN, Case, aligned, gradient_room
from benchmarks.peers import ALLOCATING, OURS, OWN, Call, Contestant, Result


def contestants(case: Case) -> Iterator[Contestant]:
    """Yield ours, and a loss of the user's own where the case has one."""
    if case.work == "cost":
        yield Contestant(OURS, lambda: lambda: (case.loss.cost(**case.data), ()))
    elif case.work == "gradient and Hessian":
        yield Contestant(OURS, lambda: _derivatives(case))
    else:
        yield Contestant(OURS, lambda: _reusing(case))
        if case.name in MAIN or "cross_entropy" in case.name:
            yield Contestant(ALLOCATING, lambda: _allocating(case))
    if case.own is not None:
        own = replace(case, loss=case.own)
        yield Contestant(OWN, lambda: _reusing(own))


def _reusing(case: Case) -> Call:
    return _into(case, gradient_room(case.loss, case.shape, case.dtype))


def _allocating(case: Case) -> Call:
    return _into(case, None)


def _into(case: Case, out: Any) -> Call:
    data, call, several = case.data, case.loss.cost_and_gradient, len(case.wrt) > 1

    def run() -> Result:
        cost, gradient = call(**data, out=out)
        return cost, tuple(gradient.values()) if several else (gradient,)

    return run


def _derivatives(case: Case) -> Call:
    data, call = case.data, case.loss.evaluate
    out = {name: aligned(case.shape, case.dtype) for name in ("gradient", "hessian")}

    def run() -> Result:
        found = call(*data.values(), ("gradient", "hessian"), trusted=True, out=out)
        return None, (found["gradient"], found["hessian"])

    return run

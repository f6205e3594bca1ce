"""The review of a loss of one target and one prediction, in the order in which a reviewer would tell it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lossmith.checking.claims import claims, owned
from lossmith.checking.derivatives import derivatives
from lossmith.checking.finite import finite, overflow, scale
from lossmith.checking.ground import Ground
from lossmith.checking.minimum import minimum
from lossmith.checking.pull import boosting, constant, robust
from lossmith.checking.report import Finding
from lossmith.checking.shape import convex, kinks
from lossmith.checking.statistic import estimates, samples


@np.errstate(all="ignore")
def examine(ground: Ground) -> tuple[Finding, ...]:
    """Return what is found out about a loss."""
    findings = [owned(ground.loss.card, finding) for finding in _found(ground)]
    return (*findings, *claims(ground, findings))


def _found(ground: Ground) -> Iterator[Finding]:
    yield from _rewrites(ground)
    yield from derivatives(ground)
    broken = list(finite(ground))
    yield from broken
    yield from kinks(ground)
    yield from convex(ground)
    yield from robust(ground)
    yield from scale(ground)
    if any(finding.severity == "error" for finding in broken):
        return  # searches would end in the holes
    least = list(minimum(ground))
    yield from least
    yield from overflow(ground)
    drawn = samples(ground)
    if all(finding.severity != "error" for finding in least):
        yield from estimates(ground, drawn)
    yield from boosting(ground, drawn)
    yield from constant(ground, drawn)


def _rewrites(ground: Ground) -> Iterator[Finding]:
    done = getattr(ground.loss, "rewrites", ())
    if done:
        told = "; ".join(f"{before} as {after}" for before, after in done)
        text = f"As written it overflows or loses digits, and is computed in another way: {told}."
        yield Finding("rewrites", "note", "Parts are computed in a stable form", text, facts={"rewrites": done})

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
    broken = list(finite(ground))
    yield from broken
    if not any(np.isfinite(curve.value).any() for curve in ground.curves):
        return  # there is nothing to look at
    yield from _labels(ground)
    yield from derivatives(ground)
    yield from kinks(ground)
    yield from convex(ground)
    yield from robust(ground)
    yield from scale(ground)
    if any(finding.severity == "error" for finding in broken):
        return  # searches would end in the holes
    least = list(minimum(ground))
    yield from least
    yield from overflow(ground)
    if any(finding.facts.get("flat") for finding in least):
        return  # nothing is best, and nothing is learnt
    drawn = samples(ground)
    if all(finding.severity != "error" for finding in least):
        yield from estimates(ground, drawn)
    moves = list(boosting(ground, drawn))
    yield from moves
    if all(finding.severity != "error" for finding in moves):  # best constants are found by slopes
        yield from constant(ground, drawn)


def _rewrites(ground: Ground) -> Iterator[Finding]:
    done = getattr(ground.loss, "rewrites", ())
    if done:
        told = "; ".join(f"{before} as {after}" for before, after in done)
        text = f"As written it overflows, loses digits or has kinks that cancel; it is computed in another way: {told}."
        yield Finding("rewrites", "note", "Parts are computed in a stable form", text, facts={"rewrites": done})


_SOME = np.array([0.7, 1.3, -2.0, 3.0]), np.array([0.4, -1.1, 0.3, 2.0])


def _labels(ground: Ground) -> Iterator[Finding]:
    """Say so where targets are taken for labels of -1 and 1 that nobody declared."""
    domain = ground.loss.domains["y"]
    if domain.values or domain.low > -2 or domain.high < 2:
        return
    y, f = _SOME
    if not all(map(ground.domain.includes, (*f, *-f, *f / 2))):
        return
    here, *others = (
        ground.loss.evaluate(some * y, f / some, ("losses",), trusted=True)["losses"] for some in (1.0, -1.0, 2.0)
    )
    if (
        np.isfinite(here).all()
        and np.ptp(here)
        and all(np.allclose(here, other, rtol=1e-12, atol=0) for other in others)
    ):
        text = "It depends on the product of y and f alone, as losses of labels -1 and 1 do; here y may be any number."
        advice = "If labels are meant, declare them: target='{-1, 1}'."
        yield Finding("labels", "note", "Targets are taken for labels of -1 and 1", text, advice)

"""Cost states: whatever the split, the merged number is that of one pass; at whole blocks, to the bit."""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Iterable, Sequence

import numpy as np
import pytest

import lossmith as lm
from lossmith import CostState, Loss
from lossmith.certify.points import Array, extreme, inside, targets
from lossmith.engines.numpy import BLOCK
from tests.laws.grid import CASES

pytestmark = pytest.mark.engines

ROWS = 40


def data(loss: Loss, rows: int, seed: int = 0, extremes: float = 0.07) -> tuple[Array, Array, Array, Array]:
    """Return targets, predictions, weights and a mask.

    A share of the predictions is ``extreme``: their losses are infinite where the loss knows infinity.
    """
    rng = np.random.default_rng(seed)
    y = rng.choice([value for value in targets(loss) if value == 0 or 1e-9 < abs(value) < 100], rows)
    domain = loss.domains["f"]
    f = np.where(rng.random(rows) < extremes, extreme(domain, far=1e200), inside(domain, rng, rows, 3.0))
    return y, f, rng.choice([0.0, 0.3, 1.0, 2.5], rows), rng.random(rows) < 0.8


def merged(states: Iterable[CostState]) -> CostState:
    """Return all states merged from left to right."""
    return functools.reduce(lambda one, other: one.merge(other), states)


def splits_merge_to_the_whole(loss: Loss, splits: Sequence[Sequence[int]]) -> None:
    """Any split of the rows merges to the state of one pass, up to rounding; what is counted is equal."""
    for seed, cuts in enumerate(splits):  # in turn without weights and mask, with one of them, and with both
        y, f, weight, mask = data(loss, ROWS, seed)
        losses, edges = loss.losses(y, f), [0, *sorted(cuts), ROWS]
        w, m = weight if seed % 2 else None, mask if seed // 2 % 2 else None
        whole = loss.state(y, f, w, m)
        parts = [
            loss.state(y[a:b], f[a:b], None if w is None else w[a:b], None if m is None else m[a:b])
            for a, b in itertools.pairwise(edges)
        ]
        assert_same(whole, merged(parts), losses)
        assert_same(whole, parts[0].merge(merged(parts[1:])), losses)


def assert_same(whole: CostState, split: CostState, losses: Array) -> None:
    """Fail unless two states say the same, within the rounding of the sums of blocks."""
    assert (split.rows, split.count, split.bad, split.first_bad) == (
        whole.rows,
        whole.count,
        whole.bad,
        whole.first_bad,
    )
    slack = 1e-14 * 2.5 * float(np.sum(np.abs(losses[np.isfinite(losses)])))
    assert split.sum == pytest.approx(whole.sum, rel=1e-14, abs=slack)
    assert split.weight == pytest.approx(whole.weight, rel=1e-14)
    if whole.count and whole.weight:
        assert split.mean == pytest.approx(whole.mean, rel=1e-14, abs=slack / whole.weight)
        assert split.reduce("count_mean") == pytest.approx(whole.reduce("count_mean"), rel=1e-14, abs=slack)


def counts_are_right(loss: Loss) -> None:
    """A state counts the rows that count, those that are not finite, and where the first of them is."""
    y, f, weight, mask = data(loss, ROWS)
    losses = loss.losses(y, f)
    state = loss.state(y, f, weight, mask)
    wrong = np.flatnonzero(~np.isfinite(losses) & mask)
    assert (state.rows, state.count, state.bad) == (ROWS, mask.sum(), len(wrong))
    assert state.first_bad == (int(wrong[0]) if len(wrong) else None)
    counted = mask & (weight > 0)
    assert state.weight == pytest.approx(weight[mask].sum())
    assert state.sum == pytest.approx(float(np.sum(weight[counted] * losses[counted])), rel=1e-12, abs=1e-9)


def whole_blocks_merge_to_the_same_bits(loss: Loss) -> None:
    """Splits at whole blocks merge to the bits of one pass, in every order and grouping."""
    rows = 9 * BLOCK + 777
    y, f, weight, mask = data(loss, rows, extremes=0.0)
    whole = loss.state(y, f, weight, mask)
    assert math.isfinite(whole.sum), "there must be bits to compare"
    edges = [0, BLOCK, 3 * BLOCK, *range(4 * BLOCK, rows, BLOCK), rows]
    parts = [loss.state(y[a:b], f[a:b], weight[a:b], mask[a:b]) for a, b in itertools.pairwise(edges)]
    orders = [random.Random(seed).sample(parts, len(parts)) for seed in range(6)]
    pairs = [merged(parts[n : n + 2]) for n in range(0, len(parts), 2)]
    for split in (merged(parts), merged(parts[::-1]), merged(pairs), *map(merged, orders)):
        bits = (split.sum.hex(), split.weight.hex(), split.count, split.bad, split.rows)
        assert bits == (whole.sum.hex(), whole.weight.hex(), whole.count, whole.bad, whole.rows)


def nothing_is_neutral(loss: Loss) -> None:
    """The state of no rows changes nothing."""
    y, f, weight, mask = data(loss, ROWS)
    whole, nothing = loss.state(y, f, weight, mask), loss.state([], [])
    assert (nothing.rows, nothing.count, nothing.sum, nothing.weight) == (0, 0, 0.0, 0.0)
    for both in (whole.merge(nothing), nothing.merge(whole)):
        assert (both.sum, both.weight, both.rows, both.first_bad) == (
            whole.sum,
            whole.weight,
            whole.rows,
            whole.first_bad,
        )


def only_its_own_states_merge(loss: Loss) -> None:
    """States of another loss, or of the same loss with other parameters, are refused."""
    state = loss.state(*data(loss, ROWS))
    others = [other for other in CASES if other.name == loss.name][:3] + [
        other for other in CASES if other.name != loss.name
    ][:1]
    for other in others:
        if other != loss:
            with pytest.raises(lm.MergeError, match="only states of one loss merge"):
                state.merge(other.state(*data(other, ROWS)))
    with pytest.raises(lm.MergeError, match="to float"):
        state.merge(1.5)  # type: ignore[arg-type]


SPLITS = [random.Random(seed).choices(range(ROWS + 1), k=1 + seed % 5) for seed in range(8)]
SPLITS += [[0], [ROWS], [7, 7], [0, 0, 20, ROWS]]  # parts without rows


def test_splits_merge_to_the_whole(case: Loss) -> None:
    splits_merge_to_the_whole(case, SPLITS)


def test_counts_are_right(case: Loss) -> None:
    counts_are_right(case)


def test_whole_blocks_merge_to_the_same_bits(case: Loss) -> None:
    whole_blocks_merge_to_the_same_bits(case)


def test_nothing_is_neutral(case: Loss) -> None:
    nothing_is_neutral(case)


def test_only_its_own_states_merge(case: Loss) -> None:
    only_its_own_states_merge(case)


def test_infinite_rows_are_counted_wherever_the_split_falls() -> None:
    loss = lm.BinaryCrossEntropy(prediction="probabilities")
    y, f = np.array([1.0, 0.0, 1.0, 1.0]), np.array([0.5, 0.5, 0.0, 0.0])
    state = loss.state(y[:2], f[:2]).merge(loss.state(y[2:], f[2:]))
    assert (state.bad, state.first_bad, state.mean) == (2, 2, math.inf)

"""Cost states: whatever the split, the merged number is that of one pass; at whole blocks, to the bit."""

from __future__ import annotations

import functools
import itertools
import math
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lossmith as lm
from lossmith import CostState, Loss
from lossmith.engines.numpy import BLOCK
from tests.laws.grid import CASES, Array, name_of, targets


def data(loss: Loss, rows: int, seed: int = 0, *, infinite: bool = False) -> tuple[Array, Array]:
    """Return targets and predictions inside the domains, of ordinary size."""
    rng = np.random.default_rng(seed)
    y = rng.choice([value for value in targets(loss) if abs(value) < 100], rows)
    domain = loss.domains["f"]
    if math.isinf(domain.low):
        return y, rng.normal(0, 3, rows)
    f = domain.low + rng.uniform(0.01, 0.99, rows) * (min(domain.high, 20.0) - domain.low)
    return y, np.where(rng.random(rows) < 0.1, domain.low, f) if infinite else f


def merge(states: list[CostState]) -> CostState:
    return functools.reduce(operator.methodcaller, [])  # pragma: no cover

"""Which blocks are worth a kernel: none where compilation would take longer than anybody waits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.engines import choice
from lossmith.engines.choice import MANY, MOST, SMALLEST, TOO_MANY, compiled_rows
from lossmith.engines.llvm import compile as compiler
from lossmith.engines.numpy import BLOCK
from lossmith.frameworks.boosting import fused


@pytest.mark.parametrize(
    ("calls", "smallest"),
    [(None, 1), (MANY - 1, SMALLEST), (MANY, 1), (MOST, 1), (MOST + 1, SMALLEST), (TOO_MANY, SMALLEST)],
)
def test_blocks_are_compiled_from_a_size_on_that_calls_decide(calls: int | None, smallest: int) -> None:
    with choice.using("auto"):
        assert compiled_rows(smallest, BLOCK, calls=calls) == smallest
        assert compiled_rows(smallest - 1, BLOCK, calls=calls) == 0
        assert compiled_rows(BLOCK + smallest, BLOCK, calls=calls) == BLOCK + smallest
        assert compiled_rows(BLOCK, BLOCK, calls=TOO_MANY + 1) == 0
    with choice.using("llvm"):
        assert compiled_rows(1, BLOCK, calls=calls) == compiled_rows(1, BLOCK, calls=TOO_MANY + 1) == 1


def test_nobody_waits_for_kernels_of_enormous_formulas(monkeypatch: Any) -> None:
    made: list[object] = []
    once = compiler.Kept._once

    def spy(kept: Any, key: Any, *args: Any, **named: Any) -> Any:
        made.append(key)
        return once(kept, key, *args, **named)

    monkeypatch.setattr(compiler.Kept, "_once", spy)
    y, f = np.zeros(3), np.ones(3)

    def computed(terms: int) -> lm.Loss:
        loss = lm.formula(" + ".join(f"abs(f - {place}.25*y)**1.5" for place in range(terms)))
        loss.cost_and_gradient(y, f)
        loss.hessian(y, f)
        return loss

    with choice.using("auto"):
        computed(4)
        assert made
        made.clear()
        large = computed(150)
        assert MOST < large._calls < TOO_MANY
        vast = computed(600)
        assert vast._calls > TOO_MANY
        rows = np.linspace(-1, 1, SMALLEST)
        fused.exact(vast).run({"y": rows, "f": rows}, {})
        assert not made

"""Both engines say the same, and a wrong instruction in one of them breaks the laws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.engines import choice
from lossmith.engines.llvm import emit
from lossmith.engines.llvm import kernel as kernels
from lossmith.engines.llvm.lanes import Body, Lanes
from tests.laws import test_values
from tests.laws.samples import EVERY, each_part, name_of, sample

ULPS = 8
"""How far the engines may be apart, in units in the last place of the largest result of its kind."""

PARTS = ("losses", "gradient", "hessian")


def furthest(loss: Loss, dtype: Any) -> float:
    """Return how far the engines are apart over examples of ordinary size."""
    data = {
        name: array.astype(dtype) if array.dtype.kind == "f" else array for name, array in sample(loss, 257).items()
    }
    found = []
    for engine in ("numpy", "llvm"):
        with choice.using(engine):
            found.append(loss.evaluate(**data, outputs=PARTS, trusted=True))
    most = 0.0
    for part in PARTS:
        for (_, one), (_, other) in zip(each_part(found[0][part]), each_part(found[1][part]), strict=True):
            assert one.dtype == other.dtype == dtype
            size = np.abs(one).max(initial=0)
            apart = np.abs(one.astype(np.float64) - other).max(initial=0)
            most = max(most, float(apart / np.spacing(size)) if apart else 0.0)
    return most


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("loss", EVERY, ids=name_of)
def test_engines_agree(loss: Loss, dtype: Any) -> None:
    assert furthest(loss, dtype) <= ULPS


def test_a_wrong_instruction_breaks_a_law(monkeypatch: pytest.MonkeyPatch) -> None:
    right = emit.EMIT["softplus"]

    def wrong(b: Body, x: Lanes) -> Lanes:
        return right(b, x) * (1 + 1e-13)

    loss = lm.BinaryCrossEntropy()
    with choice.using("llvm"):
        test_values.values_are_exact(loss)
        monkeypatch.setitem(emit.EMIT, "softplus", wrong)  # type: ignore[arg-type]  # a mapping that is a dict
        monkeypatch.setattr(kernels, "_ready", lambda program, form, parameters: kernels.Kernel(program, form))
        with pytest.raises(AssertionError):
            test_values.values_are_exact(loss)
        assert furthest(loss, np.float64) > ULPS

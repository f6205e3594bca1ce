"""Both engines say the same, and a wrong instruction in one of them breaks the laws."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.certify.samples import sample
from lossmith.engines import choice, operations
from lossmith.engines.llvm import kernel as kernels
from lossmith.structures.divergence import Divergence
from lossmith.structures.softmax import Softmax
from tests.laws import test_values
from tests.laws.samples import EVERY, each_part
from tests.together import by_name

ULPS = 8
"""How far the engines may be apart, in units in the last place of the largest result of its kind."""

PARTS = ("losses", "gradient", "hessian")

ONE_TRUTH = {
    "laws/test_grid.py": "is about the points that losses are tried on",
    "laws/test_oracle.py": "is about the truth at 60 digits",
    "laws/test_traits.py": "judges formulas at 60 digits",
    "structures/test_distance.py": "kernels know no distances",
    "structures/test_levels.py": "kernels know no levels",
    "structures/test_plain.py": "chooses its engines itself, and the sizes that go with them",
    "structures/test_plain_large.py": "is about numbers that kernels take",
    "structures/test_plain_rows_large.py": "is about rows that kernels take",
    "structures/test_plain_each.py": "chooses its engines itself, and the sizes that go with them",
    "structures/test_plain_inputs.py": "chooses its engines itself, and the sizes that go with them",
    "structures/test_plain_often.py": "chooses its engines itself, and the sizes that go with them",
    "structures/test_regularizers.py": "regularisers are not computed by engines",
}
"""Files of laws that no engine makes a difference to, and why."""


def furthest(loss: Loss, dtype: Any) -> float:
    """Return how far the engines are apart over examples of ordinary size; infinite where only one has a number."""
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
            finite = np.isfinite(one)
            if not np.array_equal(one[~finite], other[~finite], equal_nan=True) or not np.isfinite(other[finite]).all():
                return math.inf
            size = np.abs(one[finite]).max(initial=0)
            apart = np.abs(one[finite].astype(np.float64) - other[finite]).max(initial=0)
            most = max(most, float(apart / np.spacing(size)) if apart else 0.0)
    return most


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("loss", by_name(EVERY))
def test_engines_agree(loss: Loss, dtype: Any) -> None:
    assert furthest(loss, dtype) <= ULPS


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gamma", [1, 2, 3, 4, 5])
def test_engines_agree_where_powers_are_products(gamma: int, dtype: Any) -> None:
    for loss in (lm.Focal(gamma=gamma), lm.Asymmetric(gamma, 0), lm.Asymmetric(0, gamma), lm.Asymmetric(1, gamma, 0)):
        assert furthest(loss, dtype) <= ULPS


@pytest.mark.parametrize(("table", "make"), [("OPERATIONS", lm.Focal), ("_CROSSES", lm.BinaryCrossEntropy)])
@pytest.mark.parametrize("factor", [1 + 1e-13, math.nan, math.inf])
def test_a_wrong_instruction_breaks_a_law(
    factor: float, table: str, make: type[Loss], monkeypatch: pytest.MonkeyPatch
) -> None:
    instructions = getattr(operations, table)
    right = instructions["softplus"]
    with choice.using("llvm"):
        test_values.values_are_exact(make())
        monkeypatch.setattr(operations, table, {**instructions, "softplus": lambda b, *x: right(b, *x) * factor})
        # What was made of the right one is kept, and so would be what is made of this one.
        monkeypatch.setattr(operations, "recipe", operations.recipe.__wrapped__)
        monkeypatch.setattr(kernels, "ready", lambda *key: kernels.Ready(kernels.Kernel(*key[:2]), dict(key[2])))
        with pytest.raises(AssertionError):
            test_values.values_are_exact(make())
        assert furthest(make(), np.float64) > ULPS


def test_every_law_runs_on_both_engines() -> None:
    tests = Path(__file__).parents[1]
    files = {
        f"{room}/{path.name}": path for room in ("laws", "structures") for path in (tests / room).glob("test_*.py")
    }
    del files["laws/test_engines.py"]  # which compares them
    assert {name for name, path in files.items() if "pytest.mark.engines" not in path.read_text()} == ONE_TRUTH.keys()


@pytest.mark.parametrize("loss", by_name(EVERY))
def test_kernels_take_the_rows_of_every_structure_that_has_them(loss: Loss) -> None:
    data = sample(loss, 37)
    batch = loss._batch(data, None, None, trusted=True)
    with choice.using("llvm"):
        taken = loss._rows_for_kernel(batch, ("losses",))
    assert taken == (37 if isinstance(loss, (lm.Pointwise, Softmax, Divergence)) else 0)

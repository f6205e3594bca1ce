"""Linear models refuse what is masked, where scikit-learn takes what lies below the mask."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.sklearn import LinearModel


@pytest.mark.parametrize(("loss", "y"), [("huber", np.arange(8.0)), ("bce", np.arange(8) % 2)])
def test_what_is_masked_is_refused(loss: str, y: Any) -> None:
    hidden, rows = np.arange(8) == 3, np.random.default_rng(0).normal(size=(8, 1))
    masked = {"X": np.ma.masked_array(rows, hidden[:, None]), "y": np.ma.masked_array(y, hidden)}
    masked["sample_weight"] = np.ma.masked_array(np.ones(8), hidden)
    for name, value in masked.items():
        with pytest.raises(lm.KindError, match=f"^{name} is a masked array; leave out the rows"):
            LinearModel(loss).fit(**{"X": rows, "y": y, name: value})
    model = LinearModel(loss).fit(np.ma.masked_array(rows, False), y)
    with pytest.raises(lm.KindError, match=r"^X is a masked array"):
        model.predict(masked["X"])

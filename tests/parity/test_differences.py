"""Where the table says that a peer gives another number than ours, it does: a peer that mends it is noticed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith import errors
from tests.parity import adapters, relation
from tests.parity.table import DIFFERENCES, Difference, Row

WITHIN = 1e-6


def prove(item: Difference) -> None:
    """Raise ``Mismatch`` unless theirs and ours are as the table says, and not the same."""
    given = {name: np.asarray(array, dtype=_dtype(array, item)) for name, array in item.at.items()}
    loss = lm.parse(item.loss)
    for name in item.names:
        with relation.expected(item.warns), np.errstate(all="ignore"):
            reduction = "returned" if adapters.has_no_reduction(item, name) else item.reduction
            found = adapters.call(name, item.options, item.arguments, given, item.theirs_gradient, reduction=reduction)
        relation.compare(f"{item.text} {name}, theirs", found.value, item.theirs, WITHIN, near_zero=0)
        _compare_all(f"{item.text} {name}, theirs", found.gradients, item.theirs_gradient)
        if item.theirs_hessian:
            theirs = {"y_pred": adapters.hessian(name, item.options, item.arguments, given)}
            _compare_all(f"{item.text} {name}, their Hessian", theirs, item.theirs_hessian)
    _prove_ours(item, loss, given)
    if not isinstance(item.ours, str):
        numbers = [(item.theirs, item.ours)]
        numbers += [(item.theirs_gradient[key], item.ours_gradient[key]) for key in item.theirs_gradient]
        numbers += [(item.theirs_hessian[key], item.ours_hessian[key]) for key in item.theirs_hessian]
        if all(np.allclose(np.ravel(a), np.ravel(b), rtol=WITHIN, atol=0, equal_nan=True) for a, b in numbers):
            raise relation.Mismatch(f"{item.text}: there is no difference")


def _dtype(array: Any, item: Difference) -> type | str:
    return np.int64 if np.asarray(array).dtype.kind == "i" else item.dtype


def _prove_ours(item: Difference, loss: Any, given: Mapping[str, Any]) -> None:
    inputs = relation.takes(item, {part.name: given[part.name] for part in loss.inputs})
    reduction = {"sum_over_batch_size": "mean"}.get(item.reduction, item.reduction)
    if isinstance(item.ours, str):
        with pytest.raises(getattr(errors, item.ours)):
            loss.cost(**inputs, reduction=reduction)
        return
    relation.compare(
        f"{item.text} {loss}, ours", loss.cost(**inputs, reduction=reduction), item.ours, WITHIN, near_zero=0
    )
    for kind, stated in (("gradient", item.ours_gradient), ("hessian", item.ours_hessian)):
        if stated:
            found = getattr(loss, kind)(**inputs)
            named = found if isinstance(found, dict) else {loss.predicted[0].name: found}
            _compare_all(f"{item.text} {loss}, our {kind}", {key: named[key] for key in stated}, stated)


def _compare_all(what: str, found: Mapping[str, Any], stated: Mapping[str, Any]) -> None:
    assert set(found) == set(stated), what
    for key, numbers in stated.items():
        relation.compare(f"{what}, by {key}", found[key], numbers, WITHIN, near_zero=0)


@pytest.mark.parametrize(("row", "item"), DIFFERENCES, ids=lambda part: getattr(part, "text", str(part)))
def test_difference_shows(row: Row, item: Difference) -> None:
    prove(item)


def test_a_wrong_difference_is_caught() -> None:
    items = {item.text[:9]: item for _, item in DIFFERENCES}
    overflow = items["Overflows"]
    for wrong in (
        replace(overflow, theirs=[1000.0]),
        replace(overflow, ours=[999.0]),
        replace(overflow, theirs_gradient={"y_pred": [-1.0]}),
        replace(overflow, ours_gradient={"y_pred": [-1.1]}),
        replace(overflow, at={"y_true": [1.0], "y_pred": [-2.0]}),
    ):
        with pytest.raises(relation.Mismatch):
            prove(wrong)
    same = {"at": {"y_true": [1.0], "y_pred": [0.0]}, "theirs_gradient": {}, "ours_gradient": {}}
    with pytest.raises(relation.Mismatch, match="no difference"):
        prove(replace(overflow, theirs=[0.6931471805599453], ours=[0.6931471805599453], **same))

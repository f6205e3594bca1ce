"""Each law of rows fails for a loss that breaks it: here are such losses, wrong in ways that have happened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.core.contract import Batch
from tests.structures import row_cases
from tests.structures import test_row_derivatives as derivatives
from tests.structures import test_row_options as options
from tests.structures import test_row_relations as relations
from tests.structures import test_row_values as values

pytestmark = pytest.mark.engines

Right = lm.SparseCategoricalCrossEntropy
Z = np.array([[1.0, -2.0, 0.5]])


def wrong(**methods: Callable[..., Any]) -> type[lm.Loss]:
    """Return sparse cross-entropy with some methods replaced, under its own name."""
    cls = type("SparseCategoricalCrossEntropy", (Right,), {"__doc__": Right.__doc__, "card": Right.card, **methods})
    assert cls.name == Right.name
    return cls


def forgets_smoothing_in_the_gradient(self: Any, host: Any, z: Any, t: Any, outputs: Sequence[str]) -> Any:
    found = Right.row(self, host, z, t, outputs)
    one_hot = (t == t.max(axis=1, keepdims=True)).astype(z.dtype)
    if "gradient:f" in found:
        found["gradient:f"] = Right.row(self, host, z, one_hot, ("gradient:f",))["gradient:f"]
    return found


def clips(self: Any, host: Any, z: Any, t: Any, outputs: Sequence[str]) -> Any:
    found = Right.row(self, host, z, t, outputs)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p = np.clip(p / p.sum(axis=1, keepdims=True), 1e-7, 1 - 1e-7)
    return {**found, "losses": -(t * np.log(p)).sum(axis=1)}


def naive(self: Any, host: Any, z: Any, t: Any, outputs: Sequence[str]) -> Any:
    """Take 1 - p from p, and p - t as it stands."""
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p = p / p.sum(axis=1, keepdims=True)
    return {**Right.row(self, host, z, t, outputs), "gradient:f": p - t}


def forgets_that_classes_couple(self: Any, host: Any, z: Any, t: Any, outputs: Sequence[str]) -> Any:
    found = Right.row(self, host, z, t, outputs)
    if "full_hessian:f,f" in found:
        found["full_hessian:f,f"] = found["full_hessian:f,f"] * np.eye(z.shape[1])
    return found


def doubles_the_hessian(self: Any, host: Any, z: Any, t: Any, outputs: Sequence[str]) -> Any:
    found = Right.row(self, host, z, t, outputs)
    return {key: 2 * value if "hessian" in key else value for key, value in found.items()}


def weighs_the_smoothed_part(self: Any, host: Any, z: Any, t: Any, outputs: Sequence[str]) -> Any:
    """Weigh log-probabilities class by class, as if smoothing were part of the target's weight."""
    found = Right.row(self, host, z, t, outputs)
    if self.class_weight is None or not self.label_smoothing or "losses" not in found:
        return found
    w = np.asarray(self.class_weight)
    u = np.log(np.exp(z).sum(axis=1, keepdims=True)) - z
    own = t.argmax(axis=1)
    return {**found, "losses": (t * w * u).sum(axis=1) / w[own]}


def divides_by_rows(self: Any, targets: Any, classes: int) -> Any:
    found = Right._class_weights(self, targets, classes)
    return None if found is None else found * len(found) / found.sum()


def counts_ignored_rows(self: Any, batch: Any, classes: int) -> Any:
    return replace(Right._with_targets(self, batch, classes), mask=None)


def takes_the_last_axis(self: Any, given: Any, weight: Any, mask: Any, *, trusted: bool = False) -> Batch:
    return Right._batch(self.replace(class_axis=-1), given, weight, mask, trusted=trusted)


@pytest.mark.parametrize("row", [clips])
def test_the_law_of_values(row: Any) -> None:
    error, where = values.worst_value(wrong(row=row)(), 3, np.float64)
    assert error > 1e3, where


@pytest.mark.parametrize(
    ("row", "rows"),
    [
        (forgets_smoothing_in_the_gradient, row_cases.ORDINARY[:1]),
        (naive, row_cases.SATURATED),
        (doubles_the_hessian, row_cases.ORDINARY[:1]),
    ],
)
def test_the_law_of_derivatives(row: Any, rows: Any) -> None:
    assert max(error for each in rows for error, _ in derivatives.errors(wrong(row=row)(), each)) > 1e3
    assert max(error for each in rows for error, _ in derivatives.errors(Right(), each)) <= 1


def test_the_law_of_derivatives_sees_couplings() -> None:
    found = [error for error, _ in derivatives.errors(wrong(row=forgets_that_classes_couple)(), row_cases.ORDINARY[0])]
    assert max(found) > 1e3


@pytest.mark.parametrize(
    ("methods", "pair", "what"),
    [
        ({"row": weighs_the_smoothed_part}, ("label smoothing", "class weights"), "cost"),
        ({"row": forgets_smoothing_in_the_gradient}, ("label smoothing", "mask"), "gradient"),
        ({"_class_weights": divides_by_rows}, ("class weights", "sample weights"), "weight of the state"),
        ({"_with_targets": counts_ignored_rows}, ("ignore_index", "sum"), "count of the state"),
        ({"_batch": takes_the_last_axis}, ("class_axis", "class weights"), "cost"),
    ],
    ids=lambda value: next(iter(value.values())).__name__ if isinstance(value, dict) else None,
)
def test_the_law_of_options(methods: Any, pair: Any, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loss, *data = options.call(Right.name, *pair)
    assert not options.differences(loss, *data)
    broken = wrong(**methods)(**loss.values)
    assert any(line.startswith(what) for line in options.differences(broken, *data))


def test_the_laws_of_relations() -> None:
    with pytest.raises(AssertionError, match="gradient"):
        relations.same(
            wrong(row=forgets_smoothing_in_the_gradient)(label_smoothing=0.1),
            Right(label_smoothing=0.1),
            relations.Y,
            relations.Y,
            relations.Z,
        )
    with pytest.raises(AssertionError, match="full_hessian"):
        relations.same(wrong(row=forgets_that_classes_couple)(), Right(), relations.Y, relations.Y, relations.Z)


def test_a_loss_without_a_definition_is_found() -> None:
    with pytest.raises(KeyError):
        row_cases.reference(type("Unheard", (Right,), {"card": Right.card})(), Z[0].tolist(), [1.0, 0.0, 0.0])


def test_the_tolerance_is_tight() -> None:
    assert row_cases.miss(1.0 + 7 * 2**-52, 1, 0) <= 1
    assert row_cases.miss(1.0 + 9 * 2**-52, 1, 0) > 1
    assert row_cases.miss(1.0 + 9 * 2**-52, 1, 2**-52) <= 1
    assert row_cases.miss(np.inf, 1, 0) == np.inf
    assert row_cases.miss(0.0, 1e-300, 0) > 1e10
    assert row_cases.miss(np.float32(1 + 2e-6), 1, 0, np.float32) > 1

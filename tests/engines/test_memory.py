"""What a call needs beside its outputs: a few blocks, whatever comes in."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.engines.choice import Name, using

Array = np.ndarray[Any, Any]

ROWS = 1_100_000
SPARE = 1_000_000
"""Bytes that a call may need beside its outputs: less than a copy of the narrowest of them."""

LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "as made": lambda x: x,
    "float32": lambda x: x.astype(np.float32),
    "float16": lambda x: x.astype(np.float16),
    "int8": lambda x: x.astype(np.int8),
    "bool": lambda x: x.astype(np.bool_),
    "other byte order": lambda x: x.astype(">f8"),
    "wider than float64": lambda x: x.astype(np.longdouble),
    "every other": lambda x: np.repeat(x, 2)[::2],
    "backwards": lambda x: x[::-1],
    "a column of a table": lambda x: np.stack([x, x], axis=1)[:, :1],
    "a transposed table": lambda x: x.reshape(1000, -1).T,
    "a Fortran table in float32": lambda x: np.asfortranarray(x.reshape(1000, -1), np.float32),
}
LOSSES = {"regression": lm.Huber(), "labels": lm.BinaryCrossEntropy(), "counts": lm.Poisson()}


@pytest.fixture(params=["numpy", "llvm"], autouse=True)
def _engine(request: pytest.FixtureRequest) -> Iterator[None]:
    name: Name = request.param
    with using(name):
        yield


def beside_outputs(call: Callable[[], Any]) -> int:
    """Return the bytes that a call had allocated at its peak, less those of the arrays that it returned.

    What others allocate meanwhile, as finalisers and threads of earlier tests do, is not there each time.
    """
    call()  # compiles and plans
    used = SPARE
    for _ in range(3):
        if used >= SPARE:
            used = _beside_outputs_once(call)
    return used


def _beside_outputs_once(call: Callable[[], Any]) -> int:
    tracemalloc.start()
    try:
        found = call()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    arrays = found if isinstance(found, tuple) else found.values() if isinstance(found, dict) else (found,)
    return peak - sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))


def numbers(like: Callable[[Array], Array]) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    return like((rng.uniform(size=ROWS) < 0.5) * 1.0), like(np.linspace(-3, 3, ROWS))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_types_and_layouts_need_no_copies(layout: str) -> None:
    y, f = numbers(LAYOUTS[layout])
    for loss in LOSSES.values():
        used = beside_outputs(lambda loss=loss: loss.cost_and_gradient(y, f))
        assert used < SPARE, f"{loss}: {used / 1e6:.2f} MB beside the outputs"


@pytest.mark.parametrize(
    ("shape", "given"),
    [
        ((ROWS,), {"weight": np.ones(ROWS)}),
        ((ROWS,), {"weight": np.ones(ROWS, np.float32)}),
        ((ROWS,), {"weight": np.ones(ROWS, np.int64)[::-1]}),
        ((ROWS,), {"weight": 2.0}),
        ((ROWS,), {"mask": np.arange(ROWS) % 3 > 0}),
        ((1000, ROWS // 1000), {"weight": np.ones((1000, 1))}),
        ((1000, ROWS // 1000), {"weight": np.ones((1, ROWS // 1000), np.float32)}),
        ((1000, ROWS // 1000), {"weight": np.ones((1000, 1)), "mask": np.ones((1000, ROWS // 1000), bool)}),
    ],
)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_weights_and_masks_need_no_copies(shape: tuple[int, ...], given: dict[str, Any], reduction: str) -> None:
    y, f = (array.reshape(shape) for array in numbers(np.asarray))
    for call in ("cost", "cost_and_gradient"):
        used = beside_outputs(lambda call=call: getattr(lm.Huber(), call)(y, f, reduction=reduction, **given))
        assert used < SPARE, f"{call}: {used / 1e6:.2f} MB beside the outputs"


def test_a_shared_variance_is_not_spread() -> None:
    y, f = numbers(np.asarray)
    used = beside_outputs(lambda: lm.GaussianNLL().losses(y, f, variance=2.0))
    assert used < SPARE, f"{used / 1e6:.2f} MB beside the outputs"


def test_all_outputs_at_once() -> None:
    y, f = numbers(np.asarray)
    used = beside_outputs(lambda: lm.LogCosh().evaluate(y, f))
    assert used < SPARE, f"{used / 1e6:.2f} MB beside the outputs"


IMAGES = (4, 5, 200, 250)
PICTURES: dict[str, Callable[[Array], Array]] = {
    "as made": lambda x: x,
    "float16": lambda x: x.astype(np.float16),
    "other byte order": lambda x: x.astype(">f4"),
    "cropped": lambda x: np.pad(x, 1)[1:-1, 1:-1, 1:-1, 1:-1],
    "classes the nearest": lambda x: np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1),
}


@pytest.mark.parametrize("layout", PICTURES)
def test_classes_along_any_axis_need_no_copies(layout: str) -> None:
    rng = np.random.default_rng(0)
    z = PICTURES[layout](rng.normal(size=IMAGES).astype(np.float32))
    shares = PICTURES[layout](np.moveaxis(rng.dirichlet(np.ones(5), (4, 200, 250)).astype(np.float32), -1, 1).copy())
    labels = rng.integers(0, 5, (4, 200, 250)).astype(np.uint8)
    sparse, soft = lm.SparseCategoricalCrossEntropy(class_axis=1), lm.CategoricalCrossEntropy(class_axis=1)
    for call in (lambda: sparse.cost_and_gradient(labels, z), lambda: soft.cost_and_gradient(shares, z)):
        used = beside_outputs(call)
        assert used < SPARE, f"{used / 1e6:.2f} MB beside the outputs"
    with using("llvm"):  # the reference takes a few megabytes for a block of a divergence
        used = beside_outputs(lambda: lm.Distillation(class_axis=1).cost_and_gradient(teacher=z, student=z))
    assert used < SPARE, f"{used / 1e6:.2f} MB beside the outputs"


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int32])
def test_class_indices_of_any_type_need_no_copies(kind: Any) -> None:
    y, f = numbers(lambda x: x)
    labels, z = y.astype(kind), np.stack([f, -f], axis=1)
    for loss, rows in (
        (lm.SparseCategoricalCrossEntropy(), z),
        (lm.SparseCategoricalCrossEntropy(prediction="probabilities"), np.abs(z) / (2 * np.abs(f)[:, None])),
    ):
        with using("llvm"):  # the reference takes some more for a block
            used = beside_outputs(lambda loss=loss, rows=rows: loss.cost(labels, rows))
        assert used < SPARE, f"{loss}: {used / 1e6:.2f} MB beside the outputs"


def test_a_look_for_a_likely_mistake_needs_no_copies() -> None:
    labels, z = np.zeros(ROWS, np.int8), np.zeros((ROWS, 2))
    z[-1] = 1  # so they are no probabilities, as it turns out at the end
    z[:-1, 0] = 1
    with using("llvm"):
        used = beside_outputs(lambda: lm.SparseCategoricalCrossEntropy().cost(labels, z))
    assert used < SPARE, f"{used / 1e6:.2f} MB beside the outputs"


def test_a_copy_would_be_seen() -> None:
    y, f = numbers(np.asarray)
    assert beside_outputs(lambda: lm.Huber().losses(y.copy(), f)) > SPARE


class Exchanged:
    """An array of another library that NumPy knows only by the exchange protocol."""

    def __init__(self, array: Array) -> None:
        self._array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self._array.__dlpack_device__()


def test_other_libraries_arrays_are_read_where_they_lie() -> None:
    y, f = numbers(lambda x: x)
    expected = lm.Huber()(y, f)
    assert lm.Huber()(memoryview(y), Exchanged(f)) == expected
    assert beside_outputs(lambda: lm.Huber()(memoryview(y), Exchanged(f))) < SPARE

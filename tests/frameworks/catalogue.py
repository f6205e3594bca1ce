"""What the catalogue says of sampled examples, for libraries to be compared with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from lossmith import Loss
from lossmith.certify.samples import sample
from lossmith.engines import choice
from lossmith.structures.divergence import Divergence
from lossmith.structures.rows import Rows
from tests.laws.samples import EVERY, is_plain

Arrays = dict[str, np.ndarray[Any, Any]]
_TURNS = ("jax", "tensorflow")
_IN_TURN = [loss for loss in EVERY if not is_plain(loss) and isinstance(loss, Rows | Divergence)]


def shared(library: str) -> list[Loss]:
    """Return the losses that a library is asked for: all, but of the forms of losses over classes every other one.

    What such a form changes is computed by its structure, which is one code for every library and many losses, and
    PyTorch is asked for all of them. What a library adds are its functions and their derivatives, and either half of
    the forms calls every one, with arrays of every rank. So forms take turns: each is in two libraries, and two
    neighbours, which are mostly of one loss, in one.
    """
    others = {loss for place, loss in enumerate(_IN_TURN) if place // 2 % len(_TURNS) != _TURNS.index(library)}
    return [loss for loss in EVERY if loss not in others]


def given(loss: Loss, rows: int, dtype: Any) -> Arrays:
    """Return inputs in one type, but for class indices."""
    return {name: x.astype(dtype) if x.dtype.kind == "f" else x for name, x in sample(loss, rows).items()}


def directions(loss: Loss, arrays: Mapping[str, Any]) -> Arrays:
    """Return a direction in which second derivatives are taken, by predicted input."""
    rng = np.random.default_rng(1)
    names = [item.name for item in loss.predicted]
    return {name: rng.uniform(0.5, 1, arrays[name].shape).astype(arrays[name].dtype) for name in names}


def right(loss: Loss, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return losses, gradients and second derivatives along those directions."""
    one, axis = loss.predicted[0].name, loss.row_axis
    with choice.using("numpy"), np.errstate(all="ignore"):  # kernels have tests of their own, and to compile
        found = {"losses": loss.losses(**arrays)}
        slopes = loss.gradient(**arrays)
        blocks = loss.hessian(**arrays, kind="full" if loss._couples else "diagonal")
    slopes = slopes if isinstance(slopes, dict) else {one: slopes}
    ways = directions(loss, arrays)
    bends: dict[str, Any] = dict.fromkeys(ways, 0.0)
    for (to, of), block in (blocks if isinstance(blocks, dict) else {(one, one): blocks}).items():
        turned = block if axis is None else np.swapaxes(block, -1, -2)
        for (left, right), each in {(to, of): block, (of, to): turned}.items():
            along = ways[right].astype(float)
            if axis is None:
                bends[left] = bends[left] + each * along
            else:
                moved = np.einsum("...ij,...j->...i", each, np.moveaxis(along, axis, -1))
                bends[left] = bends[left] + np.moveaxis(moved, -1, axis)
    found |= {f"gradient {name}": slope for name, slope in slopes.items()}
    return found | {f"hessian {name}": bend for name, bend in bends.items()}


def furthest(
    found: Mapping[str, Any], expected: Mapping[str, Any], dtype: Any, change: Callable[[Any], Any] = lambda x: x
) -> float:
    """Return how far results are from others, in units in the last place of the largest of their kind."""
    most = 0.0
    assert found.keys() == expected.keys()
    for name, wanted in expected.items():
        result = np.asarray(found[name])
        assert result.dtype == dtype
        assert result.shape == wanted.shape
        apart = np.abs(change(result).astype(float) - wanted).max()
        most = max(most, float(apart / np.spacing(np.abs(wanted).max().astype(dtype))) if apart else 0.0)
    return most

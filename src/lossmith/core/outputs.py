"""Outputs: what can be asked of each example, and what structures call the parts of it.

Parts are called ``losses``, ``gradient:x``, ``hessian:x,x`` and, where the entries of an example
couple, ``full_hessian:x,z``; ``x`` and ``z`` are symbols of predicted inputs, in their order.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lossmith.core.inputs import Input
from lossmith.core.memory import bytes_for
from lossmith.engines.addresses import address
from lossmith.errors import ParameterError

Array = npt.NDArray[Any]
Results = Any
"""An array, or a dict of arrays by argument where a loss has several predicted inputs."""

OUTPUTS = ("losses", "gradient", "hessian", "full_hessian")
"""What can be asked of each example."""


def parts(output: str, predicted: Sequence[Input]) -> list[str]:
    """Return the parts of an output of a loss with these predicted inputs."""
    symbols = [item.symbol for item in predicted]
    if output == "losses":
        return ["losses"]
    if output == "gradient":
        return [f"gradient:{x}" for x in symbols]
    if output == "hessian":
        return [f"hessian:{x},{x}" for x in symbols]
    return [f"full_hessian:{x},{z}" for place, x in enumerate(symbols) for z in symbols[place:]]


def needed(outputs: Sequence[str], symbol: str) -> list[str]:
    """Return which outputs of a formula of one predicted symbol the parts of a call need."""
    wanted = {
        "value": "losses" in outputs,
        f"gradient:{symbol}": any(":" in output for output in outputs),
        f"hessian:{symbol},{symbol}": any("hessian" in output for output in outputs),
    }
    return [name for name, is_wanted in wanted.items() if is_wanted]


def of_program(part: str) -> str:
    """Return what a program of a loss of single numbers calls a part of the outputs."""
    return "value" if part == "losses" else part.removeprefix("full_")


@cache
def symbol(part: str) -> str:
    """Return the first symbol that a part is a derivative by."""
    return part.partition(":")[2].partition(",")[0]


def gather(output: str, predicted: Sequence[Input], found: Mapping[str, Array]) -> Results:
    """Return an output from its parts: as it is where there is one, else by the names of the inputs."""
    if len(found) == 1:
        return next(iter(found.values()))
    keys = parts(output, predicted)
    if output == "losses" or len(predicted) == 1:
        return found[keys[0]]
    names = {item.symbol: item.name for item in predicted}
    if output == "full_hessian":
        return {tuple(names[x] for x in key.partition(":")[2].split(",")): found[key] for key in keys}
    return {names[symbol(key)]: found[key] for key in keys}


def written(
    owner: str, out: Mapping[str, Any] | None, outputs: Sequence[str], predicted: Sequence[Input]
) -> dict[str, Array]:
    """Return the arrays of a caller to write outputs into, by part.

    Args:
        owner: the loss, as messages name it.
        out: what is to be written into, by output.
        outputs: what is asked for.
        predicted: what derivatives are by.

    Raises:
        ParameterError: for other outputs than a gradient and a Hessian that are asked for; for anything but an array
            for each predicted input, by name where there are several; and for arrays that share memory.
    """
    given = {} if out is None else out
    if not isinstance(given, Mapping):
        raise ParameterError(
            f"{owner}: out takes a dict by output, such as {{'gradient': array}}; got {type(out).__name__}"
        )
    if any(name not in outputs or name not in ("gradient", "hessian") for name in given):
        raise ParameterError(
            f"{owner}: out takes a gradient and a hessian that are asked for; got "
            f"{', '.join(map(repr, given))} for {', '.join(outputs)}"
        )
    names, found = [item.name for item in predicted], dict[str, Array]()
    for output, arrays in given.items():
        by_name = arrays if len(names) > 1 else {names[0]: arrays}
        if not isinstance(by_name, Mapping) or by_name.keys() != set(names):
            got = f"one of {', '.join(map(repr, by_name))}" if isinstance(by_name, Mapping) else type(arrays).__name__
            raise ParameterError(
                f"{owner}: out takes a dict of arrays where there are several predicted inputs, one for each of "
                f"{', '.join(names)}; got {got}"
            )
        found |= {part: by_name[name] for name, part in zip(names, parts(output, predicted), strict=True)}
    for one, other in itertools.combinations(found.values(), 2):
        if isinstance(one, np.ndarray) and isinstance(other, np.ndarray) and np.shares_memory(one, other):
            raise ParameterError(f"{owner}: arrays of out share memory; each needs its own")
    return found


_PAGE = 4096
_PLACES = 7
_TURNS = itertools.count()
_LARGE = 1 << 20
_LINE, _LINED_UP = 64, 1 << 16
"""A cache line, and bytes from which it is worth half a microsecond that an array begins at one."""


def room(rows: int, part: str, inputs: Mapping[str, Any], dtype: np.dtype[Any]) -> Array:
    """Return an array to fill with a part, row by row, given the inputs in rows; see ``made``."""
    shape: tuple[int, ...] = (rows,)
    if part != "losses":
        tail = inputs[symbol(part)].shape[1:]
        shape = (rows, *tail, *(tail if part.startswith("full") else ()))
    return made(shape, dtype, math.prod(shape) * dtype.itemsize)


def fresh(like: Array) -> Array:
    """Return an array of the shape and type of another to fill; see ``made``."""
    return made(like.shape, like.dtype, like.nbytes)


def made(shape: tuple[int, ...], dtype: np.dtype[Any], size: int) -> Array:
    """Return an array to fill of so many bytes, which begins at a cache line if it is not small; see ``set_apart``."""
    if size < _LINED_UP:
        return np.empty(shape, dtype)
    if size >= _LARGE:
        return set_apart(shape, dtype)
    raw = np.empty(size + _LINE, np.uint8)
    return np.ndarray(shape, dtype, raw, -address(raw) % _LINE)


def set_apart(shape: tuple[int, ...], dtype: np.dtype[Any], order: Literal["C", "F"] = "C") -> Array:
    """Return an array to fill that begins at a cache line, elsewhere in its page than the last ones and large inputs.

    Where they lie at the same place, passes were seen to take many times as long: processors may take a number that is
    read for one that is being written. All large arrays of NumPy begin at one place, near the start of a page.
    """
    size = math.prod(shape) * dtype.itemsize
    raw = bytes_for(size + 2 * _PAGE)
    start = -address(raw) % _PAGE + (1 + next(_TURNS) % _PLACES) * (_PAGE // (1 + _PLACES))
    return raw[start : start + size].view(dtype).reshape(shape, order=order)

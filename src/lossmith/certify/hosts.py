"""The hosts: who computes losses, how they are asked, and how far each may be from the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from ml_dtypes import bfloat16, finfo

from lossmith.certify.exactness import OUTPUTS, ULPS
from lossmith.core.loss import Loss
from lossmith.engines.choice import Name, using

Array = npt.NDArray[Any]
Arrays = dict[str, Array]
Answers = Callable[[Loss, Arrays, str], dict[str, Array]]
"""``(loss, inputs by name, type) -> outputs``.

Outputs are ``losses``, and for each predicted input with the symbol x ``gradient:x`` and ``hessian:x``. The second
derivative is by an input's number, of rows by their first one; it is left out where a host has none.
"""

KINDS: dict[str, Any] = {"float64": np.float64, "float32": np.float32, "bfloat16": bfloat16}
"""The types of inputs by their names; bfloat16 is computed in float32."""

# How many units in the last place a result may be off, by the type that it comes in. A host rounds derivatives by
# bfloat16 to bfloat16: that is half a unit, and of all errors before it little is seen there.
REFERENCE = {"float64": ULPS, "float32": 2 * ULPS, "bfloat16": 0.51}
"""Our own engines: 8 units in the last place of float64, and 1e-6 of a float32, which is up to 16 units."""
ARRAYS = {"float64": 64, "float32": 64, "bfloat16": 0.51}
"""Hosts of arrays compute with their library's exp, log, lgamma and powers, whose last digits are the library's."""
SIGN_CHANGES = 4
"""Second derivatives may be so many times as far off: where one changes sign, nearly equal terms cancel."""


@dataclass(frozen=True)
class Host:
    """One way to have losses computed.

    Attributes:
        needs: the modules that have to be installed.
        answers: what it says; a text names a function by module and name, which is imported when it is asked.
        tolerance: units in the last place that a result may be off, by its type.
        roots: nothing is promised where an input or a truth other than 0 is so small or large that its square is no
            normal number, nor for the sign of -0.0. So it is with XLA, which takes what is below the normal range
            for 0 and computes a / b / b as a / (b * b), and with the threads of TensorFlow, which also flush to 0.
        pace: what a quick run asks of it: of every loss ``all`` types, or one of them in ``turns``; where that takes
            long, since functions or single operations are compiled, of one loss in four (``some``), or nothing
            (``never``).
    """

    needs: tuple[str, ...]
    answers: Answers | str
    tolerance: Mapping[str, float]
    roots: bool = False
    pace: Literal["all", "turns", "some", "never"] = "all"

    @property
    def missing(self) -> list[str]:
        """What is not installed of it."""
        return [name for name in self.needs if find_spec(name) is None]

    def promises(self, numbers: Iterable[float], kind: str) -> bool:
        """Return whether it promises results at inputs of a type, or a result of this truth."""
        if not self.roots:
            return True
        low, high = (float(x) ** 0.5 for x in (finfo(KINDS[kind]).tiny, finfo(KINDS[kind]).max))
        return all(low <= abs(x) <= high or (x == 0 and not np.signbit(x)) or np.isinf(x) for x in numbers)

    def ask(self, loss: Loss, given: Mapping[str, Array], kind: str) -> dict[str, Array]:
        """Return its outputs for examples of a type."""
        if callable(self.answers):
            run = self.answers
        else:
            module, _, name = self.answers.partition(":")
            run = getattr(import_module(module), name)
        with np.errstate(all="ignore"):
            arrays = {name: x if x.dtype.kind == "i" else x.astype(KINDS[kind]) for name, x in given.items()}
            return run(loss, arrays, kind)


def engine(name: Name, loss: Loss, given: Mapping[str, Any], kind: str) -> dict[str, Array]:
    """Return what one of our own engines says."""
    with using(name):
        found = loss.evaluate(outputs=OUTPUTS, trusted=True, **given)
    results, first = {"losses": found["losses"]}, (..., 0) if loss.row_axis is not None else ...
    for item in loss.predicted:
        slope, bend = (x[item.name] if isinstance(x, dict) else x for x in (found["gradient"], found["hessian"]))
        results |= {f"gradient:{item.symbol}": slope, f"hessian:{item.symbol}": bend[first]}
    return results


_TORCH, _JAX, _TENSORFLOW = (f"lossmith.frameworks.{name}.answers" for name in ("torch", "jax", "tensorflow"))

HOSTS: dict[str, Host] = {
    "numpy": Host(("numpy",), partial(engine, "numpy"), REFERENCE),
    "llvm": Host(("llvmlite",), partial(engine, "llvm"), REFERENCE, pace="turns"),
    "torch": Host(("torch",), f"{_TORCH}:eager", REFERENCE),
    "torch-operations": Host(("torch",), f"{_TORCH}:in_operations", ARRAYS),
    "torch-compiled": Host(("torch",), f"{_TORCH}:compiled", ARRAYS, pace="never"),
    "jax": Host(("jax",), f"{_JAX}:eager", ARRAYS, roots=True, pace="some"),
    "jax-jit": Host(("jax",), f"{_JAX}:compiled", ARRAYS, roots=True, pace="some"),
    "tensorflow": Host(("tensorflow",), f"{_TENSORFLOW}:eager", ARRAYS, roots=True, pace="turns"),
    "tensorflow-xla": Host(("tensorflow",), f"{_TENSORFLOW}:compiled", ARRAYS, roots=True, pace="some"),
}
"""Each by its name; another one is another line. Keras computes with the engine of its backend, one of these."""

"""The hosts: who computes losses, how they are asked, and how far each may be from the truth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lossmith.certify.exactness import OUTPUTS, ULPS
from lossmith.core.loss import Loss
from lossmith.engines.choice import Name, using

Array = npt.NDArray[Any]
Answers = Callable[[Loss, Array, Array, str], list[Array]]
"""``(loss, y, f, kind) -> [losses, gradient, second derivative]``, the last one left out where there is none."""

KINDS = ("float64", "float32", "bfloat16")
"""The types of inputs; bfloat16 is computed in float32."""


class Tolerance(NamedTuple):
    """Units in the last place that a result may be off, by the type that it is computed in."""

    float64: float
    float32: float


REFERENCE = Tolerance(float64=ULPS, float32=2 * ULPS)
"""Our own engines: 8 units in the last place of float64, and 1e-6 of a float32, which is up to 16 units."""
ARRAYS = Tolerance(float64=64, float32=64)
"""Hosts of arrays compute with their library's exp, log, lgamma and powers, whose last digits are the library's."""
SIGN_CHANGES = 4
"""Second derivatives may be so many times as far off: where one changes sign, nearly equal terms cancel."""
HALF = 0.51
"""The gradient of a bfloat16 input is rounded to bfloat16 by the host, in units of that type, besides the rest."""

_NEARLY = 2.0**32


@dataclass(frozen=True)
class Host:
    """One way to have losses computed.

    Attributes:
        needs: the module that has to be installed.
        answers: what it says; a text names a function by module and name, which is imported when it is asked.
        tolerance: units in the last place that it may be off, by the type that it computes in.
        narrow: whether derivatives by a bfloat16 input are bfloat16.
        flushes: whether it takes numbers below the normal range for 0, in the midst of a formula too: nothing is
            promised of inputs and results that small, or nearly so. XLA, which does, also loses the sign of -0.0.
        bent: whether an infinite second derivative comes out as one.
        asked: whether it runs only when it is asked for.
    """

    needs: str
    answers: Answers | str
    tolerance: Tolerance = ARRAYS
    narrow: bool = True
    flushes: bool = False
    bent: bool = True
    asked: bool = False

    @property
    def installed(self) -> bool:
        """Whether it can run here."""
        return find_spec(self.needs) is not None

    def promises(self, order: int, truth: Any, kind: str) -> bool:
        """Return whether the tolerance holds for a result."""
        if self.flushes and self.too_small(float(truth), np.dtype(kind)):
            return False
        return self.bent or order < 2 or bool(abs(truth) <= float(np.finfo(kind).max))

    def usable(self, y: Array, f: Array) -> tuple[Array, Array]:
        """Return as many points, of which all are such that something is promised."""
        if not self.flushes:
            return y, f
        kept = ~(self.too_small(y, y.dtype) | self.too_small(f, y.dtype))
        return np.where(kept, y, y[kept][0]) + 0.0, np.where(kept, f, f[kept][0]) + 0.0

    def too_small(self, numbers: Any, kind: Any) -> Any:
        """Return where numbers are below the normal range, or nearly so, but for 0."""
        return (numbers != 0) & (np.abs(numbers) < float(np.finfo(kind).tiny) * _NEARLY)

    def ask(self, loss: Loss, y: Array, f: Array, kind: str) -> list[Array]:
        """Return what it says of examples, with values in float64, whatever was computed in."""
        if callable(self.answers):
            run = self.answers
        else:
            module, _, name = self.answers.partition(":")
            run = getattr(import_module(module), name)
        with np.errstate(all="ignore"):
            return [np.asarray(found, np.float64) for found in run(loss, y, f, kind)]


def _engine(name: Name, loss: Loss, y: Array, f: Array, kind: str) -> list[Array]:
    if kind == "bfloat16":
        import ml_dtypes

        dtype: Any = ml_dtypes.bfloat16
    else:
        dtype = kind
    with using(name):
        found = loss.evaluate(y.astype(dtype), f.astype(dtype), OUTPUTS)
    return [found[output] for output in OUTPUTS]


HOSTS: dict[str, Host] = {
    "numpy": Host("numpy", partial(_engine, "numpy"), REFERENCE, narrow=False),
    "llvm": Host("llvmlite", partial(_engine, "llvm"), REFERENCE, narrow=False),
    "torch": Host("torch", "lossmith.frameworks.torch.answers:eager", REFERENCE),
    "torch-traced": Host("torch", "lossmith.frameworks.torch.answers:in_operations"),
    "torch-compiled": Host("torch", "lossmith.frameworks.torch.answers:compiled", asked=True),
    "jax": Host("jax", "lossmith.frameworks.jax.answers:eager", flushes=True, bent=False),
    "jax-jit": Host("jax", "lossmith.frameworks.jax.answers:compiled", flushes=True, bent=False),
}
"""Each by its name; another one is another line."""

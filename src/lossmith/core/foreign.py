"""Arrays of libraries that losses have a face of their own for, read where they lie."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.errors import KindError

_JAX = "call a function of lossmith.jax, or "
_FACES = {
    "torch": "call the module lossmith.torch.{}, or ",
    "tensorflow": "call lossmith.keras.{}(), or ",
    "jax": _JAX,
    "jaxlib": _JAX,
    "keras": "",
}
_BFLOAT16, _STRIDED = "torch.bfloat16", "torch.strided"
_MEMORY = (1, 3)  # as DLPack numbers devices: the CPU, and its memory that CUDA reads too


def is_foreign(value: Any) -> bool:
    """Return whether a value is of one of those libraries, none of which is imported here."""
    return _library(value) in _FACES


def read(owner: str, label: str, value: Any) -> npt.NDArray[Any]:
    """Return an array of one of those libraries as one of NumPy, without a copy where NumPy can read its memory.

    Raises:
        KindError: for one on another device, one that wants a gradient, which nobody would get, and one that is traced.
    """
    if getattr(value, "requires_grad", False):
        why = "that requires a gradient"
    elif _is_far(value):
        why = "on another device"
    else:
        try:
            array = np.asarray(_of_known_type(value))
        except (RuntimeError, TypeError, ValueError) as error:
            why = f"that NumPy cannot read ({str(error).partition('. ')[0]})"
        else:
            if array.dtype.kind != "O":
                return array
            why = "without numbers"
    library = _library(value)
    raise KindError(
        f"{owner}: {label} is a {library} {type(value).__name__} {why}, and a loss itself reads what lies in memory as "
        f"NumPy's arrays do: {_FACES[library].format(owner)}{_remedy(value)}"
    )


def _of_known_type(value: Any) -> Any:
    """Return a tensor of bfloat16, which PyTorch hands to nobody, in the type that ml_dtypes adds to NumPy."""
    if str(getattr(value, "dtype", "")) != _BFLOAT16:
        return value
    try:
        import ml_dtypes
    except ImportError:
        return value
    return value.view(sys.modules["torch"].int16).numpy().view(ml_dtypes.bfloat16)


def _remedy(value: Any) -> str:
    """Return how to make an array that can be read."""
    if _library(value) != "torch":
        return "pass one, for example by numpy.asarray"
    if getattr(value, "is_meta", False):
        return "pass one with numbers, which tensors on the meta device have not"
    steps = {
        ".detach()": getattr(value, "requires_grad", False),
        ".cpu()": _is_far(value),
        ".to_dense()": str(getattr(value, "layout", _STRIDED)) != _STRIDED,
        ".float()": str(getattr(value, "dtype", "")).startswith((_BFLOAT16, "torch.float8", "torch.float4")),
    }
    taken = "".join(step for step, needed in steps.items() if needed)
    is_short = taken == ".float()" and str(value.dtype) == _BFLOAT16
    return f"pass one, for example by {taken}.numpy()" + ", or install ml_dtypes" * is_short


def _library(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


def _is_far(value: Any) -> bool:
    try:
        return value.__dlpack_device__()[0] not in _MEMORY
    except Exception:  # libraries differ in what they say of arrays that do not lie in one place
        return False

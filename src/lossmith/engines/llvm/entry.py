"""Kernels as functions of Python that read arrays by themselves.

What Python asks of an array in a microsecond, its type, its shape, how and where it lies, machine code reads in a few
nanoseconds where NumPy keeps it, and that is most of what a small call takes. So a kernel over a few blocks is made a
function like those that Python has in C. It takes arrays of NumPy itself, of the types that it was made for and in
one piece, and returns the cost. For whatever else comes, and whatever calls for a message, it returns ``None``, and
that goes the general way. Tensors of libraries that tell machine code where they lie are taken likewise.
"""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.engines.choice import SMALLEST, NoKernel
from lossmith.engines.llvm import compile as compiler
from lossmith.engines.llvm import entry_reading, exchange, pairwise
from lossmith.engines.llvm.entry_layout import (
    AXES,
    CLASS,
    DATA,
    DTYPE,
    FLAGS,
    KIND,
    MOST,
    NAME,
    OF_ARRAYS,
    SEVERAL,
    SHAPE,
    Fact,
    Slot,
)
from lossmith.engines.llvm.entry_text import text

Array = npt.NDArray[Any]
Entry = Callable[..., float | None]
"""``(*inputs, *outputs) -> cost``, or ``None``."""

SCRATCH = 32 * 1024
"""Bytes of scratch up to which it lies on the stack."""

MOST_AXES = 64
"""Axes that arrays have at most."""

_LIES, _WRITEABLE = 0x0101, 0x0400  # in one piece in the order of C, and aligned
_FASTCALL = 0x0080


@dataclass(frozen=True)
class Held:
    """What one array of a call has to be.

    Attributes:
        dtype: type of its numbers.
        written: whether it is written.
        labels: whether it has a number a row, and no axis of classes.
        looked_at: how many of its first numbers are looked at, of which one shows that they are no probabilities; if
            negative, how many spread over all of them.
    """

    dtype: np.dtype[Any]
    written: bool = False
    labels: bool = False
    looked_at: int = 0


@dataclass(frozen=True)
class Target:
    """A kernel as it is called over a few blocks.

    Attributes:
        kernel: compiled.
        kept: what must live as long.
        block: rows of a block.
        constants: where those of a kernel of numbers are.
        leaves: whether it counts what it leaves to the reference.
        table: the pointers of a kernel of rows; what a call brings is put in.
        at: places in the table of the arrays of a call, in their order.
        record, scratch: places of what it leaves, and of its scratch.
        scratch_bytes: how much that is.
        numbers: the two numbers of a kernel of rows.
        sizes: classes, rows of a block, and what more it wants.
    """

    kernel: Any
    kept: Any
    block: int
    constants: int = 0
    leaves: bool = False
    table: Sequence[int | None] = ()
    at: Sequence[int] = ()
    record: int = 0
    scratch: int = 0
    scratch_bytes: int = 0
    numbers: tuple[float, float] = (0.0, 0.0)
    sizes: Sequence[int] = ()


class _Definition(ctypes.Structure):
    """What Python knows of a function in C."""

    _fields_ = (
        ("name", ctypes.c_char_p), ("function", ctypes.c_void_p), ("flags", ctypes.c_int), ("doc", ctypes.c_char_p),
    )  # fmt: skip


class _Known(np.ndarray[Any, Any]):
    """The slots of a function, which keep alive what they point to."""

    kept: Any


def most(block: int, least: int) -> int:
    """Return how many numbers a function takes at most: those of a block, and more where one thread is best.

    Args:
        block: numbers in a block.
        least: blocks that are worth a thread of their own.
    """
    return block * min(SEVERAL, 2 * least - 1)


def entry(
    target: Target,
    arrays: Sequence[Held],
    lead: int,
    least: int,
    most: int,
    *,
    mean: bool,
    tail: int = 1,
    axes: tuple[int, int] | None = None,
    twin: bool = False,
    export: int = 0,
) -> Entry | None:
    """Return the function of a kernel over a few blocks, or nothing where arrays do not lie as is known.

    Args:
        target: the kernel.
        arrays: what a call brings: first what is read, then what is written.
        lead: the place of the array whose shape the others must have.
        least, most: how many numbers that holds.
        tail: how many the last of several blocks holds at least.
        mean: whether the cost is a mean, and no sum.
        axes: the least and the most axes of that array; by default all that numbers, or rows, can have.
        twin: whether it is a kernel of numbers that writes losses first, and divides derivatives; losses are then
            summed in NumPy's order, so that all is the bits of the reference engine.
        export: what tells where the tensors of a library lie, which are taken in the place of arrays; see ``exchange``.
    """
    if not _lie_as_known() or max(2 * len(arrays), len(target.table)) > MOST or target.scratch_bytes > SCRATCH:
        return None
    try:
        code = _code(entry_reading.OF_TENSORS if export else entry_reading.OF_ARRAYS)
    except NoKernel:
        return None
    if twin and not _sums_as_numpy():
        return None
    classes, _, group = (*target.sizes, 0, 0, 0)[:3]
    least_axes, most_axes = axes or (2 if classes else 1, MOST_AXES)
    slots: dict[int, int] = {
        **_python(),
        Slot.EXPORT: export,
        Slot.LOCKED: SMALLEST,
        Slot.KERNEL: _address(target.kernel),
        Slot.CONSTANTS: target.constants,
        Slot.INPUTS: sum(not held.written for held in arrays),
        Slot.ARRAYS: len(arrays),
        Slot.LEAD: lead,
        Slot.LEAST_AXES: least_axes,
        Slot.MOST_AXES: most_axes,
        Slot.LEAST: least,
        Slot.MOST: most,
        Slot.BLOCK: target.block,
        Slot.TAIL: tail,
        Slot.MEAN: int(mean),
        Slot.LEAVES: -int(target.leaves),
        Slot.LOSSES: arrays[lead].dtype.itemsize if twin else 0,
        Slot.SIZES: len(target.sizes),
        Slot.CLASSES: classes,
        Slot.GROUP: group,
        Slot.FIRST: _word(struct.pack("d", target.numbers[0])),
        Slot.SECOND: _word(struct.pack("d", target.numbers[1])),
        Slot.SCRATCH: target.scratch_bytes,
        Slot.RECORD_AT: target.record,
        Slot.SCRATCH_AT: target.scratch,
        **{Slot.TABLE + place: pointer or 0 for place, pointer in enumerate(target.table)},
    }
    known = np.zeros(OF_ARRAYS + len(Fact) * len(arrays), np.int64).view(_Known)
    for slot, value in slots.items():
        known[slot] = value
    for place, held in enumerate(arrays):
        facts = {
            Fact.KIND: _word(exchange.kind(held.dtype) if export else _kind(held.dtype)),
            Fact.BYTES: held.dtype.itemsize,
            Fact.FLAGS: _LIES | (_WRITEABLE if held.written else 0),
            Fact.LABELS: int(held.labels),
            Fact.LOOKED_AT: held.looked_at,
            Fact.AT: target.at[place] if target.at else 0,
        }
        for fact, value in facts.items():
            known[OF_ARRAYS + place * len(Fact) + fact] = value
    definition = _Definition(b"cost", code.address(NAME), _FASTCALL, None)
    known.kept = code, target, definition
    make = ctypes.pythonapi["PyCFunction_NewEx"]
    make.restype, make.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)
    made: Entry = make(ctypes.addressof(definition), known, None)
    return made


@compiler.kept(2)
def _code(reading: str) -> compiler.Loaded:
    """Return what all functions share that read alike."""
    return compiler.loaded(text(reading))


@cache
def _sums_as_numpy() -> bool:
    """Return whether sums are taken in the order that NumPy takes here, which is looked up."""
    signature = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_void_p, ctypes.c_int64)
    drawn = np.random.default_rng(0).normal(size=SMALLEST) * 10.0 ** np.arange(SMALLEST).clip(0, 9)
    for kind, dtype in zip(pairwise.KINDS, (np.float32, np.float64), strict=True):
        ours, numbers = signature(_code(entry_reading.OF_ARRAYS).address(pairwise.name(kind))), drawn.astype(dtype)
        for count in (1, 2, 7, 8, 15, 16, 127, 128, 129, 137, 255, 256, 300, 1000, 2047, SMALLEST - 1):
            if ours(numbers.ctypes.data, count) != np.add.reduce(numbers[:count], dtype=np.float64):
                return False
    return True


@cache
def _python() -> dict[int, int]:
    """Return where Python keeps what functions need."""
    names = {
        Slot.INCREF: "Py_IncRef",
        Slot.FORGET: "PyErr_Clear",
        Slot.FLOAT: "PyFloat_FromDouble",
        Slot.UNLOCK: "PyEval_SaveThread",
        Slot.LOCK: "PyEval_RestoreThread",
    }
    found: dict[int, int] = {slot: _address(ctypes.pythonapi[name]) for slot, name in names.items()}
    return {Slot.NDARRAY: id(np.ndarray), Slot.NONE: id(None), **found}


@cache
def _lie_as_known() -> bool:
    """Return whether functions can read arrays here, which is looked up in some of them."""
    if sys.implementation.name != "cpython" or ctypes.sizeof(ctypes.c_void_p) != 8 or object.__basicsize__ != 16:
        return False  # in a free-threaded Python objects begin with more, and nothing keeps others out
    known = np.zeros((3, 5), np.float32)[:, ::2], np.zeros(7), np.zeros((2, 3, 1), np.int8), np.zeros(2, ">f8")
    return all(_lies_as_known(array) for array in known)


def _lies_as_known(array: Array) -> bool:
    begin, dtype = id(array), array.dtype
    letters, shape = _kind(dtype), begin + SHAPE
    return (
        [_pointer(begin + place) for place in (CLASS, DATA, DTYPE)] == [id(np.ndarray), array.ctypes.data, id(dtype)]
        and [_number(begin + place) for place in (AXES, FLAGS)] == [array.ndim, array.flags.num]
        and _pointer(shape + 8) == _pointer(shape) + 8 * array.ndim  # where strides begin, so that one may look there
        and tuple((ctypes.c_int64 * array.ndim).from_address(_pointer(shape))) == array.shape
        and letters[:3].decode("latin1") == dtype.kind + dtype.char + dtype.byteorder
        and int.from_bytes(letters[4:], sys.byteorder) == dtype.num
    )


def _kind(dtype: np.dtype[Any]) -> bytes:
    """Return what NumPy writes down of a type."""
    return ctypes.string_at(id(dtype) + KIND, 8)


def _pointer(at: int) -> int:
    return ctypes.c_void_p.from_address(at).value or 0


def _number(at: int) -> int:
    return ctypes.c_int32.from_address(at).value


def _word(content: bytes) -> int:
    return int.from_bytes(content, sys.byteorder, signed=True)


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0

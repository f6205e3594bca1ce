"""Kernels: programs compiled for a type and a set of outputs, and how they are called."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping, Sequence
from functools import cache, cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lossmith.engines import numpy as reference
from lossmith.engines.addresses import address
from lossmith.engines.choice import SMALLEST, Findings
from lossmith.engines.facts import is_arithmetic, made_of
from lossmith.engines.hard_labels import Hard, hard
from lossmith.engines.llvm import compile as compiler
from lossmith.engines.llvm import records, shares, threads
from lossmith.engines.llvm.entry import Target, most
from lossmith.engines.llvm.form import Form
from lossmith.engines.llvm.frame import NAME
from lossmith.engines.llvm.hand_over import Later
from lossmith.engines.llvm.lanes import Kind
from lossmith.engines.llvm.loops import pointwise
from lossmith.engines.llvm.one_block import OneBlock
from lossmith.engines.regimes import decided
from lossmith.program import Program

Array = npt.NDArray[Any]

LEAST_BLOCKS, LEAST_ARITHMETIC = 4, 16
"""Blocks that are worth a thread of their own, and those of a formula that is quick."""

PAGE, LINE, NEAR = 4096, 64, 320
"""Bytes of a page, of a cache line, and in which what is written past the caches stands in the way of what is read."""

STREAMING = 8 * 2**20
"""Bytes that are more than caches hold: so large outputs are written past them, and so much is not found in them."""

_SIGNATURE = ctypes.CFUNCTYPE(
    None, *[ctypes.c_void_p] * 6, ctypes.c_double, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64
)
_ARGUMENTS = (*["ptr"] * 6, "double", "i64")  # but for the blocks


class Kernel:
    """A program in machine code; see ``lossmith.engines.llvm.loops`` for what it computes.

    Args:
        program: the program, or one for hard labels, which hands over to another kernel what it is not for.
        form: what to do with it.

    Attributes:
        others: the program for all labels, and its kernel, where this one is for hard ones.
    """

    def __init__(self, program: Program | Hard, form: Form) -> None:
        hard = program if isinstance(program, Hard) else None
        self.program, self.form = program if isinstance(program, Program) else program.program, form
        host = compiler.host()
        registers = _registers(self.program, form, host.bits)
        self.width = registers * host.bits // (32 if form.kind == "float" else 64)
        text = pointwise(
            self.program, form, self.width, reference.BLOCK, registers=registers, on_x86=host.on_x86, hard=hard
        )
        self.call = compiler.function(text, NAME, _SIGNATURE)
        self.others = None if hard is None else (hard.soft, Later(lambda: kernel(hard.soft, form).call, _SIGNATURE))

    def constants(self, parameters: Mapping[str, float]) -> tuple[Array, Array | None]:
        """Return the numbers that the kernel is given with these parameters, and what has to live as long."""
        own = reference.uniform_values(self.program, parameters)
        if self.others is None:
            return own, None
        soft, later = self.others
        its = reference.uniform_values(soft, parameters)
        places = np.array([address(later.place), address(its)], np.int64)
        return np.concatenate([own, places.view(np.float64)]), its


def _registers(program: Program, form: Form, bits: int) -> int:
    """Return how many registers a vector takes.

    While a chain of products waits in one, others go on. Four take longer to compile, which pays where many numbers
    come. Where registers have 512 bits, only functions of logits or log means gain, of one where numbers are doubles,
    and floats lose where doubles come in; where they have fewer, doubles gain little.
    """
    if is_arithmetic(program):  # and doubles stored as floats would be half cache lines, which are streamed slowly
        return 2 if form.kind == "double" and set(form.taken) == {"float"} else 1
    logits = _logits(program) if len(program.inputs) <= 2 else ()
    if form.kind == "double":
        four = bits > 256 and len(logits) == 1
    else:
        four = bits <= 256 or (len(logits) > 0 and "double" not in form.given)
    return 4 if form.large and four else 2


_GAINING = ("mul_exp", "sigmoid", "softplus")
"""Functions of which several wait for the same exponential."""


def _logits(program: Program) -> set[int]:
    """Return the inputs that these functions take exponentials of."""
    exponents = (step.args[-1] for step in program.steps if step.op in _GAINING)
    return {number for number in made_of(program, exponents) if number < len(program.inputs)}


class Ready:
    """A kernel with numbers for its parameters, ready to run.

    Args:
        kernel: the kernel.
        parameters: a number for each of its program's parameters.

    Attributes:
        most: how many numbers a function takes; see ``entry.most``.
    """

    def __init__(self, kernel: Kernel, parameters: Mapping[str, float]) -> None:
        form, count = kernel.form, len(kernel.program.inputs)
        self._call, self._begin = kernel.call, ctypes.cast(kernel.call, ctypes.c_void_p)
        self._others = kernel.others
        self._constants, self._its = kernel.constants(parameters)
        self._fixed = address(self._constants)
        self._kept = form.given or (form.kind,) * count
        self._outputs = len(form.stored)
        self._least = LEAST_ARITHMETIC if is_arithmetic(kernel.program) else LEAST_BLOCKS
        self.most = most(reference.BLOCK, self._least)

    def run(
        self,
        inputs: Sequence[Array],
        outputs: Sequence[Array],
        weight: Array | None = None,
        mask: Array | None = None,
        factor: float = 1.0,
    ) -> Array:
        """Fill the outputs and return a record for each block.

        Args:
            inputs: arrays of one length, any real type and any stride; what the form says they hold is read in place,
                all else brought to the type of the kernel a block at a time.
            outputs: contiguous arrays of that length, of what the form says they hold.
            weight: float64, any stride.
            mask: contiguous truth values.
            factor: what stored outputs are multiplied by; ``value`` only by weights.
        """
        rows = len(inputs[0])
        blocks = -(-rows // reference.BLOCK)
        left = np.empty(blocks, records.TYPE)
        if not blocks:
            return left
        columns, kept = (inputs, self._kept) if weight is None else ([*inputs, weight], (*self._kept, "double"))
        odd = [place for place, array in enumerate(columns) if element_of(array) != kept[place]]
        filled, masked, recorded = pointers(outputs), pointer(mask), address(left)

        def arguments(begins: Sequence[int]) -> tuple[Any, ...]:
            given = _table(len(begins))(*begins)  # with the weights, which the kernel does not look for there
            weights = None if weight is None else begins[-1]
            return given, self._fixed, filled, weights, masked, recorded, factor, rows

        def copy(first: int, last: int) -> None:
            room = {place: np.empty(reference.BLOCK, _NUMBERS[kept[place]]) for place in odd}
            for block in range(first, last):
                start, stop = block * reference.BLOCK, min((block + 1) * reference.BLOCK, rows)
                here = begins.copy()
                for place, copied in room.items():
                    copied[: stop - start] = columns[place][start:stop]
                    here[place] = address(copied) - start * copied.itemsize  # rows count from the first of all
                self._call(*arguments(here), block, block + 1)

        begins = [0 if place in odd else address(array) for place, array in enumerate(columns)]
        if odd:
            threads.run(copy, blocks, self._least)
        else:
            self._over(blocks, *arguments(begins))
        if self._others is not None:
            self._others[1].heed()
        return left

    def plain(self, inputs: Sequence[Array], outputs: Sequence[Array], factor: float) -> Sequence[float] | None:
        """Do the same to contiguous arrays, each of what the form says it holds; nothing has weights.

        Returns:
            Numbers whose sum is that of all blocks, or nothing where one has more to say.
        """
        rows = len(inputs[0])
        if rows <= reference.BLOCK:
            total = self.one_block([*map(address, inputs), *map(address, outputs)], rows, factor)
            return None if total is None else [total]
        blocks = -(-rows // reference.BLOCK)
        room = records.Room.of(blocks)
        self._over(blocks, pointers(inputs), self._fixed, pointers(outputs), None, None, room.begin, factor, rows)
        return room.sums()

    def _over(self, blocks: int, *arguments: Any) -> None:
        """Call the kernel over blocks of arrays that lie as it wants them."""

        def share(at: int, most: int) -> int:
            return int(shares.shared(_ARGUMENTS)(self._begin, at, most, *arguments))

        threads.run(lambda first, last: self._call(*arguments, first, last), blocks, self._least, share)

    @cached_property
    def one_block(self) -> OneBlock:
        """The kernel over at most a block of inputs that lie and hold what the form says, and then of outputs."""
        inputs, outputs = len(self._kept), self._outputs

        def layout(left: int) -> tuple[Any, Sequence[Any], Any]:
            table = _table(inputs + outputs)()
            given = ctypes.addressof(table)
            filled = given + inputs * ctypes.sizeof(ctypes.c_void_p)
            return table, (given, self._fixed, filled, None, None, left, 1.0, 0, 0, 1), self._constants

        return OneBlock(self._call, layout, range(inputs + outputs), factor=6, rows=7)

    @property
    def target(self) -> Target:
        """The kernel as functions of Python call it."""
        return Target(self._call, self, reference.BLOCK, constants=self._fixed)


def element_of(array: Array) -> str:
    """Return what a kernel calls what an array holds; nothing where it has to be copied first."""
    dtype = array.dtype
    if (array.size > 1 and array.strides != (dtype.itemsize,)) or not array.flags.aligned:
        return ""
    return element_type(dtype)


@cache
def element_type(dtype: np.dtype[Any]) -> str:
    """Return what a kernel calls numbers of a type; nothing where it does not read them."""
    kind = _ELEMENTS.get(dtype.name, "") if dtype.isnative else ""
    return "" if kind == "half" and not compiler.host().halves else kind


_NUMBERS = {"float": np.float32, "double": np.float64}
_ELEMENTS = {
    "float16": "half", "bfloat16": "bfloat", "float32": "float", "float64": "double", "bool": "u8",
    **{f"{sign}int{bits}": f"{sign or 'i'}{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip


def pointers(arrays: Sequence[Array]) -> Any:
    """Return a table of where arrays begin."""
    return _table(len(arrays))(*map(address, arrays))


@cache
def _table(count: int) -> Any:
    return ctypes.c_void_p * max(count, 1)


def pointer(array: Array | None) -> int | None:
    """Return where an array begins, or nothing."""
    return None if array is None else address(array)


def of_examples(losses: Array | None, weight: Array | None, mask: Array | None) -> dict[str, int | None]:
    """Return the pointers to what there is once a row."""
    return {"losses": pointer(losses), "weight": pointer(weight), "mask": pointer(mask)}


@lru_cache(maxsize=512)
def uniform(program: Program, parameters: tuple[tuple[str, float], ...]) -> Array:
    """Return the values of a program that are the same for every example, which kernels are given."""
    return reference.uniform_values(program, dict(parameters))


@compiler.kept(512)
def kernel(program: Program | Hard, form: Form) -> Kernel:
    """Return the kernel of a program, compiled once."""
    return Kernel(program, form)


def run(
    program: Program,
    inputs: Sequence[Array],
    parameters: Mapping[str, float],
    outputs: Mapping[str, Array],
    *,
    kind: Kind | None = None,
    weight: Array | None = None,
    mask: Array | None = None,
    summed: bool = False,
    divisor: float = 1.0,
) -> Findings:
    """Run a program in machine code.

    Args:
        program: must have the outputs, ``valid``, and ``value`` where it is summed.
        inputs: one-dimensional arrays of one length; any real type and any stride.
        parameters: a number for each of the program's parameters.
        outputs: what to write, by name: contiguous arrays of that length, of floating point of any width.
        kind: type to compute in; by default the widest of the inputs.
        weight: float64 weights of the outputs and of the sum; what has weight 0 is 0, whatever it would be.
        mask: true for the examples that count; the others are 0.
        summed: whether to sum ``value``.
        divisor: what derivatives are divided by.
    """
    kind = kind or ("double" if any(kind_of(array) == "double" for array in inputs) else "float")
    made = choose(
        program, inputs, parameters, outputs, kind, weighted=weight is not None, masked=mask is not None, summed=summed
    )
    return records.findings(made.run(inputs, list(outputs.values()), weight, mask, 1 / divisor))


def choose(
    program: Program,
    inputs: Sequence[Array],
    parameters: Mapping[str, float],
    outputs: Mapping[str, Array],
    kind: Kind,
    *,
    weighted: bool = False,
    masked: bool = False,
    summed: bool = False,
    in_place: bool = False,
    divided: bool = False,
    move: Move | None = None,
) -> Ready:
    """Return the kernel for such arrays, which reads all of them where they lie if that is asked for; see ``run``.

    One that is kept is for arrays that ask for the same ``move``.
    """
    written = list(outputs.values())
    past, large = move or Move.of(inputs, written)
    few = not in_place and len(inputs[0]) < SMALLEST  # which are copied sooner than another kernel is compiled
    form = Form(
        kind=kind,
        stored=tuple(outputs),
        summed=summed,
        weighted=weighted,
        masked=masked,
        streaming=past,
        given=tuple(kind if few else element_of(array) or kind for array in inputs),
        taken=tuple(element_of(array) for array in written),
        tame=all(map(math.isfinite, parameters.values())),
        divided=divided,
        large=large,
    )
    return ready(program, form, tuple(parameters.items()))


@lru_cache(maxsize=512)
def ready(program: Program, form: Form, parameters: tuple[tuple[str, float], ...]) -> Ready:
    """Return the kernel that these parameters ask for, with them."""
    soft = decided(program, parameters)
    return Ready(kernel(hard(soft, parameters) or soft, form), dict(parameters))


def kind_of(array: Array) -> Kind:
    """Return the type to compute in for an array of floating-point numbers."""
    return "double" if array.itemsize == 8 else "float"


class Move(NamedTuple):
    """How arrays come and go.

    Attributes:
        past: whether outputs are written past the caches: they are too large for them and lie at cache lines, and none
            a little further in its page than what is read, which was seen to take up to twenty times as long.
        large: whether there is more than caches hold.
    """

    past: bool
    large: bool

    @classmethod
    def of(cls, inputs: Sequence[Array], outputs: Sequence[Array]) -> Move:
        """Return how these do."""
        written = _bytes(outputs)
        large = written + _bytes(inputs) > STREAMING
        if written <= STREAMING:
            return cls(False, large)
        filled, read = [address(array) for array in outputs], [address(array) for array in inputs if element_of(array)]
        near = any(0 < (begin - other) % PAGE < NEAR for begin in filled for other in read)
        return cls(not near and not any(begin % LINE for begin in filled), large)


WITHIN = Move(past=False, large=False)
"""As arrays move that the caches hold."""


def _bytes(arrays: Sequence[Array]) -> int:
    return sum(array.size * array.dtype.itemsize for array in arrays)  # a ``Flat`` among them knows these

"""What functions that read arrays know, and where Python and NumPy keep the rest; see ``entry``."""

from __future__ import annotations

from enum import IntEnum, auto

NAME = "enter"
"""What the function is called."""

MOST = 16
"""Arrays that a call brings at most, and pointers in the table of a kernel."""

SEVERAL = 8
"""Blocks of a call at most: who computes longer than these take is not kept from help by what Python does before."""


class Slot(IntEnum):
    """What a function knows of its kernel and of Python, in the order in which that lies, 8 bytes each."""

    NDARRAY = 0  # the class of arrays
    NONE = auto()  # and what it takes to return it
    INCREF = auto()
    FORGET = auto()  # what forgets an error
    EXPORT = auto()  # what tells of tensors; see ``exchange``
    FLOAT = auto()  # what makes a float of Python
    UNLOCK = auto()  # what lets go of Python's lock, and takes it again
    LOCK = auto()
    LOCKED = auto()  # numbers below which nobody else has the time to take it
    KERNEL = auto()
    CONSTANTS = auto()  # of a kernel of numbers
    INPUTS = auto()  # how many arrays are read
    ARRAYS = auto()  # how many there are in all
    LEAD = auto()  # the place of the first that is predicted
    LEAST_AXES = auto()  # that it has
    MOST_AXES = auto()
    CLASSES = auto()  # in a row; 0 for numbers
    LEAST = auto()  # numbers in an array
    MOST = auto()
    BLOCK = auto()  # rows of a block
    TAIL = auto()  # numbers that the last of several blocks holds at least
    MEAN = auto()  # whether the cost is a mean
    LEAVES = auto()  # whether the kernel counts what it leaves to the reference
    LOSSES = auto()  # bytes of a number, where a kernel of numbers writes losses first, and divides
    SIZES = auto()  # of a kernel of rows, 2 or 3 of them
    GROUP = auto()
    FIRST = auto()  # the two numbers of such a kernel
    SECOND = auto()
    SCRATCH = auto()  # bytes
    RECORD_AT = auto()  # places in its table
    SCRATCH_AT = auto()
    TABLE = auto()  # the table, as far as it stays the same; it is the last


OF_ARRAYS = Slot.TABLE + MOST
"""Where what is known of arrays begins."""


class Fact(IntEnum):
    """What is known of each array, likewise."""

    KIND = 0  # what it holds, as NumPy writes down a type; see ``KIND``
    BYTES = auto()  # of a number
    FLAGS = auto()  # how it must lie
    LABELS = auto()  # whether it holds one number a row
    LOOKED_AT = auto()  # how many numbers at its beginning are looked at; if negative, all over it
    AT = auto()  # the place in the table


CLASS = 8
"""Where Python keeps the class of an object."""
DATA, AXES, SHAPE, DTYPE, FLAGS = 16, 24, 32, 56, 64
"""Where NumPy keeps the facts of an array."""
KIND = 24
"""Where it keeps those of a type: three letters, for kind, type and order of bytes, some flags, and a number."""

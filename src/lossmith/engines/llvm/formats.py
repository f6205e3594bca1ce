"""What types of floating-point numbers are made of."""

from __future__ import annotations

from dataclasses import dataclass

from lossmith.engines.llvm.lanes import Body

LN2 = 0.6931471805599453


@dataclass(frozen=True)
class Format:
    """What a type is made of."""

    digits: int  # bits of the mantissa that are stored
    bias: int
    ln2: tuple[float, float]  # with room in the first for products with whole numbers
    exp_low: float  # below it four times exp is 0
    exp_high: float  # above it exp overflows
    root_half: int  # the bits of √½
    least: float  # the least normal number

    @property
    def far(self) -> int:
        """Half of what exponents go to, by which small powers of two are kept ordinary numbers."""
        return (self.bias + 1) // 2


_FORMATS = {
    "double": Format(
        52, 1023, (0.6931471803691238, 1.9082149292705877e-10), -748.0, 709.79, 0x3FE6A09E667F3BCD, 2.0**-1022
    ),
    "float": Format(23, 127, (0.693145751953125, 1.42860682030941723e-06), -106.0, 88.73, 0x3F3504F3, 2.0**-126),
}


def format_of(b: Body) -> Format:
    """Return that of the numbers of a text."""
    return _FORMATS[b.kind]

"""What a kernel over examples does with a program."""

from __future__ import annotations

from dataclasses import dataclass

from lossmith.engines.llvm.lanes import Kind


@dataclass(frozen=True)
class Form:
    """What a kernel of a program does.

    Attributes:
        kind: type of the numbers.
        stored: outputs that are written, in order.
        summed: whether ``value`` is summed.
        weighted, masked: whether there are weights and a mask.
        streaming: whether outputs are written past the caches; they must be aligned to whole vectors.
        given: what each input holds in memory, a key of ``lossmith.engines.llvm.memory.SIZES``; ``kind`` by default.
        taken: what each stored output holds in memory, likewise.
        tame: whether all parameters are finite.
        divided: whether derivatives are divided by what they are multiplied by else; there are no weights then.
        large: whether there is more than the caches hold: arithmetic asks for what it reads beforehand, and functions
            may take more numbers at a time.
    """

    kind: Kind
    stored: tuple[str, ...]
    summed: bool
    weighted: bool = False
    masked: bool = False
    streaming: bool = False
    given: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()
    tame: bool = False
    divided: bool = False
    large: bool = False

    @property
    def spoils(self) -> bool:
        """Whether an example that is not valid makes the sum no number, which takes no more to find out."""
        return self.summed and not self.weighted and not self.masked

"""What targets that are distributions are trained for: some of each is spread evenly over the classes, if asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod

from lossmith.engines.llvm.lanes import Body, Lanes
from lossmith.engines.llvm.row_frame import RowForm


class Mixing(ABC):
    """The text of a look at targets.

    Attributes:
        body: what is written into.
        form: what the kernel does.
    """

    body: Body
    form: RowForm

    @property
    @abstractmethod
    def mass(self) -> Lanes:
        """What the targets of a row sum to."""

    def mixed(self, t: Lanes) -> Lanes:
        """Return the shares of classes that are trained for."""
        spread, even = self._spread
        return t * (1.0 - spread) + even if self.form.spread else t

    def apart(self, t: Lanes) -> Lanes:
        """Return what these lack to all of a row, with its own digits."""
        (spread, even), others = self._spread, self.mass - t
        return others * (1.0 - spread) + (spread - even) if self.form.spread else others

    @property
    def whole(self) -> Lanes:
        """What these sum to."""
        (spread, _), mass = self._spread, self.mass
        return mass * (1.0 - spread) + spread if self.form.spread else mass

    @property
    def _spread(self) -> tuple[Lanes, Lanes]:
        """Return the share of a target that is spread, and what of it each class gets."""
        spread, even = (Lanes(self.body, self.body.real, f"%{name}") for name in ("spread", "even"))
        return spread, even

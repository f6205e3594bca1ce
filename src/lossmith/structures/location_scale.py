"""Losses of a predicted distribution that has a location and a spread."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lossmith.core.domain import REAL, Domain
from lossmith.core.inputs import PREDICTION, TARGET, Input
from lossmith.structures.pointwise import Pointwise

SCALE = Input("s", "scale", broadcast=True, typical=(0.25, 1.75), doc="scale of the distribution")
VARIANCE = Input("v", "variance", broadcast=True, typical=(0.25, 1.75), doc="variance of the distribution")
LOG_VARIANCE = Input("l", "log_variance", broadcast=True, typical=(-2.0, 2.0), doc="logarithm of the variance")

DOMAINS = {
    "scale": Domain.parse("(0, inf)", hint="a scale is positive; softplus or exp makes it so"),
    "variance": Domain.parse("(0, inf)", hint="a variance is positive; softplus or exp makes it so"),
    "log_variance": REAL,
}
"""Where each measure of spread may lie, by argument name."""


class LocationScale(Pointwise):
    """A loss of a target, the location of its distribution, and one number that says how wide that is.

    A subclass gives ``card`` and ``formula``, and ``inputs`` where the third is no scale.
    """

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Target, location and scale."""
        return (TARGET, PREDICTION, SCALE)

    @property
    def domains(self) -> Mapping[str, Domain]:
        """Any target and location; a scale or variance above 0."""
        spread = self.inputs[2]
        return MappingProxyType({"y": REAL, "f": REAL, spread.symbol: DOMAINS[spread.name]})

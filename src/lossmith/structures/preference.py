"""Preference losses: of two answers to one prompt, the chosen one shall become more probable."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from types import MappingProxyType

from lossmith.core.domain import Domain
from lossmith.core.inputs import Input
from lossmith.program import Ops, Value
from lossmith.structures.pointwise import Pointwise

_TYPICAL = (-200.0, 0.0)
POLICY = (
    Input("c", "chosen", typical=_TYPICAL, doc="log-probability of the chosen answer, summed over its tokens"),
    Input("r", "rejected", typical=_TYPICAL, doc="log-probability of the rejected answer, summed over its tokens"),
)
REFERENCE = (
    Input(
        "c_0", "reference_chosen", predicted=False, typical=_TYPICAL, doc="chosen, by the reference model; held fixed"
    ),
    Input("r_0", "reference_rejected", predicted=False, typical=_TYPICAL, doc="rejected, by the reference model; held"),
)
LOG_PROBABILITY = Domain.parse("(-inf, 0]", hint="a log-probability is at most 0; a likelihood loss has the other sign")


class Preference(Pointwise):
    """A loss of the margin between two answers: how much more than the reference the policy prefers the chosen one.

    A subclass gives ``card`` and ``of_margin``, and ``inputs`` where it takes no reference.
    """

    elsewhere = MappingProxyType(
        {"loss_type": "Each type is a loss of its own: dpo ('sigmoid'), ipo, slic ('hinge') and simpo."}
    )

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The log-probabilities of both answers, by the policy and by the reference model."""
        return (*POLICY, *REFERENCE)

    @property
    def domains(self) -> Mapping[str, Domain]:
        """Log-probabilities, all of them."""
        return MappingProxyType({item.symbol: LOG_PROBABILITY for item in self.inputs})

    @abstractmethod
    def of_margin(self, ops: Ops, margin: Value) -> Value:
        """Return the loss at a margin, positive where the policy prefers the chosen answer more."""

    def formula(self, ops: Ops, c: Value, r: Value, c_0: Value = 0, r_0: Value = 0) -> Value:
        """Return the loss of the chosen and rejected answers' log-probabilities."""
        # Policy and reference start out alike, so their difference comes first and keeps its digits.
        return self.of_margin(ops, (c - c_0) - (r - r_0))

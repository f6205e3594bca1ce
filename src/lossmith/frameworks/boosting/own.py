"""The library's own objectives that are the same as a loss with a kind of Hessian, and so may run in its place.

A library's own objective is quicker: it knows where its Hessian is constant, fills the arrays that trees read, and
calls no Python. Each entry of a face's table is held, model by model, to what our derivatives train.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.domain import Domain
from lossmith.core.link import IDENTITY, Link
from lossmith.core.registry import parse
from lossmith.frameworks.boosting.curvature import KINDS
from lossmith.frameworks.boosting.forms import Kind
from lossmith.frameworks.boosting.objective import Objective

_SINGLE = Domain.parse("(1e-37, 1e37)")  # positive numbers of single precision


@dataclass(frozen=True)
class Own:
    """An objective of a library.

    Attributes:
        name: what the library calls it.
        loss: the loss that it is, with options as they are by default.
        kinds: kinds of Hessian with which its derivatives are those of the library.
        settings: what the library has to be told besides; whoever sets one of these means something else.
        parameters: of the loss, by the library's names.
        domain: where the library takes them.
        start: the link of the library's start score, which is a single-precision number.
    """

    name: str
    loss: str
    kinds: tuple[Kind, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    domain: Domain = _SINGLE
    start: Link = IDENTITY

    def numbers(self, objective: Objective) -> dict[str, Any] | None:
        """Return the loss's parameters by the library's names; nothing where it is another loss, Hessian or domain."""
        loss, mine = objective.loss, parse(self.loss).raw_form
        if type(loss) is not type(mine) or objective.hessian not in self.kinds or objective.y.ndim > 1:
            return None
        found = {name: loss.values[ours] for name, ours in self.parameters.items()}
        same = loss == mine.replace(**{ours: loss.values[ours] for ours in self.parameters.values()})
        return found if same and all(map(self.domain.includes, found.values())) else None

    def began(self, raw: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Return a raw start score as the library takes it."""
        return self.start.inverse(raw).astype(np.float32)


def squared_errors(name: str, **settings: Any) -> tuple[Own, Own]:
    """Return a library's squared error, whose gradient is the residual and whose Hessian is 1.

    Over its mean Hessian, every multiple of it is.
    """
    return Own(name, "half_squared_error", KINDS, settings), Own(name, "squared_error", ("floor",), settings)


def run_by_library(
    table: Iterable[Own], objective: Objective, params: Mapping[str, Any] | None, otherwise: Collection[str] = ()
) -> tuple[Own, Mapping[str, Any]] | None:
    """Let a library train by itself, where it can, and return its objective and the parameters of the loss.

    The objective's head says so from then on: its ``own`` is the name.

    Args:
        table: objectives of the library.
        objective: that of the loss.
        params: settings of a user.
        otherwise: settings that mean something else to the library where the objective is its own.
    """
    if not set(otherwise).isdisjoint(params or ()):
        return None
    for own in table:
        numbers = own.numbers(objective)
        if numbers is not None and not {*own.settings, *numbers} & set(params or {}):
            objective.head = replace(objective.head, own=own.name)
            return own, numbers
    return None

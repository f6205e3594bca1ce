"""The softmax structure: losses of the log-probability that a row gives to its target.

With target distribution t the loss of a row is Σₖ tₖ φ(uₖ), uₖ = -log pₖ. For a class index that is
φ(u) of the true class; for soft and smoothed targets it is the expected loss under t. The formula
is φ; its derivatives are carried back to logits in closed form.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.link import IDENTITY, Link
from lossmith.core.parameter import Option, Parameter
from lossmith.engines import numpy as engine
from lossmith.errors import ParameterError
from lossmith.structures import row_math as rows
from lossmith.structures.rows import Rows
from lossmith.structures.written import Written

Array = npt.NDArray[Any]


class Softmax(Rows, Written):
    """A loss φ(u) of u = -log p of the true class.

    A subclass gives ``card`` and ``formula(ops, u)``.
    """

    symbols = ("u",)
    wrt = ("u",)
    link: Link = IDENTITY

    prediction = Option(
        "logits", ("logits", "probabilities"), doc="what y_pred holds: logits, or probabilities that sum to 1 by row"
    )
    z_loss = Parameter(
        None,
        domain="(0, inf)",
        symbol=r"\zeta",
        typical=(1e-5, 1e-2),
        doc="strength of (log Σ exp z)², which keeps logits from drifting; none by default",
        in_formula=False,
    )

    def _check(self) -> None:
        super()._check()
        if self.z_loss is not None and self.probabilities:
            raise ParameterError(f"{type(self).__name__}: z_loss is of logits; probabilities have none to keep small")

    def shifted(self, z: Array) -> Array:
        """Return the logits that the softmax sees; losses that adjust them by class do so here."""
        return z

    def row(self, z: Array, t: Array, outputs: Sequence[str]) -> dict[str, Array]:
        """Return the outputs for rows of predictions and target distributions; see ``Rows.row``."""
        if self.probabilities:
            return self._from_probabilities(z, t, outputs)
        s = rows.softmax(np, self.shifted(z))
        value, a, b = self._terms(s.u, t, outputs)
        zeta = self.z_loss
        results: dict[str, Array] = {}
        if value is not None:
            results["losses"] = value + (zeta * s.log_sum[:, 0] ** 2 if zeta else 0)
        if "gradient:f" in outputs:
            results["gradient:f"] = rows.mixture_gradient(np, s, a) + (rows.log_sum_gradient(s, zeta) if zeta else 0)
        if "hessian:f,f" in outputs:
            results["hessian:f,f"] = rows.mixture_hessian(np, s, a, b) + (rows.log_sum_hessian(s, zeta) if zeta else 0)
        if "full_hessian:f,f" in outputs:
            full = rows.mixture_full_hessian(np, s, a, b)
            results["full_hessian:f,f"] = full + (rows.log_sum_full_hessian(np, s, zeta) if zeta else 0)
        return results

    def _terms(self, u: Array, t: Array, outputs: Sequence[str]) -> tuple[Array | None, Array, Array]:
        """Return the losses, t φ′(u) and t φ″(u), evaluating φ only where there is target."""
        wanted = {"value": "losses" in outputs, "gradient:u": any(":" in o for o in outputs)}
        wanted["hessian:u,u"] = any("hessian" in o for o in outputs)
        names = [name for name, needed in wanted.items() if needed]
        hit = t > 0
        found = engine.run(self.part(*names), [np.ascontiguousarray(u[hit])], self.free_parameters) if names else {}
        spread = {name: np.zeros_like(u) for name in names}
        for name in names:
            spread[name][hit] = t[hit] * found[name]
        nothing = np.zeros_like(u)
        value = spread["value"].sum(axis=1) if "value" in spread else None
        return value, spread.get("gradient:u", nothing), spread.get("hessian:u,u", nothing)

    def _from_probabilities(self, p: Array, t: Array, outputs: Sequence[str]) -> dict[str, Array]:
        value, a, b = self._terms(-np.log(p), t, outputs)
        results: dict[str, Array] = {} if value is None else {"losses": value}
        if "gradient:f" in outputs:
            results["gradient:f"] = np.where(a == 0, 0, -a / p)
        if any("hessian" in output for output in outputs):
            diagonal = np.where((a == 0) & (b == 0), 0, (a + b) / p / p)
            results["hessian:f,f"] = diagonal
            results["full_hessian:f,f"] = diagonal[:, :, None] * np.eye(p.shape[1], dtype=p.dtype)
        return results

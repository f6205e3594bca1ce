"""Multi-class Brier score: squared differences of probabilities, summed over the classes."""

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt

from lossmith.core.card import Card, Example, Formula, Myth, Reference, Traits
from lossmith.core.parameter import Option
from lossmith.structures import row_math
from lossmith.structures.rows import Rows

Array = npt.NDArray[Any]
_VALUE = (r"\sum_k \left(p_k - t_k\right)^2", "sum over k of (p[k] - t[k])²")


class MulticlassBrier(Rows):
    """Sum over the classes of squared differences between predicted and target probabilities."""

    aliases = ("multiclass_brier_score", "multi_brier")

    prediction = Option(
        "logits", ("logits", "probabilities"), doc="what y_pred holds: logits, or probabilities that sum to 1 by row"
    )

    card = Card(
        title="Brier score (multi-class)",
        task="categorical",
        summary="The squared distance between the predicted probabilities and the truth, between 0 and 2.",
        picture="An S in the logit: flat where the true class is certain, flat again, at 2 or less, where ruled out.",
        estimates="class probabilities",
        activation="softmax",
        pros=(
            "a strictly proper score: the honest probabilities are the best answer",
            "bounded by 2, so one sure error cannot dominate",
        ),
        cons=(
            "not convex in the logits, and sure errors hardly pull, so training can stall",
            "rare classes weigh little: 0.001 against 0.01 is a small square",
        ),
        use_when=("probabilities are scored and compared", "labels may be wrong and probabilities are wanted"),
        avoid_when=("rare events must be told from impossible ones: use cross-entropy",),
        traits=Traits(convex=False, differentiable=True, smooth=True, lipschitz=True, symmetric=False),
        formula=Formula(
            value=_VALUE,
            gradient=(
                r"p_k \left(g_k - \sum_j p_j g_j\right), \quad g_k = 2 \left(p_k - t_k\right)",
                "p[k] (g[k] - sum over j of p[j] g[j]), with g[k] = 2 (p[k] - t[k])",
            ),
            hessian=(
                r"p_k \left(\left(1 - 2 p_k\right) c_k + 2 p_k \left(1 - 2 p_k + \sum_j p_j^2\right)\right), "
                r"\quad c_k = g_k - \sum_j p_j g_j",
                "p[k] ((1 - 2 p[k]) c[k] + 2 p[k] (1 - 2 p[k] + sum over j of p[j]²)), with c[k] = g[k] - mean of g",
            ),
            kinds={
                "probabilities": Formula(
                    value=_VALUE, gradient=(r"2 \left(p_k - t_k\right)", "2 (p[k] - t[k])"), hessian=("2", "2")
                )
            },
        ),
        examples=(
            Example(
                text="Probability 0.7 for the true class costs 0.09 + 0.04 + 0.01, probability 0.3 costs 0.86.",
                y_true=(0, 0),
                y_pred=((0.7, 0.2, 0.1), (0.3, 0.6, 0.1)),
                losses=(0.14, 0.86),
                options={"prediction": "probabilities"},
            ),
        ),
        myths=(
            Myth("The Brier score lies between 0 and 1.", "Half of it does. Brier's own, over all classes, ends at 2."),
        ),
        references=(
            Reference(
                authors="G. W. Brier",
                year=1950,
                title="Verification of forecasts expressed in terms of probability",
                venue="Monthly Weather Review 78(1), 1-3",
                doi="10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2",
            ),
        ),
    )

    def row(self, host: Any, z: Array, t: Array, outputs: Sequence[str]) -> dict[str, Array]:
        """Return the outputs for rows of predictions and target distributions; see ``Rows.row``."""
        xp, two = host.xp, host.xp.full_like(z, 2)
        if self.probabilities:
            off = z - t
            blocks = row_math.diagonal_blocks(xp, two) if "full_hessian:f,f" in outputs else two
            results = {"gradient:f": 2 * off, "hessian:f,f": two, "full_hessian:f,f": blocks}
            return {"losses": xp.sum(off * off, axis=-1), **results}
        s = row_math.softmax(xp, z)
        off = s.p * (1 - t) - t * s.q  # p - t, with the digits of 1 - p
        results = {"losses": xp.sum(off * off, axis=-1), "gradient:f": row_math.through_softmax(xp, s, 2 * off)}
        if "hessian:f,f" in outputs:
            results["hessian:f,f"] = row_math.diagonal_through_softmax(xp, s, 2 * off, two)
        if "full_hessian:f,f" in outputs:
            results["full_hessian:f,f"] = row_math.full_through_softmax(xp, s, 2 * off, two)
        return results

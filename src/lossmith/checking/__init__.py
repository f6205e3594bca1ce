"""A review of a loss: what a careful reader of its formula would find out, with numbers."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

from lossmith.checking.report import Finding, Report
from lossmith.core.constant import checked_targets
from lossmith.core.loss import Loss
from lossmith.core.registry import parse
from lossmith.errors import ParameterError

__all__ = ["Finding", "Report", "check"]


def check(
    loss: Loss | str,
    y_true: npt.ArrayLike | None = None,
    y_pred: npt.ArrayLike | None = None,
    *,
    weight: npt.ArrayLike | None = None,
) -> Report:
    """Return a review of a loss: is it right, finite, convex; what does it estimate; can it be trained with?

    ::

        report = lm.check("where(f < y, 4*(y - f)**2, (y - f)**2)")
        print(report)
        report.ok, report.errors, report.to_dict()

    Everything is found by computing with the loss, at typical targets or those of ``y_true``, and held against what its
    card claims, where it has one. With mpmath installed values and derivatives are compared with 60 digits, and kinks
    are found. A loss of rows or of several predicted inputs is looked at along lines through ordinary data; the report
    says what was left out.

    Args:
        loss: a loss, its name, or a formula as text; see ``lossmith.formula`` for formulas that take more than ``y``
            and ``f``.
        y_true: targets of yours, shape (n,): they set the scale, and the best constant is theirs.
        y_pred: predictions of yours for them, likewise; their cost is compared with that of the best constant.
        weight: weights of these examples, at least 0; by default 1.

    Raises:
        LossNotFoundError, FormulaError, ParameterError: for what is no loss, and data without targets.
        ShapeError, DomainError, EmptyError: for data that the loss does not take.
    """
    found = parse(loss)
    if y_true is None and (y_pred is not None or weight is not None):
        raise ParameterError("y_pred and weight belong to targets: pass y_true=")
    if found.elementwise:
        from lossmith.checking.ground import Data, Ground
        from lossmith.checking.single import examine

        data = None
        if y_true is not None:
            y, w = checked_targets(found, y_true, weight)
            data = Data(y, w, None)
            if y_pred is not None:
                found.cost(y_true, y_pred, weight)  # refuses what it cannot take
                counts = (
                    np.ones(np.shape(y_true), bool)
                    if weight is None
                    else np.broadcast_to(np.asarray(weight) > 0, np.shape(y_true))
                )
                data = Data(y, w, np.asarray(y_pred, dtype=np.float64)[counts])
        findings = examine(Ground(found, data, _has_mpmath()))
    else:
        if y_true is not None:
            raise ParameterError(f"{found} is examined at data of its own: leave y_true out")
        from lossmith.checking import several

        findings = several.examine(found, exact=_has_mpmath())
    return Report(str(found), _about(found), findings)


def _has_mpmath() -> bool:
    return find_spec("mpmath") is not None


def _about(loss: Loss) -> str:
    names = {item.symbol: item.name for item in loss.inputs}
    indices = getattr(loss, "class_indices", ())
    domains = ", ".join(
        f"{names[symbol]} {'class indices' if symbol in indices else f'in {domain}'}"
        for symbol, domain in loss.domains.items()
        if symbol in names
    )
    return f"{loss.card.task}; {domains}{f'; {loss.link.name} link' if loss.elementwise else ''}"

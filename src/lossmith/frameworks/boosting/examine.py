"""The examination of an objective before the first tree: finite differences on the user's own data.

A booster takes any two arrays for gradient and Hessian. A gradient of the wrong sign, of weights that were left
out, or that is no number trains a model that is silently wrong; so each is looked for on some of the rows, away
from the best constant and near it, and refused with the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from lossmith.core.mistakes import warn
from lossmith.errors import DomainError, ParameterError

Array = npt.NDArray[np.float64]

ROWS = 64
"""Rows that are looked at."""

SHARES = (1.0, 1e-1, 1e-2, 1e-4, 1e-8)
"""How far from the start, in its own size: what redescends has a gradient at its own scale alone."""

_STEP = 1e-5
_FEW = 1e-9
_APART, _MANY = 0.05, 0.1  # how far gradients may be from the slopes, and at which share of the places
_MENDS = {
    **dict.fromkeys(("exact", "gauss_newton", "upper_bound"), "hessian='floor' (the default) keeps it positive"),
    "your own": "return a positive one, such as its absolute value, or 1",
}


def some_rows(count: int) -> npt.NDArray[np.intp]:
    """Return which rows to look at: all of a few, else some all over."""
    return np.unique(np.linspace(0, count - 1, min(count, ROWS)).astype(np.intp))


def places(start: Array, best: Array | None, shape: tuple[int, ...]) -> Iterator[Array]:
    """Yield raw predictions away from the start, far and near, each away from its own optimum where that is known."""
    whole = np.broadcast_to(start if len(shape) > 1 else start[0], shape)
    side = (
        np.where(best > whole, -0.5, 0.5)
        if best is not None
        else 0.5 * (-1.0) ** np.arange(shape[0]).reshape(-1, *(1,) * (len(shape) - 1)) * np.ones(shape)
    )
    for share in SHARES:
        yield whole + share * (1.0 + np.abs(whole)) * side


def examine(
    owner: str,
    derivatives: Callable[[Array], tuple[Array, Array]],
    losses: Callable[[Array], Array],
    raws: Iterator[Array],
    weight: Array | None,
    *,
    kind: str = "",
    strict: bool = False,
) -> None:
    """Refuse derivatives that are not those of weighted losses.

    Args:
        owner: what messages call the objective.
        derivatives: gradient and Hessian, weighted, at raw predictions of some rows.
        losses: the loss of each of those rows, not weighted.
        raws: where to look.
        weight: weights of the rows.
        kind: of the Hessian, for what mends it.
        strict: whether gradients are to be the slopes, up to one factor; a loss of ours may state others.

    Raises:
        DomainError: for a derivative that is no finite number, and a loss that is none.
        ParameterError: for a gradient of the wrong sign, of another size, or of other weights, that vanishes
            everywhere, and for a Hessian that is nowhere positive.
    """
    found, looked = [], []
    for raw in raws:
        looked.append(raw)
        gradient, hessian = (np.asarray(array, np.float64) for array in derivatives(raw))
        _refuse_no_numbers(owner, gradient, hessian)
        _refuse_no_loss(owner, losses, raw)
        found.append((_slopes(losses, raw), gradient, hessian))
    slopes, gradients, hessians = (np.concatenate([one[part] for one in found]) for part in range(3))
    heavy = np.ones(len(slopes)) if weight is None else np.tile(weight, len(found))
    if not np.any(gradients):
        raise ParameterError(f"{owner} cannot be an objective: its gradient is zero everywhere, so nothing moves")
    tail = (1,) * (gradients.ndim - 1)
    wide = heavy.reshape(-1, *tail)
    expected = wide * slopes
    # Beside a kink differences are no slopes; rounding hides small ones.
    clear = (np.abs(expected) > 1e-3 * np.abs(expected).max(initial=0.0)) & (np.abs(gradients) > _FEW)
    _refuse_signs(owner, expected, gradients, clear)
    if weight is not None:
        _refuse_weights(owner, slopes, gradients, np.broadcast_to(wide, slopes.shape), clear)
    if strict:
        ahead, behind = (np.concatenate([_slopes(losses, raw, *side) for raw in looked]) for side in ((1, 0), (0, 1)))
        clear &= np.abs(ahead - behind) <= _APART * np.abs(slopes)  # no kink, and no step too long for the loss
        _refuse_sizes(owner, expected, gradients, clear & (np.broadcast_to(wide, slopes.shape) > 0))
    if kind:
        _judge_curvature(owner, hessians, heavy, kind)


def _slopes(losses: Callable[[Array], Array], raw: Array, ahead: float = 1, behind: float = 1) -> Array:
    """Return differences of losses across each raw prediction, so many steps to either side."""
    columns = raw.reshape(len(raw), -1)
    step = _STEP * (1.0 + np.abs(columns))
    found = np.zeros(columns.shape)
    with np.errstate(all="ignore"):
        for column in range(columns.shape[1]):
            moved = np.where(np.arange(columns.shape[1]) == column, step, 0.0).reshape(raw.shape)
            found[:, column] = losses(raw + ahead * moved) - losses(raw - behind * moved)
            found[:, column] /= (ahead + behind) * step[:, column]
    return np.nan_to_num(found.reshape(raw.shape), posinf=0.0, neginf=0.0)


def _refuse_no_numbers(owner: str, gradient: Array, hessian: Array) -> None:
    for name, array in (("gradient", gradient), ("Hessian", hessian)):
        bad = np.logical_not(np.isfinite(array.reshape(len(array), -1)).all(axis=1))
        if bad.any():
            row = int(np.argmax(bad))
            raise DomainError(
                f"{owner}: the {name} must be finite, but that of row {row} of the examined ones is {array[row]} "
                f"({int(bad.sum())} such of {len(bad)})"
            )


def _refuse_no_loss(owner: str, losses: Callable[[Array], Array], raw: Array) -> None:
    with np.errstate(all="ignore"):
        bad = np.isnan(losses(raw))  # whose gradient may be a number all the same: log(f) has 1/f below 0 too
    if bad.any():
        row = int(np.argmax(bad))
        raise DomainError(
            f"{owner}: the loss is no number at a raw prediction of {raw[row]}, for row {row} of the examined ones "
            f"({int(bad.sum())} such of {len(bad)}); write it so that predictions may be any number, as with exp(f)"
        )


def _refuse_signs(owner: str, expected: Array, gradients: Array, clear: npt.NDArray[np.bool_]) -> None:
    wrong = clear & (expected * gradients < 0)
    if np.count_nonzero(wrong) > np.count_nonzero(clear) / 2:
        place = np.argwhere(wrong)[0]
        at = tuple(place)
        raise ParameterError(
            f"{owner}: the gradient has the wrong sign: the finite difference of the loss is {expected[at]:+.3g}, the "
            f"gradient {gradients[at]:+.3g} ({np.count_nonzero(wrong)} such of {np.count_nonzero(clear)}). LightGBM "
            "and XGBoost take the derivative of the loss, CatBoost minus that"
        )


def _refuse_weights(owner: str, slopes: Array, gradients: Array, weight: Array, clear: npt.NDArray[np.bool_]) -> None:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = gradients / slopes
    seen = clear & np.isfinite(ratio) & (weight > 0)
    if np.count_nonzero(seen) < 2 or np.ptp(weight[seen]) < 1e-6 * weight[seen].max():
        return  # equal weights are a common factor
    spread = np.std(ratio[seen]) / abs(np.mean(ratio[seen]))
    weighted = np.std(ratio[seen] / weight[seen]) / abs(np.mean(ratio[seen] / weight[seen]))
    if spread < 1e-2 < weighted:
        raise ParameterError(
            f"{owner}: the weights are ignored: gradients are {np.mean(ratio[seen]):.3g} times the slope of the loss "
            f"at weights from {weight[seen].min():g} to {weight[seen].max():g}. Boosters leave weights to custom "
            "objectives: multiply gradient and Hessian by them"
        )


def _refuse_sizes(owner: str, expected: Array, gradients: Array, clear: npt.NDArray[np.bool_]) -> None:
    if not np.any(clear):
        return
    ratio = gradients[clear] / expected[clear]
    common = np.median(ratio)
    apart = np.abs(ratio / common - 1) > _APART
    if np.mean(apart) > _MANY:
        raise ParameterError(
            f"{owner}: gradients are {ratio.min():.3g} to {ratio.max():.3g} times the weighted slope of the loss, "
            f"which must be one factor ({np.count_nonzero(apart)} of {apart.size} are not {common:.3g} times it); take "
            "the derivative of this loss, times the weight of the row, once"
        )


def _judge_curvature(owner: str, hessians: Array, weight: Array, kind: str) -> None:
    counted = hessians[weight > 0]
    mend = f"; {_MENDS[kind]}" if kind in _MENDS else ""
    least = 1e-14 * np.abs(counted).max(initial=0.0)
    negative, none = float(np.mean(counted < -least)), float(np.mean(np.abs(counted) <= least))
    if not np.any(counted > 0):
        what = "is negative" if negative else "is zero"
        raise ParameterError(
            f"{owner}: its Hessian {what} at every row that was looked at, and a booster divides by it: no tree would "
            f"split, or a leaf would jump without bound{mend}"
        )
    if kind != "floor" and (negative > 0 or none > 0):
        found = " and ".join(f"{what} at {part:.0%}" for what, part in (("zero", none), ("negative", negative)) if part)
        warn(
            f"{owner}: its Hessian is {found} of the places that were looked at, where Newton's steps "
            f"{'overshoot or go uphill' if negative else 'overshoot'}{mend}"
        )

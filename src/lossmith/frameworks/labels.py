"""Labels as users have them, of any kind, for losses that know class indices: what estimators and scorers share."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.loss import Loss
from lossmith.core.registry import parse
from lossmith.errors import DomainError, KindError, ParameterError

Array = npt.NDArray[Any]

CLASSES = ("binary", "categorical")
"""Tasks of losses whose targets are labels."""

_WHOLE = "iufO"  # kinds of arrays that may hold a whole number; a text is none, and True is no 1


NO_INDEX = 2**31 - 1
"""An index of 32 bits that no loss takes: there are not as many classes."""


def in_32_bits(indices: Array) -> Array:
    """Return class indices of 64 bits in 32, for libraries that wrap them; what is none there becomes ``NO_INDEX``."""
    found = indices.astype(np.int32)
    return found if np.array_equal(found, indices) else np.where(found == indices, found, np.int32(NO_INDEX))


def refuse_numbers(loss: Loss, instead: str) -> None:
    """Refuse a loss whose targets are no labels.

    Args:
        loss: what labels are to be fitted by.
        instead: the estimator of numbers.

    Raises:
        ParameterError: for such a loss.
    """
    if loss.card.task not in CLASSES or not loss.paired:
        raise ParameterError(f"{loss} is no loss of labels or classes; use {instead}")


def refuse_no_labels(y: Any) -> None:
    """Refuse labels as objects that are missing, or have no order, which ends in errors of sorting.

    Args:
        y: labels as a user has them.

    Raises:
        DomainError: for the first one that is missing.
        KindError: for labels of several kinds.
    """
    labels = np.asarray(y)
    if labels.dtype != object or labels.ndim != 1:
        return
    missing = [_is_missing(label) for label in labels]
    if any(missing):
        row = missing.index(True)
        raise DomainError(
            f"y[{row}] is {labels[row]}, which is no label ({sum(missing)} such of {len(missing)}); drop those rows, "
            "or give them a label of their own"
        )
    try:
        sorted(set(labels))
    except TypeError:
        kinds = " and ".join(sorted({type(label).__name__ for label in labels}))
        raise KindError(
            f"y holds labels of several kinds, {kinds}, which have no order; make them one, as by y.astype(str)"
        ) from None


def refuse_masked(**given: Any) -> None:
    """Refuse arrays in which something is masked: scikit-learn takes what lies below the mask.

    Args:
        given: arrays, by the names that they have in messages.

    Raises:
        KindError: for the first such array.
    """
    for name, value in given.items():
        if np.ma.is_masked(value):
            raise KindError(f"{name} is a masked array; leave out the rows in which something is masked, or fill it in")


def _is_missing(label: Any) -> bool:
    try:
        return label is None or bool(label != label)
    except TypeError:  # what is missing to pandas does not say whether it is another
        return True


def tells_probabilities(loss: Loss | str) -> bool:
    """Return whether there is a probability of each class to tell, for ``available_if``.

    Args:
        loss: what is trained with, of labels or classes.

    Raises:
        ParameterError: why not, where it is known.
    """
    raw = parse(loss).raw_form
    if raw.elementwise:
        raw.to_probability([0.0])  # says why not
        return True
    return raw.card.estimates != "class"


def changed(loss: Loss, **values: Any) -> Loss:
    """Return a loss, or a sum of some, with other values of those parameters and options that it has."""
    if "terms" in loss.values:
        return loss.replace(terms=[(weight, changed(term, **values)) for weight, term in loss.values["terms"]])
    return loss.replace(**{name: value for name, value in values.items() if name in loss.values})


def ignored(loss: Loss) -> int | None:
    """Return the target that marks rows to leave out; the terms of a sum have one in common."""
    if "terms" in loss.values:
        return ignored(loss.values["terms"][0][1])
    found: int | None = loss.values.get("ignore_index")
    return found


def counted(loss: Loss, labels: Array) -> tuple[Loss, Array | None]:
    """Return a loss that leaves no row out, and which rows its ``ignore_index`` leaves in, where it has one.

    That is a label as the user has it, and says nothing of the indices that labels become.
    """
    mark = ignored(loss)
    if mark is None:
        return loss, None
    found = labels == mark if labels.dtype.kind in _WHOLE else np.zeros(labels.shape, bool)
    return changed(loss, ignore_index=None), np.flatnonzero(~found)

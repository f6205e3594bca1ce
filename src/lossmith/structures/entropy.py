"""Entropy, which is a floor of cost: the least cross-entropy that predictions of a distribution reach."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.inputs import Input
from lossmith.core.rows import prepare_rows, row_error, valid_rows
from lossmith.engines.hosts import REFERENCE
from lossmith.errors import ParameterError
from lossmith.structures.divergence import KINDS
from lossmith.structures.simplex_math import view


def entropy(p: npt.ArrayLike, *, kind: str = "probabilities", class_axis: int = -1) -> Any:
    """Return the entropy of each distribution in nats, -Σ p log p, with 0 log 0 = 0.

    It is the least cross-entropy that predictions of targets p can reach, and log K at most.

    Args:
        p: distributions over the classes.
        kind: what p holds: ``probabilities``, ``log_probabilities`` or ``logits``.
        class_axis: axis along which the classes lie.

    Raises:
        ParameterError: for another kind.
        DomainError: when a row is no distribution; the first is named.
    """
    if kind not in KINDS:
        raise ParameterError(
            f"entropy(kind={kind!r}): kind must be {', '.join(map(repr, KINDS[:-1]))} or {KINDS[-1]!r}"
        )
    held = Input("p", "p")
    batch = prepare_rows("entropy", [(held, p)], axis=class_axis)
    given = np.asarray(batch.inputs["p"], np.float64)
    with np.errstate(all="ignore"):
        wrong = ~valid_rows(REFERENCE.xp, given, kind)
        if wrong.any():
            raise row_error(batch, {"p": kind}, wrong, 0, {"p": "or say what they are with kind="})
        seen = view(REFERENCE.xp, kind, given)
        terms = np.where(seen.p == 0, 0, -seen.p * seen.log_p)
    return batch.restore(terms.sum(axis=1).astype(batch.dtype))[()]

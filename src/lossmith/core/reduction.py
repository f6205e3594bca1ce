"""Reductions: how the losses of a data set become a cost, and what each divides by."""

from __future__ import annotations

from typing import Literal, get_args

from lossmith.errors import ParameterError, did_you_mean

Reduction = Literal["mean", "count_mean", "sum", "none"]
"""``mean`` is Σwl/Σw, ``count_mean`` is Σwl/n, ``sum`` is Σwl, ``none`` leaves the weighted losses wl."""

Empty = Literal["error", "zero", "nan"]
"""What the mean over no examples is."""

_REDUCTIONS = get_args(Reduction)
POLICIES = get_args(Empty)
SUMMED = ("mean", "count_mean", "sum")
"""Those that give one number."""

_THEIRS = {
    "batchmean": " The batchmean of PyTorch is of divergences; of a table of rows it is 'mean' here.",
    "sum_over_batch_size": " That of Keras is called 'count_mean' here.",
    "mean_with_sample_weight": " That of Keras is called 'mean' here.",
}


def check_reduction(name: str) -> Reduction:
    """Return the reduction.

    Raises:
        ParameterError: when the name is none of ``mean``, ``count_mean``, ``sum`` and ``none``.
    """
    if name in _REDUCTIONS:
        return name  # type: ignore[return-value]  # the comparison narrows it
    known = ", ".join(f"'{item}'" for item in _REDUCTIONS)
    guess = _THEIRS.get(name) or did_you_mean(str(name), _REDUCTIONS)
    raise ParameterError(f"reduction={name!r} is not known; it is one of {known}.{guess}")


def check_empty(name: str) -> Empty:
    """Return the policy for empty data.

    Raises:
        ParameterError: when the name is none of ``error``, ``zero`` and ``nan``.
    """
    if name in POLICIES:
        return name  # type: ignore[return-value]  # the comparison narrows it
    raise ParameterError(f"empty={name!r} is not known; it is one of 'error', 'zero', 'nan'")

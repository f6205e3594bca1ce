"""Where less is promised than everywhere else: the one table of exceptions from the laws, each with its reason.

A law takes its own part of the table by ``of``; ``tests/repo/test_exceptions.py`` holds that every part is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Less:
    """One exception.

    Attributes:
        law: which law it is an exception from.
        about: what it concerns, in the words of that law.
        amount: how much less is promised, in the units of that law.
        reason: why it cannot be had, or not at a fair price.
    """

    law: str
    about: Any
    amount: Any
    reason: str


LAWS = {
    "grid": "8 ulp on the law grid, losses of a target and a prediction; amount: a way of measuring in exactness.py",
    "parameters": "8 ulp between the parameters of the law grid and beyond; about: loss; amount: ulp, and ulp per unit",
    "rows": "8 ulp of losses over classes; about: loss, output, prediction kind; amount: times the 8 ulp",
    "divergences": "8 ulp of divergences; about: loss, output; amount: ulp",
    "likelihoods": "8 ulp of likelihoods; about: where; amount: smallest subnormals of the squared residual",
    "relations": "relations hold to 1e-13; about: left, right, output; amount: absolute",
    "finite": "finite input gives numbers; about: loss or kind of input; amount: least, least size but for 0, largest",
    "far": "the same at parameters off the law grid; about: loss; amount: as for finite, none where it is not tried",
}
"""The laws that have exceptions, and what their columns mean."""

_EXPONENT = (
    "an exponential of (alpha - 1) d or alpha d loses digits in proportion to it, and d is 62 in the opposed rows"
)
_POWER = "a base or an exponent is rounded, and a power multiplies that error by the exponent"
_SCALE = "over a scale a subnormal residual loses digits, which the scale then brings into sight"
_MIXED = "a mixed derivative of a rare class and a common one is what is left of two nearly equal products"

EXCEPTIONS = (
    Less(
        "grid",
        "derivatives at soft labels",
        "of the larger part",
        "a soft label weighs the losses of both labels, whose slopes point in opposite directions and cancel near the "
        "optimum: the error is that of the larger part",
    ),
    Less(
        "grid",
        "asymmetric loss of a negative",
        "of a power of what was rounded",
        "what a probability exceeds the shift by is rounded, and raised to a power of 4 or 5 the error with it; the "
        "Hessian, where it changes sign, is what is left of parts as large as it and the gradient together",
    ),
    Less(
        "grid",
        "focal losses below the normal range",
        "of the least normal number",
        "in the far tail derivatives are exp(-|f|) times up to gamma |f|, or times a power of 1 over the shift; where "
        "exp(-|f|) is subnormal, it has few digits",
    ),
    Less("parameters", "barron", (8, 3), _POWER),
    Less("parameters", "cauchy", (8, 0.5), _SCALE),
    Less("parameters", "geman_mcclure", (8, 0.5), _SCALE),
    Less("parameters", "pseudo_huber", (8, 0.5), _SCALE),
    Less("parameters", "focal", (24, 2), _POWER),
    Less("parameters", "tweedie", (200, 0), "an exponent is rounded, and two exponentials cancel near the optimum"),
    Less(
        "rows",
        ("softmax_focal", "full_hessian", "logits"),
        3.0,
        "for soft targets the terms of several classes cancel, each right to one ulp of its own -log p",
    ),
    Less(
        "rows",
        ("generalised_cross_entropy", "full_hessian", "probabilities"),
        1.5,
        "the exponent q - 2 of a tiny probability is rounded twice",
    ),
    Less("divergences", ("AlphaDivergence(alpha=0.3)", "gradient"), 32, _EXPONENT),
    Less("divergences", ("AlphaDivergence(alpha=1.5)", "gradient"), 32, _EXPONENT),
    Less("divergences", ("AlphaDivergence(alpha=-1)", "gradient"), 32, _EXPONENT),
    Less("divergences", ("ReverseKLDivergence()", "hessian"), 128, _MIXED),
    Less("divergences", ("AlphaDivergence(alpha=0)", "hessian"), 128, _MIXED),
    Less(
        "likelihoods",
        "a subnormal weighted square",
        1,
        "the weighted square of a residual may be subnormal, which has fewer digits than its quotient by the variance",
    ),
    Less(
        "relations",
        ("poly_one(epsilon={t})", "softmax_poly_one(epsilon={t})", "hessian"),
        1e-16,
        "with epsilon 1 the curvature of a class that is ruled out is the square of its probability, which is what "
        "two terms of the size of that probability leave of each other",
    ),
    Less("finite", "coordinates", (-1e150, 1e-100, 1e150), "squares of others are no float64 numbers"),
    Less("finite", "log_values", (-math.inf, 0.0, 708.0), "exponentials of larger ones are refused"),
    Less("far", "distillation", (-1e150, 0.0, 1e150), "logits over a temperature below 1 overflow"),
    Less("far", "student_t_nll", (-1e150, 0.0, 1e150), "below 1 degree of freedom a squared residual overflows"),
    Less("far", "tweedie", (-1e150, 0.0, 1e150), "between whole powers two terms overflow, with either sign"),
)


def of(law: str) -> dict[Any, Any]:
    """Return the exceptions from a law: amounts by what they concern."""
    return {item.about: item.amount for item in EXCEPTIONS if item.law == law}

"""Losses as people write them: the value and its derivatives, a line each, for any library of arrays.

A formula takes a namespace ``o`` and the loss's inputs in their order; the derivatives follow those inputs that
are predicted. Parameters have the defaults of the catalogue. Libraries that differentiate use the value alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Formula(NamedTuple):
    """A loss and its derivatives by each predicted input."""

    value: Callable[..., Any]
    gradients: tuple[Callable[..., Any], ...]


def _residual(value: Callable[..., Any], slope: Callable[..., Any]) -> Formula:
    """Return the formula of a loss of the residual."""
    return Formula(lambda o, y, f: value(o, f - y), (lambda o, y, f: slope(o, f - y),))


def _margin(value: Callable[..., Any], slope: Callable[..., Any]) -> Formula:
    """Return the formula of a loss of the score times the sign of its label."""

    def gradient(o: Any, y: Any, f: Any) -> Any:
        sign = 2 * y - 1
        return sign * slope(o, sign * f)

    return Formula(lambda o, y, f: value(o, (2 * y - 1) * f), (gradient,))


def _preference(value: Callable[..., Any], slope: Callable[..., Any]) -> Formula:
    """Return the formula of a loss of how much more than the reference the chosen answer is preferred."""

    def lead(c: Any, r: Any, c0: Any = 0.0, r0: Any = 0.0) -> Any:
        return (c - c0) - (r - r0)

    return Formula(
        lambda o, *x: value(o, lead(*x)), (lambda o, *x: slope(o, lead(*x)), lambda o, *x: -slope(o, lead(*x)))
    )


def _huber(o: Any, r: Any) -> Any:
    a = o.abs(r)
    return o.where(a <= 1, 0.5 * r * r, a - 0.5)


def _huber_slope(o: Any, r: Any) -> Any:
    return o.clip(r, -1, 1)


def _tukey(o: Any, r: Any) -> Any:
    return TUKEY**2 / 6 * (1 - o.relu(1 - r * r / TUKEY**2) ** 3)


def _log_cosh(o: Any, r: Any) -> Any:
    a = o.abs(r)
    return a + o.log1p(o.exp(-2 * a)) - LN2


def _asymmetric_slope(o: Any, y: Any, f: Any) -> Any:
    p = o.sigmoid(f)
    m = o.relu(p - 0.05)
    return (1 - y) * (m**4 / (1 - m) - 4 * m**3 * o.log1p(-m)) * p * (1 - p) - y * (1 - p)


def _focal_slope(o: Any, m: Any) -> Any:
    q = o.sigmoid(-m)
    return -q * q * (2 * (1 - q) * o.softplus(-m) + q)


def _brier_slope(o: Any, y: Any, f: Any) -> Any:
    p = o.sigmoid(f)
    return 2 * (p - y) * p * (1 - p)


def _poly_slope(o: Any, m: Any) -> Any:
    q = o.sigmoid(-m)
    return -q * (2 - q)


def _smoothed_hinge(o: Any, m: Any) -> Any:
    c = o.clip(1 - m, 0, 1)
    return c * (1 - m) - 0.5 * c * c


def _percentages(o: Any, y: Any, f: Any) -> Any:
    s = o.abs(y) + o.abs(f)
    return 2 * (o.sign(f - y) * s - o.abs(f - y) * o.sign(f)) / (s * s)


def _crps(o: Any, y: Any, f: Any, s: Any) -> Any:
    z = (f - y) / s
    return (f - y) * o.erf(z * ROOT_HALF) + s * (2 * DENSITY * o.exp(-0.5 * z * z) - ROOT_1_PI)


def _crps_scale(o: Any, y: Any, f: Any, s: Any) -> Any:
    z = (f - y) / s
    return 2 * DENSITY * o.exp(-0.5 * z * z) - ROOT_1_PI


LN2, TUKEY = 0.6931471805599453, 4.685
ROOT_HALF, ROOT_1_PI, DENSITY = 0.7071067811865476, 0.5641895835477563, 0.3989422804014327

FORMULAS: dict[str, Formula] = {
    # residuals
    "absolute_error": _residual(lambda o, r: o.abs(r), lambda o, r: o.sign(r)),
    "barron": _residual(lambda o, r: o.sqrt(r * r + 1) - 1, lambda o, r: r / o.sqrt(r * r + 1)),
    "cauchy": _residual(lambda o, r: 0.5 * o.log1p(r * r), lambda o, r: r / (1 + r * r)),
    "epsilon_insensitive": _residual(
        lambda o, r: o.relu(o.abs(r) - 0.1), lambda o, r: o.where(o.abs(r) > 0.1, o.sign(r), 0 * r)
    ),
    "expectile": _residual(lambda o, r: o.where(r < 0, 0.5 * r * r, 0.5 * r * r), lambda o, r: o.where(r < 0, r, r)),
    "fair": _residual(lambda o, r: o.abs(r) - o.log1p(o.abs(r)), lambda o, r: r / (1 + o.abs(r))),
    "geman_mcclure": _residual(lambda o, r: 0.5 * r * r / (1 + r * r), lambda o, r: r / (1 + r * r) ** 2),
    "half_squared_error": _residual(lambda o, r: 0.5 * r * r, lambda o, r: r),
    "huber": _residual(_huber, _huber_slope),
    "log_cosh": _residual(_log_cosh, lambda o, r: o.tanh(r)),
    "mean_error": _residual(lambda o, r: r, lambda o, r: 0 * r + 1),
    "pseudo_huber": _residual(lambda o, r: o.sqrt(r * r + 1) - 1, lambda o, r: r / o.sqrt(r * r + 1)),
    "quantile": _residual(lambda o, r: o.where(r < 0, -0.5 * r, 0.5 * r), lambda o, r: 0.5 * o.sign(r)),
    "smooth_l1": _residual(_huber, _huber_slope),
    "squared_epsilon_insensitive": _residual(
        lambda o, r: o.relu(o.abs(r) - 0.1) ** 2, lambda o, r: 2 * o.sign(r) * o.relu(o.abs(r) - 0.1)
    ),
    "squared_error": _residual(lambda o, r: r * r, lambda o, r: 2 * r),
    "tukey": _residual(_tukey, lambda o, r: r * o.relu(1 - r * r / TUKEY**2) ** 2),
    "welsch": _residual(lambda o, r: 1 - o.exp(-0.5 * r * r), lambda o, r: r * o.exp(-0.5 * r * r)),
    # other losses of a number
    "absolute_percentage_error": Formula(
        lambda o, y, f: o.abs((f - y) / y), (lambda o, y, f: o.sign(f - y) / o.abs(y),)
    ),
    "squared_log_error": Formula(
        lambda o, y, f: (o.log1p(f) - o.log1p(y)) ** 2, (lambda o, y, f: 2 * (o.log1p(f) - o.log1p(y)) / (1 + f),)
    ),
    "symmetric_percentage_error": Formula(lambda o, y, f: 2 * o.abs(f - y) / (o.abs(y) + o.abs(f)), (_percentages,)),
    # labels
    "asymmetric": Formula(
        lambda o, y, f: (
            y * o.softplus(-f) - (1 - y) * o.relu(o.sigmoid(f) - 0.05) ** 4 * o.log1p(-o.relu(o.sigmoid(f) - 0.05))
        ),
        (_asymmetric_slope,),
    ),
    "binary_cross_entropy": Formula(lambda o, y, f: o.softplus(f) - y * f, (lambda o, y, f: o.sigmoid(f) - y,)),
    "brier": Formula(lambda o, y, f: (o.sigmoid(f) - y) ** 2, (_brier_slope,)),
    "exponential": _margin(lambda o, m: o.exp(-m), lambda o, m: -o.exp(-m)),
    "focal": _margin(lambda o, m: o.sigmoid(-m) ** 2 * o.softplus(-m), _focal_slope),
    "hinge": _margin(lambda o, m: o.relu(1 - m), lambda o, m: o.where(m < 1, -1.0, 0.0)),
    "modified_huber": _margin(
        lambda o, m: o.where(m >= -1, o.relu(1 - m) ** 2, -4 * m),
        lambda o, m: o.where(m >= -1, -2 * o.relu(1 - m), 0 * m - 4),
    ),
    "perceptron": _margin(lambda o, m: o.relu(-m), lambda o, m: o.where(m < 0, -1.0, 0.0)),
    "poly_one": _margin(lambda o, m: o.softplus(-m) + o.sigmoid(-m), _poly_slope),
    "smoothed_hinge": _margin(_smoothed_hinge, lambda o, m: -o.clip(1 - m, 0, 1)),
    "squared_hinge": _margin(lambda o, m: o.relu(1 - m) ** 2, lambda o, m: -2 * o.relu(1 - m)),
    # counts and amounts
    "gamma": Formula(lambda o, y, f: y * o.exp(-f) + f, (lambda o, y, f: 1 - y * o.exp(-f),)),
    "inverse_gaussian": Formula(
        lambda o, y, f: 0.5 * y * o.exp(-2 * f) - o.exp(-f), (lambda o, y, f: o.exp(-f) - y * o.exp(-2 * f),)
    ),
    "negative_binomial": Formula(
        lambda o, y, f: (y + 1) * o.softplus(f) - y * f, (lambda o, y, f: (o.exp(f) - y) / (1 + o.exp(f)),)
    ),
    "poisson": Formula(lambda o, y, f: o.exp(f) - y * f, (lambda o, y, f: o.exp(f) - y,)),
    "tweedie": Formula(
        lambda o, y, f: 2 * o.exp(0.5 * f) + 2 * y * o.exp(-0.5 * f),
        (lambda o, y, f: o.exp(0.5 * f) - y * o.exp(-0.5 * f),),
    ),
    # several predictions
    "dpo": _preference(lambda o, d: o.softplus(-0.1 * d), lambda o, d: -0.1 * o.sigmoid(-0.1 * d)),
    "ipo": _preference(lambda o, d: (d - 5) ** 2, lambda o, d: 2 * (d - 5)),
    "simpo": _preference(lambda o, d: o.softplus(1 - 2 * d), lambda o, d: -2 * o.sigmoid(1 - 2 * d)),
    "slic": _preference(lambda o, d: o.relu(1 - d), lambda o, d: o.where(d < 1, -1.0, 0.0)),
    "gan_discriminator": Formula(
        lambda o, real, fake: o.softplus(-real) + o.softplus(fake),
        (lambda o, real, fake: -o.sigmoid(-real), lambda o, real, fake: o.sigmoid(fake)),
    ),
    "gan_generator": Formula(lambda o, fake: o.softplus(-fake), (lambda o, fake: -o.sigmoid(-fake),)),
    "beta_nll": Formula(
        lambda o, y, f, v: o.hold(o.sqrt(v)) * 0.5 * (o.log(v) + (f - y) ** 2 / v),
        (lambda o, y, f, v: (f - y) / o.sqrt(v), lambda o, y, f, v: 0.5 * o.sqrt(v) * (1 - (f - y) ** 2 / v) / v),
    ),
    "crps_gaussian": Formula(_crps, (lambda o, y, f, s: o.erf((f - y) / s * ROOT_HALF), _crps_scale)),
    "gaussian_nll": Formula(
        lambda o, y, f, v: 0.5 * (o.log(v) + (f - y) ** 2 / v),
        (lambda o, y, f, v: (f - y) / v, lambda o, y, f, v: 0.5 * (1 - (f - y) ** 2 / v) / v),
    ),
    "interval_score": Formula(
        lambda o, y, low, high: high - low + 20 * (o.relu(low - y) + o.relu(y - high)),
        (
            lambda o, y, low, high: o.where(y < low, 19.0, -1.0),
            lambda o, y, low, high: o.where(y > high, -19.0, 1.0),
        ),
    ),
    "laplace_nll": Formula(
        lambda o, y, f, s: o.log(s) + o.abs(f - y) / s,
        (lambda o, y, f, s: o.sign(f - y) / s, lambda o, y, f, s: (1 - o.abs(f - y) / s) / s),
    ),
    "student_t_nll": Formula(
        lambda o, y, f, s: o.log(s) + 2.5 * o.log1p(((f - y) / s) ** 2 / 4),
        (
            lambda o, y, f, s: 5 * (f - y) / (4 * s * s + (f - y) ** 2),
            lambda o, y, f, s: (1 - 5 * (f - y) ** 2 / (4 * s * s + (f - y) ** 2)) / s,
        ),
    ),
}
"""Formulas by name; the zero-one loss has none, since nobody differentiates it."""

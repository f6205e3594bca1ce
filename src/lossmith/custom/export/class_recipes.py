"""What losses over classes compute, in few plain statements; see ``recipes``."""

from __future__ import annotations

import math
from collections.abc import Callable

from lossmith import CrammerSinger
from lossmith.custom.export.rowwise import Made, Names, Outputs, Part, Recipe
from lossmith.program import Ops, Value
from lossmith.structures.rows import Rows
from lossmith.structures.softmax import AdjustedSoftmax

_DERIVATIVES = ("value", "gradient:u", "hessian:u,u")


def row_weight(r: Recipe, loss: Rows) -> Made | None:
    """Return what a row counts by its target, or nothing where all count alike."""
    weights, ignored = loss.class_weight, loss.ignore_index
    found: Made | None = None
    if weights is not None and loss.indices:
        found = r.gather("class_weight", "lookup", _place(r, loss), numbers=weights)
    elif weights is not None:
        listed = r.gather("class_weight", "numbers", numbers=weights)
        found = r.gather("row_weight", "sum", r.each("weighted", lambda ops, s: s["y"] * s[listed]))
    if ignored is None:
        return found
    counted = 1.0 if found is None else found
    return r.each("row_weight", lambda ops, s: ops.where(ops.equal(s["y"], float(ignored)), 0.0, s[counted]))


def _place(r: Recipe, loss: Rows) -> Made:
    """Return the class index of a row, some class for rows that are left out."""
    ignored = loss.ignore_index
    if ignored is None:
        return "y"
    return r.gather("true_class", "place", "y", numbers=[float(ignored)])


def _is_true(r: Recipe, loss: Rows) -> Callable[[Ops, Names], Value]:
    """Return the condition that a class is the true one."""
    at, places = _place(r, loss), r.gather("classes", "places")
    return lambda ops, s: ops.equal(s[places], s[at])


def _shares(r: Recipe, loss: Rows) -> Made:
    """Return the share that each class has of a target that may have several."""
    smoothing = loss.label_smoothing or 0.0
    if not smoothing:
        return "y"
    width = r.gather("width", "width")
    low = r.each("low_share", lambda ops, s: smoothing / s[width])
    if not loss.indices:
        return r.each("share", lambda ops, s: (1 - smoothing) * s["y"] + s[low])
    is_true = _is_true(r, loss)
    return r.each("share", lambda ops, s: ops.where(is_true(ops, s), 1 - smoothing, 0.0) + s[low])


def softmax(part: Part) -> Outputs:
    """Return Σₖ tₖ φ(-log pₖ), with the z-loss where there is one."""
    r, loss = part.recipe, part.loss
    if loss.probabilities:
        return _of_probabilities(part)
    z: Made = "f"
    added = loss._added if isinstance(loss, AdjustedSoftmax) else None
    if added is not None:
        listed = r.gather("adjustment", "numbers", numbers=added)
        z = r.each("logits", lambda ops, s: s["f"] + s[listed])
    log_p = r.gather("log_p", "log_softmax", z)
    value, slope, bend = (part.run(loss.part(output), output) for output in _DERIVATIVES)
    p = r.each("p", lambda ops, s: ops.exp(s[log_p]))
    if loss.single:
        true = r.gather("log_p_true", "pick", log_p, _place(r, loss))
        is_true = _is_true(r, loss)
        losses = r.each("row_loss", lambda ops, s: value(ops, s, -s[true]))
        off = r.each("p_less_true", lambda ops, s: ops.where(is_true(ops, s), s[p] - 1, s[p]))
        gradient = r.each("slopes", lambda ops, s: slope(ops, s, -s[true]) * s[off])

        def bends(ops: Ops, s: Names) -> Value:
            first, second = slope(ops, s, -s[true]), bend(ops, s, -s[true])
            return second * (s[off] * s[off]) + first * (s[p] * (1 - s[p]))

        hessian = r.each("bends", bends)
    else:
        t = _shares(r, loss)
        losses = r.gather("row_loss", "sum", r.each("terms", lambda ops, s: s[t] * value(ops, s, -s[log_p])))
        a = r.each("pull", lambda ops, s: s[t] * slope(ops, s, -s[log_p]))
        total = r.gather("total_pull", "sum", a)
        gradient = r.each("slopes", lambda ops, s: s[p] * s[total] - s[a])
        b = r.each("bend", lambda ops, s: s[t] * bend(ops, s, -s[log_p]))
        others = r.gather("total_bend", "sum", b)

        def mixed(ops: Ops, s: Names) -> Value:
            rest = 1 - s[p]
            return s[b] * (rest * rest) + (s[others] - s[b]) * (s[p] * s[p]) + s[total] * (s[p] * rest)

        hessian = r.each("bends", mixed)
    if (zeta := loss.z_loss) is None:
        return {"value": losses, "gradient:f": gradient, "hessian:f": hessian}
    log_sum = r.gather("log_sum", "log_sum_exp", z)
    return {
        "value": r.each("row_loss", lambda ops, s: s[losses] + zeta * (s[log_sum] * s[log_sum])),
        "gradient:f": r.each("slopes", lambda ops, s: s[gradient] + 2 * zeta * (s[log_sum] * s[p])),
        "hessian:f": r.each("bends", lambda ops, s: s[hessian] + 2 * zeta * (s[p] * (s[p] + s[log_sum] * (1 - s[p])))),
    }


def _of_probabilities(part: Part) -> Outputs:
    r, loss = part.recipe, part.loss
    value, slope = (part.run(loss.part(output), output) for output in ("value", "gradient:p"))
    if loss.single:
        true = r.gather("p_true", "pick", "f", _place(r, loss))
        is_true = _is_true(r, loss)
        losses = r.each("row_loss", lambda ops, s: value(ops, s, s[true]))
        return {
            "value": losses,
            "gradient:f": r.each("slopes", lambda ops, s: ops.where(is_true(ops, s), slope(ops, s, s[true]), 0.0)),
        }
    t = _shares(r, loss)
    # Where a class has no share, what it would cost may be infinite.
    terms = r.each("terms", lambda ops, s: ops.mul0(s[t], value(ops, s, s["f"])))
    return {
        "value": r.gather("row_loss", "sum", terms),
        "gradient:f": r.each("slopes", lambda ops, s: ops.mul0(s[t], slope(ops, s, s["f"]))),
    }


def brier(part: Part) -> Outputs:
    """Return Σₖ (pₖ - tₖ)²."""
    r, loss = part.recipe, part.loss
    p: Made = "f"
    if not loss.probabilities:
        log_p = r.gather("log_p", "log_softmax", "f")
        p = r.each("p", lambda ops, s: ops.exp(s[log_p]))
    if loss.single:
        is_true = _is_true(r, loss)
        off = r.each("p_less_true", lambda ops, s: ops.where(is_true(ops, s), s[p] - 1, s[p]))
    else:
        t = _shares(r, loss)
        off = r.each("difference", lambda ops, s: s[p] - s[t])
    losses = r.gather("row_loss", "sum", r.each("terms", lambda ops, s: s[off] * s[off]))
    if loss.probabilities:
        return {"value": losses, "gradient:f": r.each("slopes", lambda ops, s: 2 * s[off])}
    mean = r.gather("mean_difference", "sum", r.each("weighted", lambda ops, s: s[p] * s[off]))
    square = r.gather("sum_of_squares", "sum", r.each("p_squared", lambda ops, s: s[p] * s[p]))

    def bends(ops: Ops, s: Names) -> Value:
        return 2 * s[p] * ((1 - 2 * s[p]) * (s[off] - s[mean]) + s[p] * (1 - 2 * s[p] + s[square]))

    return {
        "value": losses,
        "gradient:f": r.each("slopes", lambda ops, s: 2 * s[p] * (s[off] - s[mean])),
        "hessian:f": r.each("bends", bends),
    }


def margin(part: Part) -> Outputs:
    """Return what the lead of the true class lacks to 1, over the best of the others or over each."""
    r, loss = part.recipe, part.loss
    if not loss.single:
        return (_expected_best if isinstance(loss, CrammerSinger) else _expected_sum)(r, _shares(r, loss))
    true = r.gather("true_score", "pick", "f", _place(r, loss))
    is_true = _is_true(r, loss)
    missing = r.each("missing", lambda ops, s: ops.where(is_true(ops, s), -math.inf, 1 + (s["f"] - s[true])))
    if isinstance(loss, CrammerSinger):
        rival, places = r.gather("rival", "argmax", missing), r.gather("classes", "places")
        worst = r.gather("worst", "pick", missing, rival)
        return {
            "value": r.each("row_loss", lambda ops, s: ops.max(s[worst], 0.0)),
            "gradient:f": r.each(
                "slopes",
                lambda ops, s: ops.where(
                    s[worst] > 0,
                    ops.where(ops.equal(s[places], s[rival]), 1.0, ops.where(is_true(ops, s), -1.0, 0.0)),
                    0.0,
                ),
            ),
            "hessian:f": 0.0,
        }
    rises = r.each("rises", lambda ops, s: ops.where(s[missing] > 0, 1.0, 0.0))
    count = r.gather("count", "sum", rises)
    return {
        "value": r.gather("row_loss", "sum", r.each("terms", lambda ops, s: ops.max(s[missing], 0.0))),
        "gradient:f": r.each("slopes", lambda ops, s: ops.where(is_true(ops, s), -s[count], s[rises])),
        "hessian:f": 0.0,
    }


def _expected_best(r: Recipe, t: Made) -> Outputs:
    """Return what each class's lead over the best of the others lacks to 1, by the share that the class has."""
    places, best = r.gather("classes", "places"), r.gather("best", "argmax", "f")
    rest = r.each("rest", lambda ops, s: ops.where(ops.equal(s[places], s[best]), -math.inf, s["f"]))
    second = r.gather("second", "argmax", rest)
    scores = [r.gather(f"{name}_score", "pick", "f", at) for name, at in (("best", best), ("second", second))]

    def lack(ops: Ops, s: Names) -> Value:
        return 1 + (ops.where(ops.equal(s[places], s[best]), s[scores[1]], s[scores[0]]) - s["f"])

    missing = r.each("missing", lack)
    terms = r.each("terms", lambda ops, s: ops.where(s[missing] > 0, ops.mul0(s[t], s[missing]), 0.0))
    pull = r.each("pull", lambda ops, s: ops.where(s[missing] > 0, s[t], 0.0))
    total, own = r.gather("total_pull", "sum", pull), r.gather("pull_of_best", "pick", pull, best)

    def slope(ops: Ops, s: Names) -> Value:
        # All rivals but the best class's own are the best class.
        others = ops.where(ops.equal(s[places], s[best]), s[total] - s[own], 0.0)
        return others + ops.where(ops.equal(s[places], s[second]), s[own], 0.0) - s[pull]

    return {
        "value": r.gather("row_loss", "sum", terms),
        "gradient:f": r.each("slopes", slope),
        "hessian:f": 0.0,
    }


def _expected_sum(r: Recipe, t: Made) -> Outputs:
    """Return what each class's leads over the others lack to 1, by the share that the class has."""

    def missing(s: Names, own: Names) -> Value:
        return 1 + (s["f"] - own["f"])

    # Each class lacks 1 to itself, which the sum has too much; in slopes that cancels.
    lack = r.across("lack", lambda ops, own, s: ops.where(missing(s, own) > 0, missing(s, own), 0.0))
    count = r.across("rivals", lambda ops, own, s: ops.where(missing(s, own) > 0, 1.0, 0.0))
    pull = r.across("pull", lambda ops, s, own: ops.where(missing(s, own) > 0, own[t], 0.0))
    return {
        "value": r.gather("row_loss", "sum", r.each("terms", lambda ops, s: ops.mul0(s[t], s[lack] - 1))),
        "gradient:f": r.each("slopes", lambda ops, s: s[pull] - s[t] * s[count]),
        "hessian:f": 0.0,
    }

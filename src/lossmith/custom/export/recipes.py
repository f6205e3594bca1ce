"""What losses of rows compute, in few plain statements: values, gradients, and what a row counts.

Softmax losses are Σₖ tₖ φ(-log pₖ), divergences a sum of a formula of both distributions, and so on; derivatives are
carried back by hand, since those by the steps of a softmax would be long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lossmith import CrammerSinger, Distillation, MulticlassBrier, WestonWatkins
from lossmith.core.loss import Loss
from lossmith.custom.export.class_recipes import brier, margin, row_weight, softmax
from lossmith.custom.export.rowwise import Made, Names, Outputs, Part, Recipe, traced
from lossmith.errors import ParameterError
from lossmith.program import Ops, Value, derive
from lossmith.structures.composite import Sum
from lossmith.structures.distance import Distance
from lossmith.structures.divergence import Divergence
from lossmith.structures.levels import Levels
from lossmith.structures.rows import Rows
from lossmith.structures.softmax import Softmax

Measured = tuple[Made, Callable[[Ops, Names], Value], Callable[[Ops, Names], Value]]
"""A distance between two embeddings, and its derivatives by the first and by the second."""


def recipe_of(loss: Loss, spell: Callable[[int, str], str]) -> Recipe:
    """Return what a loss of rows computes.

    Args:
        loss: the loss, or a weighted sum of such.
        spell: ``(place of a term, name of its parameter) -> name in the sum``.

    Raises:
        ParameterError: for a loss that has no plain form.
    """
    terms = loss.parts if isinstance(loss, Sum) else ((1.0, loss),)
    first = terms[0][1]
    wholes = tuple(first.singles) if hasattr(first, "singles") else ()
    entries = tuple(item.symbol for item in loss.inputs if item.symbol not in wholes)
    places = tuple(first.class_indices) if isinstance(first, Rows) else ()
    names = [spell(place, name) for place, (_, term) in enumerate(terms) for name in term.free_parameters]
    recipe = Recipe(entries, wholes, places, tuple(names))
    weight = row_weight(recipe, first) if isinstance(first, Rows) else None
    found = []
    for place, (_, term) in enumerate(terms):
        make = next((make for kind, make in _RECIPES.items() if isinstance(term, kind)), None)
        if make is None:
            raise ParameterError(f"{loss} cannot be exported as code: {term} has no plain form for rows")
        made = make(Part(recipe, term, {name: spell(place, name) for name in term.free_parameters}))
        found.append(made)
    for output in [name for name in found[0] if all(name in made for made in found)]:
        shares = [(factor, made[output]) for (factor, _), made in zip(terms, found, strict=True)]

        def total(ops: Ops, s: Names, shares: Sequence[tuple[float, Made]] = shares) -> Value:
            added: Value = 0.0
            for factor, name in shares:
                added = added + factor * s[name]
            return added if weight is None else s[weight] * added

        recipe.outputs[output] = recipe.each(
            f"{'row' if weight is None else 'weighted'}_{_CALLED[output.partition(':')[0]]}", total
        )
    if weight is not None:
        recipe.outputs["weight"] = weight
    return recipe


def _divergence(part: Part) -> Outputs:
    r, loss = part.recipe, part.loss
    warm = part.spelt.get("temperature") if isinstance(loss, Distillation) else None  # what logits are divided by
    forms = dict(zip("pq", (_FORMS.get(kind, kind) for kind in loss.kinds), strict=True))
    given = {x: _logarithm(r, x, warm) if form == "logits" else x for x, form in forms.items()}
    names = list(loss.free_parameters)

    def value(ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
        twin = loss.symbolic({name: s[name] for name in names})
        p, q = (s[x] if forms[x] == "probabilities" else ops.exp(s[x]) for x in "pq")
        return {"value": twin.formula(ops, p, q)}

    program = derive(traced(value, "pq", names), wrt=loss.wrt)
    result: Outputs = {"value": r.gather("row_loss", "sum", _of_both(r, "terms", part.run(program, "value"), given))}
    for x in loss.wrt:
        pull = _of_both(r, f"pull_{x}", part.run(program, f"gradient:{x}"), given)
        result[f"gradient:{x}"] = _carried(r, x, given[x], pull, warm) if forms[x] == "logits" else pull
    return result


def _logarithm(r: Recipe, x: str, warm: str | None) -> Made:
    """Return the log-probabilities of logits."""
    z = x if warm is None else r.each(f"soft_{x}", lambda ops, s: s[x] / s[warm])
    return r.gather(f"log_{x}", "log_softmax", z)


def _of_both(r: Recipe, name: str, formula: Callable[..., Value], given: Mapping[str, Made]) -> Made:
    return r.each(name, lambda ops, s: formula(ops, s, s[given["p"]], s[given["q"]]))


def _carried(r: Recipe, x: str, log: Made, pull: Made, warm: str | None) -> Made:
    """Return the derivative by logits, given that by log-probabilities."""
    share = r.each(f"{x}_share", lambda ops, s: ops.exp(s[log]))
    total = r.gather(f"total_pull_{x}", "sum", pull)

    def slope(ops: Ops, s: Names) -> Value:
        found = s[pull] - s[share] * s[total]
        return found if warm is None else found / s[warm]

    return r.each(f"slopes_{x}", slope)


def _distance(part: Part) -> Outputs:
    r, loss = part.recipe, part.loss
    measure = _DISTANCES[str(loss.distance)]
    found: dict[str, Measured] = {x: measure(r, u, v) for x, (u, v) in zip(loss.symbols, loss.pairs, strict=True)}
    program = loss.program(1)

    def of(output: str) -> Callable[[Ops, Names], Value]:
        run = part.run(program, output)
        return lambda ops, s: run(ops, s, *(s[found[x][0]] for x in loss.symbols))

    result: Outputs = {"value": r.each("row_loss", of("value"))}
    slopes = {x: r.each(f"slope_{x}", of(f"gradient:{x}")) for x in loss.symbols}
    for item in loss.predicted:

        def added(ops: Ops, s: Names, of: str = item.symbol) -> Value:
            total: Value = 0.0
            for x, pair in zip(loss.symbols, loss.pairs, strict=True):
                if of in pair:
                    by = found[x][1] if pair[0] == of else found[x][2]
                    total = total + s[slopes[x]] * by(ops, s)
            return total

        result[f"gradient:{item.symbol}"] = r.each(f"slopes_{item.symbol}", added)
    return result


def _euclidean(r: Recipe, u: str, v: str) -> Measured:
    apart, size = _sized(r, f"{u}_to_{v}", lambda ops, s: s[u] - s[v])

    away = r.each(f"{u}_to_{v}_direction", lambda ops, s: ops.where(s[size] > 0, s[apart] / s[size], 0.0))
    return size, lambda ops, s: s[away], lambda ops, s: -s[away]


def _sized(r: Recipe, name: str, vector: Callable[[Ops, Names], Value]) -> tuple[Made, Made]:
    """Return a vector and its length."""
    entry = r.each(name, vector)
    square = r.gather(f"{name}_squares", "sum", r.each(f"{name}_squared", lambda ops, s: s[entry] * s[entry]))
    return entry, r.each(f"{name}_length", lambda ops, s: ops.pow(s[square], 0.5))


def _squared(r: Recipe, u: str, v: str) -> Measured:
    apart = r.each(f"{u}_to_{v}", lambda ops, s: s[u] - s[v])
    size = r.gather(f"{u}_{v}_distance", "sum", r.each(f"{u}_{v}_squared", lambda ops, s: s[apart] * s[apart]))
    return size, lambda ops, s: 2 * s[apart], lambda ops, s: -2 * s[apart]


def _cosine(r: Recipe, u: str, v: str) -> Measured:
    lengths = {u: _sized(r, u, lambda ops, s: s[u])[1], v: _sized(r, v, lambda ops, s: s[v])[1]}
    dot = r.gather(f"{u}_{v}_dot", "sum", r.each(f"{u}_times_{v}", lambda ops, s: s[u] * s[v]))
    both = r.each(f"{u}_{v}_lengths", lambda ops, s: s[lengths[u]] * s[lengths[v]])
    cosine = r.each(f"{u}_{v}_cosine", lambda ops, s: ops.where(s[both] > 0, s[dot] / s[both], 0.0))
    value = r.each(f"{u}_{v}_distance", lambda ops, s: 1 - s[cosine])

    def by(x: str, other: str) -> Callable[[Ops, Names], Value]:
        def slope(ops: Ops, s: Names) -> Value:
            along = s[cosine] * (s[x] / (s[lengths[x]] * s[lengths[x]]))
            return ops.where(s[both] > 0, along - s[other] / s[both], 0.0)

        return slope

    return value, by(u, v), by(v, u)


def _levels(part: Part) -> Outputs:
    r, loss = part.recipe, part.loss
    level = r.gather("level", "numbers", numbers=loss.levels)
    program, n = loss.program(1), float(len(loss.levels))
    value, slope = part.run(program, "value"), part.run(program, "gradient:f")
    f: Made = "f"
    if loss.prediction == "increments":
        places = r.gather("places", "places")
        step = r.each("step", lambda ops, s: ops.where(ops.equal(s[places], 0.0), s["f"], ops.softplus(s["f"])))
        f = r.gather("quantile", "cumsum", step)
    terms = r.each("terms", lambda ops, s: value(ops, s, s["y"], s[f], s[level]))
    total = r.gather("total_loss", "sum", terms)
    slopes = r.each("slopes", lambda ops, s: slope(ops, s, s["y"], s[f], s[level]) / n)
    if loss.prediction == "increments":
        # A step moves all quantiles from its own on.
        below, every = r.gather("slopes_so_far", "cumsum", slopes), r.gather("total_slope", "sum", slopes)
        own = slopes

        def carried(ops: Ops, s: Names) -> Value:
            from_here = (s[every] - s[below]) + s[own]
            return ops.where(ops.equal(s[places], 0.0), from_here, from_here * ops.sigmoid(s["f"]))

        slopes = r.each("slopes", carried)
        return {"value": r.each("row_loss", lambda ops, s: s[total] / n), "gradient:f": slopes}
    return {"value": r.each("row_loss", lambda ops, s: s[total] / n), "gradient:f": slopes, "hessian:f": 0.0}


_CALLED = {"value": "loss", "gradient": "slopes", "hessian": "bends"}
_FORMS = {"values": "probabilities", "log_values": "log_probabilities"}
_DISTANCES: Mapping[str, Callable[[Recipe, str, str], Measured]] = {
    "euclidean": _euclidean, "squared": _squared, "cosine": _cosine,
}  # fmt: skip
_RECIPES: Mapping[type[Any], Callable[[Part], Outputs]] = {
    Softmax: softmax, MulticlassBrier: brier, CrammerSinger: margin, WestonWatkins: margin, Divergence: _divergence,
    Distance: _distance, Levels: _levels,
}  # fmt: skip

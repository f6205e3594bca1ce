"""A few lines of Python that use a loss, which run as they are."""

from __future__ import annotations

import itertools
import math
import re
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lossmith.errors import LossmithError

if TYPE_CHECKING:
    from lossmith.core.loss import Loss

_DIGITS = 4
_LONG = 30  # letters of the arguments of a call
_WIDE = 72  # letters of a line


def code(loss: Loss) -> str:
    """Return Python text that makes the loss and computes with it, on data that it takes."""
    data = sample(loss)
    call = ", ".join(item.name if item.name.startswith("y_") else f"{item.name}={item.name}" for item in loss.inputs)
    lines = ["import numpy as np", "import lossmith as lm", "", *_made(loss)]
    if len(call) > _LONG and data:
        arrays = [f'    "{name}": np.array({_literal(values)}),' for name, values in data.items()]
        lines += ["inputs = {", *arrays, "}"]
        call = "**inputs"
    else:
        lines += [line for name, values in data.items() for line in _array(name, values)]
    calls = [(f"loss({call})", "the cost: one number"), (f"loss.losses({call})", "the loss of each example")]
    has_slope = not any(kink.jumps == "value" for kink in loss.card.kinks)
    if has_slope:
        slopes = "and its slopes, by input" if len(loss.predicted) > 1 else "and its slope"
        calls += [(f"loss.gradient({call})", slopes)]
    longest = max(len(call) for call, _ in calls)
    lines += [f"{call.ljust(longest)}  # {meaning}" for call, meaning in calls]
    if loss.elementwise and has_slope and loss.card.estimates not in ("nothing", "zero"):
        lines += ["", "from lossmith.lightgbm import train"]
        lines += ["model = train(loss, X, y)  # boosted trees, of your table X with targets y"]
    return "\n".join(lines)


def sample(loss: Loss) -> dict[str, Any]:
    """Return data that a loss takes with the options it has, by input: those of a worked example as near as may be.

    Empty where no example comes near, as with the classes along a third axis.
    """
    examples = loss.parts[0][1].card.examples if hasattr(loss, "parts") else loss.card.examples
    names = [item.name for item in loss.inputs]
    given = [list(example.arguments.values()) for example in examples]
    wide = next((len(value) for value in loss.values.values() if isinstance(value, tuple)), None)
    near = (mixed for values in given for mixed in itertools.product(*(_forms(value, wide) for value in values)))
    for values in itertools.chain(given, near):
        data = dict(zip(names, itertools.cycle(values), strict=False))  # a reference is as what it is compared with
        if _taken(loss, data):
            return data
    return {}


def _taken(loss: Loss, data: Mapping[str, Any]) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return math.isfinite(loss.cost(**data))
    except (LossmithError, Warning):
        return False


def _forms(values: Any, wide: int | None) -> list[Any]:
    """Return the data of an input in the kinds that options tell apart, with ``wide`` columns where that is given."""
    import numpy as np

    x = np.asarray(values, dtype=float)
    if x.ndim > 1 and wide is not None:
        x = x[:, np.arange(wide) % x.shape[1]]
    forms = [x] if x.ndim > 1 else [x, 2 * x - 1]  # labels 0 and 1, or -1 and 1
    if x.ndim == 1 and np.all((x == np.round(x)) & (x >= 0) & (x < 10)):
        forms += [np.eye(max(int(x.max()) + 1, classes))[x.astype(int)] for classes in {2, 3, 4, wide or 2}]
    positive = np.exp(np.clip(x, -5, 5))
    shares = positive / (positive.sum(axis=-1, keepdims=True) if x.ndim > 1 else 1 + positive)
    shares = x if x.ndim > 1 and np.allclose(x.sum(axis=-1), 1) and np.all(x > 0) else np.round(shares, _DIGITS)
    logs = np.log(shares)
    forms += [shares, np.round(logs, 2), np.round(logs, 2 * _DIGITS), np.round(positive, _DIGITS)]
    forms += [form.T for form in forms if form.ndim > 1]
    return [_tuples(form.tolist()) for form in forms]


def _tuples(values: Any) -> Any:
    return tuple(map(_tuples, values)) if isinstance(values, list) else values


def _made(loss: Loss) -> list[str]:
    """Return the lines that make a loss, a sum included."""
    parts = loss.parts if hasattr(loss, "parts") else [(None, loss)]
    calls = [_call(part) for _, part in parts]
    weights = ["" if weight is None else f"{weight!r} * " for weight, _ in parts]
    terms = [
        f"{weight}lm.{name}({', '.join(values)}){end}"
        for weight, (name, values, end) in zip(weights, calls, strict=True)
    ]
    line = f"loss = {' + '.join(terms)}"
    if len(line) <= _WIDE:
        return [line]
    if len(terms) > 1:
        return ["loss = (", *(f"    {'+ ' if place else ''}{term}" for place, term in enumerate(terms)), ")"]
    ((name, values, end),) = calls
    return [f"loss = lm.{name}(", *(f"    {value}," for value in values), f"){end}"]


def _call(loss: Loss) -> tuple[str, list[str], str]:
    """Return the name of what makes a loss that is no sum, its arguments, and what follows the bracket."""
    if hasattr(loss, "call"):
        made: tuple[str, list[str], str] = loss.call()
        return made
    name, _, values = re.sub(r"\binf\b", "np.inf", str(loss)).removesuffix(")").partition("(")
    return name, re.split(r", (?=\w+=)", values) if values else [], ""


def _array(name: str, values: Any) -> list[str]:
    line = f"{name} = np.array({_literal(values)})"
    if len(line) <= _WIDE or not isinstance(values[0], tuple):
        return [line]
    return [f"{name} = np.array([", *(f"    {_literal(row)}," for row in values), "])"]


def _literal(values: Any) -> str:
    """Return nested tuples of numbers as the lists that people write."""
    if isinstance(values, tuple):
        return f"[{', '.join(map(_literal, values))}]"
    return f"{values:g}" if float(f"{values:g}") == values else repr(values)

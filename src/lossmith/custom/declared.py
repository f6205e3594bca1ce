"""Classes of losses made from a declaration: what formulas as text and functions have in common."""

from __future__ import annotations

import inspect
import keyword
import math
import numbers
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal, get_args

from lossmith.core.card import Blank, Task
from lossmith.core.domain import Domain
from lossmith.core.inputs import PREDICTION, TARGET, Input
from lossmith.core.link import LINKS
from lossmith.core.loss import Loss
from lossmith.core.parameter import Parameter, rounded, unplain
from lossmith.errors import ParameterError, did_you_mean
from lossmith.program import Value
from lossmith.structures.pointwise import Pointwise

LinkName = Literal["identity", "log", "logistic"]

REAL_LINE = "(-inf, inf)"

_BY_TASK: dict[Task, tuple[str, LinkName]] = {"counts": ("[0, inf)", "log"), "binary": ("[0, 1]", "logistic")}
"""Targets and link where a task has others than all numbers and the identity."""

_ACTIVATIONS = {"identity": "linear", "log": "exponential", "logistic": "sigmoid"}
_GREEK = frozenset((
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "mu", "nu", "xi", "rho",
    "sigma", "tau", "phi", "chi", "psi", "omega",
))  # fmt: skip


def settled(task: Task, target: str | None, link: LinkName | None) -> tuple[str, LinkName]:
    """Return where targets lie and the link, as the task has them where nothing else is said.

    Raises:
        ParameterError: for an unknown task or link.
    """
    if task not in get_args(Task):
        raise ParameterError(f"task={task!r} is not known; it is one of {', '.join(get_args(Task))}")
    if link is not None and link not in LINKS:
        raise ParameterError(f"link={link!r} is not known; it is one of {', '.join(LINKS)}")
    usual_target, usual_link = _BY_TASK.get(task, (REAL_LINE, "identity"))
    return usual_target if target is None else target, usual_link if link is None else link


def declared(
    base: type,
    title: str,
    formula: Callable[..., Value],
    *,
    parameters: Mapping[str, tuple[float, str]],
    inputs: Mapping[str, str],
    predicted: Mapping[str, str],
    target: str,
    prediction: str,
    link: LinkName,
    task: Task,
    **body: Any,
) -> Any:
    """Return the class of a pointwise loss.

    Args:
        base: what it derives from.
        title: the name of the class.
        formula: its method ``(loss, ops, y, f, *others) -> value``, others in the order predicted, inputs.
        parameters: default and domain of each.
        inputs: domain of each input besides the target that is not predicted.
        predicted: domain of each input besides ``f`` that is.
        target, prediction: where ``y`` and ``f`` may lie.
        link: from a prediction to ``f``.
        task: what it is for.
        body: further attributes of the class.

    Raises:
        ParameterError: for names that mean something else, and domains that are none.
    """
    others = {**predicted, **inputs}
    refuse_names([*parameters, *predicted, *inputs])
    domains = {"y": domain_of("target", target), "f": domain_of("f", prediction)}
    domains |= {symbol: domain_of(symbol, text) for symbol, text in others.items()}
    body |= {
        "inputs": (TARGET, PREDICTION, *(_input(symbol, symbol in predicted, domains[symbol]) for symbol in others)),
        "domains": MappingProxyType(domains),
        "target": domains["y"],
        "prediction_domain": domains["f"],
        "link": LINKS[link],
        "card": Blank(title, task, _ACTIVATIONS[link]),
        "formula": formula,
        **{key: _parameter(key, default, domain) for key, (default, domain) in parameters.items()},
    }
    return type(base)(title, (base,), body)


def is_constant(loss: Pointwise) -> bool:
    """Return whether no prediction changes a loss, as its program shows."""
    program = loss.program(1)
    slopes = [program.output(f"gradient:{symbol}") for symbol in loss.wrt]
    first = len(program.inputs) + len(program.parameters)
    flat = [first <= slope < program.first_step and program.constants[slope - first] == 0 for slope in slopes]
    # What chooses can change where it is flat; what does not choose is a constant then.
    return all(flat) and not any(step.op in _CHOOSING for step in loss.program(0).steps)


_CHOOSING = frozenset({"lt", "le", "equal", "sign", "hold"})


@lru_cache(maxsize=1)
def _taken() -> frozenset[str]:
    """Return the names that calls and attributes of losses have."""
    calls = (Loss.cost, Loss.evaluate, Loss.cost_and_gradient, Loss.hessian, Loss.plot)
    words = {word for call in calls for word in inspect.signature(call).parameters}
    return frozenset(words | {name for name in dir(Pointwise) if not name.startswith("_")} | {"ops", "y", "f"})


def refuse_names(names: list[str]) -> None:
    """Refuse what cannot name an input or parameter.

    Raises:
        ParameterError: with the reason.
    """
    for name in names:
        if not (isinstance(name, str) and name.isidentifier() and name.isascii()) or name[0] == "_":
            raise ParameterError(f"{name!r} cannot name an input or parameter: take letters, digits and _")
        if keyword.iskeyword(name) or name in _taken():
            raise ParameterError(f"{name!r} cannot name an input or parameter, since it means something else already")
        if names.count(name) > 1:
            raise ParameterError(f"{name!r} is declared twice")


def domain_of(owner: str, text: str) -> Domain:
    """Return a domain as it was declared.

    Raises:
        ParameterError: for a text that is none, with whose it is.
    """
    try:
        return Domain.parse(text)
    except ValueError as error:
        raise ParameterError(f"{owner}: {error}") from None


def _input(symbol: str, is_predicted: bool, domain: Domain) -> Input:
    doc = "a prediction of your own" if is_predicted else "an input of your own"
    return Input(symbol, symbol, predicted=is_predicted, broadcast=True, typical=_inside(domain, -4.0, 4.0), doc=doc)


def _parameter(name: str, default: float, domain: str) -> Parameter:
    within = domain_of(name, domain)
    found = Parameter(
        default,
        domain=domain,
        symbol=f"\\{name}" if name in _GREEK else name,
        typical=_inside(within, *sorted((default / 2, default * 2))) if default else _inside(within, -1.0, 1.0),
        doc="a parameter of your own",
    )
    found.name = name
    found.validate("formula", default)
    return found


def _inside(domain: Domain, low: float, high: float) -> tuple[float, float]:
    """Return the part of a range that lies in a domain, or one that does."""
    if not domain.low < high or not low < domain.high:
        low, high = (domain.low, domain.low + 1) if math.isfinite(domain.low) else (domain.high - 1, domain.high)
    low, high = max(low, domain.low), min(high, domain.high)
    margin = (high - low) / 16  # ends may not belong
    return (low if low > domain.low else low + margin, high if high < domain.high else high - margin)


def refuse_lists(**given: Any) -> None:
    """Refuse what is not declared by name.

    Raises:
        ParameterError: with what to write.
    """
    for word, value in given.items():
        if not isinstance(value, Mapping):
            raise ParameterError(f"{word}= is a dict by name, got {value!r}")


def pair(owner: str, name: str, given: Any) -> tuple[float, str]:
    """Return default and domain of a parameter that was given as a number, or as a pair of both.

    Raises:
        ParameterError: for anything else.
    """
    default, domain = given if isinstance(given, tuple | list) and len(given) == 2 else (given, REAL_LINE)
    default = unplain(default)
    if isinstance(default, bool) or not isinstance(default, numbers.Real) or not isinstance(domain, str):
        raise ParameterError(
            f"{owner}: {name} is declared by its default, or by default and domain, such as {name}=(1.0, '(0, inf)'); "
            f"got {given!r}"
        )
    return rounded(default), domain


def refuse_unknown(owner: str, what: str, given: Mapping[str, Any], known: list[str]) -> None:
    """Refuse names that are not known.

    Raises:
        ParameterError: for the first of them, with the nearest one that is.
    """
    for name in given:
        if name not in known:
            takes = f"it has {', '.join(known)}" if known else "it has none"
            raise ParameterError(f"{owner} has no {what} {name!r}; {takes}.{did_you_mean(name, known)}")

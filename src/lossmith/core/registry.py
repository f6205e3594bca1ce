"""The registry: finds losses by walking the folder of losses, one loss a file.

Nothing is listed by hand. The name of a file is the name of its loss; only files that are
asked for are imported.
"""

from __future__ import annotations

import ast
import inspect
import math
import os
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any

from lossmith.core.configured import OWN
from lossmith.core.elsewhere import counterpart, elsewhere
from lossmith.core.loss import Loss
from lossmith.errors import KindError, LossmithError, LossNotFoundError, ParameterError, did_you_mean

_ROOT = "lossmith.losses"


@lru_cache(maxsize=1)
def _modules() -> dict[str, str]:
    """Return the module of each loss by name, from the files alone."""
    folder = os.path.join(os.path.dirname(os.path.dirname(__file__)), "losses")
    found: dict[str, str] = {}
    for family in pkgutil.iter_modules([folder]):
        for module in pkgutil.iter_modules([os.path.join(folder, family.name)]):
            found[module.name] = f"{_ROOT}.{family.name}.{module.name}"
    return found


@lru_cache(maxsize=1)
def _aliases() -> dict[str, str]:
    """Return the canonical name behind each alias; this imports every loss."""
    return {_key(alias): name for name in names() for alias in loss_class(name).aliases}


def _key(name: str) -> str:
    return name.replace("_", "").replace("-", "").replace(" ", "").lower()


def names(task: str | None = None) -> tuple[str, ...]:
    """Return the canonical names of all losses, by family; with ``task`` only those for such a target.

    Args:
        task: ``regression``, ``counts``, ``binary``, ``probabilistic``, ``adversarial`` or ``preference``.
    """
    found = tuple(sorted(_modules(), key=lambda name: (_modules()[name].split(".")[-2], name)))
    return found if task is None else tuple(name for name in found if loss_class(name).card.task == task)


def family(name: str) -> str:
    """Return the family, that is the folder, of a loss."""
    return _modules()[loss_class(name).name].split(".")[-2]


def what_instead(name: str) -> str:
    """Return what to take instead of a name that people look for and that is no loss, or an empty string."""
    return elsewhere(_key(name))


@lru_cache(maxsize=1024)
def loss_class(name: str) -> type[Loss]:
    """Return the class behind a name, class name or alias; case, ``_``, ``-`` and a final ``loss`` do not matter.

    Raises:
        LossNotFoundError: with the nearest names.
    """
    wanted = _key(name)
    by_key = {_key(module): module for module in _modules()}
    module = by_key.get(wanted)
    if module is None:
        alias = _aliases().get(wanted) or _aliases().get(short := wanted.removesuffix("loss")) or by_key.get(short)
        if alias is None:
            if instead := what_instead(name):
                raise LossNotFoundError(f"no loss is called {name!r}: {instead}. `lossmith list` shows all of them.")
            guess = did_you_mean(name, [*_modules(), *(a for n in names() for a in loss_class(n).aliases)])
            raise LossNotFoundError(f"no loss is called {name!r}.{guess} `lossmith list` shows all of them.")
        module = alias
    loaded = import_module(_modules()[module])
    for _, found in inspect.getmembers(loaded, inspect.isclass):
        if issubclass(found, Loss) and found.__module__ == loaded.__name__ and found.name == module:
            return found
    raise LossNotFoundError(f"{loaded.__name__} holds no loss named {module!r}; one file holds one loss, named alike")


def get(name: str | Loss, **values: Any) -> Loss:
    """Return a loss by name or alias.

    Args:
        name: such as ``huber`` or ``mse``; a loss is returned as it is.
        values: its parameters and options.

    Raises:
        KindError: for what is neither a name nor a loss.
        LossNotFoundError: for an unknown name.
        ParameterError: for unknown or impossible parameters.
    """
    if isinstance(name, Loss):
        return name.replace(**values) if values else name
    if not isinstance(name, str):
        raise KindError(f"a loss is got by its name, such as lossmith.get('huber'), got {no_loss(name)}")
    try:
        found = loss_class(name)
    except LossNotFoundError:
        if re.search(r"[(*/+]", name) or is_formula(name):
            raise LossNotFoundError(
                f"no loss is called {name!r}; lossmith.parse reads names with values, sums and formulas"
            ) from None
        raise
    return found(**values)


def parse(text: str | Loss) -> Loss:
    """Return the loss that a text names, such as ``huber`` or ``quantile(level=0.9)``, or states, as ``(f - y)**2``.

    A text that speaks of ``f`` or ``y`` is a formula and read by ``lossmith.formula``. This is how the command line
    names losses; ``str(loss)`` of those of the catalogue reads back as well.

    Raises:
        LossNotFoundError: for an unknown name.
        FormulaError: for a formula that cannot be read.
        ParameterError: for a text of another form, or impossible parameters.
    """
    if isinstance(text, Loss):
        return text
    if not isinstance(text, str):
        raise ParameterError(f"a loss is a loss of Lossmith or a text that names one, got {no_loss(text)}")
    if is_formula(text):
        stated: Loss = import_module("lossmith.custom.text").formula(text.strip())
        return stated
    combined = _parse_sum(text)
    if combined is not None:
        return combined
    name, bracket, _ = text.strip().partition("(")
    try:
        found = loss_class(name.strip())
    except LossNotFoundError:
        if not _speaks_of_inputs(text):
            raise
        read: Loss = import_module("lossmith.custom.text").formula(text.strip())  # which says what they are called
        return read
    if not bracket:
        return found()
    try:
        call = ast.parse("_(" + text.strip()[len(name) + 1 :], mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("not one call")
        if any(word.arg is None for word in call.keywords):
            raise ValueError("values come one by one")
        repeated = [name for name, count in Counter(word.arg for word in call.keywords).items() if count > 1]
        places = [_literal(node) for node in call.args]
        words = {str(word.arg): _literal(word.value) for word in call.keywords}
    except (SyntaxError, ValueError):
        raise ParameterError(
            f"cannot read the loss {text!r}; write a name, or a name with values, such as {found.name}"
            f"({', '.join(f'{key}={item.default!r}' for key, item in found.declared().items())})"
        ) from None
    if repeated:
        raise ParameterError(f"{text.strip()!r} has {repeated[0]} twice; give it once")
    return found(*places, **words)


def with_parameter(loss: Any, name: str) -> str:
    """Return how a loss gets a parameter that was passed elsewhere, such as ``quantile(level=...)`` for ``alpha``.

    Args:
        loss: a loss or its text, or what is none.
        name: of the parameter, here or in other libraries. Where the loss has none the answer is empty.
    """
    try:
        found = parse(loss)
    except LossmithError:
        return ""
    ours = counterpart(name, found.declared())
    changed = f"{found.name}({ours}=...)" if isinstance(loss, str) else f"loss.replace({ours}=...)"
    return changed if ours else ""


def no_loss(given: Any) -> str:
    """Return what was given in the place of a loss, with what to do where it nearly is one."""
    if isinstance(given, type) and issubclass(given, Loss):
        return f"a class; make one, as {given.__name__}()"
    if isinstance(getattr(given, "loss", None), Loss):  # modules of frameworks, objectives of boosters
        return f"{type(given).__module__}.{type(given).__name__}, which holds one; pass its .loss"
    return "a function; @lossmith.loss makes a loss of one" if inspect.isfunction(given) else type(given).__name__


def is_formula(text: str) -> bool:
    """Return whether a text states a loss and names none: the word ``f`` or ``y`` stands in it, or no word but numbers.

    What is none of both may still be a formula that lacks ``f``, but is more likely a name that is not known.
    """
    if re.search(r"\b[fy]\b", text):
        return True
    bare = re.sub(r"(?<=[\d.])[eE](?=[-+\d])", "", text)  # 1e-3
    return re.search(r"\d", text) is not None and re.search(r"[^\W\d]", bare) is None


def _speaks_of_inputs(text: str) -> bool:
    """Return whether a text computes something of what others call the prediction or the target."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError):
        return False
    words = {part.id for part in _parts(node) if isinstance(part, ast.Name)}
    is_word = re.fullmatch(r"[\w-]*", text.strip()) is not None  # such as student-t
    return not is_word and not words.isdisjoint(import_module("lossmith.custom.grammar").CALLED)


def _parts(node: ast.AST) -> Iterator[ast.AST]:
    """Return an expression and what it is made of, but for names of functions and values of parameters."""
    yield node
    for part in node.args if isinstance(node, ast.Call) else ast.iter_child_nodes(node):
        yield from _parts(part)


def _parse_sum(text: str) -> Loss | None:
    """Return the loss behind ``0.7 * huber + 0.3 * mae`` or ``(huber + mae) / 2``; ``None`` when it is no such sum."""
    try:
        node: ast.expr = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, RecursionError, MemoryError):
        return None
    terms: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        terms.append(node.right)
        node = node.left
    if terms:
        losses = [parse(ast.unparse(term)) for term in (node, *reversed(terms))]
        added: Loss = import_module("lossmith.structures.composite").Sum((1.0, loss) for loss in losses)
        return added
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        for factor, other in ((node.left, node.right), (node.right, node.left)):
            sign = -1 if isinstance(factor, ast.UnaryOp) and isinstance(factor.op, ast.USub) else 1
            number = factor.operand if isinstance(factor, ast.UnaryOp) else factor
            if isinstance(number, ast.Constant) and isinstance(number.value, int | float):
                return sign * number.value * parse(ast.unparse(other))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and isinstance(node.right, ast.Constant):
        return parse(ast.unparse(node.left)) / node.right.value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -parse(ast.unparse(node.operand))
    return None


def _literal(node: ast.expr) -> Any:
    # A bare word is a choice: quotes are a nuisance in a shell. Infinity is how it prints; nan is refused as a number.
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and _literal(node.operand) == math.inf:
        return -math.inf
    if isinstance(node, ast.Tuple | ast.List):
        return tuple(map(_literal, node.elts))
    if isinstance(node, ast.Name):
        return {"inf": math.inf, "nan": math.nan}.get(node.id, node.id)
    return ast.literal_eval(node)


def from_config(config: Mapping[str, Any]) -> Any:
    """Return the loss or regulariser that ``to_config`` described.

    Raises:
        ParameterError: when the mapping is no such description.
        LossNotFoundError: for an unknown name, and for a loss of your own, whose class data cannot hold.
    """
    if isinstance(config, Mapping) and set(config) == {"regularizer", "parameters"}:
        return import_module("lossmith.regularizers").from_config(config)
    if not isinstance(config, Mapping) or set(config) != {"loss", "parameters"}:
        raise ParameterError(f"a configuration is {{'loss': name, 'parameters': {{...}}}}, got {config!r}")
    if config["loss"] == "sum":
        terms = [(weight, from_config(inner)) for weight, inner in config["parameters"]["terms"]]
        return import_module("lossmith.structures.composite").Sum(terms)
    if config["loss"] == "formula":
        return import_module("lossmith.custom.text").from_config(config["parameters"])
    if isinstance(config["loss"], str) and config["loss"].startswith(OWN):
        name = config["loss"].removeprefix(OWN)
        raise LossNotFoundError(
            f"{name!r} is a loss of your own, of @lossmith.loss or a class: a configuration holds its name and values "
            f"{config['parameters']}, and not what it computes. Make it of what you defined, with these values; "
            "lossmith.formula makes losses that a configuration holds."
        )
    return get(config["loss"], **config["parameters"])

"""Losses from formulas as text.

The class of a loss is made from its text, once for equal declarations, and goes the way of all
classes of losses from there on. A loss is saved as its declaration and its values, so that it can
be loaded where nothing of it is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from lossmith.core.card import Task
from lossmith.core.loss import Loss
from lossmith.core.parameter import plain
from lossmith.core.taken import all_of, told
from lossmith.custom.declared import (
    REAL_LINE,
    LinkName,
    declared,
    domain_of,
    is_constant,
    pair,
    refuse_lists,
    refuse_names,
    settled,
)
from lossmith.custom.functions import CONSTANTS, FUNCTIONS, Node, evaluate
from lossmith.custom.grammar import parse
from lossmith.custom.rewriting import stable
from lossmith.engines.forks import ForkLock
from lossmith.errors import FormulaError, ParameterError, ProgramError
from lossmith.program import TABLE, Ops, Value
from lossmith.structures.pointwise import Pointwise

NONE: Mapping[str, Any] = {}

_PLAIN = "formula"
"""The name of losses that were given none."""


@dataclass(frozen=True)
class Declaration:
    """What makes the class of a formula; equal ones make one class. See ``formula`` for the words."""

    text: str
    parameters: tuple[tuple[str, tuple[float, str]], ...]
    inputs: tuple[tuple[str, str], ...]
    predicted: tuple[tuple[str, str], ...]
    target: str
    prediction: str
    link: LinkName
    task: Task
    name: str


class Text(Pointwise):
    """A loss from a formula as text.

    Attributes:
        text: the formula as it was written.
        rewrites: pairs of a form as written and the stable form that is computed in its place.
    """

    declaration: ClassVar[Declaration]
    text: ClassVar[str]
    rewrites: ClassVar[tuple[tuple[str, str], ...]]

    def to_config(self) -> dict[str, Any]:
        """Return this as data of standard JSON, which ``lossmith.from_config`` turns back into it anywhere."""
        words = asdict(self.declaration)
        words["parameters"] = {name: plain(given) for name, given in words["parameters"]}
        words["inputs"], words["predicted"] = dict(words["inputs"]), dict(words["predicted"])
        return {"loss": "formula", "parameters": {**words, "values": super().to_config()["parameters"]}}

    def __reduce__(self) -> tuple[Any, ...]:
        return from_config, (self.to_config()["parameters"],)

    def call(self) -> tuple[str, list[str], str]:
        """Return how Python makes this: the function of ``lossmith``, its arguments, and what follows the bracket."""
        said, (target, link) = self.declaration, settled(self.declaration.task, None, None)
        usual = {"target": str(target), "prediction": REAL_LINE, "link": link, "task": "regression", "name": _PLAIN}
        given: dict[str, Any] = {word: dict(getattr(said, word)) for word in ("parameters", "inputs", "predicted")}
        words = {word: pairs for word, pairs in given.items() if pairs}
        words |= {word: getattr(said, word) for word, value in usual.items() if getattr(said, word) != value}
        changed = [
            f"{name}={self._values[name]!r}" for name, (value, _) in said.parameters if self._values[name] != value
        ]
        arguments = [repr(self.text), *(f"{word}={value!r}" for word, value in words.items())]
        return "formula", arguments, f".replace({', '.join(changed)})" if changed else ""

    def __repr__(self) -> str:
        if self.name != _PLAIN:
            return super().__repr__()
        values = [f"{name}={value:g}" for name, value in self._values.items()]
        return f"formula({', '.join([repr(self.text), *values])})"


def _declared_by(name: str, value: Any) -> str:
    """Return how to declare what was passed as a keyword, as the formula shows its parameters."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    return f"A parameter is declared by parameters={{{name!r}: {value!r}}}"


@told(all_of(_declared_by))
def formula(
    text: str,
    *,
    parameters: Mapping[str, float | tuple[float, str]] = NONE,
    inputs: Mapping[str, str] = NONE,
    predicted: Mapping[str, str] = NONE,
    target: str | None = None,
    prediction: str = REAL_LINE,
    link: LinkName | None = None,
    task: Task = "regression",
    name: str = _PLAIN,
) -> Text:
    """Return the loss that a text states, such as ``where(f < y, 4*(y - f)**2, (y - f)**2)``.

    A formula is made of the target ``y``, the raw prediction ``f``, what is declared below, numbers, ``pi`` and ``e``;
    of ``+ - * / **``, comparisons (chained ones too), ``and``, ``or``, ``not``, ``a if condition else b``; and of calls
    of abs, sign, min, max, where, exp, expm1, log, log1p, sqrt, square, hypot, tanh, cosh, sigmoid, softplus, logcosh,
    xlogy, log1mexp and the others of ``lossmith.custom.functions``. It is never run as Python. Forms that would
    overflow or lose digits are computed in another way; ``rewrites`` of the loss lists them.

    Args:
        text: the formula, of one example.
        parameters: their defaults by name, or pairs of default and domain, as ``{"k": (4.0, "(0, inf)")}``.
        inputs: further inputs by name, each with its domain, as ``{"price": "(0, inf)"}``. Calls take them by that
            name; their axes of size 1 spread over the examples.
        predicted: further inputs that the loss is differentiated by, likewise.
        target: where targets may lie; by default all numbers, for counts ``[0, inf)``, for binary labels ``[0, 1]``.
        prediction: where ``f`` may lie.
        link: what leads from a prediction to ``f``: ``identity``, ``log`` (by default for counts) or ``logistic`` (by
            default for binary labels).
        task: the kind of target.
        name: what messages and pictures call the loss.

    Raises:
        FormulaError: for a text that is no formula, whose value does not depend on ``f``, or that does not take what
            is declared, with the place.
        ParameterError: for a declaration that is none.
    """
    if not isinstance(text, str):
        raise FormulaError(f"a formula is a text, got {type(text).__name__}", "", 1)
    if not (isinstance(name, str) and name.isidentifier() and name.isascii()):
        raise ParameterError(f"name={name!r} cannot name a loss: take letters, digits and _, such as underforecast")
    target_domain, link_name = settled(task, target, link)
    refuse_lists(parameters=parameters, inputs=inputs, predicted=predicted)
    declaration = Declaration(
        text,
        tuple((key, pair("formula", key, given)) for key, given in parameters.items()),
        tuple((key, str(domain)) for key, domain in inputs.items()),
        tuple((key, str(domain)) for key, domain in predicted.items()),
        str(target_domain),
        str(prediction),
        link_name,
        task,
        name,
    )
    return _class_of(declaration)()


def from_config(config: Mapping[str, Any]) -> Loss:
    """Return the loss whose ``to_config`` has these parameters.

    Raises:
        ParameterError, FormulaError: when they describe none.
    """
    try:
        words = {**config}
        values = words.pop("values")
        return formula(**words).replace(**values)
    except (TypeError, KeyError):
        raise ParameterError(f"this describes no formula: {config!r}") from None


_CLASSES: WeakValueDictionary[Declaration, type[Text]] = WeakValueDictionary()
_LOCK = ForkLock()


def _class_of(declaration: Declaration) -> type[Text]:
    with _LOCK:
        found = _CLASSES.get(declaration)
        if found is None:
            try:
                found = _CLASSES[declaration] = _made(declaration)
            except RecursionError:  # of a caller that is near Python's limit itself
                raise FormulaError("the formula is too deeply nested to be read here", declaration.text, 1) from None
        return found


def _made(declaration: Declaration) -> type[Text]:
    parameters, inputs, predicted = dict(declaration.parameters), dict(declaration.inputs), dict(declaration.predicted)
    refuse_names([*parameters, *predicted, *inputs])  # before the text says that it does not know them
    for name in (*parameters, *inputs, *predicted):
        if name in FUNCTIONS or name in CONSTANTS:
            raise ParameterError(f"{name!r} cannot name an input or parameter, since formulas know it already")
    symbols = ("y", "f", *predicted, *inputs)
    written = parse(declaration.text, (*symbols, *parameters))
    within = {name: domain_of(name, domain) for name, (_, domain) in parameters.items()}
    positive = [name for name, domain in within.items() if domain.low >= 0 and not domain.includes(0.0)]
    tree, rewrites = stable(written, declaration.text, symbols, positive)

    def formula(self: Text, ops: Ops, *values: Value) -> Value:
        """Return the loss, as the text states it."""
        given = dict(zip(symbols, values, strict=True))
        return evaluate(tree, ops, {**self._values, **given})

    made: type[Text] = declared(
        Text,
        "".join(word[:1].upper() + word[1:] for word in declaration.name.split("_")) or "Formula",
        formula,
        parameters=parameters,
        inputs=inputs,
        predicted=predicted,
        target=declaration.target,
        prediction=declaration.prediction,
        link=declaration.link,
        task=declaration.task,
        name=declaration.name,
        declaration=declaration,
        text=declaration.text,
        rewrites=rewrites,
        __module__=__name__,
        __doc__=f"The loss ``{declaration.text}``.",
    )
    _refuse_useless(made(), written)
    return made


def _refuse_useless(loss: Text, tree: Node) -> None:
    """Refuse formulas that cannot be differentiated, or in which a predicted input decides nothing."""
    try:
        loss.program(2)
    except ProgramError as error:
        place = next((node.span[0] for node in _walk(tree) if node.op in TABLE and TABLE[node.op].tangent is None), 0)
        raise FormulaError(f"this cannot be differentiated: {error}", loss.text, place + 1) from None
    taken = {node.name for node in _walk(tree)}
    for symbol in loss.wrt:
        if symbol not in taken:
            raise FormulaError(f"the formula does not depend on the prediction {symbol}", loss.text, 1)
    declared = (*loss.declaration.parameters, *loss.declaration.inputs)
    if unused := [name for name, _ in declared if name not in taken]:
        raise FormulaError(f"the formula does not take what is declared: {', '.join(unused)}", loss.text, 1)
    if is_constant(loss):
        raise FormulaError("the formula is constant: no prediction changes it", loss.text, 1)


def _walk(node: Node) -> list[Node]:
    return [node, *(inner for part in node.args for inner in _walk(part))]

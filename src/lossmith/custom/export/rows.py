"""Softmax losses, whose examples are rows of logits, for NumPy, PyTorch, JAX and Keras.

The loss of a row is Σₖ tₖ φ(uₖ), with target shares t and u = -log p. What φ is comes from its program; everything
around it is the same for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lossmith.core.inputs import Input
from lossmith.custom.export import jax, keras, numpy, torch
from lossmith.custom.export.numpy import docstring, listed, module
from lossmith.custom.export.printer import Language, Printer, definitions
from lossmith.custom.export.sheet import Sheet, about, called
from lossmith.custom.export.torch import formulas
from lossmith.errors import ParameterError
from lossmith.structures.softmax import AdjustedSoftmax, Softmax

_SURPRISE = (Input("u", "u", doc="minus the logarithm of a class's probability"),)


@dataclass(frozen=True)
class _Rows(Sheet):
    """The formula φ of a softmax loss, as a loss of u = -log p."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The one input."""
        return _SURPRISE

    @property
    def wrt(self) -> tuple[str, ...]:
        """The same."""
        return ("u",)

    @property
    def plain(self) -> bool:
        """Whether the loss is -log p itself."""
        return self.program("value").output("value") == 0


def export(loss: Softmax, to: str) -> str:
    """Return a module of Python.

    Raises:
        ParameterError: for options that it does not know.
    """
    _refuse(loss)
    program = loss.part("value", "gradient:u")
    sheet = _Rows(loss, program, dict(loss.free_parameters), dict(loss.parameters()))
    return _TARGETS[to](sheet, loss)


def _refuse(loss: Softmax) -> None:
    asked = {
        "prediction='logits'": loss.probabilities,
        "z_loss=None": loss.z_loss is not None,
        "class_weight=None": loss.class_weight is not None,
        "ignore_index=None": loss.ignore_index is not None,
        "class_axis=-1": loss.class_axis != -1,
    }
    if wrong := [option for option, is_so in asked.items() if is_so]:
        raise ParameterError(
            f"{loss} cannot be exported as code: it takes softmax losses with {', '.join(asked)}, and here it would be "
            f"{' and '.join(wrong)} that is needed. Leave the others to weights and masks of the rows"
        )


def _about(sheet: Sheet, loss: Softmax, names: Mapping[str, str], pair: tuple[str, str]) -> list[str]:
    """Return the text that a module begins with."""
    parameters = [(names[name], value, sheet.declared[name]) for name, value in sheet.parameters.items()]
    words = about(loss, {"y": pair[0], "f": pair[1]}, parameters)
    place = words.index("Inputs, arrays of one shape:")
    end = place + 1 + next(n for n, line in enumerate(words[place + 1 :]) if not line.startswith(" "))
    target = "class indices, (rows,)" if loss.indices else "distributions, (rows, classes), each sums to 1"
    told = ["Inputs:", f"    {pair[0]}: {target}", f"    {pair[1]}: logits, (rows, classes)"]
    return [f"{loss.card.title}.", "", *words[:place], *told, *words[end:]]


def _shares(loss: Softmax, one_hot: str, array: str, given: str) -> list[str]:
    """Return the lines that make target shares of a target, with ``one_hot`` of class indices."""
    smoothing = loss.label_smoothing
    lines = [f"shares = {one_hot if loss.indices else given}"]
    if "classes" in lines[0] or smoothing:
        lines.insert(0, f"classes = {array}.shape[-1]")
    return [*lines, f"shares = {1 - smoothing!r} * shares + {smoothing!r} / classes"] if smoothing else lines


def _adjusted(loss: Softmax, array: str, make: Callable[[str], str]) -> tuple[list[list[str]], list[str]]:
    """Return the constant and the line that adjust logits, where a loss does so."""
    added = loss._added if isinstance(loss, AdjustedSoftmax) else None
    if added is None:
        return [], []
    lines = ["# what is added to the logits of each class", "ADJUSTMENT = ["]
    return [[*lines, *(f"    {number!r}," for number in added), "]"]], [f"{array} = {array} + {make('ADJUSTMENT')}"]


def _indented(lines: Sequence[str], by: int = 4) -> list[str]:
    return [f"{' ' * by}{line}" for line in lines]


_TAKEN = frozenset((
    "shares", "classes", "log_p", "slope", "phi", "phi_slope", "targets", "predictions", "input", "target",
    "log_softmax",
))  # fmt: skip


@dataclass(frozen=True)
class _Names:
    """What parameters are called: by symbol, with their values, after ``u`` in a call, and after the arrays in one."""

    names: dict[str, str]
    settings: list[str]
    after: str
    passed: str


def _named(sheet: _Rows, language: Language) -> _Names:
    names = called(sheet, language.reserved | _TAKEN)
    numbers = [names[name] for name in sheet.parameters]
    settings = [f"{names[name]}={language.number(value)}" for name, value in sheet.parameters.items()]
    after, passed = (", ".join(["", *given]) for given in (numbers, [f"{name}={name}" for name in numbers]))
    return _Names(names, settings, after, passed)


def _numpy(sheet: _Rows, loss: Softmax) -> str:
    given = _named(sheet, numpy.NUMPY)
    names = given.names
    helpers: dict[str, None] = {}
    constants, adjusted = _adjusted(loss, "y_pred", str)
    shares = _shares(loss, "np.eye(classes)[y_true]", "y_pred", "np.asarray(y_true)")
    formula = []
    for name, output, text in (
        ("phi", "value", "Return the loss where -log p is u."),
        ("phi_slope", "gradient:u", "Return its derivative by u."),
    ):
        program = sheet.program(output)
        lines, results = Printer(numpy.NUMPY, names, helpers).body(program)
        result = (
            results[output] if not program.uniform[program.output(output)] else f"np.full(u.shape, {results[output]})"
        )
        formula.append(
            [
                numpy.ERRSTATE,
                f"def {name}(u{given.after}):",
                f'    """{text}"""',
                *_indented([*lines, f"return {result}"]),
            ]
        )
    star = ["*", *given.settings] if given.settings else []
    log_softmax = [
        "def log_softmax(logits):",
        '    """Return the logarithms of the probabilities."""',
        "    moved = logits - logits.max(axis=-1, keepdims=True)",
        "    return moved - np.log(np.exp(moved).sum(axis=-1, keepdims=True))",
    ]
    blocks = [
        *constants,
        *definitions(numpy.NUMPY, helpers),
        log_softmax,
        *formula,
        [
            *listed("def loss(", ["y_true", "y_pred", *star], "):"),
            '    """Return the loss of each row."""',
            *_indented(
                [*shares, *adjusted, f"return np.sum(shares * phi(-log_softmax(y_pred){given.after}), axis=-1)"]
            ),
        ],
        [
            *listed("def gradient(", ["y_true", "y_pred", *star], "):"),
            '    """Return the derivatives of each row\'s loss by its logits."""',
            *_indented([*shares, *adjusted, "log_p = log_softmax(y_pred)"]),
            f"    slope = shares * phi_slope(-log_p{given.after})",
            "    return np.exp(log_p) * slope.sum(axis=-1, keepdims=True) - slope",
        ],
        [
            *listed("def cost(", ["y_true", "y_pred", "*", "weight=None", *given.settings], "):"),
            '    """Return the mean loss of the rows, by weight where there is one."""',
            f"    losses = loss(y_true, y_pred{given.passed})",
            "    return np.average(losses, weights=weight)",
        ],
    ]
    return module(docstring(_about(sheet, loss, names, ("y_true", "y_pred"))), blocks)


def _torch(sheet: _Rows, loss: Softmax) -> str:
    given = _named(sheet, torch.TORCH)
    names = given.names
    helpers: dict[str, None] = {}
    arguments = [names["u"], *(names[name] for name in sheet.parameters)]
    constants, adjusted = _adjusted(loss, "input", lambda name: f"input.new_tensor({name})")
    shares = _shares(loss, "torch.zeros_like(input).scatter(-1, target.unsqueeze(-1), 1.0)", "input", "target")
    blocks = list(constants)
    values = "u"
    if not sheet.plain:
        made = formulas(sheet, names, arguments, torch.TORCH, helpers)
        blocks += [*definitions(torch.TORCH, helpers), *made, torch.function(sheet, names, arguments)]
        values = f"_Losses.apply(u{given.after})"
    body = [
        *adjusted,
        *shares,
        "u = -torch.log_softmax(input, dim=-1)",
        *(f"{name} = u.new_tensor(self.{name})" for name in arguments[1:]),
        f"losses = (shares * {values}).sum(dim=-1)",
    ]
    blocks.append(torch.module(sheet, names, ["input", "target"], body))
    words = _about(sheet, loss, names, ("target", "input"))
    document = docstring([*words, "", f"    cost = {sheet.class_name}()(input, target)", "    cost.backward()"])
    return module(document, blocks, ["import torch", "from torch import nn"])


def _jax(sheet: _Rows, loss: Softmax) -> str:
    given = _named(sheet, jax.JAX)
    names = given.names
    helpers: dict[str, None] = {}
    arguments = [names["u"], *(names[name] for name in sheet.parameters)]
    constants, adjusted = _adjusted(loss, "predictions", lambda name: f"jnp.asarray({name}, predictions.dtype)")
    one_hot = "jax.nn.one_hot(targets, classes, dtype=predictions.dtype)"
    shares = _shares(loss, one_hot, "predictions", "targets")
    blocks, values = list(constants), "u"
    if not sheet.plain:
        made = formulas(sheet, names, arguments, jax.JAX, helpers)
        made[0].insert(0, "@jax.custom_jvp")
        blocks += [*definitions(jax.JAX, helpers), *made, jax.rule(sheet, names, arguments)]
        values = f"losses(u{given.after})"
    star = ["*", *given.settings] if given.settings else []
    blocks += [
        [
            *listed("def loss(", ["predictions", "targets", *star], "):"),
            '    """Return the loss of each row."""',
            *_indented([*adjusted, *shares, "u = -jax.nn.log_softmax(predictions)"]),
            f"    return jnp.sum(shares * {values}, axis=-1)",
        ],
        [
            *listed("def cost(", ["predictions", "targets", "*", "weight=None", *given.settings], "):"),
            '    """Return the mean loss of the rows, by weight where there is one."""',
            f"    values = loss(predictions, targets{given.passed})",
            "    return jnp.average(values, weights=weight)",
        ],
    ]
    words = _about(sheet, loss, names, ("targets", "predictions"))
    document = docstring([*words, "", "    value, slope = jax.value_and_grad(cost)(predictions, targets)"])
    return module(document, blocks, ["import jax", "import jax.numpy as jnp"])


def _keras(sheet: _Rows, loss: Softmax) -> str:
    given = _named(sheet, keras.KERAS)
    names = given.names
    helpers: dict[str, None] = {}
    arguments = [names["u"], *(names[name] for name in sheet.parameters)]
    constants, adjusted = _adjusted(loss, "y_pred", lambda name: f"ops.convert_to_tensor({name}, y_pred.dtype)")
    one_hot = 'ops.one_hot(ops.cast(y_true, "int32"), classes, dtype=y_pred.dtype)'
    shares = _shares(loss, one_hot, "y_pred", "y_true")
    blocks, inner = list(constants), []
    values = "u"
    if not sheet.plain:
        made = formulas(sheet, names, arguments, keras.KERAS, helpers)
        blocks += [*definitions(keras.KERAS, helpers), *made]
        inner, values = keras.differentiable(["u"], arguments), "differentiable(u)"
    body = [
        *adjusted,
        *shares,
        "u = -ops.log_softmax(y_pred, axis=-1)",
        *(f"{name} = ops.convert_to_tensor(self.{name}, y_pred.dtype)" for name in arguments[1:]),
        *inner,
        f"return ops.sum(shares * {values}, axis=-1)",
    ]
    blocks.append(keras.class_of(sheet, names, body))
    words = _about(sheet, loss, names, ("y_true", "y_pred"))
    document = docstring([*words, "", f'    model.compile("adam", loss={sheet.class_name}())'])
    return module(document, blocks, ["import keras", "from keras import ops"])


_TARGETS: Mapping[str, Callable[[_Rows, Softmax], str]] = {
    "numpy": _numpy, "torch": _torch, "jax": _jax, "keras": _keras,
}  # fmt: skip

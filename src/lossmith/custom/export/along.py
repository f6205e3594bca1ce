"""Losses that add a formula up along an axis, for NumPy, PyTorch, JAX and Keras: divergences, and several quantiles.

The formula of one entry is printed as that of one example is; a row's loss is the sum or mean along the last axis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lossmith.core.inputs import Input
from lossmith.custom.export import jax, keras, numpy, torch
from lossmith.custom.export.numpy import docstring, listed, module
from lossmith.custom.export.printer import Language, definitions
from lossmith.custom.export.sheet import Sheet, about, called
from lossmith.custom.export.torch import formulas
from lossmith.errors import ParameterError
from lossmith.structures.divergence import Divergence
from lossmith.structures.levels import Levels

_LEVEL = Input("level", "level", predicted=False)


@dataclass(frozen=True)
class _Along(Sheet):
    """The formula of one entry."""

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The inputs, and the level where there are several."""
        return (*self.loss.inputs, *([_LEVEL] if self.levels else []))

    @property
    def wrt(self) -> tuple[str, ...]:
        """The symbols of the inputs that are predicted."""
        return tuple(item.symbol for item in self.loss.predicted)

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels, along which the loss is a mean; none where it is a sum over classes."""
        return self.loss.levels if isinstance(self.loss, Levels) else ()


def export(loss: Divergence | Levels, to: str) -> str:
    """Return a module of Python.

    Raises:
        ParameterError: for logits, increments and other axes.
    """
    along = isinstance(loss, Levels) or loss.class_axis == -1
    if not along or not (loss.exact if isinstance(loss, Divergence) else loss.prediction == "quantiles"):
        raise ParameterError(
            f"{loss} cannot be exported as code: divergences are taken of probabilities along the last axis, and "
            "quantiles as they are; what makes them of logits or increments is the model's last layer then"
        )
    sheet = _Along(loss, loss.program(1), dict(loss.free_parameters), dict(loss.parameters()))
    return _TARGETS[to](sheet)


def _document(sheet: _Along, names: Mapping[str, str], example: Sequence[str]) -> list[str]:
    parameters = [(names[name], value, sheet.declared[name]) for name, value in sheet.parameters.items()]
    words = about(sheet.loss, {item.symbol: names[item.symbol] for item in sheet.loss.inputs}, parameters)
    shape = "y_true, (rows,), and y_pred, (rows, levels)" if sheet.levels else "(rows, classes) each"
    return docstring([
        f"{sheet.loss.card.title}; one loss a row.",
        "",
        *(line.replace("Inputs, arrays of one shape:", f"Inputs, {shape}:") for line in words),
        *example,
    ])  # fmt: skip


def _plan(sheet: _Along, language: Language, words: Mapping[str, str]) -> tuple[dict[str, str], list[str], list[str]]:
    """Return names, the arrays that are given, and what functions of one entry take."""
    names = called(sheet, language.reserved | {"terms", "levels", "slopes"}, words)
    given = [names[item.symbol] for item in sorted(sheet.loss.inputs, key=lambda item: item.name != words.get("first"))]
    return names, given, [*given, *(["level"] if sheet.levels else []), *(names[name] for name in sheet.parameters)]


def _settings(sheet: _Along, names: Mapping[str, str], language: Language) -> list[str]:
    return [f"{names[name]}={language.number(value)}" for name, value in sheet.parameters.items()]


def _numpy(sheet: _Along) -> str:
    names, given, arguments = _plan(sheet, numpy.NUMPY, {})
    helpers: dict[str, None] = {}
    made = formulas(sheet, names, arguments, numpy.NUMPY, helpers, ("terms", "slopes"))
    settings = _settings(sheet, names, numpy.NUMPY)
    star, total = (["*", *settings] if settings else []), "mean" if sheet.levels else "sum"
    spread = ["    y_true = np.asarray(y_true)[..., None]", "    level = np.array(LEVELS)"] if sheet.levels else []
    inner = ", ".join(arguments)
    passed = ", ".join([*given, *(f"{names[name]}={names[name]}" for name in sheet.parameters)])
    wrt = [names[symbol] for symbol in sheet.wrt]
    by = " and ".join(wrt)
    ended = [f"    return slopes({inner}){' / len(LEVELS)' if sheet.levels else ''}"]
    if len(wrt) > 1:
        each = [f"by_{name}" for name in wrt]
        ended = [f"    {', '.join(each)} = slopes({inner})"]
        ended.append("    return {" + ", ".join(f'"{name}": by_{name}' for name in wrt) + "}")
    blocks = [
        *_constant(sheet),
        *definitions(numpy.NUMPY, helpers),
        *([numpy.ERRSTATE, *lines] for lines in made),
        [
            *listed("def loss(", [*given, *star], "):"),
            '    """Return the loss of each row."""',
            *spread,
            f"    return np.{total}(terms({inner}), axis=-1)",
        ],
        [
            *listed("def gradient(", [*given, *star], "):"),
            f'    """Return the derivatives of each row\'s loss by {by}."""',
            *spread,
            *ended,
        ],
        [
            *listed("def cost(", [*given, "*", "weight=None", *settings], "):"),
            '    """Return the mean loss of the rows, by weight where there is one."""',
            f"    return np.average(loss({passed}), weights=weight)",
        ],
    ]
    return module(_document(sheet, names, []), blocks)


def _constant(sheet: _Along) -> list[list[str]]:
    return [[f"LEVELS = {list(sheet.levels)!r}"]] if sheet.levels else []


def _torch(sheet: _Along) -> str:
    names, given, arguments = _plan(sheet, torch.TORCH, {**torch.WORDS, "first": "y_pred"})
    helpers: dict[str, None] = {}
    made = formulas(sheet, names, arguments, torch.TORCH, helpers)
    first, total = names[sheet.wrt[-1]], "mean" if sheet.levels else "sum"
    body = [f"{names[name]} = {first}.new_tensor(self.{names[name]})" for name in sheet.parameters]
    if sheet.levels:
        body += ["target = target.unsqueeze(-1)", "level = input.new_tensor(LEVELS)"]
    body += [*listed("losses = _Losses.apply(", arguments, ")", 80), f"losses = losses.{total}(dim=-1)"]
    example = ["", f"    cost = {sheet.class_name}()({', '.join(given)})", "    cost.backward()"]
    blocks = [
        *_constant(sheet),
        *definitions(torch.TORCH, helpers),
        *made,
        torch.function(sheet, names, arguments),
        torch.module(sheet, names, given, body),
    ]
    return module(_document(sheet, names, example), blocks, ["import torch", "from torch import nn"])


def _jax(sheet: _Along) -> str:
    names, given, arguments = _plan(sheet, jax.JAX, {**jax.WORDS, "first": "y_pred"})
    helpers: dict[str, None] = {}
    made = formulas(sheet, names, arguments, jax.JAX, helpers)
    made[0].insert(0, "@jax.custom_jvp")
    settings = _settings(sheet, names, jax.JAX)
    star, total = (["*", *settings] if settings else []), "mean" if sheet.levels else "sum"
    spread = (
        ["    targets = jnp.asarray(targets)[..., None]", "    level = jnp.asarray(LEVELS)"] if sheet.levels else []
    )
    passed = ", ".join([*given, *(f"{names[name]}={names[name]}" for name in sheet.parameters)])
    blocks = [
        *_constant(sheet),
        *definitions(jax.JAX, helpers),
        *made,
        jax.rule(sheet, names, arguments),
        [
            *listed("def loss(", [*given, *star], "):"),
            '    """Return the loss of each row."""',
            *(spread if sheet.levels else []),
            f"    return jnp.{total}(losses({', '.join(arguments)}), axis=-1)",
        ],
        [
            *listed("def cost(", [*given, "*", "weight=None", *settings], "):"),
            '    """Return the mean loss of the rows, by weight where there is one."""',
            f"    return jnp.average(loss({passed}), weights=weight)",
        ],
    ]
    return module(_document(sheet, names, []), blocks, ["import jax", "import jax.numpy as jnp"])


def _keras(sheet: _Along) -> str:
    words = {} if sheet.levels else {"p": "y_true", "q": "y_pred"}  # the first of two distributions is the truth
    names, _, arguments = _plan(sheet, keras.KERAS, words)
    helpers: dict[str, None] = {}
    made = formulas(sheet, names, arguments, keras.KERAS, helpers)
    mean = " / len(LEVELS)" if sheet.levels else ""  # ops.mean rounds to single precision on some backends
    body = [f"{names[name]} = ops.convert_to_tensor(self.{names[name]}, y_pred.dtype)" for name in sheet.parameters]
    if sheet.levels:
        body += ["y_true = ops.expand_dims(y_true, -1)", "level = ops.convert_to_tensor(LEVELS, y_pred.dtype)"]
    by = [names[symbol] for symbol in sheet.wrt]
    body += [*keras.differentiable(by, arguments), f"return ops.sum(differentiable({', '.join(by)}), axis=-1){mean}"]
    blocks = [*_constant(sheet), *definitions(keras.KERAS, helpers), *made, keras.class_of(sheet, names, body)]
    example = ["", f'    model.compile("adam", loss={sheet.class_name}())']
    return module(_document(sheet, names, example), blocks, ["import keras", "from keras import ops"])


_TARGETS: Mapping[str, Callable[[_Along], str]] = {
    "numpy": _numpy, "torch": _torch, "jax": _jax, "keras": _keras,
}  # fmt: skip

"""``lossmith export``: a loss as code that stands alone."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from lossmith.cli import terminal
from lossmith.cli._losses import LossCommand, LossName, parse_loss, takes_a_formula
from lossmith.custom.export import TARGETS, Target


@click.command("export", cls=LossCommand, short_help="Turn a loss into code that stands alone.")
@click.argument("loss", type=LossName())
@click.option("--to", type=click.Choice(TARGETS), help="What to make of it; has to be said.")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write; by default standard output."
)
@takes_a_formula
def command(loss: str, to: Target | None, output: Path | None, declaration: Mapping[str, Any]) -> None:
    """Turn a loss into code that stands alone.

    LOSS is a name, a name with values, a weighted sum of such, or a formula. The code needs nothing of Lossmith, and
    says at its head what its inputs are and how it is used. A file that is there already is written over.

    \b
    numpy, jax                    functions: loss, gradient, cost
    torch, keras                  a module; a class, on every backend of Keras
    c                             a header of C99
    onnx                          a model in float32
    lightgbm, xgboost, catboost   objective, metric, start score and link
    latex, json                   formulas for amsmath; the program as data

    \b
    lossmith export huber --to torch
    lossmith export "sparse_categorical_cross_entropy(class_weight=(1, 5))" --to c -o loss.h
    lossmith export "quantile(level=0.9)" --to lightgbm -o quantile.py
    lossmith export "where(f < y, k*(y - f)**2, (y - f)**2)" --parameter "k=4 in (0, inf)" --to c
    lossmith export gaussian_nll --to onnx -o gaussian_nll.onnx
    """
    import lossmith as lm

    if to is None:
        raise click.UsageError(f"say what to make of the loss with --to: {', '.join(TARGETS)}")
    if to == "onnx" and output is None:
        raise click.UsageError("a model of ONNX is no text: say where it goes with --output FILE")
    made = lm.export(parse_loss(loss, declaration), to)
    if output is None:
        # bytes, so that a terminal of another encoding gets the text as it is
        sys.stdout.flush()
        sys.stdout.buffer.write(made.encode() if isinstance(made, str) else made)
        return
    output.write_bytes(made.encode() if isinstance(made, str) else made)
    terminal.say(f"wrote {output}")

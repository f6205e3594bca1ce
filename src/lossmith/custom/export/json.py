"""A loss as data: its program, and what a person needs to write it again in any language."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from lossmith import __version__
from lossmith.core.loss import Loss
from lossmith.core.parameter import plain
from lossmith.custom.export.rowwise import KINDS
from lossmith.custom.export.sheet import PointSheet, RowSheet, Sheet, sheet_of
from lossmith.program import TABLE, Program

FORMAT = "lossmith.custom.export"
VERSION = 1
READING = (
    "Values are numbered: first inputs, then parameters, then constants, then one for each step, which is an "
    "instruction and the numbers of its arguments a, b and c. Constants are hexadecimal floats; an infinite number is "
    "the text inf or -inf. Where the condition valid is false, the other outputs mean nothing."
)


def export(loss: Loss) -> str:
    """Return versioned JSON; ``lossmith.Program.from_json`` reads its ``program``, ``from_config`` its ``config``."""
    sheet = sheet_of(loss)
    document: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "lossmith": __version__,
        "title": loss.card.title,
        "text": str(loss),
        "config": loss.to_config(),
        "task": loss.card.task,
        "estimates": loss.card.estimates,
        "link": {"name": loss.link.name, "prediction": loss.link.latex},
        "inputs": [
            {
                "symbol": item.symbol,
                "name": item.name,
                "predicted": item.predicted,
                "domain": str(loss.domains[item.symbol]),
                "doc": item.doc,
            }
            for item in loss.inputs
        ],
        "parameters": {
            name: {"value": plain(value), "domain": str(sheet.declared[name].domain), "doc": sheet.declared[name].doc}
            for name, value in sheet.parameters.items()
        },
        **(_rows(sheet) if isinstance(sheet, RowSheet) else _points(sheet)),
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _points(sheet: Sheet) -> dict[str, Any]:
    assert isinstance(sheet, PointSheet)
    return {
        "program": json.loads(sheet.whole.to_json()),
        "reading": READING,
        "instructions": _instructions([sheet.whole]),
    }


def _rows(sheet: RowSheet) -> dict[str, Any]:
    """Return the statements of a loss of rows."""
    recipe = sheet.recipe.lowered()
    statements = recipe.needed(*(output for output in recipe.outputs if not output.startswith("hessian")))
    described = []
    for name, statement in statements.items():
        of = {"of": list(statement.of)} if statement.of else {}
        numbers = {"numbers": list(statement.numbers)} if statement.numbers else {}
        program = {"program": json.loads(statement.program.to_json())} if statement.program else {}
        others = {"others": list(statement.others)} if statement.others else {}
        described.append({"value": name, "kind": statement.kind, **of, **others, **numbers, **program})
    return {
        "class_axis": sheet.class_axis,
        "entries": list(recipe.entries),
        "statements": described,
        "outputs": {output: name for output, name in recipe.outputs.items() if not output.startswith("hessian")},
        "reading": f"{_STATEMENTS} {READING}",
        "kinds": {kind: meaning for kind, meaning in KINDS.items() if any(s.kind == kind for s in statements.values())},
        "instructions": _instructions([s.program for s in statements.values() if s.program is not None]),
    }


_STATEMENTS = (
    "Inputs named under entries have numbers along the axis of a row; others have one number a row. Each statement "
    "makes a value of values before it, of each entry or of the whole row, as its kind says. A formula is a program of "
    "the values in of."
)


def _instructions(programs: Sequence[Program]) -> dict[str, Any]:
    used = dict.fromkeys(step.op for program in programs for step in program.steps)
    return {
        name: {"meaning": TABLE[name].meaning, "arguments": TABLE[name].arity, "kink": TABLE[name].kink}
        for name in used
    }

"""A loss as data: its program, and what a person needs to write it again in any language."""

from __future__ import annotations

import json
from typing import Any

from lossmith import __version__
from lossmith.core.loss import Loss
from lossmith.core.parameter import plain
from lossmith.custom.export.sheet import sheet_of
from lossmith.program import TABLE

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
    program = sheet.whole
    used = dict.fromkeys(step.op for step in program.steps)
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
        "program": json.loads(program.to_json()),
        "reading": READING,
        "instructions": {
            name: {"meaning": TABLE[name].meaning, "arguments": TABLE[name].arity, "kink": TABLE[name].kink}
            for name in used
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"

"""The report: one page that needs nothing but itself, and files that are never half written."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from lossmith.choosing import document, figures, story
from lossmith.choosing.words import capital, compact, join, number, share
from lossmith.errors import plural
from lossmith.files import write

if TYPE_CHECKING:
    from lossmith.choosing.choice import Choice

__all__ = ["render", "write_json"]


def render(choice: Choice) -> str:
    """Return the report as HTML: one file, no outside request, light and dark, the same bytes for the same choice."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    pages = Environment(
        loader=PackageLoader("lossmith.choosing", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters.update(breakable=_breakable, capital=capital, number=number, share=share, plural=plural)
    return pages.get_template("report.html").render(
        choice=choice,
        headline=story.headline(choice),
        advice=story.advice(choice),
        reasons=story.reasons(choice),
        method=story.method(choice),
        code=story.code(choice),
        glossary=story.GLOSSARY,
        pictures=figures.pictures(choice),
        standing=story.standing(choice),
        judges=[candidate.label for candidate in choice.candidates],
        matrix=_matrix(choice),
        card=choice.recommended.loss.card,
        references=[str(item) for item in choice.recommended.loss.card.references],
        versions=", ".join(f"{name} {value}" for name, value in document.versions().items()),
        dropped=join([f"{item.name} ({item.reason})" for item in choice.dropped]),
    )


def _breakable(label: str) -> Any:
    """Let a long label break after its opening bracket."""
    from markupsafe import Markup, escape

    return Markup("(<wbr>").join(escape(part) for part in label.split("("))


def _matrix(choice: Choice) -> list[dict[str, Any]]:
    """Return the scores of every trained loss by every judge, as texts with the best of each column marked."""
    results = choice.results
    sign = 1.0 if choice.metric.greater_is_better else -1.0
    with np.errstate(invalid="ignore"):
        costs = results.costs.mean(axis=2)
        scores = results.scores.mean(axis=1)
    best = np.argmin(np.where(np.isfinite(costs), costs, np.inf), axis=0)
    first = int(np.argmax(np.where(np.isfinite(scores), sign * scores, -np.inf)))
    rows = []
    for index, candidate in enumerate(choice.candidates):
        cells = [
            {
                **_cell(
                    costs[index, judge], int(results.costs_undefined[index, judge]), best=int(best[judge]) == index
                ),
                "own": judge == index,
            }
            for judge in range(len(choice.candidates))
        ]
        last = _cell(scores[index], int(results.scores_undefined[index]), best=index == first)
        cells.append({**last, "own": False})
        rows.append({"label": candidate.label, "cells": cells})
    return rows


def _cell(value: float, undefined: int, *, best: bool) -> dict[str, Any]:
    finite = bool(np.isfinite(value))
    text = compact(float(value)) if finite else "∞"
    note = "" if finite or not undefined else plural(undefined, "row")
    return {"text": text, "note": note, "best": best and finite}


def write_json(path: str | os.PathLike[str], choice: Choice) -> None:
    """Write the JSON document of a choice, in one step, with sorted keys.

    Raises:
        TableError: The file cannot be written.
    """
    write(path, json.dumps(choice.to_json(), indent=2, sort_keys=True, allow_nan=False) + "\n")

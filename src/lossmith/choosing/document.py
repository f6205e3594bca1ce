"""The JSON form of a choice: schema ``lossmith.choice/1``.

A later version may add keys. A key that changes its meaning or goes away changes the number of the schema.
"""

from __future__ import annotations

import dataclasses
import math
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

import lossmith
from lossmith.choosing import story
from lossmith.choosing.choice import Choice

__all__ = ["SCHEMA", "build", "versions"]

SCHEMA = "lossmith.choice/1"


def versions() -> dict[str, str]:
    """Return the versions that a result depends on."""
    found = {"python": platform.python_version(), "lossmith": lossmith.__version__}
    for package in ("numpy", "scipy", "lightgbm"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # put in place without its metadata
            found[package] = "unknown"
    return found


def build(choice: Choice) -> dict[str, Any]:
    """Return a choice as plain data with sorted keys; a number that is not finite is ``None``."""
    verdict = choice.verdict
    labels = [candidate.label for candidate in choice.candidates]
    raw = {
        "schema": SCHEMA,
        "versions": versions(),
        "table": {"file": choice.table, "rows": choice.rows, "columns": choice.columns},
        "target": {
            **dataclasses.asdict(choice.profile),
            "outlier_share": choice.profile.outlier_share,
            "zero_share": choice.profile.zero_share,
            "positive_share": choice.profile.positive_share,
            "sentences": choice.profile.sentences(),
        },
        "features": {
            "used": choice.features,
            "categories": choice.categorical,
            "dropped": [dataclasses.asdict(item) for item in choice.dropped],
            "weight": choice.weight,
        },
        "goal": choice.goal.text,
        "metric": {
            "name": choice.metric.name,
            "title": choice.metric.title,
            "greater_is_better": choice.metric.greater_is_better,
        },
        "plan": {**dataclasses.asdict(choice.plan), "model": "lightgbm"},
        "candidates": [_candidate(choice, index) for index in range(len(labels))],
        "baseline": _spread(choice.results.baseline),
        "verdict": {
            "kind": verdict.kind,
            "sentence": story.headline(choice),
            "leader": labels[verdict.leader],
            "contenders": [labels[index] for index in verdict.contenders],
            "recommended": choice.recommended.label,
            "level": verdict.level,
            "confidence": verdict.confidence,
            "test": "corrected resampled t-test, Holm correction",
            "comparisons": [_comparison(choice, item) for item in verdict.comparisons],
        },
        "warnings": choice.warnings,
        "code": story.code(choice),
    }
    plain: dict[str, Any] = _plain(raw)
    return plain


def _candidate(choice: Choice, index: int) -> dict[str, Any]:
    results, candidate = choice.results, choice.candidates[index]
    return {
        "label": candidate.label,
        "loss": candidate.loss.to_config(),
        "reason": candidate.reason,
        "rule": candidate.rule,
        "score": {**_spread(results.scores[index]), "undefined_rows": int(results.scores_undefined[index])},
        "costs": {
            other.label: {
                **_spread(results.costs[index, place]),
                "undefined_rows": int(results.costs_undefined[index, place]),
            }
            for place, other in enumerate(choice.candidates)
        },
        "rounds": results.rounds[index],
        "importance": dict(zip(choice.features, results.importance[index], strict=True)),
    }


def _comparison(choice: Choice, item: Any) -> dict[str, Any]:
    test, posterior = item.test, item.posterior
    return {
        "rival": choice.candidates[item.rival].label,
        "beaten": item.beaten,
        "p": None if test is None else test.p,
        "p_holm": item.p_holm,
        "difference": None if test is None else {"mean": test.mean, "low": test.low, "high": test.high},
        "probability": None
        if posterior is None
        else {"better": posterior.better, "equal": posterior.equal, "worse": posterior.worse, "rope": posterior.rope},
    }


def _spread(values: Any) -> dict[str, Any]:
    finite = bool(np.isfinite(values).all())
    return {
        "mean": values.mean() if finite else math.inf,
        "spread": story.spread(values) if finite else math.inf,
        "folds": values,
    }


def _plain(value: Any) -> Any:
    """Bring a value to what JSON knows, keys sorted, and what is not finite to ``None``."""
    if isinstance(value, dict):
        return {str(key): _plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

"""Tables for the tests of choosing."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lossmith.choosing import choose
from lossmith.choosing.choice import Choice

Write = Callable[..., Path]


def write_csv(path: Path, columns: Mapping[str, Sequence[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


@pytest.fixture
def table(tmp_path: Path) -> Write:
    """Write columns to a CSV file and return its path."""

    def table(columns: Mapping[str, Sequence[Any]], name: str = "table.csv") -> Path:
        return write_csv(tmp_path / name, columns)

    return table


def amounts(rows: int = 240, seed: int = 0) -> dict[str, Sequence[Any]]:
    """Positive amounts with a long tail, a category and a name."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, rows))
    colour = np.array(["red", "green", "blue"])[rng.integers(0, 3, rows)]
    y = np.exp(5.0 + 0.8 * x + 0.3 * (colour == "red") + 0.3 * rng.normal(size=rows))
    return {
        "name": [f"row {i}" for i in range(rows)],
        "x": x.round(4),
        "z": z.round(4),
        "colour": colour,
        "amount": y.round(2),
    }


def classes(rows: int = 240, seed: int = 0, rare: float = 0.0) -> dict[str, Sequence[Any]]:
    """Two classes that depend on one feature of two."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, rows))
    p = 1.0 / (1.0 + np.exp(-2.0 * x + rare))
    return {"x": x.round(4), "z": z.round(4), "answer": np.where(rng.random(rows) < p, "yes", "no")}


QUICK: dict[str, Any] = {"folds": 3, "repeats": 2, "rounds": 15}


@pytest.fixture(scope="session")
def choice(tmp_path_factory: pytest.TempPathFactory) -> Choice:
    """A small contest on amounts."""
    path = write_csv(tmp_path_factory.mktemp("amounts") / "wages.csv", amounts())
    return choose(path, "amount", **QUICK)


@pytest.fixture(scope="session")
def binary_choice(tmp_path_factory: pytest.TempPathFactory) -> Choice:
    """A small contest on two classes."""
    path = write_csv(tmp_path_factory.mktemp("classes") / "answers.csv", classes())
    return choose(path, "answer", **QUICK)

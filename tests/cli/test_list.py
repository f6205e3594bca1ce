"""``lossmith list``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
from click.testing import CliRunner

import lossmith as lm
from lossmith.cli._root import root
from lossmith.cli.list import FAMILIES, TASKS, TRAITS

from .conftest import Done


def listed(*words: str) -> list[dict[str, Any]]:
    result = CliRunner().invoke(root, ["list", *words, "--json"])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["schema"] == 1
    losses: list[dict[str, Any]] = found["losses"]
    return losses


def names(*words: str) -> list[str]:
    return [entry["name"] for entry in listed(*words)]


def test_every_loss_is_listed_by_family() -> None:
    assert sorted(names()) == sorted(lm.names())
    assert list(dict.fromkeys(entry["family"] for entry in listed())) == list(FAMILIES)
    text = CliRunner().invoke(root, ["list"])
    assert [line.split()[0] for line in text.stdout.splitlines()] == ["name", *names()]
    assert "lossmith show NAME" in text.stderr


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_terminal_has_a_heading_for_each_family(terminal: Callable[..., Done], columns: int) -> None:
    lines = terminal("list", columns=columns, env={"NO_COLOR": "1"}).out.splitlines()
    assert [line for line in lines if line in FAMILIES] == list(FAMILIES)
    assert [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "] == names()
    assert max(map(len, lines)) <= columns


def test_facts() -> None:
    (huber,) = (entry for entry in listed() if entry["name"] == "huber")
    card = lm.Huber.card
    assert huber["class"] == "Huber"
    assert huber["family"] == "regression"
    assert huber["summary"] == card.summary
    assert huber["traits"] == asdict(card.traits)


@pytest.mark.parametrize("task", TASKS)
def test_tasks(task: str) -> None:
    assert sorted(names("--task", task)) == sorted(lm.names(task)) != []


@pytest.mark.parametrize("family", FAMILIES)
def test_families(family: str) -> None:
    assert names("--family", family) == [name for name in lm.names() if lm.family(name) == family]


@pytest.mark.parametrize("trait", TRAITS)
def test_traits(trait: str) -> None:
    having, lacking = set(names(f"--{trait}")), set(names(f"--no-{trait}"))
    assert having == {name for name in lm.names() if asdict(lm.loss_class(name).card.traits)[trait]}
    assert having | lacking == set(lm.names())
    assert not having & lacking


def test_a_step_has_no_slope() -> None:
    assert "zero_one" not in names("--differentiable")
    assert "zero_one" not in names("--smooth")


def test_robust_is_a_bounded_gradient() -> None:
    assert names("--robust") == names("--lipschitz")
    assert names("--no-robust") == names("--no-lipschitz")
    assert {"huber", "absolute_error", "tukey", "binary_cross_entropy"} <= set(names("--robust"))
    assert {"squared_error", "exponential", "squared_hinge"} <= set(names("--no-robust"))
    assert "bounded pull" in re.sub(r"\s+", " ", CliRunner().invoke(root, ["list", "--help"]).stdout)


def test_filters_work_together() -> None:
    assert names("--estimates", "median") == ["absolute_error"]
    assert "huber" in names("outlier", "--task", "regression")
    assert names("outlier", "nonsensical") == []
    redescending = ["cauchy", "geman_mcclure", "tukey", "welsch"]
    assert names("--family", "regression", "--robust", "--no-convex", "--smooth") == redescending


def test_words_find_names_aliases_and_what_cards_say() -> None:
    assert names("MSE")[0] == "squared_error"  # its own name comes first
    assert "squared_log_error" not in names("MSE")
    assert {"huber", "pseudo_huber", "modified_huber"} <= set(names("huber"))
    assert names("huber")[0] == "huber"
    assert names("log-cosh") == names("log cosh") == names("log_cosh") == names("logcosh") == ["log_cosh"]
    assert "categorical_cross_entropy" in names("softmax")
    assert "hinge" not in names("inge")  # words are known by how they begin


def test_nothing_found() -> None:
    result = CliRunner().invoke(root, ["list", "nonsensical"])
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no loss has all of that. No card has 'nonsensical'." in result.stderr
    assert "'hubber'. Did you mean 'huber'?" in CliRunner().invoke(root, ["list", "hubber"]).stderr
    apart = CliRunner().invoke(root, ["list", "huber", "teacher"])
    assert "no loss has all of that. `lossmith list`" in apart.stderr  # each word is known


def test_one_found_says_how_to_read_on() -> None:
    assert "lossmith show absolute_error" in CliRunner().invoke(root, ["list", "--estimates", "median"]).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--task", "regresion"], "Did you mean 'regression'?"),
        (["--task", "x"], "'regression', 'counts', 'binary'"),
        (["--family", "count"], "Did you mean 'counts'?"),
        (["--estimates", "meen"], "Did you mean 'mean'"),
        (["--robst"], "--robust"),
    ],
)
def test_unknown_values(words: list[str], said: str) -> None:
    result = CliRunner().invoke(root, ["list", *words])
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1

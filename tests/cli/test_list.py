"""``lossmith list``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from click.testing import CliRunner

import lossmith as lm
from lossmith.cli._root import root
from lossmith.cli.list import TRAITS


def listed(*words: str) -> list[dict[str, Any]]:
    result = CliRunner().invoke(root, ["list", *words, "--json"])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["schema"] == 1
    losses: list[dict[str, Any]] = found["losses"]
    return losses


def names(*words: str) -> list[str]:
    return [entry["name"] for entry in listed(*words)]


def test_every_loss_is_listed() -> None:
    assert names() == list(lm.names())
    text = CliRunner().invoke(root, ["list"])
    assert [line.split()[0] for line in text.stdout.splitlines()] == ["name", *lm.names()]
    assert "lossmith show NAME" in text.stderr


def test_facts() -> None:
    (huber,) = (entry for entry in listed() if entry["name"] == "huber")
    card = lm.Huber.card
    assert huber["class"] == "Huber"
    assert huber["family"] == "regression"
    assert huber["summary"] == card.summary
    assert huber["traits"] == asdict(card.traits)


@pytest.mark.parametrize("task", ["regression", "counts", "binary"])
def test_tasks(task: str) -> None:
    assert names("--task", task) == list(lm.names(task))


@pytest.mark.parametrize("trait", TRAITS)
def test_traits(trait: str) -> None:
    having, lacking = set(names(f"--{trait}")), set(names(f"--not-{trait}"))
    assert having == {name for name in lm.names() if asdict(lm.loss_class(name).card.traits)[trait]}
    assert having | lacking == set(lm.names())
    assert not having & lacking


def test_a_step_has_no_slope() -> None:
    assert "zero_one" not in names("--differentiable")
    assert "zero_one" not in names("--smooth")


def test_filters_work_together() -> None:
    assert names("--estimates", "median") == ["absolute_error"]
    assert "huber" in names("outlier", "--task", "regression")
    assert names("outlier", "nonsensical") == []
    assert names("MSE") == ["squared_error"]


def test_nothing_found() -> None:
    result = CliRunner().invoke(root, ["list", "nonsensical"])
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no loss has all of that" in result.stderr


def test_one_found_says_how_to_read_on() -> None:
    assert "lossmith show absolute_error" in CliRunner().invoke(root, ["list", "--estimates", "median"]).stderr


def test_an_unknown_task() -> None:
    result = CliRunner().invoke(root, ["list", "--task", "regresion"])
    assert result.exit_code == 2
    assert "'regression', 'counts', 'binary'" in result.stderr

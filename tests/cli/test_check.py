"""``lossmith check``: the review of a loss or a formula."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from click.testing import CliRunner

import lossmith as lm
from lossmith.cli._root import root

LATE = "where(f < y, 4*(y - f)**2, (y - f)**2)"


def check(*words: str) -> Any:
    return CliRunner().invoke(root, ["check", *words])


def test_the_command_prints_the_report() -> None:
    done = check(LATE)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == f"{lm.check(LATE)}\n"
    assert "It estimates the expectile at level 0.8" in done.stdout


def test_exit_codes_and_json() -> None:
    done = check("-k*(f - y)**2", "--parameter", "k=4 in (0, inf)", "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["ok"], found["loss"]) == (1, False, "formula('-k*(f - y)**2', k=4)")
    assert {finding["topic"] for finding in found["findings"] if finding["severity"] == "error"} == {"minimum"}
    for words, says in (
        (["ln(f) - y"], "there is no function 'ln'"),
        (["3*y"], "does not depend on the prediction f"),
        (["1"], "does not depend on the prediction f"),
        (["-2.5e-3"], "does not depend on the prediction f"),
        (["k*f"], "declare others with --parameter, --input or --predicted"),
        (["hubber"], "Did you mean 'huber'"),
        (["huber", "--task", "binary"], "declares what a formula takes"),
    ):
        done = check(*words)
        assert (done.exit_code, says in done.stderr, done.stdout) == (2, True, "")


def test_a_minus_begins_a_formula_and_no_option() -> None:
    for words in (["check"], ["plot"], ["export", "--to", "json"]):
        done = CliRunner().invoke(root, [*words, "-(y - f)**2 + 2*f**2"])
        assert "-(y - f)**2 + 2*f**2" in done.stdout
    assert CliRunner().invoke(root, ["check", "-j"]).exit_code == 2


def test_colours_are_for_terminals(terminal: Callable[..., Any], run: Callable[..., Any]) -> None:
    painted = terminal("check", "abs(f - y)", columns=80).out
    plain = run("check", "abs(f - y)").out
    assert "\x1b[" in painted
    assert "\x1b[" not in plain
    bare = re.sub(r"\x1b\[[\d;]*m", "", painted)
    assert bare.split() == plain.split()
    assert max(map(len, bare.splitlines())) <= 80


def test_advice_is_in_the_words_of_the_command_line() -> None:
    for words in (["1/f"], ["1/f", "--json"]):
        said = " ".join(check(*words).stdout.split())
        assert "--predictions '(0, inf)'" in said
        assert "prediction=" not in said
    assert "prediction='(0, inf)'" in lm.check("1/f")["finite"].advice

"""``lossmith choose`` as people and scripts run it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from lossmith.cli._root import root
from tests.choosing.conftest import amounts, classes, write_csv

from .conftest import COMMAND, Done, environment

Run = Callable[..., Done]
QUICK = ("--folds", "3", "--repeats", "1", "--rounds", "10")


@pytest.fixture
def wages(tmp_path: Path) -> str:
    return write_csv(tmp_path / "wages.csv", amounts(120)).name


@pytest.fixture
def answers(tmp_path: Path) -> str:
    return write_csv(tmp_path / "answers.csv", classes(120)).name


def test_it_says_everything_a_newcomer_needs_and_writes_the_report(run: Run, wages: str, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    done = run("choose", wages, "--target", "amount", "--report", "deep/r.html", *QUICK)
    assert done.code == 0
    for part in (
        "'amount' has 120 rows of amounts",
        "Not used: name (100% of its texts are different, so it names the rows).",
        "It aims straight at the mean, your goal",
        "root mean squared error over 3 folds",
        "P(better)",
        "The verdict",
        "  Use ",
    ):
        assert part in done.out
    assert "training" not in done.out
    assert "training" in done.err
    assert "\x1b" not in done.out + done.err  # plain text in a pipe
    assert max(len(line) for line in done.out.splitlines()) <= 130
    assert "The report is in deep/r.html." in done.err
    page = (tmp_path / "deep" / "r.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert str(tmp_path) not in page  # the report names the file, not the machine's folders
    assert os.listdir(tmp_path / "deep") == ["r.html"]


def test_json_is_one_document_and_the_same_seed_gives_the_same_bytes(run: Run, wages: str, tmp_path: Path) -> None:
    outputs, pages = [], []
    for _ in range(2):
        done = run("choose", wages, "-t", "amount", "--json", "--report", "r.html", "--seed", "5", *QUICK)
        assert done.code == 0
        outputs.append(done.out)
        pages.append((tmp_path / "r.html").read_bytes())
    assert outputs[0] == outputs[1]
    assert pages[0] == pages[1]
    document = json.loads(outputs[0])
    assert document["schema"] == "lossmith.choice/1"
    assert document["plan"]["seed"] == 5
    assert outputs[0] == json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert "NaN" not in outputs[0]


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run in this process, which has loaded what takes longest, in that folder."""
    monkeypatch.chdir(tmp_path)

    def called(*words: str) -> Done:
        done = CliRunner().invoke(root, words)
        return Done(done.exit_code, done.stdout, done.stderr)

    return called


def test_options_reach_the_contest(called: Run, wages: str, answers: str) -> None:
    done = called("choose", wages, "-t", "amount", "-g", "quantile:0.9", "-l", "huber(delta=7)", "--drop", "z", *QUICK)
    assert "Huber(delta=7)" in done.out
    assert "pinball:0.9" in done.out
    assert "z (you asked for it)" in done.out
    done = called("choose", wages, "-t", "amount", "-l", "mse", "-l", "mae", "--only", "-m", "mae", "--json", *QUICK)
    assert [item["label"] for item in json.loads(done.out)["candidates"]] == ["SquaredError", "AbsoluteError"]
    done = called("choose", answers, "-t", "answer", "--positive", "no", *QUICK)
    assert "'no' counts as positive because you said so." in done.out


def test_a_terminal_shows_a_bar_and_bold_headings(terminal: Run, wages: str) -> None:
    done = terminal("choose", wages, "-t", "amount", *QUICK, columns=100)
    assert done.code == 0
    assert "━" in done.out
    assert "\x1b[1m" in done.out
    plain = terminal("choose", wages, "-t", "amount", *QUICK, columns=100, env={"NO_COLOR": "1"})
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", plain.out)


BAD = [
    (("nowhere.csv", "-t", "y"), "no such file: nowhere.csv"),
    (("wages.csv", "-t", "amuont"), "Did you mean 'amount'"),
    (("wages.csv", "-t", "name"), "text with 120 labels"),
    (("missing.csv", "-t", "y"), "the target 'y' is missing in every row"),
    (("hole.csv", "-t", "y"), "is missing in 1 row of 20, first in data row 3 (counted from 1)"),
    (("infinite.csv", "-t", "y"), "is infinite in 1 row, first in data row 3"),
    (("constant.csv", "-t", "y"), "it is constant, so there is nothing to learn"),
    (("oneclass.csv", "-t", "y"), "has one class only: 'yes'"),
    (("few.csv", "-t", "y"), "has 3 rows and cannot be dealt into 5 folds"),
    (("rare.csv", "-t", "y"), "the class 'yes' has 2 rows, fewer than the 5 folds"),
    (("empty.csv", "-t", "y"), "empty.csv"),
    (("header.csv", "-t", "y"), "header.csv"),
    (("broken.parquet", "-t", "y"), "broken.parquet"),
    (("wages.csv", "-t", "amount", "--report", "no/such/r.html"), "the folder 'no/such' does not exist"),
    (("wages.csv", "-t", "amount", "--report", "."), "it is a folder"),
    (("wages.csv", "-t", "amount", "-l", "hubber"), "huber"),
    (("wages.csv", "-t", "amount", "-l", "huber(delta=-1)"), "delta"),
    (("wages.csv", "-t", "amount", "-g", "medain"), "Did you mean 'median'"),
    (("wages.csv", "-t", "amount", "-m", "rsme"), "rmse"),
    (("wages.csv", "-t", "amount", "--folds", "1"), "at least 2 folds"),
    (("wages.csv", "-t", "amount", "--folds", "many"), "--folds"),
    (("wages.csv", "-t", "amount", "--only"), "at least one with --loss"),
    (("wages.csv",), "--target"),
]


@pytest.fixture
def bad_tables(tmp_path: Path, wages: str) -> None:
    rows = np.arange(20) % 7
    for name, y in {
        "missing": [""] * 20,
        "hole": [1, 2, "", *range(17)],
        "infinite": [1, 2, "inf", *range(17)],
        "constant": [4.5] * 20,
        "oneclass": ["yes"] * 20,
        "rare": ["yes", "yes"] + ["no"] * 18,
    }.items():
        write_csv(tmp_path / f"{name}.csv", {"y": y, "x": rows})
    write_csv(tmp_path / "few.csv", {"y": [1, 2, 3.5], "x": [1, 2, 3]})
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("x,y\n")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no table PAR1")


@pytest.mark.usefixtures("bad_tables")
@pytest.mark.parametrize(("words", "message"), BAD, ids=lambda item: item if isinstance(item, str) else item[0])
def test_bad_input_is_one_clear_line_and_exit_code_2(called: Run, words: tuple[str, ...], message: str) -> None:
    done = called("choose", *words)
    assert done.code == 2
    assert message in done.err
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert "Traceback" not in done.err


def test_an_interrupt_leaves_with_130_and_nothing_half_written(tmp_path: Path, wages: str) -> None:
    (tmp_path / "r.html").write_text("old")
    words = ("choose", wages, "-t", "amount", "--repeats", "200", "--rounds", "100", "--report", "r.html")
    process = subprocess.Popen(
        [*COMMAND, *words], cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = ""
    while "training" not in said:  # in the middle of it
        line = process.stderr.readline()
        assert line, "it ended before it trained"
        said += line
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in err
    assert "Traceback" not in err
    assert sorted(os.listdir(tmp_path)) == ["r.html", "wages.csv"]
    assert (tmp_path / "r.html").read_text() == "old"


def test_help_shows_every_option(run: Run) -> None:
    done = run("choose", "--help")
    assert done.code == 0
    for option in (
        "--target",
        "--goal",
        "--metric",
        "--loss",
        "--only",
        "--drop",
        "--weight",
        "--positive",
        "--folds",
        "--repeats",
        "--rounds",
        "--seed",
        "--report",
        "--json",
    ):
        assert option in done.out


def test_completion_offers_columns_goals_and_metrics(run: Run, wages: str) -> None:
    def offered(words: str, last: int) -> set[str]:
        env = {"_LOSSMITH_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(last)}
        return {line.split(",")[1] for line in run(env=env).out.splitlines()}

    assert offered(f"lossmith choose {wages} --target am", 4) == {"amount"}
    assert "median" in offered(f"lossmith choose {wages} --goal me", 4)
    assert {"mae", "mape"} <= offered(f"lossmith choose {wages} --metric ma", 4)

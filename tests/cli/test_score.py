"""``lossmith score``: what it prints, and the exit codes that scripts rely on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import lossmith as lm
from lossmith.cli._losses import declare, parse_losses
from lossmith.cli._root import root
from lossmith.errors import ParameterError

from .conftest import Done

TABLE = "y,p,w,q\n1,0.9,1,2\n0,0.2,2,-1\n1,0.6,1,1\n0,0.4,0,-2\n"
COLUMNS = ("-t", "y", "-p", "p")


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "t.csv").write_text(TABLE)
    return str(tmp_path / "t.csv")


def score(*words: str, **options: Any) -> Result:
    return CliRunner().invoke(root, ["score", *words], **options)


def means(*words: str) -> dict[str, float]:
    result = score(*words, "--json")
    assert result.exit_code == 0, result.stderr
    return {entry["text"]: entry["mean"] for entry in json.loads(result.stdout)["scores"]}


def test_the_table(path: str) -> None:
    result = score(path, *COLUMNS, "--loss", "mae", "--loss", "mse")
    assert result.exit_code == 0
    assert result.stderr == ""
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["loss", "mean", "sum", "rows"],
        ["AbsoluteError()", "0.275", "1.1", "4"],
        ["SquaredError()", "0.0925", "0.37", "4"],
    ]


def test_weights(path: str) -> None:
    result = score(path, *COLUMNS, "-l", "mae", "-w", "w")
    assert result.stdout.splitlines()[0].split() == ["loss", "mean", "sum", "weight", "rows"]
    assert result.stdout.splitlines()[1].split() == ["AbsoluteError()", "0.225", "0.9", "4", "4"]


def test_json(path: str) -> None:
    found = json.loads(score(path, *COLUMNS, "-l", "huber(delta=2)", "--json").stdout)
    assert (found["schema"], found["file"], found["rows"], found["failed"]) == (1, path, 4, [])
    (entry,) = found["scores"]
    assert entry["parameters"] == {"delta": 2}
    assert entry["mean"] == lm.Huber(delta=2)([1, 0, 1, 0], [0.9, 0.2, 0.6, 0.4])


def test_losses_as_one_word(path: str) -> None:
    words = "mae, huber(delta=2),smooth_quantile" if "smooth_quantile" in lm.names() else "mae, huber(delta=2),mse,mae"
    assert list(means(path, *COLUMNS, "-l", words))[:2] == ["AbsoluteError()", "Huber(delta=2)"]
    assert len(parse_losses(["mae,mae", "l1"])) == 1
    assert str(parse_losses(["focal(gamma=1, alpha=0.25),mae"])[0]) == "Focal(gamma=1, alpha=0.25)"


def test_kinds_of_prediction(path: str) -> None:
    told = means(path, *COLUMNS, "-l", "bce,mae,zero_one", "--prediction-kind", "probabilities")
    written = means(path, *COLUMNS, "-l", "bce(prediction=probabilities),mae,zero_one(prediction=probabilities)")
    assert told == written
    assert declare(lm.get("poisson"), "rate") == lm.get("poisson", prediction="rate")
    assert declare(lm.get("bce", prediction="probabilities"), "raw") == lm.get("bce")
    assert declare(lm.get("mae"), "rate") == lm.get("mae")
    assert declare(lm.get("hinge"), "logits") == lm.get("hinge")


@pytest.mark.parametrize(
    ("name", "told", "words"),
    [
        ("mae", "logits", "target's scale"),
        ("hinge", "probabilities", "must be 'logits'"),
        ("poisson", "probabilities", "must be 'log_rate' or 'rate'"),
        ("bce", "probability", "Did you mean 'probabilities'"),
    ],
)
def test_kinds_that_do_not_fit(name: str, told: str, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        declare(lm.get(name), told)


def test_a_suspicion_is_talk_and_not_data(tmp_path: Path) -> None:
    lines = [f"{i % 2},{0.2 + 0.6 * (i % 2) + i / 1000}" for i in range(20)]
    (tmp_path / "p.csv").write_text("y,p\n" + "\n".join(lines))
    result = score(str(tmp_path / "p.csv"), *COLUMNS, "-l", "bce", "--json")
    assert result.exit_code == 0
    assert result.stderr.startswith("warning: BinaryCrossEntropy() reads column 'p' as logits, but all 20 values")
    assert json.loads(result.stdout)["notes"] == [result.stderr[len("warning: ") : -1]]
    assert score(str(tmp_path / "p.csv"), *COLUMNS, "-l", "bce", "--prediction-kind", "probabilities").stderr == ""


def test_an_infinite_cost_is_explained(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("y,p\n1,1\n1,0\n0,0.5\n")
    result = score(str(tmp_path / "t.csv"), *COLUMNS, "-l", "bce", "--prediction-kind", "probabilities")
    assert result.exit_code == 0
    assert " inf " in result.stdout
    assert "1 row has a loss that is not finite; the first is row 2." in result.stderr
    found = json.loads(score(str(tmp_path / "t.csv"), *COLUMNS, "-l", "bce(prediction=probabilities)", "--json").stdout)
    assert (found["scores"][0]["mean"], found["scores"][0]["bad"], found["scores"][0]["first_bad"]) == (None, 1, 2)


@pytest.mark.parametrize(
    ("limits", "failed"),
    [
        (["1"], []),
        (["0.275"], []),
        (["0.1"], ["AbsoluteError()"]),
        (["0.01"], ["AbsoluteError()", "SquaredError()"]),
        (["mae=0.1"], ["AbsoluteError()"]),
        (["l2=0.05", "mae=1"], ["SquaredError()"]),
        (["1", "mae=0.2"], ["AbsoluteError()"]),
    ],
)
def test_thresholds(path: str, limits: list[str], failed: list[str]) -> None:
    words = [word for limit in limits for word in ("--fail-above", limit)]
    result = score(path, *COLUMNS, "-l", "mae,mse", *words)
    assert result.exit_code == (1 if failed else 0)
    assert [line.split()[1] for line in result.stderr.splitlines()] == failed
    assert all(line.startswith("failed: ") and ", above " in line for line in result.stderr.splitlines())
    assert result.stdout.count("\n") == 3
    document = score(path, *COLUMNS, "-l", "mae,mse", *words, "--json")
    assert document.exit_code == result.exit_code
    assert json.loads(document.stdout)["failed"] == failed


def test_a_cost_next_to_its_limit_is_told_from_it(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("y,p\n0,0.2474314\n")
    for limit, words in (("0.247431", "0.2474314, above 0.247431."), ("0.2", "0.247431, above 0.2.")):
        result = score(str(tmp_path / "t.csv"), *COLUMNS, "-l", "mae", "--fail-above", limit)
        assert result.stderr == f"failed: AbsoluteError() is {words}\n"
    below = repr(math.nextafter(0.2474314, 0))
    result = score(str(tmp_path / "t.csv"), *COLUMNS, "-l", "mae", "--fail-above", below)
    assert result.stderr.split(" is ")[1] == f"0.2474314, above {below}.\n"


def test_thresholds_of_one_loss_with_other_values(path: str) -> None:
    losses = ("-l", "huber(delta=1)", "-l", "huber(delta=0.1)")
    assert score(path, *COLUMNS, *losses, "--fail-above", "huber=0.03").stderr.count("failed") == 1
    named = score(path, *COLUMNS, *losses, "--fail-above", "huber(delta=0.1)=0.001")
    assert named.stderr.startswith("failed: Huber(delta=0.1) is")
    assert named.stderr.count("failed") == 1
    kind = ("-l", "bce", "--prediction-kind", "probabilities")
    assert score(path, *COLUMNS, *kind, "--fail-above", "bce=0.01").exit_code == 1


def test_an_infinite_cost_is_above_every_threshold(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("y,p\n1,0\n")
    words = (str(tmp_path / "t.csv"), *COLUMNS, "-l", "bce(prediction=probabilities)", "--fail-above", "1e300")
    assert score(*words).exit_code == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fail-above", "abc"], "'abc' is no number"),
        (["--fail-above", "nan"], "'nan' is no number"),
        (["--fail-above", "mse=0.5"], "SquaredError() is not among"),
        (["--fail-above", "huber(delta=2)"], "'2)' is no number"),
        (["--missing", "drop"], "'error', 'skip'"),
        (["-l", "rmse"], "Its square is the cost of mse."),
        (["-l", "rmsle"], "Its square is the cost of msle."),
        (["-l", "triplet"], "takes the inputs anchor, positive, negative"),
        (["-l", "categorical_cross_entropy"], "takes a row of predictions for each target"),
        (["-l", "roc_auc"], "is a metric and no loss"),
        (["-l", "pinball:0.9"], "Write quantile(level=0.9)."),
        (["-l", "huber delta=2"], "Write huber(delta=2), in quotes."),
        (["-l", "maee"], "Did you mean"),
        (["-w", "weight"], "has no column 'weight'"),
        (["--prediction-kind", "probs"], "is no kind of prediction"),
    ],
)
def test_bad_input(path: str, words: list[str], said: str) -> None:
    result = score(path, *COLUMNS, "-l", "mae", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1


def test_missing_values(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("y,p\n1,2\n,3\n4,NA\n")
    result = score(str(tmp_path / "t.csv"), *COLUMNS, "-l", "mae")
    assert result.exit_code == 2
    assert "row 2 of" in result.stderr
    result = score(str(tmp_path / "t.csv"), *COLUMNS, "-l", "mae", "--missing", "skip")
    assert result.exit_code == 0
    assert result.stderr == "note: 2 of 3 rows lack a value and were skipped.\n"


@pytest.mark.parametrize("name", [name for name in lm.names() if lm.get(name).elementwise])
def test_every_elementwise_loss_scores(name: str, path: str) -> None:
    targets, predictions = np.array([1.0, 1.0, 1.0]), np.array([0.9, 0.2, 0.6])
    Path(path).write_text("y,p\n1,0.9\n1,0.2\n1,0.6\n")
    loss = lm.get(name)
    assert means(path, *COLUMNS, "-l", name) == {str(loss): loss.cost(targets, predictions)}


@pytest.mark.parametrize("name", [name for name in lm.names() if not lm.get(name).elementwise])
def test_other_losses_say_what_they_take(name: str, path: str) -> None:
    result = score(path, *COLUMNS, "-l", name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "one column of targets and one of predictions" in result.stderr


def test_a_sum_scores(path: str) -> None:
    found = means(path, *COLUMNS, "-l", "0.7 * huber + 0.3 * mae, mse")
    assert found == {
        "0.7 * Huber(delta=1) + 0.3 * AbsoluteError()": pytest.approx(0.7 * 0.04625 + 0.3 * 0.275),
        "SquaredError()": pytest.approx(0.0925),
    }


def test_a_pipe(run: Callable[..., Done]) -> None:
    done = run("score", "-", *COLUMNS, "-l", "mae", stdin=TABLE)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines()[1].split()[1] == "0.275"
    assert "row 1 of standard input" in run("score", "-", *COLUMNS, "-l", "mae", stdin="y,p\n,2\n").err
    assert run("score", "-", *COLUMNS, "-l", "mae", stdin="").err == "error: standard input is empty.\n"


def test_a_threshold_in_a_script(run: Callable[..., Done]) -> None:
    done = run("score", "-", *COLUMNS, "-l", "mae", "--fail-above", "0.2", stdin=TABLE)
    assert (done.code, done.err) == (1, "failed: AbsoluteError() is 0.275, above 0.2.\n")

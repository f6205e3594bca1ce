"""``lossmith learn``: the exam, tables, JSON, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import lossmith as lm
from lossmith.cli._root import root
from lossmith.learning.example import OUTLIER, exam

from .conftest import Done

PAIRED = [name for name in lm.names() if lm.get(name).paired]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["learn", *arguments])


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "t.csv"
    rows = [f"{100 + x},{x},{3 * x - 50},{int(x > 4)},{'ab'[x % 2]},1" for x in range(10)]
    path.write_text("\n".join(["big,x,y,label,word,same", *rows]) + "\n")
    return str(path)


def test_the_page_shows_a_step_by_hand_the_steps_and_the_lesson() -> None:
    done = run("--loss", "huber")
    assert (done.exit_code, done.stderr) == (0, "")
    page = flat(done.stdout)
    given = exam(lm.Huber())
    learning = lm.learn("huber", given.X, given.y)
    step = learning.steps[0]
    assert page.startswith("Huber(delta=1) teaches a line Eight students")
    assert "example 7 (hours 3.5, mark 0.5)" in page
    assert "predict 0 + 0 × 3.5 = 0" in page
    assert f"its loss is 0.125; the mean of all 8, the cost, is {step.cost:.4g}" in page
    assert "gradient -0.5: its loss falls when its prediction rises" in page
    assert f"hours: 0 − {learning.rate:g} × ({step.parameter_gradient[1]:.4g}) = {step.new_parameters[1]:.4g}" in page
    after = done.stdout.partition("The steps, for example 7")[2].splitlines()
    header, *rows = after[1 : after.index("")]
    assert header.split() == ["step", "cost", "prediction", "loss", "gradient", "intercept", "hours"]
    numbers = {int(row.split()[0]): [float(x) for x in row.split()[1:]] for row in rows}
    for number in (0, 1, 2, 5, 10, 20, 50):
        step = learning.steps[number]
        watched = [step.cost, step.predictions[OUTLIER], step.losses[OUTLIER], step.gradient[OUTLIER]]
        assert numbers[number] == pytest.approx([*watched, *step.parameters], rel=1e-3)
    end = learning.steps[-1]
    pull = abs(end.gradient[OUTLIER]) / np.abs(end.gradient).sum()
    squared = np.abs(lm.SquaredError().gradient(given.y, end.raw))
    assert f"{pull:.1%} of all pull on the model" in page
    assert f"Under squared error its gradient there would be {squared[OUTLIER]:.4g}: " in page
    assert f"{squared[OUTLIER] / squared.sum():.1%} of all pull." in page


@pytest.mark.parametrize("name", PAIRED)
def test_every_loss_of_a_target_and_a_prediction_has_a_page(name: str) -> None:
    done = run("--loss", name, "--steps", "12")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "What the loss did" in done.stdout
    assert "nan" not in done.stdout.lower()
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_links_and_scores_are_named() -> None:
    assert "The model says: the log-odds of passed = " in flat(run("--loss", "bce").stdout)
    assert "which stands for 0.5" in flat(run("--loss", "bce").stdout)
    assert "The model says: the log of mark = " in flat(run("--loss", "poisson").stdout)
    assert "The model says: the score of passed = " in flat(run("--loss", "hinge").stdout)
    assert "class 0 class 1 class 2" in flat(run("--loss", "sparse_cross_entropy").stdout)
    assert "level 0.1 level 0.5 level 0.9" in flat(run("--loss", "multi_quantile").stdout)


def test_squared_error_is_compared_with_absolute_error() -> None:
    assert "Under absolute error its gradient there would be 1: 12.5% of all pull." in flat(run("-l", "mse").stdout)


def test_a_constant_and_no_move() -> None:
    page = flat(run("--loss", "mse", "--model", "constant").stdout)
    assert "teaches a constant" in page
    assert "× hours" not in page
    still = flat(run("--loss", "zero_one").stdout)
    assert "adjust nothing" in still
    assert "The cost" not in still
    assert "Another start may help." in still


def test_divergence_is_said_and_nothing_is_made_of_it() -> None:
    page = flat(run("--loss", "mse", "--rate", "0.2").stdout)
    assert "It diverged: after " in page
    assert "Take a lower rate." in page
    assert "of all pull" not in page
    assert run("--loss", "exponential", "--rate", "1e5").exit_code == 0


def test_json_holds_every_number() -> None:
    found = json.loads(run("--loss", "mae", "--steps", "4", "--json").stdout)
    given = exam(lm.AbsoluteError())
    learning = lm.learn("mae", given.X, given.y, steps=4, names=["hours"])
    assert found == {**learning.to_dict(), "target": "mark", "scales": {}}


def test_a_table_is_scaled_and_the_line_is_in_its_units(table: str) -> None:
    done = run("--loss", "mse", "-d", table, "-t", "y", "-f", "big", "--steps", "500")
    assert done.exit_code == 0
    page = flat(done.stdout)
    assert f"{table}, 10 rows. Features are centred and scaled" in page
    intercept, slope = re.findall(r"The model says: y = (\S+) \+ (\S+) × big\.", page)[0]
    assert float(slope) == pytest.approx(3, rel=0.02)
    assert float(intercept) + 104.5 * float(slope) == pytest.approx(-36.5, abs=1)
    found = json.loads(run("--loss", "mse", "-d", table, "-t", "y", "-f", "big", "--json").stdout)
    assert found["scales"] == {"big": {"mean": 104.5, "deviation": pytest.approx(np.std(range(10)))}}
    assert np.mean(found["X"]) == pytest.approx(0)
    given = json.loads(run("--loss", "mse", "-d", table, "-t", "y", "-f", "x", "--as-given", "--json").stdout)
    assert given["scales"] == {}
    assert [row[0] for row in given["X"]] == list(range(10))


def test_a_table_for_a_constant_and_for_labels(table: str) -> None:
    constant = json.loads(run("--loss", "mae", "-d", table, "-t", "y", "--model", "constant", "--json").stdout)
    assert constant["names"] == ["intercept"]
    assert run("--loss", "bce", "-d", table, "-t", "label", "-f", "x", "-f", "y").exit_code == 0
    several = run("--loss", "sparse_cross_entropy", "-d", table, "-t", "label", "-f", "x")
    assert "class 0 class 1" in flat(several.stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing option '-l' / '--loss'"),
        (("-l", "hubber"), "Did you mean 'huber'"),
        (("-l", "triplet"), "takes other inputs than a target and a prediction"),
        (("-l", "mse", "--rate", "0"), "rate must be a finite number above 0"),
        (("-l", "mse", "--steps", "0"), "steps must be a whole number of at least 1"),
        (("-l", "mse", "--rate", "x"), "'x' is not a valid float"),
        (("-l", "mse", "--model", "curve"), "'curve' is not one of"),
        (("-l", "mse", "-t", "y"), "name it by --data FILE"),
        (("-l", "mse", "--as-given"), "name it by --data FILE"),
        (("-l", "mse", "-d", "{table}"), "--data needs --target COLUMN"),
        (("-l", "mse", "-d", "{table}", "-t", "y"), "a line needs --feature COLUMN"),
        (("-l", "mse", "-d", "{table}", "-t", "z", "-f", "x"), "has no column 'z'"),
        (("-l", "mse", "-d", "{table}", "-t", "y", "-f", "word"), "holds text where numbers are needed"),
        (("-l", "mse", "-d", "{table}", "-t", "y", "-f", "same"), "is 1 in every row and tells nothing; leave it out"),
        (("-l", "mse", "-d", "{table}", "-t", "y", "-f", "x", "-f", "y"), "column 'y' is the target, and cannot be a"),
        (("-l", "mse", "-d", "{table}", "-t", "y", "-f", "x", "-f", "x"), "--feature names the column 'x' twice"),
        (("-l", "mse", "-d", "none.csv", "-t", "y", "-f", "x"), "no such file"),
        (("-l", "bce", "-d", "{table}", "-t", "y", "-f", "x"), "labels are 0 and 1"),
        (("-l", "mean_error", "--start", "constant"), "no best constant"),
        (
            ("-l", "-log(f)"),
            "is infinite at a prediction of 0, where the model begins; begin elsewhere, by --start const",
        ),
    ],
)
def test_bad_input_is_explained(table: str, arguments: tuple[str, ...], message: str) -> None:
    done = run(*(word.format(table=table) for word in arguments))
    assert done.exit_code == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_missing_values_are_named(tmp_path: Path) -> None:
    path = tmp_path / "m.csv"
    path.write_text("x,y\n1,2\n,3\n4,\n,5\n")
    done = run("-l", "mse", "-d", str(path), "-t", "y", "-f", "x")
    assert done.exit_code == 2
    assert "column 'y'" in done.stderr
    assert "in 1 row; the first is row 3" in done.stderr


def test_the_readme_shows_what_is_printed() -> None:
    readme = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    shown = readme.partition("$ lossmith learn --loss huber\n")[2].partition("```")[0].splitlines()
    printed = [line.rstrip() for line in run("--loss", "huber").stdout.splitlines()]
    assert len(shown) > 10
    assert [line for line in shown if line != "..." and line not in printed] == []


@pytest.mark.parametrize("columns", [40, 80, 120])
@pytest.mark.parametrize("loss", ["huber", "sparse_cross_entropy"])
def test_a_terminal_is_not_overrun(terminal: Callable[..., Done], loss: str, columns: int) -> None:
    done = terminal("learn", "--loss", loss, columns=columns, env={"NO_COLOR": "1"})
    assert done.code == 0
    text = re.sub(r"\x1b\[[\d;]*m", "", done.out)  # bold headers
    assert max(map(len, text.splitlines())) <= columns
    assert re.search("[⠁-⣿]", text)

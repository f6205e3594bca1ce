"""Choosing from end to end."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.choosing import choose, story
from lossmith.choosing.choice import Choice
from lossmith.choosing.report import write_json
from lossmith.errors import LossmithError, LossNotFoundError, ParameterError, TableError
from lossmith.scoring.source import Table

from .conftest import QUICK, Write, amounts, classes

HERE = str(Path(lm.__file__).resolve().parent.parent)


def test_a_table_of_amounts(choice: Choice) -> None:
    assert choice.profile.kind == "positive"
    assert choice.goal.text == "mean"
    assert choice.metric.name == "rmse"
    assert choice.features == ("x", "z", "colour")
    assert choice.categorical == ("colour",)
    assert [item.name for item in choice.dropped] == ["name"]
    assert choice.results.scores.shape == (len(choice.candidates), 6)
    assert choice.recommended in choice.candidates
    assert choice.results.scores[choice.verdict.leader].mean() < choice.results.baseline.mean()
    best = choice.results.importance[choice.verdict.leader]
    assert choice.features[int(np.argmax(best))] == "x"


def test_a_table_of_two_classes(binary_choice: Choice) -> None:
    assert binary_choice.profile.labels == ("no", "yes")
    assert (binary_choice.goal.text, binary_choice.metric.name) == ("probability", "log_loss")
    assert binary_choice.results.scores[binary_choice.verdict.leader].mean() < binary_choice.results.baseline.mean()


def test_the_loss_that_was_made_for_the_goal_wins(table: Write) -> None:
    """Where a winner must be found: the median and a quantile of a lopsided target."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=900)
    y = np.exp(0.5 * x + 1.2 * rng.normal(size=900))
    path = table({"x": x.round(3), "y": y.round(4)})
    found = choose(path, "y", goal="quantile:0.9", rounds=40)
    assert found.verdict.kind == "winner"
    assert found.recommended.loss == lm.get("quantile", level=0.9)
    assert "Quantile(level=0.9) wins" in found.headline


def test_the_same_loss_twice_is_a_tie(table: Write) -> None:
    found = choose(table(amounts(120)), "amount", losses=["quantile(level=0.5)", "mae"], only=True, **QUICK)
    assert found.verdict.kind == "tie"
    assert "cannot be told apart" in found.headline


def test_one_loss_is_alone(table: Write) -> None:
    found = choose(table(amounts(120)), "amount", losses=["mse"], only=True, **QUICK)
    assert found.verdict.kind == "alone"
    assert "took part alone" in found.headline
    assert "gaps" not in found.to_html().split("<body>")[1][:2000]


@pytest.mark.parametrize(
    ("order", "use", "why"),
    [
        (("Huber", "Poisson", "SquaredError"), "Poisson", "the best that aims straight at the mean"),
        (("SquaredError", "Huber"), "SquaredError", "it has the best mean score, and it aims straight at the mean"),
        (("Huber", "AbsoluteError"), "Huber", "None of these aims at your goal"),
        (("AbsoluteError",), "AbsoluteError", "Use AbsoluteError."),
    ],
)
def test_among_contenders_the_best_that_aims_at_the_goal_is_recommended(
    choice: Choice, order: tuple[str, ...], use: str, why: str
) -> None:
    names = [candidate.label.split("(")[0] for candidate in choice.candidates]
    places = tuple(names.index(name) for name in order)
    kind = "winner" if len(places) == 1 else "tie"
    verdict = dataclasses.replace(choice.verdict, kind=kind, leader=places[0], contenders=places)
    turned = dataclasses.replace(choice, verdict=verdict)
    assert turned.recommended.label.startswith(use)
    assert why in story.advice(turned)


def test_losses_are_added_to_those_of_the_rules(table: Write) -> None:
    found = choose(table(amounts(120)), "amount", losses=["huber(delta=7)", "mse"], **QUICK)
    labels = [candidate.label for candidate in found.candidates]
    assert labels.count("SquaredError") == 1
    assert labels[-1] == "Huber(delta=7)"
    assert found.candidates[-1].reason == "You asked for it."


def test_an_open_table_is_left_open(table: Write) -> None:
    with Table.open(table(amounts(60))) as source:
        choose(source, "amount", losses=["mse", "mae"], only=True, **QUICK)
        assert source.numbers("x").size == 60


def test_parquet_reads_like_csv(table: Write, tmp_path: Path) -> None:
    import duckdb

    path = table(amounts(90))
    other = tmp_path / "table.parquet"
    duckdb.execute(f"COPY (SELECT * FROM '{path}') TO '{other}' (FORMAT parquet)")
    options: dict[str, Any] = {"losses": ["mse", "poisson"], "only": True, **QUICK}
    one, two = choose(path, "amount", **options), choose(other, "amount", **options)
    np.testing.assert_array_equal(one.results.scores, two.results.scores)


@pytest.mark.parametrize(
    ("goal", "metric", "aim", "judge"),
    [
        ("median", None, "median", "mae"),
        (None, "mae", "median", "mae"),
        (None, "pinball:0.8", "quantile:0.8", "pinball:0.8"),
        (None, "mape", "mean", "mape"),
        ("mean", "mae", "mean", "mae"),
        (None, "huber(delta=50)", "mean", "Huber(delta=50)"),
    ],
)
def test_goal_and_metric_follow_from_each_other(
    table: Write, goal: str | None, metric: str | None, aim: str, judge: str
) -> None:
    found = choose(table(amounts(60)), "amount", goal=goal, metric=metric, losses=["mse", "mae"], only=True, **QUICK)
    assert (found.goal.text, found.metric.name) == (aim, judge)
    mismatch = any("rewards another aim than yours" in warning for warning in found.warnings)
    assert mismatch == (goal == "mean" and metric == "mae")


def test_scores_that_rise_are_better_turn_the_order(table: Write) -> None:
    options: dict[str, Any] = {"losses": ["mse", "mae", "poisson"], "only": True, **QUICK}
    path = table(amounts(150))
    down, up = choose(path, "amount", metric="rmse", **options), choose(path, "amount", metric="r2", **options)
    assert down.verdict.leader == up.verdict.leader
    assert all(item.test is None or item.test.mean >= 0.0 for item in up.verdict.comparisons)


def test_weights_and_the_positive_label(table: Write) -> None:
    columns = {**classes(120), "w": np.linspace(0.5, 2.0, 120)}
    path = table(columns)
    found = choose(path, "answer", weight="w", positive="no", **QUICK)
    assert found.features == ("x", "z")
    assert found.profile.labels == ("yes", "no")
    assert "Rows are weighted by 'w'" in " ".join(story.method(found))


def test_warnings_say_what_was_seen(table: Write) -> None:
    columns = amounts(100)
    columns["leak"] = np.asarray(columns["amount"], dtype=float) * 2
    doubled = {name: [*values, *values] for name, values in columns.items()}
    found = choose(table(doubled), "amount", losses=["mse", "mae"], only=True, folds=2, repeats=1, rounds=2)
    said = " ".join(found.warnings)
    for part in ("'leak' alone orders the targets", "100 rows (50.0%) repeat", "used up its 2 rounds", "--drop leak"):
        assert part in said
    rare = choose(table(classes(150, rare=3.0)), "answer", **QUICK)
    assert "scores hang on a handful" in " ".join(rare.warnings)
    assert "150 rows are few" in " ".join(rare.warnings)


def test_features_that_say_nothing_are_called_that(table: Write) -> None:
    rng = np.random.default_rng(3)
    found = choose(table({"x": rng.normal(size=300), "y": rng.normal(size=300)}), "y", **QUICK)
    gain = found.results.baseline.mean() - found.results.scores[found.verdict.leader].mean()
    assert (gain <= 0) == any("No model is better than always predicting" in warning for warning in found.warnings)
    assert gain <= 0.02


def test_a_candidate_whose_metric_is_not_defined_cannot_win(table: Write) -> None:
    found = choose(table(classes(120)), "answer", losses=["hinge"], **QUICK)
    place = [candidate.label for candidate in found.candidates].index("Hinge")
    assert np.isinf(found.results.scores[place]).all()
    assert found.results.scores_undefined[place] == 2 * 120
    assert place not in found.verdict.contenders
    assert "log loss is not defined for 240 held-out predictions of Hinge" in " ".join(found.warnings)
    assert "∞" in found.to_html()
    with pytest.raises(ParameterError, match="not defined for the predictions of any candidate"):
        choose(table(classes(120)), "answer", losses=["hinge"], only=True, **QUICK)


JSON_KEYS = {"baseline", "candidates", "code", "features", "goal", "metric", "plan", "schema", "table", "target"}
JSON_KEYS |= {"verdict", "versions", "warnings"}


def test_the_document(choice: Choice) -> None:
    found = choice.to_json()
    assert found["schema"] == "lossmith.choice/1"
    assert list(found) == sorted(JSON_KEYS)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert [item["label"] for item in found["candidates"]] == [item.label for item in choice.candidates]
    for item, candidate in zip(found["candidates"], choice.candidates, strict=True):
        assert lm.from_config(item["loss"]) == candidate.loss
        assert len(item["score"]["folds"]) == 6
        assert set(item["costs"]) == {other.label for other in choice.candidates}
    assert found["verdict"]["sentence"] == choice.headline
    assert found["verdict"]["recommended"] == choice.recommended.label
    assert found["target"]["kind"] == "positive"
    assert found["plan"]["seed"] == 0


def test_what_is_not_finite_is_null_in_the_document(table: Write) -> None:
    found = choose(table(classes(120)), "answer", losses=["hinge"], **QUICK).to_json()
    hinge = next(item for item in found["candidates"] if item["label"] == "Hinge")
    assert hinge["score"]["mean"] is None
    assert hinge["score"]["undefined_rows"] == 240
    json.dumps(found, allow_nan=False)


def test_the_document_on_disk(choice: Choice, tmp_path: Path) -> None:
    write_json(tmp_path / "choice.json", choice)
    assert json.loads((tmp_path / "choice.json").read_text()) == choice.to_json()


def run(code: str, folder: Path, **changed: str) -> str:
    environment = {**os.environ, "PYTHONPATH": HERE, **changed}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_same_seed_gives_the_same_bytes_in_another_process(table: Write, tmp_path: Path) -> None:
    table(amounts(120))
    code = (
        "import json; from lossmith.choosing import choose\n"
        f"found = choose('table.csv', 'amount', losses=['mse', 'poisson'], only=True, **{QUICK!r})\n"
        "print(found.to_html()); print(json.dumps(found.to_json()))"
    )
    one, two = (run(code, tmp_path, PYTHONHASHSEED=seed) for seed in ("1", "2"))
    assert one == two
    assert len(one) > 50_000


def test_the_seed_matters(table: Write) -> None:
    path = table(amounts(120))
    options: dict[str, Any] = {"losses": ["mse", "mae"], "only": True, **QUICK}
    one, two = choose(path, "amount", **options), choose(path, "amount", seed=1, **options)
    assert not np.array_equal(one.results.scores, two.results.scores)


@pytest.mark.parametrize("target", ["amount", "answer"])
def test_the_code_in_the_report_runs(table: Write, tmp_path: Path, target: str) -> None:
    rows = 80
    columns = {
        **(amounts(rows) if target == "amount" else classes(rows)),
        'odd "name"': np.arange(rows) % 3,
        "w": [2] * rows,
    }
    path = table(columns, "my 'table'.csv")
    options: dict[str, Any] = {"drop": ['odd "name"'], "weight": "w", **QUICK}
    found = choose(path, target, positive=None if target == "amount" else "no", **options)
    printed = run(story.code(found), tmp_path)
    assert len(printed.strip("[]\n").split()) == 5
    assert 'weight="w"' in story.code(found)
    assert "data.weight" in story.code(found)
    # The very loss that the report recommends.
    assert f"lm.{found.recommended.loss!r}" in story.code(found)


def test_importing_loads_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys, lossmith.choosing as c\n"
        "c.choose, c.prepare\n"
        "print(*(set(name.partition('.')[0] for name in sys.modules) & "
        "{'scipy', 'lightgbm', 'matplotlib', 'duckdb', 'jinja2', 'sklearn', 'numpy'}))"
    )
    assert run(code, tmp_path).split() == []


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"target": "amuont"}, TableError, "Did you mean 'amount'"),
        ({"target": "name"}, TableError, "text with 60 labels"),
        ({"goal": "probability"}, ParameterError, "needs a target of two classes"),
        ({"metric": "rmsee"}, ParameterError, "Did you mean 'rmse'"),
        ({"metric": "log_loss"}, ParameterError, "is for two classes, but the target 'amount' is a number"),
        ({"losses": ["hubber"]}, LossNotFoundError, "huber"),
        ({"losses": ["zero_one"]}, ParameterError, "two classes"),
        ({"only": True}, ParameterError, "at least one with --loss"),
        ({"drop": ["zz"]}, TableError, "no column 'zz'"),
        ({"weight": "colour"}, TableError, "weights are numbers"),
        ({"weight": "amount"}, TableError, "cannot be the weight as well"),
        ({"rounds": 0}, ParameterError, "at least 1 round"),
        ({"seed": -1}, ParameterError, "zero or more"),
        ({"folds": 61}, TableError, "60 rows and cannot be dealt into 61 folds"),
        ({"positive": "red"}, TableError, "has more than two values"),
    ],
)
def test_refused(table: Write, options: dict[str, Any], error: type[LossmithError], message: str) -> None:
    path = table(amounts(60))
    with pytest.raises(error, match=message):
        choose(path, **{"target": "amount", **options})


def test_losses_that_cannot_be_trained_are_refused(table: Write) -> None:
    with pytest.raises(ParameterError, match=r"MeanError.* cannot be an objective"):
        choose(table(amounts(60)), "amount", losses=["mean_error"], **QUICK)
    with pytest.raises(ParameterError, match=r"ZeroOne.* cannot be an objective"):
        choose(table(classes(60)), "answer", losses=["zero_one"], **QUICK)


def test_metrics_of_the_other_kind_are_refused_for_two_classes(table: Write) -> None:
    with pytest.raises(ParameterError, match="is for numbers, but the target 'answer' has two classes"):
        choose(table(classes(60)), "answer", metric="rmse")


def test_a_metric_that_the_target_does_not_allow_is_refused(table: Write) -> None:
    columns = amounts(60)
    columns["amount"] = [0.0, *list(columns["amount"])[1:]]
    with pytest.raises(ParameterError, match=r"'mape' is not defined on this target, on 1 row"):
        choose(table(columns), "amount", metric="mape")


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("x,y\n")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 this is no table PAR1")
    for name in ("missing.csv", "empty.csv", "header.csv", "broken.parquet"):
        with pytest.raises(TableError, match=name):
            choose(tmp_path / name, "y")


def test_scores_are_written_with_their_spread() -> None:
    assert story.scored(np.array([10.0, 12.0, 14.0])) == "12 ± 2"
    assert story.scored(np.array([10.0, math.inf]), 3) == "infinite (3 rows)"

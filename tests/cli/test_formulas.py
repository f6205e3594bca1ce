"""Formulas as text wherever a command or a call takes a loss."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

import lossmith as lm
from lossmith.cli._losses import parse_loss, parse_losses, takes_a_formula
from lossmith.cli._root import root

LATE = "where(f < y, 4*(y - f)**2, (y - f)**2)"


@pytest.mark.parametrize("text", [LATE, "abs(f-y)", "(f/y - 1)**2", "f*(f - 2*y)", "max(0.9*(y - f), 0.1*(f - y))"])
def test_a_text_that_speaks_of_a_prediction_is_a_formula(text: str) -> None:
    assert lm.parse(text) == lm.formula(text)


def test_other_texts_name_losses() -> None:
    assert lm.parse("0.7*huber + 0.3*mae") == 0.7 * lm.Huber() + 0.3 * lm.AbsoluteError()
    assert lm.parse("focal(prediction=probabilities)") == lm.Focal(prediction="probabilities")
    with pytest.raises(lm.FormulaError, match="does not depend on the prediction f"):
        lm.parse("3*y - 2")
    with pytest.raises(lm.LossNotFoundError, match="'feature'"):
        lm.parse("feature")


def test_commas_inside_brackets_part_no_losses() -> None:
    texts = ["mae, where(f < y, max(y - f, 2)**2, (y - f)**2),huber(delta=2)", "abs(f - y)", ", ,"]
    assert parse_losses(texts) == [
        lm.AbsoluteError(),
        lm.formula("where(f < y, max(y - f, 2)**2, (y - f)**2)"),
        lm.Huber(delta=2),
        lm.formula("abs(f - y)"),
    ]


@pytest.mark.parametrize("words", [["show", LATE], ["plot", f"mae,{LATE}"], ["learn", "--loss", LATE, "--steps", "3"]])
def test_commands_take_formulas(words: list[str]) -> None:
    done = CliRunner().invoke(root, words)
    assert done.exit_code == 0, done.stderr
    assert f"formula('{LATE}')" in done.stdout


def test_limits_of_a_formula_are_its_own(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("y,p\n1,2\n3,1\n")
    words = ["score", str(table), "-t", "y", "-p", "p", "-l", "abs(f - y),(f - y)**2", "--json"]
    for limit, code in (("f - y=9", 2), ("abs(f - y)=1.6", 0), ("abs(f - y)=1.4", 1), ("(f - y)**2=1.6", 1)):
        done = CliRunner().invoke(root, [*words, "--fail-above", limit])
        assert done.exit_code == code, done.stderr


def test_the_mark_stands_below_its_place_in_a_terminal(terminal: Callable[..., Any]) -> None:
    done = terminal("plot", f"{'0*f + ' * 20}y*ln(f) + {'0*f + ' * 20}1", columns=80)
    problem, shown, mark = done.out.rstrip("\n").split("\n")
    assert done.code == 2
    assert problem.endswith("there is no function 'ln'. Write log(x).")
    assert shown[mark.index("^") :].startswith("ln(f)")
    assert len(shown) <= 80


def test_commands_without_declarations_say_where_there_are_some(terminal: Callable[..., Any]) -> None:
    assert "--predicted where you call `lossmith check`" in terminal("learn", "--loss", "k*f").out


def test_each_of_several_formulas_takes_of_a_declaration_what_stands_in_it() -> None:
    words = ["plot", "k*abs(f - y)", "huber,a*(f - y)**2", "k*a*abs(f - y)", "--parameter", "k=4 in (0, inf)"]
    done = CliRunner().invoke(root, [*words, "--parameter", "a=3"])
    assert done.exit_code == 0, done.stderr
    titles = ("formula('k*abs(f - y)', k=4)", "formula('a*(f - y)**2', a=3)", "formula('k*a*abs(f - y)', k=4, a=3)")
    assert all(title in done.stdout for title in titles)
    for first in ("k*abs(f - y)", "huber"):
        done = CliRunner().invoke(root, ["plot", first, "huber", "--parameter", "k=4", "--input", "z"])
        assert done.exit_code == 2
        assert ("is declared: z" if first != "huber" else "declares what a formula takes") in done.stderr


def test_a_page_shows_a_formula_at_the_values_of_its_parameters() -> None:
    done = CliRunner().invoke(root, ["show", "k*abs(f - y)", "--parameter", "k=4 in (0, inf)"])
    assert done.exit_code == 0, done.stderr
    assert "formula('k*abs(f - y)', k=4)" in done.stdout


def declared(*words: str) -> Any:
    """Return what a command is given by its options."""

    @click.command()
    @click.argument("loss")
    @takes_a_formula
    def command(loss: str, declaration: dict[str, Any]) -> Any:
        return parse_loss(loss, declaration)

    return command.main(list(words), standalone_mode=False)


def test_options_declare_what_a_formula_takes() -> None:
    text = "k*price*(f - y)**2/v + log(v)"
    words = ["--parameter", "k=4 in (0, inf)", "--input", "price", "--predicted", "v in (0, inf)"]
    words += ["--targets", "[0, 9]", "--predictions", "[0, 5]", "--task", "counts", "--link", "identity"]
    assert declared(text, *words) == lm.formula(
        text,
        parameters={"k": (4.0, "(0, inf)")},
        inputs={"price": "(-inf, inf)"},
        predicted={"v": "(0, inf)"},
        target="[0, 9]",
        prediction="[0, 5]",
        task="counts",
        link="identity",
    )
    assert declared("a*(f - y)**2 + b*f", "--parameter", "a=2", "--parameter", " b = 1e-3 in (0, 1)") == lm.formula(
        "a*(f - y)**2 + b*f", parameters={"a": 2.0, "b": (1e-3, "(0, 1)")}
    )
    assert declared("huber") == lm.Huber()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--parameter", "k"], "names no number"),
        (["--parameter", "k=four"], "names no number"),
        (["--parameter", "k=1", "--parameter", "k=2"], "declared twice"),
        (["--parameter", "k=4 in 0 to 1"], "not a domain"),
        (["--input", "price=3"], "has a value"),
        (["--task", "ranking"], "is not one of"),
    ],
)
def test_declarations_that_are_none_are_named(words: list[str], says: str) -> None:
    with pytest.raises((click.BadParameter, lm.ParameterError), match=says):
        declared("k*(f - y)**2", *words)


def test_a_loss_of_the_catalogue_is_declared_already() -> None:
    with pytest.raises(lm.ParameterError, match="--task declares what a formula takes, and 'huber' is none"):
        declared("huber", "--task", "binary")
    with pytest.raises(lm.ParameterError, match=r"--parameter declares .* in brackets, as in huber\(\.\.\.\)"):
        declared("huber(delta=2)", "--parameter", "delta=3")

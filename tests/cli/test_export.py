"""``lossmith export``: code to standard output or a file, talk to standard error."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import lossmith as lm
from lossmith.cli._root import root

LATE = "where(f < y, k*(y - f)**2, (y - f)**2)"


def test_code_goes_to_standard_output() -> None:
    done = CliRunner().invoke(root, ["export", "huber(delta=1.5)", "--to", "c"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout == lm.export(lm.Huber(delta=1.5), "c")


def test_a_formula_is_exported_with_its_parameters() -> None:
    done = CliRunner().invoke(root, ["export", LATE, "--parameter", "k=3 in (0, inf)", "--to", "numpy"])
    assert done.exit_code == 0, done.stderr
    assert done.stdout == lm.export(lm.formula(LATE, parameters={"k": (3.0, "(0, inf)")}), "numpy")


@pytest.mark.parametrize("target", ["onnx", "jax"])
def test_a_file_is_written_and_told_of(tmp_path: Path, target: str) -> None:
    path = tmp_path / "loss"
    done = CliRunner().invoke(root, ["export", "gaussian_nll", "--to", target, "--output", str(path)])
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == f"wrote {path}\n"
    made = lm.export("gaussian_nll", target)
    assert path.read_bytes() == (made if isinstance(made, bytes) else made.encode())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["export", "huber", "--to", "onnx"], "--output FILE"),
        (["export", "huber", "--to", "fortran"], "'fortran' is not one of"),
        (["export", "huber"], "say what to make of the loss with --to: torch"),
        (["export", "hubber", "--to", "c"], "Did you mean 'huber'"),
        (["export", "triplet", "--to", "xgboost"], "for one target"),
        (["export", "huber", "--parameter", "k=3", "--to", "c"], "is none"),
        (["export", "huber", "--to", "c", "--output", "/nowhere/at/all.h"], "No such file or directory"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(words: list[str], said: str) -> None:
    done = CliRunner().invoke(root, words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1

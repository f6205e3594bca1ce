"""``lossmith plot``: in the terminal and as a picture."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import lossmith as lm
from lossmith.cli._root import root
from lossmith.plotting.comparison import compare


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["plot", *arguments])


def test_the_terminal_gets_a_curve_for_each_loss() -> None:
    done = run("huber", "mae")
    assert done.exit_code == 0
    assert "Huber(delta=1)" in done.stdout
    assert "AbsoluteError()" in done.stdout
    assert done.stdout.count("gradient") == 2


@pytest.mark.parametrize(("name", "start"), [("c.png", b"\x89PNG"), ("c.svg", b"<?xml"), ("c.pdf", b"%PDF")])
def test_pictures_are_written_the_same_each_time(tmp_path: Path, name: str, start: bytes) -> None:
    written = []
    for _ in range(2):
        done = run("mse", "mae", "huber(delta=2)", "-o", str(tmp_path / name))
        assert done.exit_code == 0
        assert done.stdout == ""
        written.append((tmp_path / name).read_bytes())
    assert written[0].startswith(start)
    assert written[0] == written[1]
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("hubber",), "Did you mean 'huber'"),
        (("mae", "-o", "curve.gif"), "must end in .png, .svg, .pdf"),
        (("mae", "-o", "no/such/folder/c.png"), "the folder 'no/such/folder' does not exist"),
        (("hinge", "mae", "-o", "c.png"), "cannot share an axis"),
        (("poisson", "-y", "-1"), "y_true"),
        ((), "LOSS"),
    ],
)
def test_bad_input_is_explained(arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not Path("c.png").exists()


def test_panels_share_the_prediction_and_name_the_losses() -> None:
    figure = compare([lm.Huber(), lm.SquaredError()], 3.0)
    assert [axes.get_title() for axes in figure.axes] == ["loss", "gradient", "Hessian"]
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["Huber(delta=1)", "SquaredError()"]
    assert "target of 3" in figure.get_suptitle()
    with pytest.raises(lm.ParameterError, match="at least one"):
        compare([])

"""``lossmith plot``: in the terminal and as a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import lossmith as lm
from lossmith.cli._root import root
from lossmith.plotting.comparison import compare

from .conftest import Done

pytestmark = pytest.mark.engines("numpy")  # costs are those of either engine, and kernels take a while to compile


def run(*arguments: str) -> Result:
    return CliRunner().invoke(root, ["plot", *arguments])


def test_the_terminal_gets_a_curve_for_each_loss() -> None:
    done = run("huber", "mae")
    assert done.exit_code == 0
    assert "Huber(delta=1)" in done.stdout
    assert "AbsoluteError()" in done.stdout
    assert done.stdout.count("gradient") == 2
    ends = [line.split()[0] for line in run("huber(delta=3)", "mae").stdout.splitlines() if "prediction f" in line]
    assert ends == ["-12", "-12"]  # one line for both
    apart = run("huber", "hinge").stdout
    assert "prediction f" in apart
    assert "score f" in apart


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
        (("poisson", "--at", "-1"), "y_true must be in [0, inf)"),
        (("triplet", "kl_divergence", "-o", "c.png"), "Triplet(margin=1) runs along distance to the positive"),
        (("gan_generator", "--at", "1"), "takes no target"),
        (("softmax_focal", "--at", "3"), "no class 3 among 3"),
        (("softmax_focal", "--at", "0.5"), "no class 0.5 among 3"),
        (("softmax_focal", "--at", "nan"), "no class nan among 3"),
        (("mae", "--at", "nan"), "a finite target, got nan"),
        (("kl_divergence", "--at", "2"), "p"),
        (("triplet", "--at", "-1"), "distance"),
        (("mae", "-o", "c"), "must end in .png, .svg, .pdf"),
        (("mae", "mae +", "-o", "c.png"), "mae +"),
        (("mae", "--at", "x"), "'x' is not a valid float"),
        ((), "LOSS"),
    ],
)
def test_bad_input_is_explained(arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert not Path("c.png").exists()


@pytest.mark.parametrize("name", lm.names())
def test_every_loss_is_drawn_both_ways(tmp_path: Path, name: str) -> None:
    done = run(name)
    assert (done.exit_code, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == str(lm.get(name))
    assert lines[1].startswith("loss")
    assert max(map(len, lines)) <= 80
    assert run(name, "-o", str(tmp_path / "c.svg")).exit_code == 0
    picture = (tmp_path / "c.svg").read_text()
    assert all(f">{title}<" in picture for title in ("loss", "gradient", "Hessian", lm.get(name).section().label))


@pytest.mark.parametrize("text", ["(log(f) - log(y))**2", "(y/f - 1)**2", "huber(delta=1e160)", "log(-1 - f**2)"])
def test_what_is_not_finite_is_drawn_both_ways(tmp_path: Path, text: str) -> None:
    done = run(text)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "loss at a target" in done.stdout
    assert run(text, "-o", str(tmp_path / "c.png")).exit_code == 0
    assert CliRunner().invoke(root, ["show", text]).exit_code == 0


@pytest.mark.parametrize(
    ("name", "at", "message"),
    [
        ("huber", "inf", "--at inf: Huber(delta=1) is drawn at a finite target, got inf"),
        ("mse", "nan", "--at nan: SquaredError() is drawn at a finite target, got nan"),
        ("multi_quantile", "-inf", "--at -inf: MultiQuantile() is drawn at a finite target, got -inf"),
        ("tukey", "inf", "--at inf: Tukey(c=4.685) is drawn at a finite target, got inf"),
        ("distillation", "inf", "--at inf: Distillation(temperature=1) is drawn at a finite value, got inf"),
        (
            "huber",
            "1e300",
            "--at 1e+300: Huber(delta=1) cannot be drawn from 1e+300 to 1e+300, where floats lie too far",
        ),
        ("huber + mae", "1e300", "where floats lie too far apart; draw it closer to 0"),
        ("multi_quantile", "1e300", "where floats lie too far apart; draw it closer to 0"),
        ("poisson(prediction=rate)", "1e308", "which is too far for floats"),
        ("huber(delta=1e308)", "0", "cannot be drawn from -inf to inf, which is too far for floats"),
        ("poisson", "-1", "--at -1: Poisson: y_true must be in [0, inf)"),
    ],
)
def test_a_place_where_nothing_can_be_drawn_is_named(name: str, at: str, message: str) -> None:
    for more in ((), ("-o", "c.png")):
        done = run(name, "--at", at, *more)
        assert done.exit_code == 2
        assert message in done.stderr
        assert done.stderr.count("\n") == 1
    assert not Path("c.png").exists()


def test_a_page_without_a_picture_says_why() -> None:
    done = CliRunner().invoke(root, ["show", "huber(delta=1e308)"])
    assert done.exit_code == 0
    assert "(Huber(delta=1e+308) cannot be drawn from -inf to inf" in " ".join(done.stdout.split())


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "c.png").mkdir()
    done = run("mae", "-o", str(tmp_path / "c.png"))
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert "c.png" in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_target_is_the_one_asked_for() -> None:
    assert "loss at a target of 10" in run("quantile(level=0.9)", "--at", "10").stdout
    assert "with class 2 of 3 the true one" in run("softmax_focal", "-a", "2").stdout
    assert "at p = (0.25, 0.75)" in run("kl_divergence", "--at", "0.25").stdout
    assert "at a negative distance of 5" in run("triplet", "--at", "5").stdout
    assert run("0.7 * huber + 0.3 * mae").stdout.startswith("0.7 * Huber(delta=1) + 0.3 * AbsoluteError()\n")


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_a_terminal_is_not_overrun(terminal: Callable[..., Done], columns: int) -> None:
    done = terminal("plot", "dpo", "huber", columns=columns, env={"NO_COLOR": "1"})
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= columns
    assert "⠀" not in done.out


def test_losses_of_one_scale_share_the_axis() -> None:
    figure = compare([lm.Hinge(), lm.BinaryCrossEntropy(), lm.Exponential()])
    assert len(figure.axes[0].get_lines()) == 4  # and the line at 0
    assert figure.axes[0].get_xlim()[0] < -6
    low, high = figure.axes[0].get_ylim()
    assert high < 30  # the exponential, near 400 at -6, leaves the picture
    assert low > -2
    cases = compare([lm.GaussianNLL(), lm.LaplaceNLL()])
    assert cases.get_suptitle() == ""
    (legend,) = cases.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "GaussianNLL() at target 0, variance 1",
        "LaplaceNLL() at target 0, scale 1",
    ]


def test_panels_share_the_prediction_and_name_the_losses() -> None:
    figure = compare([lm.Huber(), lm.SquaredError()], 3.0)
    assert [axes.get_title() for axes in figure.axes] == ["loss", "gradient", "Hessian"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Huber(delta=1)", "SquaredError()"]
    assert "target of 3" in figure.get_suptitle()
    with pytest.raises(lm.ParameterError, match="at least one"):
        compare([])

"""LaTeX that losses are exported as: groups that close, commands that amsmath knows, letters and lines that print."""

from __future__ import annotations

import re

import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser

import lossmith as lm
from lossmith.custom.export.latex import WIDE, width
from tests.custom.exported import OWN, WEIGHTS

LOSSES = [
    *(lm.get(name) for name in lm.names()[::5]),
    lm.Huber(),
    lm.Asymmetric(),
    lm.GaussianNLL(),
    lm.Barron(alpha=-2),
    lm.SparseCategoricalCrossEntropy(label_smoothing=0.1, class_weight=WEIGHTS, z_loss=0.1),
    lm.KLDivergence(q_kind="logits"),
    lm.Triplet(),
    *OWN[:1],
    OWN[-1],
]
KNOWN = {
    "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "kappa", "lambda", "mu", "nu", "pi",
    "rho", "sigma", "tau", "theta", "ell", "partial", "infty", "pm", "frac", "sqrt", "sum", "log", "exp", "cosh",
    "sinh", "tanh", "erf", "max", "min", "left", "right", "cdot", "ne", "neq", "leq", "geq", "le", "ge", "land",
    "lor", "to", "nabla", "propto", "operatorname", "text", "quad", "hline", "textbackslash", "textwidth",
    "usepackage", "Gamma", "setminus", "begin", "end", "in", "limits",
}  # fmt: skip
TOKEN = re.compile(r"\\(?P<command>[A-Za-z]+)|\\(?P<sign>.)|(?P<letter>[{}])", re.DOTALL)
PAIRS = {"}": "{", "end": "begin", "right": "left"}


def complaints(text: str) -> list[str]:
    """Return what a compiler would say of a piece of a document."""
    said = [f"letter {letter!r}" for letter in set(text) if not letter.isascii()]
    opened: list[str] = []
    for found in TOKEN.finditer(re.sub(r"(?m)^%.*$", "", text)):
        word = found["command"] or found["letter"]
        if found["command"] and word not in KNOWN:
            said.append(f"command {word}")
        if word in PAIRS.values():
            opened.append(word)
        elif word in PAIRS and (not opened or opened.pop() != PAIRS[word]):
            said.append(f"{word} closes nothing")
        if found["sign"] == "\\" and "left" in opened and "begin" not in opened[opened.index("left") :]:
            said.append("a line ends between brackets")
    return said + [f"{word} is not closed" for word in opened]


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_latex_would_compile(loss: lm.Loss) -> None:
    text = lm.export(loss, "latex")
    assert complaints(text) == []
    assert r"\ell &=" in text
    assert ("tabular" in text) == bool([part for _, part in getattr(loss, "parts", [(1, loss)]) if declared(part)])


def declared(loss: lm.Loss) -> list[str]:
    return [name for name in loss.parameters() if loss.values[name] is not None]


def test_wide_formulas_are_broken_at_signs_of_sums() -> None:
    lines = lm.export(lm.Focal(), "latex").splitlines()
    assert any(line.strip().startswith(r"&\quad +") for line in lines)
    assert lm.export(lm.Huber(), "latex").count(r"&\quad") == 0


FOCAL = "-(y*(1 - sigmoid(f))**2*log(sigmoid(f)) + (1 - y)*sigmoid(f)**2*log(1 - sigmoid(f)))"


@pytest.mark.parametrize("loss", [FOCAL, lm.Focal(alpha=0.25), lm.Asymmetric(), *map(lm.get, lm.names()[::4])], ids=str)
def test_lines_fit_between_the_margins_of_a_page(loss: lm.Loss | str) -> None:
    parser, font = MathTextParser("path"), FontProperties(math_fontfamily="cm", size=10)
    text = lm.export(loss, "latex")
    lines = text[: text.index(r"\end{align*}")].splitlines()[2:]
    plain = [re.sub(r"\\\\$", "", line.strip()).replace("&", "") for line in lines if "cases" not in line]
    assert plain or "cases" in text
    for line in plain:
        assert parser.parse(f"${line}$", dpi=72, prop=font).width <= 345, line


@pytest.mark.parametrize(
    "text", [r"\frac{a", "a}", r"\left( a", r"\begin{cases} \right)", r"\foo", "σ", r"\left( a \\ b \right)"]
)
def test_what_would_not_compile_is_found(text: str) -> None:
    assert complaints(text)


def test_what_is_too_wide_has_names_for_what_repeats() -> None:
    for loss in (lm.Asymmetric(), lm.SmoothedHinge()):
        text = lm.export(loss, "latex")
        lines = text[: text.index(r"\end{align*}")].splitlines()[2:]
        assert max(map(width, lines)) <= WIDE + 4  # with what stands before the first sign
        assert r"\text{with } a = " in text
        names = re.findall(r"\\text\{(?:with|and) \} (\w) = ", text)
        used = re.sub(r"\\[A-Za-z]+", "", text)
        assert all(len(re.findall(rf"(?<!\w){name}(?!\w)", used)) > 1 for name in names)


def test_what_is_held_is_said_to_be() -> None:
    text = lm.export(lm.BetaNLL(), "latex")
    assert "hold" not in text
    assert text.count(r"\operatorname{sg}") == 2  # in the value, and where that is explained
    assert "stop-gradient" in text
    assert "stop-gradient" not in lm.export(lm.GaussianNLL(), "latex")

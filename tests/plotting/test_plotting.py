"""Pictures of every loss."""

from __future__ import annotations

import numpy as np
import pytest

import lossmith as lm
from lossmith.core.section import Section
from lossmith.plotting.comparison import compare, sections
from lossmith.plotting.curves import calm, heights
from lossmith.plotting.terminal import curve as draw
from lossmith.structures.pointwise import Pointwise


def forms() -> list[lm.Loss]:
    found = []
    for name in lm.names():
        found.append(lm.get(name))
        for option, item in lm.loss_class(name).options().items():
            if option in ("prediction", "kind", "scale", "reference"):
                found += [lm.get(name, **{option: choice}) for choice in item.choices]
    return list(dict.fromkeys(found))


def extremes() -> list[lm.Loss]:
    """Return every loss with each parameter of its formula at either end of what is typical."""
    found = []
    for name in lm.names():
        for parameter, item in lm.loss_class(name).parameters().items():
            if item.in_formula and not item.optional:
                found += [lm.get(name, **{parameter: end}) for end in item.typical]
    return list(dict.fromkeys(found))


def kinks(loss: lm.Loss, line: Section) -> list[float]:
    """Return where the drawn line crosses kinks."""
    by_name = isinstance(loss, Pointwise) and not loss.paired
    held = {item.name: item.middle for item in loss.inputs} if by_name else line.value
    crossed = [kink for kink in loss.card.kinks if kink.along in ("", loss.focus.name)]
    return [at for kink in crossed for at in kink.at(loss, held)]


@pytest.mark.parametrize("loss", forms() + extremes(), ids=str)
def test_curves_are_drawn_where_they_are_interesting(loss: lm.Loss) -> None:
    line = loss.section()
    assert np.all(np.isfinite([line.losses, line.gradient, line.hessian]))
    assert np.ptp(line.losses) > 0
    for at in kinks(loss, line):
        assert line.x[0] < at < line.x[-1], "a kink is out of sight"
        if line.best is not None and at != line.best:  # and wide enough to be seen
            assert abs(at - line.best) > 0.05 * (line.x[-1] - line.x[0])


@pytest.mark.parametrize("loss", [lm.Cauchy, lm.Welsch, lm.GemanMcClure, lm.Fair, lm.PseudoHuber, lm.Barron, lm.Tukey])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_a_line_grows_with_the_scale_of_the_loss(loss: type[lm.Loss], scale: float) -> None:
    (name,) = set(loss.parameters()) - {"alpha"}
    line = loss(**{name: scale}).section()
    assert 1.5 <= line.x[-1] / scale <= 8
    assert line.x[0] == -line.x[-1]
    flat = np.abs(line.hessian) < 0.5 * line.hessian.max()
    assert flat[0]  # the tails have begun
    assert flat[-1]
    assert lm.SquaredError().section().x[-1] == lm.Expectile(level=0.9).section().x[-1] == 4  # no scale of their own


@pytest.mark.parametrize("name", ["gamma", "inverse_gaussian", "poisson", "squared_log_error"])
def test_a_steep_side_does_not_flatten_the_other(name: str) -> None:
    for loss in {lm.get(name), *(form for form in forms() if form.name == name)}:
        line = loss.section()
        rises = line.losses[[0, -1]] - line.losses.min()
        assert max(rises) <= 5.5 * min(rises)
        assert line.best is not None
        assert abs(line.x[np.argmin(line.losses)] - line.best) < 0.02 * np.ptp(line.x)


@pytest.mark.parametrize("loss", forms(), ids=str)
def test_plot_returns_labelled_axes(loss: lm.Loss) -> None:
    axes = loss.plot()
    assert [line.get_text() for line in axes.get_legend().get_texts()] == ["loss", "gradient", "Hessian"]
    assert axes.get_title().replace("\n", " ") == f"{loss} {loss.section().case}".strip()
    assert max(map(len, axes.get_title().splitlines())) <= 60
    low, high = axes.get_ylim()
    for curve in axes.get_lines()[:3]:
        drawn = np.asarray(curve.get_ydata())
        drawn = drawn[np.isfinite(drawn)]
        assert np.mean((low <= drawn) & (drawn <= high)) > 0.3, f"{curve.get_label()} is out of the picture"
    values = np.asarray(axes.get_lines()[0].get_ydata())
    np.testing.assert_allclose([np.nanmin(values), np.nanmax(values)], _extent(loss))
    assert low <= np.nanmin(values)
    assert np.nanmax(values) <= high


def _extent(loss: lm.Loss) -> tuple[float, float]:
    losses = loss.section().losses
    return losses.min(), losses.max()


def test_nothing_in_the_picture_lies_on_something_else() -> None:
    axes = lm.Triplet().plot()
    axes.figure.canvas.draw()
    legend, title = axes.get_legend().get_window_extent(), axes.title.get_window_extent()
    assert legend.y0 >= axes.get_window_extent().y1
    assert title.y0 >= legend.y1


def test_plot_draws_on_given_axes_and_at_a_given_target() -> None:
    axes = lm.Huber(delta=2).plot()
    assert lm.AbsoluteError().plot(5.0, ax=axes) is axes
    assert "target of 5" in axes.get_title()


def test_of_several_inputs_the_first_is_drawn_and_the_others_are_held_and_named() -> None:
    line = lm.GaussianNLL().section(3.0)
    np.testing.assert_allclose(line.gradient, line.x - 3)
    axes = lm.GaussianNLL().plot(3.0)
    assert axes.get_title() == "GaussianNLL()\nat target 3, variance 1"
    assert axes.get_xlabel() == "prediction f"
    assert draw(lm.IntervalScore()).splitlines()[0] == "loss at target 0, upper 1"
    assert draw(lm.DPO(), 30).splitlines()[1] == "reference_chosen -100,"
    assert lm.DPO().plot().get_xlabel() == "chosen"
    slopes = lm.IntervalScore().section().gradient
    np.testing.assert_allclose(slopes[[0, -1]], [-1, 19])


def test_a_target_is_refused_where_there_is_none() -> None:
    with pytest.raises(lm.ParameterError, match="takes no target"):
        lm.GANDiscriminator().plot(1.0)


def test_a_target_outside_the_domain_is_refused() -> None:
    with pytest.raises(lm.DomainError, match="y_true"):
        lm.Poisson().plot(-1.0)


@pytest.mark.parametrize("target", ["(100, inf)", "(-inf, -5)", "[1e5, 2e5]", "{3, 7}", "(0.2, 0.4)"])
def test_without_a_target_one_inside_the_domain_is_taken(target: str) -> None:
    section = lm.formula("(f - y)**2", target=target).section()
    assert lm.formula("(f - y)**2", target=target).domains["y"].includes(section.value)
    assert section.x[0] <= section.value <= section.x[-1]


def test_a_jump_is_a_gap_and_not_a_steep_line() -> None:
    gradient = lm.AbsoluteError().plot().get_lines()[1].get_ydata()
    assert np.isnan(gradient).any()
    assert not np.isnan(lm.SquaredError().plot().get_lines()[1].get_ydata()).any()


@pytest.mark.parametrize("text", ["abs(f - y)", "sqrt(abs(f - y))", "abs(f - y)**1.5", "tanh(9*abs(f - y))"])
def test_both_sides_of_a_jump_or_a_pole_end_alike(text: str) -> None:
    axes = lm.formula(text).plot()
    for curve in axes.get_lines()[:3]:
        x, drawn = curve.get_data()
        seen = np.round(x[np.isfinite(drawn)], 9)
        np.testing.assert_array_equal(seen[seen != 0], -seen[seen != 0][::-1])
    if text.startswith("sqrt"):
        assert axes.get_ylim()[1] < 3  # which points alone, of a slope without a bound, do not decide


def test_losses_of_other_inputs_say_what_they_are_drawn_along() -> None:
    axes = lm.KLDivergence(p_kind="logits").plot(0.2)
    assert axes.get_title().endswith("at p = (0.2, 0.8)")
    assert axes.get_xlabel() == "q of the first class"
    line = lm.KLDivergence().section()
    slopes = np.gradient(line.losses, line.x)
    np.testing.assert_allclose(line.gradient[20:-20], slopes[20:-20], rtol=0.01, atol=0.01)
    assert abs(line.x[np.argmin(line.losses)] - 0.7) < 0.002
    assert "negative distance of 3" in lm.Triplet().plot(3.0).get_title()
    assert "teacher = (2, 0)" in draw(lm.Distillation())


@pytest.mark.parametrize("width", [30, 60, 100])
def test_text_curves_keep_to_their_width_and_show_the_ends(width: int) -> None:
    lines = draw(lm.Huber(), width, 10).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) == 1 + 10 + 1 + 5 + 1
    assert lines[1].startswith("    3.5 ┤")
    assert lines[-1].split()[0] == "-4"
    assert lines[-1].split()[-1] == "4"


def test_text_curve_of_a_step_is_connected() -> None:
    lines = draw(lm.ZeroOne(), 40, 6).splitlines()[1:7]
    assert all(any(0x2800 < ord(c) <= 0x28FF for c in line) for line in lines)


@pytest.mark.parametrize("loss", [loss for loss in forms() if loss.card.task == "categorical"], ids=str)
def test_a_loss_of_rows_is_drawn_along_its_true_class(loss: lm.Loss) -> None:
    line = loss.section(1)
    assert "true class" in line.label
    assert "class 1 of 3" in line.case
    slopes = np.gradient(line.losses, line.x)[1:-1]
    jumps = np.abs(np.diff(line.gradient)) > 0.5
    smooth = ~(jumps[1:] | jumps[:-1]) & (np.abs(line.gradient[1:-1]) < 5)
    np.testing.assert_allclose(line.gradient[1:-1][smooth], slopes[smooth], rtol=0.03, atol=0.01)
    assert all(len(line) <= 40 for line in draw(loss, 40, 6).splitlines()[1:])


def test_a_class_that_is_not_there_is_refused() -> None:
    with pytest.raises(lm.DomainError, match="no class 3 among 3"):
        lm.SoftmaxFocal().plot(3)


@pytest.mark.parametrize("name", lm.names())
def test_no_picture_is_a_level_line(name: str) -> None:
    assert np.ptp(lm.get(name).section().losses) > 0.1


def test_a_plain_that_a_picture_speaks_of_is_in_sight() -> None:
    line = lm.Tukey(c=8).section()
    assert line.losses[0] == line.losses[1] == line.losses.max()


def test_a_title_is_whole_where_nothing_is_held() -> None:
    assert lm.GANGenerator().section().case == "along fake"


def test_what_is_drawn_together_shares_a_line_inside_all_domains() -> None:
    lines = sections([lm.AbsoluteError(), lm.AbsolutePercentageError(), lm.SquaredLogError()])
    assert {line.value for line in lines} == {3.0}
    assert {(line.x[0], line.x[-1]) for line in lines} == {(lines[0].x[0], lines[0].x[-1])}
    assert lines[0].x[0] > -1
    together = lm.AbsoluteError() + lm.AbsolutePercentageError()
    assert together.section().value == 3
    np.testing.assert_allclose(
        together.section().losses, lines[0].losses[0] * 0 + together.losses(np.full(401, 3.0), together.section().x)
    )
    assert [line.label for line in sections([lm.Hinge(), lm.BinaryCrossEntropy()])] == ["score f", "logit f"]


def test_a_curve_that_explodes_leaves_the_panel_to_the_others() -> None:
    x = np.linspace(-4, 4, 401)
    assert heights([x]) == (-4, 4)
    assert heights([np.abs(x), x**2]) == (0, 16)
    low, high = heights([np.abs(x), np.abs(x), np.abs(x), 10 * x**2])
    assert (low, high) == (0, pytest.approx(10, rel=0.1))
    assert heights([0 * x]) == (0, 0)
    assert heights([1 / (x + 4.001)])[1] < 10
    assert heights([np.where(np.abs(x) < 0.05, 1.0, 0.0)]) == (0, 1)
    assert heights([np.where(np.abs(x) < 0.05, 1.0, 0.0), 0 * x, 0 * x]) == (0, 1)


def test_a_text_curve_leaves_out_what_is_too_high() -> None:
    top = draw(lm.KLDivergence(), 60, 10).splitlines()[1]
    assert "⠉⠉" not in top
    assert float(top.split()[0]) < 2.5


def test_what_is_not_finite_is_left_out() -> None:
    loss = lm.formula("(log(f) - log(y))**2")
    assert loss.section().value == 1  # at 0 it is infinite everywhere
    axes = loss.plot()
    x, drawn = axes.get_lines()[0].get_data()
    assert np.isnan(drawn[x < 0]).all()
    assert np.isfinite(drawn[x > 0.1]).all()
    assert axes.get_ylim()[1] < 20
    assert float(draw(loss).splitlines()[1].split()[0]) < 20
    assert lm.formula("(y/f - 1)**2").section().value == 1  # at 0 it is 1 everywhere
    slope = np.asarray(lm.formula("log(1 + f)").plot().get_lines()[1].get_ydata())
    assert np.nanmin(slope) > 0  # 1 / (1 + f) goes on below -1, where there is no loss


@pytest.mark.parametrize("text", ["sqrt(f)", "-log(f)", "log(1 + f)", "f**0.5", "abs(f - y) / f", "(y/f - 1)**2"])
def test_a_formula_is_drawn_as_far_as_it_is_finite(text: str) -> None:
    loss = lm.formula(text)
    low, high = loss.plot().get_ylim()
    assert -50 < low < high < 50
    x = loss.section().x
    assert 4 <= np.ptp(x) <= 50
    for line in draw(loss).splitlines():
        assert not line.startswith(("    nan", "    inf"))
    low, high = heights([loss.section().losses])
    assert np.isfinite([low, high]).all()


@pytest.mark.parametrize("loss", [lm.Huber(delta=1e160), lm.Tukey(c=1e300), lm.AlphaDivergence(alpha=1e8)], ids=str)
def test_numbers_too_large_for_floats_are_left_out(loss: lm.Loss) -> None:
    assert np.isfinite(loss.plot().get_ylim()).all()
    assert np.isfinite([axes.get_ylim() for axes in compare([loss]).axes]).all()
    assert "not finite on this line" in draw(loss)


def test_a_picture_of_nothing_says_so() -> None:
    loss = lm.formula("log(-1 - f**2)")
    assert [text.get_text() for text in loss.plot().texts] == ["not finite on this line"]
    assert all(len(axes.texts) == 1 for axes in compare([loss]).axes)
    assert not any(axes.texts for axes in compare([loss, lm.SquaredError()]).axes)
    assert draw(loss).count("not finite on this line") == 2


def test_a_loss_that_is_least_at_the_end_of_its_domain_has_a_line() -> None:
    line = lm.formula("f + 0 * y", prediction="[0, inf)").section()
    assert np.ptp(line.x) > 3
    assert np.ptp(line.losses) > 3


def test_a_pole_leaves_the_picture() -> None:
    x = np.linspace(-3, 5, 140)  # none of which is 0
    losses = (1 / x - 1) ** 2
    line = Section("", "f", 1.0, x, losses, losses, losses)
    assert losses.max() > 1000
    assert heights([calm(line, "losses")])[1] < 50
    usual = lm.Exponential().section()
    np.testing.assert_array_equal(calm(usual, "losses"), usual.losses)

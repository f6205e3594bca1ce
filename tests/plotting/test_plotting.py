"""Pictures of every loss."""

from __future__ import annotations

import numpy as np
import pytest

import lossmith as lm
from lossmith.plotting.terminal import curve as draw


def forms() -> list[lm.Loss]:
    found = []
    for name in lm.names():
        found.append(lm.get(name))
        for option, item in lm.loss_class(name).options().items():
            if option in ("prediction", "kind", "scale", "reference"):
                found += [lm.get(name, **{option: choice}) for choice in item.choices]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("loss", forms(), ids=str)
def test_curves_are_drawn_where_they_are_interesting(loss: lm.Loss) -> None:
    line = loss.section()
    assert np.all(np.isfinite([line.losses, line.gradient, line.hessian]))
    middle = {item.name: item.middle for item in loss.inputs}
    for kink in loss.card.kinks:
        if kink.along in ("", loss.focus.name):
            for at in kink.at(loss, line.value if loss.paired else middle):
                assert line.x[0] < at < line.x[-1], f"{kink.where} is out of sight"


@pytest.mark.parametrize("loss", forms(), ids=str)
def test_plot_returns_labelled_axes(loss: lm.Loss) -> None:
    axes = loss.plot()
    assert [line.get_text() for line in axes.get_legend().get_texts()] == ["loss", "gradient", "Hessian"]
    assert str(loss) in axes.get_title()
    drawn = axes.get_lines()[0].get_ydata()
    np.testing.assert_allclose(np.nanmax(drawn), loss.section().losses.max())


def test_plot_draws_on_given_axes_and_at_a_given_target() -> None:
    axes = lm.Huber(delta=2).plot()
    assert lm.AbsoluteError().plot(5.0, ax=axes) is axes
    assert "target of 5" in axes.get_title()


def test_of_several_inputs_the_first_is_drawn_and_the_others_are_held_and_named() -> None:
    line = lm.GaussianNLL().section(3.0)
    np.testing.assert_allclose(line.gradient, line.x - 3)
    axes = lm.GaussianNLL().plot(3.0)
    assert axes.get_title() == "GaussianNLL() at target 3, variance 1"
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


def test_a_jump_is_a_gap_and_not_a_steep_line() -> None:
    gradient = lm.AbsoluteError().plot().get_lines()[1].get_ydata()
    assert np.isnan(gradient).any()
    assert not np.isnan(lm.SquaredError().plot().get_lines()[1].get_ydata()).any()


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

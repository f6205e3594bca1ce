"""Pictures of every loss."""

from __future__ import annotations

import numpy as np
import pytest

import lossmith as lm
from lossmith.plotting.sampling import curve
from lossmith.plotting.terminal import curve as draw


def forms() -> list[lm.Loss]:
    found = []
    for name in lm.names():
        kinds = lm.loss_class(name).options().get("prediction")
        found += [lm.get(name, prediction=kind) for kind in kinds.choices] if kinds else [lm.get(name)]
    return found


@pytest.mark.parametrize("loss", forms(), ids=str)
def test_curves_are_drawn_where_they_are_interesting(loss: lm.Loss) -> None:
    sampled = curve(loss)
    assert np.all(np.isfinite([sampled.losses, sampled.gradient, sampled.hessian]))
    for kink in loss.card.kinks:
        for at in kink.at(loss, sampled.target):
            assert sampled.prediction[0] < at < sampled.prediction[-1], f"{kink.where} is out of sight"


@pytest.mark.parametrize("loss", forms(), ids=str)
def test_plot_returns_labelled_axes(loss: lm.Loss) -> None:
    axes = loss.plot()
    assert [line.get_text() for line in axes.get_legend().get_texts()] == ["loss", "gradient", "Hessian"]
    assert str(loss) in axes.get_title()
    drawn = axes.get_lines()[0].get_ydata()
    np.testing.assert_allclose(np.nanmax(drawn), curve(loss).losses.max())


def test_plot_draws_on_given_axes_and_at_a_given_target() -> None:
    axes = lm.Huber(delta=2).plot()
    assert lm.AbsoluteError().plot(5.0, ax=axes) is axes
    assert "target of 5" in axes.get_title()


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
    sampled = curve(lm.KLDivergence())
    slopes = np.gradient(sampled.losses, sampled.prediction)
    np.testing.assert_allclose(sampled.gradient[20:-20], slopes[20:-20], rtol=0.01, atol=0.01)
    assert abs(sampled.prediction[np.argmin(sampled.losses)] - 0.7) < 0.002
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

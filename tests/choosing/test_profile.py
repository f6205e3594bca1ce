"""What the profile says about a target."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lossmith.choosing.profile import profile, robust_deviation
from lossmith.errors import EmptyError

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(10.0, 2.0, 50_000)


def test_a_normal_target_has_the_figures_of_the_normal_distribution() -> None:
    found = profile(NORMAL)
    assert found.kind == ("positive" if NORMAL.min() > 0 else "continuous")
    assert found.robust_deviation == pytest.approx(2.0, rel=0.02)
    assert found.tail_weight == pytest.approx(1.0, abs=0.02)
    assert found.skew == pytest.approx(0.0, abs=0.05)
    assert found.outlier_share == pytest.approx(2 * stats.norm.sf(3), rel=0.2)


def test_figures_agree_with_scipy() -> None:
    y = RNG.lognormal(size=500)
    found = profile(y)
    assert found.skew == pytest.approx(stats.skew(y))
    assert found.robust_deviation == pytest.approx(stats.median_abs_deviation(y) * 1.4826)
    assert (found.quartile_1, found.median, found.quartile_3) == tuple(np.quantile(y, [0.25, 0.5, 0.75]))
    assert found.deviation == pytest.approx(y.std())


def test_heavy_tails_weigh_more_and_light_ones_less() -> None:
    weights = [profile(RNG.standard_t(2, 20_000)).tail_weight, 1.0, profile(RNG.uniform(size=20_000)).tail_weight]
    assert weights == sorted(weights, key=lambda w: -(w or 0.0))
    assert weights[0] is not None
    assert weights[0] > 1.3


def test_a_few_wild_rows_do_not_move_the_robust_figures() -> None:
    wild = NORMAL.copy()
    wild[:100] = 1e12
    calm, moved = profile(NORMAL), profile(wild)
    assert moved.robust_deviation == pytest.approx(calm.robust_deviation, rel=0.01)
    assert moved.tail_weight == pytest.approx(calm.tail_weight or 0.0, rel=0.05)
    assert moved.outliers >= 100
    assert moved.mean > 1e9


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        ([0, 1, 1, 0], "binary"),
        ([-1, 1, 1], "binary"),
        ([0, 1, 2, 5], "counts"),
        ([1, 2, 3, 900], "counts"),
        ([1000, 2000, 17000], "positive"),
        ([0.5, 1.5, 2.5], "positive"),
        ([0, 0.5, 1.5], "continuous"),
        ([-3, 4, 5], "continuous"),
        ([18, 20, 40], "positive"),
        ([4, 4, 4], "constant"),
    ],
)
def test_kind(y: list[float], expected: str) -> None:
    assert profile(y).kind == expected


def test_robust_deviation_falls_back_where_most_values_are_equal() -> None:
    zeros = np.zeros(100)
    assert robust_deviation(zeros) == 0.0
    few = zeros.copy()
    few[:10] = 5.0
    assert robust_deviation(few) > 0.0
    quarter = zeros.copy()
    quarter[:40] = 5.0
    assert robust_deviation(quarter) == pytest.approx(5.0 / 1.349)


def test_counts_have_a_dispersion() -> None:
    plain, spread = RNG.poisson(4.0, 20_000), RNG.negative_binomial(2, 0.3, 20_000)
    assert profile(plain).dispersion == pytest.approx(1.0, abs=0.05)
    assert "about as for plain Poisson" in " ".join(profile(plain).sentences())
    assert (profile(spread).dispersion or 0.0) > 2.0
    assert "more spread than plain Poisson" in " ".join(profile(spread).sentences())


def test_missing_targets_are_counted_and_nothing_is_refused() -> None:
    found = profile([1.0, np.nan, 3.5, 4.0, np.nan])
    assert (found.rows, found.missing) == (3, 2)
    assert "2 rows had no target" in " ".join(found.sentences())
    with pytest.raises(EmptyError, match="has no values"):
        profile([np.nan, np.nan], "y")


def test_sentences_say_the_figures() -> None:
    said = " ".join(profile([1000.0, 2000, 3000, 4000, 90_000], "wage").sentences())
    for part in ("'wage' has 5 rows of amounts", "from 1,000 to 90,000", "middle one is 3,000", "20.0% of the targets"):
        assert part in said
    assert "reaches to the right" in said
    left = " ".join(profile([-90_000.0, -4000, -3000, -2000, -1000]).sentences())
    assert "reaches to the left" in left
    assert "all below it" in left


def test_sentences_of_two_classes_name_the_labels_and_the_balance() -> None:
    y = np.r_[np.ones(3), np.zeros(97)]
    said = " ".join(profile(y, "fraud", labels=("no", "yes"), reading="'yes' counts as positive.").sentences())
    for part in ("3 are 'yes' (3.0%)", "97 are 'no'", "'yes' counts as positive.", "would be right 97.0% of the time"):
        assert part in said
    assert "well represented" in " ".join(profile([0, 1] * 20).sentences())


def test_a_profile_does_not_depend_on_the_order_of_rows() -> None:
    y = RNG.lognormal(size=101).round(3)
    one, other = profile(y), profile(y[::-1].copy())
    assert one.sentences() == other.sentences()

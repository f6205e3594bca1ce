"""The law grid: nothing that a loss declares is left out, and a new loss is in it without an edit."""

from __future__ import annotations

import numpy as np
import pytest

from lossmith import Domain, Loss
from lossmith.certify.points import SMALL, TINY, extreme, inside, kinks_at, points, targets
from lossmith.engines import choice
from tests.laws.grid import CASES, name_of


def test_every_choice_and_every_edge_is_a_case(kind: type[Loss]) -> None:
    mine = [case for case in CASES if type(case) is kind]
    assert kind() in mine
    for name, option in kind.options().items():
        assert {case.values[name] for case in mine} == set(option.choices)
    for name, parameter in kind.parameters().items():
        assert {parameter.default, *parameter.typical} <= {case.values[name] for case in mine}


def test_names_say_which_case_failed() -> None:
    names = [name_of(case) for case in CASES]
    assert len(set(names)) == len(names)
    assert "huber(delta=0.1)" in names


def test_the_grid_of_a_loss_is_whole(kind: type[Loss]) -> None:
    loss = kind()
    y, f = points(loss)
    assert np.isfinite(y).all()
    assert np.isfinite(f).all()
    for domain, values in zip(loss.domains.values(), (y, f), strict=True):
        assert all(domain.includes(value) for value in values)
        for number in (0.0, 1.0, -1.0, 1e3, -1e3, 1e20, -1e20, TINY, SMALL, 0.5, domain.low, domain.high):
            wanted = domain.includes(number) and not (domain.values and number not in domain.values)
            assert not wanted or number in values
    for target in targets(loss):
        assert set(kinks_at(loss, target)) <= set(f[y == target])


def test_drawn_numbers_lie_inside_their_domain(kind: type[Loss]) -> None:
    rng = np.random.default_rng(0)
    for domain in kind().domains.values():
        drawn = inside(domain, rng, (200, 3), 5.0)
        assert drawn.shape == (200, 3)
        assert all(domain.includes(value) for value in drawn.flat)
        assert domain.includes(extreme(domain, far=1e200))


@pytest.mark.parametrize("text", ["(0, inf)", "(-1, inf)", "[0, inf)", "(-inf, 3)", "[0, 1]", "{0, 1}", "(-inf, inf)"])
def test_every_form_of_domain_is_drawn_from(text: str) -> None:
    domain = Domain.parse(text)
    drawn = inside(domain, np.random.default_rng(0), 500, 5.0)
    assert all(domain.includes(value) for value in drawn)
    assert len(set(drawn)) > 1


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_grid_is_the_same_every_time(case: Loss, dtype: type) -> None:
    for engine in ("numpy", "llvm"):  # the grid is kept, whichever was at work when it was first asked for
        with choice.using(engine):
            anew = points.__wrapped__(case, dtype)
        for once, again in zip(points(case, dtype), anew, strict=True):
            assert once.dtype == dtype
            np.testing.assert_array_equal(once, again)

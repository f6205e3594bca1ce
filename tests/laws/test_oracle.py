"""The oracle itself, against closed forms of mpmath and against numbers known by hand."""

from __future__ import annotations

import mpmath
import pytest
from mpmath import mp, mpf

import lossmith as lm
from lossmith.certify import meaning, oracle
from lossmith.certify.points import targets
from lossmith.program import TABLE


def same(got: mpf, want: mpf) -> bool:
    return bool(abs(got - want) <= abs(want) * mpf("1e-25") + mpf(10) ** oracle.NEGLIGIBLE)


def test_every_instruction_has_a_meaning() -> None:
    assert meaning.CHOOSE.keys() == meaning.FOLLOW.keys()
    assert meaning.MEANING.keys() | meaning.CHOOSE.keys() == TABLE.keys()
    assert not meaning.MEANING.keys() & meaning.CHOOSE.keys()


def test_what_makes_choices_is_what_has_a_kink() -> None:
    assert {name for name, row in TABLE.items() if row.kink} == set(meaning.CHOOSE)


def test_what_is_beyond_all_reach_is_infinite() -> None:
    assert (
        meaning.MEANING["exp"](-(mpf(2) ** 5000)) == 0
    )  # digits of such powers are what takes long, not the tower itself
    tower = "exp(exp(exp(exp(f))))"
    assert oracle.truth(lm.formula(tower), 0.0, 30.0, 0) == mpmath.inf
    assert oracle.truth(lm.formula(f"1/{tower}"), 0.0, 30.0, 0) == 0
    with mp.workdps(60):
        assert same(oracle.truth(lm.formula("log(exp(exp(f)))"), 0.0, 10.0, 0), mp.exp(10))


def test_notes_of_a_formula_say_what_it_says(kind: type[lm.Loss]) -> None:
    for y in targets(loss := kind())[:3]:
        for f in (0.3, 0.9):
            exact = meaning.Exact()
            with mp.workdps(60):
                twin = loss.symbolic({name: mpf(value) for name, value in loss.free_parameters.items()})
                want = twin.written(exact.ops, mpf(y), mpf(f))
                value, chosen = oracle.evaluate(loss, y, f)
                assert same(value, want)
                assert oracle.choices(loss, y, f) == chosen
                assert same(oracle.evaluate(loss, y, f, chosen)[0], want)


@pytest.mark.parametrize("x", ["0.3", "-4", "1e-30", "-1e-300", "60", "1e20"])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_log_cosh_by_its_closed_forms(x: str, order: int) -> None:
    f = float(mpf(x))
    with mp.workdps(700):
        size = abs(mpf(f))
        closed = [size + mp.log1p(mp.exp(-2 * size)) - mp.log(2), mp.tanh(f), mp.sech(f) ** 2]
        assert same(oracle.truth(lm.LogCosh(), 0.0, f, order), closed[order])


@pytest.mark.parametrize("f", [-800.0, -30.0, -1e-310, 0.0, 0.7, 30.0, 300.0])
@pytest.mark.parametrize("y", [0.0, 0.25, 1.0])
def test_binary_cross_entropy_by_its_closed_forms(y: float, f: float) -> None:
    with mp.workdps(900):
        p = 1 / (1 + mp.exp(-mpf(f)))
        closed = [-mpf(y) * mp.log(p) - (1 - mpf(y)) * mp.log(1 - p), p - mpf(y), p * (1 - p)]
        for order, want in enumerate(closed):
            assert same(oracle.truth(lm.BinaryCrossEntropy(), y, f, order), want)


def test_kinks_follow_the_conventions_of_the_table() -> None:
    assert oracle.truth(lm.AbsoluteError(), 2.0, 2.0, 1) == 0  # abs'(0) = 0
    assert oracle.truth(lm.Hinge(), 1.0, 1.0, 1) == 0  # max takes its first argument, the constant
    assert oracle.truth(lm.Huber(delta=1), 0.0, 1.0, 2) == pytest.approx(1)  # where takes the branch that holds
    sides = [oracle.one_sided(lm.AbsoluteError(), 2.0, 2.0, side, 1) for side in (-1, 1)]
    assert same(sides[0], mpf(-1))
    assert same(sides[1], mpf(1))


def test_choices_are_decided_with_exact_differences() -> None:
    huber = lm.Huber(delta=1)
    assert oracle.truth(huber, -5e-324, 1.0, 2) == 0  # the residual exceeds delta, if by very little
    assert oracle.truth(huber, 5e-324, 1.0, 2) == pytest.approx(1)


@pytest.mark.parametrize(
    ("loss", "y", "f", "order", "limit"),
    [
        (lm.BinaryCrossEntropy(prediction="probabilities"), 1.0, 0.0, 0, mpmath.inf),
        (lm.BinaryCrossEntropy(prediction="probabilities"), 1.0, 0.0, 1, -mpmath.inf),
        (lm.BinaryCrossEntropy(prediction="probabilities"), 1.0, 1.0, 1, -1),
        (lm.BinaryCrossEntropy(prediction="probabilities"), 0.0, 1.0, 2, mpmath.inf),
        (lm.Focal(gamma=0.5, prediction="probabilities"), 0.0, 0.0, 1, 0),
        (lm.Focal(gamma=0.5, prediction="probabilities"), 0.0, 0.0, 2, mpmath.inf),
        (lm.Poisson(prediction="rate"), 0.0, 0.0, 1, 1),
    ],
    ids=str,
)
def test_ends_of_a_domain_are_limits_from_inside(loss: lm.Loss, y: float, f: float, order: int, limit: mpf) -> None:
    assert oracle.truth(loss, y, f, order) == pytest.approx(limit)


def test_what_no_precision_decides_is_said() -> None:
    with pytest.raises(oracle.Undecided, match="no agreement"):
        oracle._settle(lambda digits: mpf(digits), 0)

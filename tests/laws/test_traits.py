"""Every trait of every card, in both directions: what is denied needs a counter-example."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import pytest
from mpmath import mp, mpf

from lossmith import Loss
from lossmith.certify import oracle
from lossmith.certify.jumps import jumps
from lossmith.certify.points import kinks_at, targets, within
from tests.laws.grid import variants

_FAR = (1e4, 1e6, 1e12, 1e20, 1e100, 1e300)
_GRID = [
    sign * size for size in (0, 0.01, 0.1, 0.3, 0.7, 1, 1.5, 2.2, 3, 4.4, 6, 9, 14, 30, 100, 1e3) for sign in (1, -1)
]


def forms(kind: type[Loss]) -> list[Loss]:
    """Return the loss with its default options, at every edge of its parameters."""
    plain = kind()
    return [loss for loss in variants(kind) if all(loss.values[name] == plain.values[name] for name in kind.options())]


def ordinary_targets(loss: Loss) -> list[float]:
    """Return targets of ordinary size, where grids of predictions are dense enough to see what there is."""
    return [y for y in dict.fromkeys(targets(loss)) if abs(y) in (0.0, 0.3, 1.0, 2.5, 7.0)]


def grid(loss: Loss, y: float) -> tuple[float, ...]:
    """Return predictions in ascending order, dense around the target and the kinks."""
    kinks = kinks_at(loss, y)
    near = [place + step for place in (y, *kinks) for step in (-2.0, -0.6, -0.05, 0.0, 0.05, 0.6, 2.0)]
    return tuple(sorted(set(within(loss.domains["f"], (*_GRID, *near)))))


def far(loss: Loss) -> list[float]:
    """Return predictions far out, and next to the ends of their domain."""
    domain = loss.domains["f"]
    beside = [end + way / size for end, way in ((domain.low, 1), (domain.high, -1)) for size in _FAR]
    return within(domain, [*(sign * size for size in _FAR for sign in (1, -1)), *beside])


def places(kind: type[Loss]) -> Iterator[tuple[Loss, float]]:
    """Yield every form of a loss with every ordinary target."""
    for loss in forms(kind):
        for y in ordinary_targets(loss):
            yield loss, y


def value(loss: Loss, y: float, f: mpf | float) -> mpf:
    """Return the value, at a prediction that need not be a float."""
    with mp.workdps(120):
        return oracle.evaluate(loss, y, f)[0]


# --- what each trait means: a search for a counter-example ---------------------------------------


def not_convex(loss: Loss, y: float) -> bool:
    """A slope between neighbours on the grid falls."""
    with mp.workdps(120):
        points = [(mpf(f), value(loss, y, f)) for f in grid(loss, y)]
        slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in itertools.pairwise(points)]
        return any(b < a - mpf(10) ** -30 * (1 + abs(a)) for a, b in itertools.pairwise(slopes))


def not_differentiable(loss: Loss, y: float) -> bool:
    """The value or the gradient jumps."""
    return any(what in ("value", "gradient") for what in jumps(loss, y, grid(loss, y)).values())


def not_smooth(loss: Loss, y: float) -> bool:
    """Something jumps, the Hessian perhaps."""
    return bool(jumps(loss, y, grid(loss, y)))


def not_lipschitz(loss: Loss, y: float) -> bool:
    """Far out the gradient is many times what it is near. Between 2 and 1000 times, the grid cannot tell."""
    near = max(abs(oracle.truth(loss, y, f, 1)) for f in grid(loss, y))
    most = max(abs(oracle.truth(loss, y, f, 1)) for f in far(loss))
    assert not 2 * near < most < 1000 * near, f"the gradient of {loss} grows by {most / near}: extend the grid"
    return bool(most > 2 * near)


def not_symmetric(loss: Loss, y: float) -> bool:
    """Some residual costs more on one side, or at another target."""
    some = ordinary_targets(loss)[:2]
    with mp.workdps(120):
        for residual in map(mpf, ("0.25", "0.8", "3", "17")):
            places = [(other, other + side * residual) for other in {y, *some} for side in (1, -1)]
            costs = [value(loss, other, f) for other, f in places if loss.domains["f"].includes(f)]
            if max(costs) - min(costs) > mpf(10) ** -30:
                return True
    return False


def negative(loss: Loss, y: float) -> bool:
    """Some prediction costs less than nothing."""
    return any(value(loss, y, f) < 0 for f in grid(loss, y))


COUNTER: dict[str, Callable[[Loss, float], bool]] = {
    "convex": not_convex,
    "differentiable": not_differentiable,
    "smooth": not_smooth,
    "lipschitz": not_lipschitz,
    "symmetric": not_symmetric,
    "nonnegative": negative,
}


def trait_is_true(kind: type[Loss], trait: str) -> None:
    """A declared trait has no counter-example, and a denied one has."""
    declared = getattr(kind.card.traits, trait)
    counter = next(((loss, y) for loss, y in places(kind) if COUNTER[trait](loss, y)), None)
    if declared:
        assert counter is None, f"{kind.__name__} is not {trait}: {counter[0]} at target {counter[1]}"
    else:
        assert counter is not None, f"{kind.__name__} denies being {trait}, but nothing speaks against it"


def kinks_are_true(kind: type[Loss]) -> None:
    """What jumps is on the card, and what is on the card jumps, in the derivative that it names."""
    for loss, y in places(kind):
        found = jumps(loss, y, grid(loss, y))
        declared = {place: kink.jumps for kink in loss.card.kinks for place in kink.at(loss, y)}
        for place, what in declared.items():
            jumping = [name for at, name in found.items() if abs(at - place) < 1e-12]
            assert jumping == [what], (
                f"{loss} at target {y}: the card says that the {what} jumps at {place}, and {jumping} do"
            )
        for at, name in found.items():
            assert any(abs(at - place) < 1e-12 for place in declared), (
                f"{loss} at target {y}: the {name} jumps at {mp.nstr(at, 12)}, which the card does not say"
            )


def slopes_keep_to_their_bounds(kind: type[Loss]) -> None:
    """No gradient is outside of what is proved of all, and a bound that is proved is claimed."""
    for loss, y in places(kind):
        low, high = loss._slopes
        for f in (*grid(loss, y)[::3], *far(loss)[::4]) if math.isfinite(low) or math.isfinite(high) else ():
            slope = float(oracle.truth(loss, y, f, 1))
            assert low <= slope <= high, f"the gradient of {loss} is {slope} at {y}, {f}, and proved {low} to {high}"
    if all(all(map(math.isfinite, loss._slopes)) for loss in forms(kind)):
        assert kind.card.traits.lipschitz, f"{kind.__name__} denies a bounded gradient, which is proved"


def stronger_traits_imply_weaker(kind: type[Loss]) -> None:
    """What has no jump in the Hessian has none in the gradient."""
    traits = kind.card.traits
    assert traits.differentiable or not traits.smooth


@pytest.mark.parametrize("trait", COUNTER)
def test_traits_are_true(kind: type[Loss], trait: str) -> None:
    trait_is_true(kind, trait)


def test_kinks_are_true(kind: type[Loss]) -> None:
    kinks_are_true(kind)


def test_slopes_keep_to_their_bounds(kind: type[Loss]) -> None:
    slopes_keep_to_their_bounds(kind)


def test_stronger_traits_imply_weaker(kind: type[Loss]) -> None:
    stronger_traits_imply_weaker(kind)


def test_every_trait_has_a_meaning(kind: type[Loss]) -> None:
    assert set(vars(kind.card.traits)) == set(COUNTER)

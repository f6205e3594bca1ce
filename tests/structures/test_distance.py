"""The triplet loss: distances and their derivatives, also where vectors coincide or vanish."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import lossmith as lm
from lossmith.engines.hosts import REFERENCE
from lossmith.structures.distance import DISTANCES, norm

NAMES = ("anchor", "positive", "negative")
rng = np.random.default_rng(3)
STEP = 1e-5


def triplets(*shape: int) -> dict[str, np.ndarray]:
    return dict(zip(NAMES, rng.normal(size=(3, *shape)), strict=True))


@pytest.mark.parametrize("distance", DISTANCES)
def test_values_are_the_definition(distance: str) -> None:
    x = triplets(6, 4)

    def far(u: np.ndarray, v: np.ndarray) -> float:
        if distance == "cosine":
            return 1 - u @ v / np.sqrt(u @ u) / np.sqrt(v @ v)
        return (u - v) @ (u - v) if distance == "squared" else np.sqrt((u - v) @ (u - v))

    rows = zip(*x.values(), strict=True)
    expected = [max(0.0, far(a, p) - far(a, n) + 1.5) for a, p, n in rows]
    np.testing.assert_allclose(lm.Triplet(1.5, distance=distance).losses(**x), expected, rtol=1e-12)


@pytest.mark.parametrize("distance", DISTANCES)
def test_derivatives_are_finite_differences(distance: str) -> None:
    loss, x = lm.Triplet(3.0, distance=distance), triplets(5, 4)
    found = loss.evaluate(**x, outputs=("losses", "gradient", "hessian", "full_hessian"))
    assert np.count_nonzero(found["losses"]) >= 2
    alone = loss.hessian(**x)
    for name in NAMES:
        np.testing.assert_allclose(
            np.diagonal(found["full_hessian"][name, name], axis1=1, axis2=2),
            found["hessian"][name],
            rtol=1e-9,
            atol=1e-14,
        )
        np.testing.assert_allclose(alone[name], found["hessian"][name], rtol=1e-9, atol=1e-14)
        for place in range(4):
            move = np.zeros((5, 4))
            move[:, place] = STEP
            up, down = ({**x, name: x[name] + side * move} for side in (1, -1))
            slope = (loss.losses(**up) - loss.losses(**down)) / (2 * STEP)
            np.testing.assert_allclose(found["gradient"][name][:, place], slope, atol=1e-8)
            above, below = loss.gradient(**up), loss.gradient(**down)
            for (first, second), block in found["full_hessian"].items():
                if second == name:
                    bend = (above[first] - below[first]) / (2 * STEP)
                    np.testing.assert_allclose(block[:, :, place], bend, atol=1e-8)


@pytest.mark.parametrize("distance", DISTANCES)
def test_coincident_points_have_no_direction(distance: str) -> None:
    same = rng.normal(size=(3, 4))
    loss = lm.Triplet(distance=distance)
    found = loss.evaluate(
        anchor=same, positive=same, negative=same, outputs=("losses", "gradient", "hessian", "full_hessian")
    )
    np.testing.assert_allclose(found["losses"], 1.0, rtol=1e-15)
    for gradient in found["gradient"].values():
        np.testing.assert_allclose(gradient, 0, atol=1e-15)
    assert all(np.isfinite(block).all() for block in found["full_hessian"].values())
    # With a negative elsewhere that one alone pulls.
    other = same + np.array([0.1, 0.2, -0.1, 0.3])
    apart = loss.gradient(anchor=same, positive=same, negative=other)
    np.testing.assert_allclose(apart["positive"], 0, atol=1e-15)
    assert np.all(np.any(apart["negative"], axis=1))
    if distance != "cosine":
        np.testing.assert_allclose(apart["anchor"], -apart["negative"], rtol=1e-14)


def test_an_epsilon_in_the_norm_would_be_noticed() -> None:
    same = np.ones((1, 4))
    invented = (same - same + 1e-6) / np.sqrt(np.sum((same - same + 1e-6) ** 2))
    assert np.any(invented != lm.Triplet().gradient(anchor=same, positive=same, negative=same)["anchor"])


def test_zero_vectors_under_the_cosine() -> None:
    zero, x = np.zeros((1, 3)), np.array([[1.0, 2.0, 2.0]])
    loss = lm.Triplet(0.5, distance="cosine")
    found = loss.evaluate(anchor=zero, positive=x, negative=-x, outputs=("losses", "gradient", "full_hessian"))
    np.testing.assert_array_equal(found["losses"], 0.5)
    assert not any(gradient.any() for gradient in found["gradient"].values())
    assert not any(block.any() for block in found["full_hessian"].values())


def test_digits_where_vectors_nearly_coincide_or_are_huge_or_tiny() -> None:
    u = np.array([[1.0, 0.0]])
    near = lm.Triplet(1e-30, distance="cosine").losses(anchor=u, positive=np.array([[1.0, 1e-9]]), negative=u)
    np.testing.assert_allclose(near, 0.5e-18 + 1e-30, rtol=1e-12)
    for scale in (1e200, 1e-200, 5e-324):
        np.testing.assert_allclose(norm(REFERENCE.xp, np.array([[3.0, 4.0]]) * scale), 5 * scale, rtol=1e-15)
        found = lm.Triplet(distance="cosine").losses(
            anchor=np.array([[1.0, 0.0]]) * scale, positive=np.array([[0.0, 1.0]]) * scale, negative=u
        )
        np.testing.assert_allclose(found, 2.0)
    assert norm(REFERENCE.xp, np.zeros((1, 2))) == 0


# Not below 1e-3, since the gradient of a cosine is one over the length of its vector.
COORDINATES = st.just(0.0) | st.floats(1e-3, 1e3) | st.floats(-1e3, -1e-3)


@settings(max_examples=50, deadline=None)
@given(arrays(float, (3, 2, 3), elements=COORDINATES), st.sampled_from(list(DISTANCES)))
def test_losses_and_derivatives_are_finite_whatever_the_points(x, distance: str) -> None:
    found = lm.Triplet(distance=distance).evaluate(
        anchor=x[0], positive=x[1], negative=x[2], outputs=("losses", "gradient", "hessian")
    )
    assert np.all(found["losses"] >= 0)
    assert np.isfinite([*found["gradient"].values(), *found["hessian"].values()]).all()


def test_weights_masks_states_and_types() -> None:
    x = triplets(6, 2, 3)
    loss = lm.Triplet(2.0)
    losses = loss.losses(**x)
    assert losses.shape == (6, 2)
    weight, mask = rng.uniform(size=(6, 2)), rng.uniform(size=(6, 2)) < 0.6
    broken = {**x, "positive": np.where(mask[..., None], x["positive"], np.nan)}
    counted = weight * mask
    expected = np.sum(counted * losses) / counted.sum()
    assert loss.cost(**broken, weight=weight, mask=mask) == pytest.approx(expected, rel=1e-14)
    halves = [loss.state(**{name: part[i : i + 3] for name, part in x.items()}) for i in (0, 3)]
    assert halves[0].merge(halves[1]).mean == pytest.approx(loss.cost(**x), rel=1e-15)
    small = {name: part.astype(np.float32) for name, part in x.items()}
    assert loss.gradient(**small)["anchor"].dtype == np.float32
    assert pickle.loads(pickle.dumps(loss)) == lm.from_config(loss.to_config()) == lm.parse(str(loss)) == loss


ROW = [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: lm.Triplet(-1), lm.ParameterError, "margin must lie in"),
        (lambda: lm.Triplet(0), lm.ParameterError, "margin must lie in"),
        (lambda: lm.Triplet(distance="manhattan"), lm.ParameterError, "distance must be 'euclidean'"),
        (lambda: lm.Triplet()(ROW, ROW), lm.ParameterError, "takes anchor=, positive=, negative="),
        (lambda: lm.Triplet()(anchor=ROW, positive=ROW), lm.ParameterError, "negative is missing"),
        (lambda: lm.Triplet()(anchor=ROW, positive=ROW, negative=[[1.0]]), lm.ShapeError, "negative"),
        (lambda: lm.Triplet()(anchor=1.0, positive=1.0, negative=1.0), lm.ShapeError, "no axis -1 for the coordinates"),
        (
            lambda: lm.Triplet()(anchor=ROW, positive=ROW, negative=[[1.0, np.nan]]),
            lm.DomainError,
            r"negative\[0, 1\] is nan",
        ),
    ],
)
def test_bad_input(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()

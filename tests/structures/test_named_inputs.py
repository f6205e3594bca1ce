"""Losses of named inputs: how a call binds, spreads, differentiates and refuses."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.engines import numpy as engine
from lossmith.program import Program, derive, trace
from lossmith.program.trace import Graph
from tests.laws.samples import each_part

pytestmark = pytest.mark.engines

Array = np.ndarray
NAMED = [name for name in lm.names() if issubclass(lm.loss_class(name), lm.Pointwise) and not lm.get(name).paired]


def forms() -> list[lm.Loss]:
    """Return every loss of named inputs with all its options, and each parameter at its edges."""
    found = []
    for name in NAMED:
        cls = lm.loss_class(name)
        options = cls.options()
        for chosen in itertools.product(*(item.choices for item in options.values())):
            form = dict(zip(options, chosen, strict=True))
            found.append(cls(**form))
            for p in cls.parameters().values():
                ends = ((p.domain.low, p.domain.low_included), (p.domain.high, p.domain.high_included))
                found += [cls(**form, **{p.name: end}) for end in p.typical]
                found += [cls(**form, **{p.name: end}) for end, included in ends if included]
    return list(dict.fromkeys(found))


FORMS = forms()


def sample(loss: lm.Loss, rows: int = 40, seed: int = 0) -> dict[str, Array]:
    """Return inputs of ordinary size inside the domains, away from kinks."""
    rng = np.random.default_rng(seed)
    found = {}
    for item in loss.inputs:
        domain = loss.domains[item.symbol]
        plain = rng.normal(size=rows)
        found[item.name] = plain if domain.low == -np.inf == -domain.high else np.exp(plain)
        if domain.high == 0:
            found[item.name] = -3 * np.exp(plain)
    return found


# --- binding ----------------------------------------------------------------------------------


def test_inputs_come_by_name_and_the_first_two_by_place() -> None:
    y, f, v = [1.0, 2.0], [1.5, 0.0], [1.0, 4.0]
    loss = lm.GaussianNLL()
    expected = 0.5 * (np.log(v) + (np.array(f) - y) ** 2 / v)
    np.testing.assert_allclose(loss.losses(y, f, variance=v), expected)
    np.testing.assert_allclose(loss.losses(variance=v, y_pred=f, y_true=y), expected)
    assert loss(y, f, variance=v) == pytest.approx(expected.mean())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lm.GaussianNLL()([1.0], [1.0]), r"takes y_true=, y_pred=, variance=; variance is missing"),
        (lambda: lm.GaussianNLL()(variance=[1.0]), r"y_true, y_pred are missing"),
        (lambda: lm.GaussianNLL()([1.0], [1.0], varience=[1.0]), r"no input 'varience'. Did you mean 'variance'\?"),
        (lambda: lm.GaussianNLL(scale="scale")([1.0], [1.0], variance=[1.0]), r"takes .*scale=; .*'variance'"),
        (lambda: lm.GaussianNLL("log_variance")([1.0], [1.0], scale=[1.0]), r"takes .*log_variance=; .*'scale'"),
        (lambda: lm.GANDiscriminator()([1.0], [2.0]), r"takes real=, fake=; it has no input .*name the inputs"),
        (lambda: lm.DPO()(chosen=[-1.0], rejected=[-1.0]), r"reference_chosen, reference_rejected are missing"),
        (lambda: lm.SimPO()(chosen=[-1.0], rejected=[-1.0], reference_chosen=[-1.0]), r"no input 'reference_chosen'"),
        (lambda: lm.Huber()([1.0], [1.0], variance=[1.0]), r"Huber takes y_true=, y_pred=; it has no input 'variance'"),
    ],
)
def test_a_wrong_binding_says_what_the_loss_takes(call: Any, message: str) -> None:
    with pytest.raises(lm.ParameterError, match=message):
        call()


def test_an_option_names_the_third_input() -> None:
    y, f, v = np.array([1.0, 2.0]), np.array([1.5, 0.0]), np.array([0.3, 4.0])
    by_variance = lm.GaussianNLL()(y, f, variance=v)
    assert lm.GaussianNLL(scale="scale")(y, f, scale=np.sqrt(v)) == pytest.approx(by_variance, rel=1e-14)
    assert lm.GaussianNLL(scale="log_variance")(y, f, log_variance=np.log(v)) == pytest.approx(by_variance, rel=1e-14)
    assert [i.name for i in lm.SLiC(reference=True).inputs] == [i.name for i in lm.DPO().inputs]


# --- shapes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (1, 1), (1, 3), (4, 1), (4, 3)])
def test_a_variance_spreads_and_its_gradient_comes_back_in_its_own_shape(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    y, f, v = rng.normal(size=(4, 3)), rng.normal(size=(4, 3)), np.exp(rng.normal(size=shape))
    weight = rng.uniform(size=(4, 1))
    loss = lm.GaussianNLL()
    cost, gradient = loss.cost_and_gradient(y, f, weight=weight, variance=v)
    full_cost, full = loss.cost_and_gradient(y, f, weight=weight, variance=np.broadcast_to(v, (4, 3)))
    assert cost == full_cost
    assert gradient["variance"].shape == shape
    assert gradient["y_pred"].shape == (4, 3)
    axes = tuple(a for a in range(2) if not shape or shape[a] == 1)
    np.testing.assert_allclose(gradient["variance"], full["variance"].sum(axis=axes).reshape(shape), rtol=1e-13)
    step = 1e-6 * v
    numeric = (loss(y, f, weight=weight, variance=v + step) - loss(y, f, weight=weight, variance=v - step)) / 2
    assert float(np.sum(gradient["variance"] * step)) == pytest.approx(numeric, rel=1e-6)
    assert loss.gradient(y, f, variance=v)["variance"].shape == (4, 3)  # of each example


@pytest.mark.parametrize("shape", [(3,), (4,), (2, 1), (4, 3, 1), (2,)])
def test_a_variance_of_other_axes_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(lm.ShapeError, match=r"variance has shape .*only axes of size 1 broadcast"):
        lm.GaussianNLL()(np.zeros((4, 3)), np.zeros((4, 3)), variance=np.ones(shape))


def test_only_what_is_declared_spreads() -> None:
    with pytest.raises(lm.ShapeError, match="y_true has shape"):
        lm.GaussianNLL()(np.zeros((4, 3)), np.zeros((4, 1)), variance=1.0)
    with pytest.raises(lm.ShapeError, match="real has shape"):
        lm.GANDiscriminator()(real=np.zeros(4), fake=np.zeros((4, 1)))
    with pytest.raises(lm.ShapeError, match="chosen has shape"):
        lm.DPO()(chosen=[-1.0, -2.0], rejected=[-1.0, -2.0], reference_chosen=-1.0, reference_rejected=-1.0)


def test_a_plain_number_does_not_widen_float32() -> None:
    y = np.zeros(3, dtype=np.float32)
    assert lm.GaussianNLL().losses(y, y, variance=0.5).dtype == np.float32
    assert lm.GaussianNLL().losses(y, y, variance=np.float64(0.5) * np.ones(3)).dtype == np.float64
    # What parameters alone decide is computed in float64 whatever the inputs are.
    misses = lm.IntervalScore(level=0.99).gradient(y_true=y, lower=y + 1, upper=y + 2)
    assert misses["lower"].dtype == np.float32
    np.testing.assert_array_equal(misses["lower"], np.float32(1.99 / (1 - 0.99)))


# --- results ------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", FORMS, ids=str)
def test_results_are_dicts_by_the_predicted_inputs(loss: lm.Loss) -> None:
    data = sample(loss)
    names = [item.name for item in loss.predicted]
    gradient, hessian = loss.gradient(**data), loss.hessian(**data)
    if len(names) == 1:
        assert gradient.shape == hessian.shape == (40,)
        with pytest.raises(lm.ParameterError, match="do not couple"):
            loss.hessian(kind="full", **data)
        return
    assert list(gradient) == list(hessian) == names
    full = loss.hessian(kind="full", **data)
    assert list(full) == list(itertools.combinations_with_replacement(names, 2))
    for name in names:
        np.testing.assert_array_equal(full[name, name], hessian[name])


def held(loss: lm.Loss, data: dict[str, Array]) -> Any:
    """Return a function of the inputs whose derivatives the loss states: itself, but for a weight that is held."""
    if loss.name != "beta_nll":
        return loss
    weight = data["variance"] ** loss.beta

    class Held:
        def losses(self, **inputs: Array) -> Array:
            return weight * lm.GaussianNLL().losses(**inputs)

        def gradient(self, **inputs: Array) -> dict[str, Array]:
            return {name: weight * found for name, found in lm.GaussianNLL().gradient(**inputs).items()}

    return Held()


def derivatives_hold(loss: lm.Loss, function: Any, data: dict[str, Array]) -> None:
    """Gradients are slopes of the losses, and the full Hessian has the slopes of the gradients, either way round."""
    names = [item.name for item in loss.predicted]
    together = (lambda found: found) if len(names) > 1 else (lambda found: {names[0]: found})
    gradient = together(loss.gradient(**data))
    pairs = {(names[0], names[0]): loss.hessian(**data)} if len(names) == 1 else loss.hessian(kind="full", **data)
    for name in names:
        step = 1e-5 * np.maximum(np.abs(data[name]), 0.1)
        up, down = ({**data, name: data[name] + sign * step} for sign in (1, -1))
        slope = (function.losses(**up) - function.losses(**down)) / (2 * step)
        np.testing.assert_allclose(gradient[name], slope, rtol=1e-5, atol=1e-6)
        above, below = together(function.gradient(**up)), together(function.gradient(**down))
        for other in names:
            entry = pairs[(name, other) if (name, other) in pairs else (other, name)]
            np.testing.assert_allclose(entry, (above[other] - below[other]) / (2 * step), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("loss", FORMS, ids=str)
def test_gradients_and_the_full_hessian_are_the_derivatives(loss: lm.Loss) -> None:
    data = sample(loss)
    derivatives_hold(loss, held(loss, data), data)


def test_the_derivative_law_can_fail() -> None:
    loss = lm.BetaNLL()
    with pytest.raises(AssertionError):  # its value, weight and all, has other derivatives
        derivatives_hold(loss, loss, sample(loss))


# --- weights, masks, states, refusals -------------------------------------------------------------


@pytest.mark.parametrize("name", NAMED)
def test_weights_masks_and_merging(name: str) -> None:
    loss = lm.get(name)
    data = sample(loss, rows=30)
    weight = np.random.default_rng(2).uniform(size=30)
    mask = np.arange(30) % 3 > 0
    single = loss.losses(**data)
    assert loss.cost(**data, weight=weight) == pytest.approx(np.average(single, weights=weight), rel=1e-13)
    assert loss.cost(**data, weight=weight, reduction="count_mean") == pytest.approx((single * weight).mean())
    spoiled = {key: np.where(mask, values, np.nan) for key, values in data.items()}
    expected = np.average(single[mask], weights=weight[mask])
    cost, gradient = loss.cost_and_gradient(**spoiled, weight=weight, mask=mask)
    assert cost == pytest.approx(expected, rel=1e-13)
    for slopes in gradient.values() if isinstance(gradient, dict) else [gradient]:
        assert np.all(slopes[~mask] == 0)
        assert np.all(np.isfinite(slopes))
    parts = [
        loss.state(**{key: values[rows] for key, values in spoiled.items()}, weight=weight[rows], mask=mask[rows])
        for rows in (slice(0, 7), slice(7, 30))
    ]
    assert parts[0].merge(parts[1]).mean == pytest.approx(expected, rel=1e-13)
    assert parts[1].merge(parts[0]).count == int(mask.sum())


def test_states_of_different_losses_do_not_merge() -> None:
    state = lm.GANGenerator().state(fake=[1.0])
    with pytest.raises(lm.MergeError):
        state.merge(lm.GANGenerator(kind="hinge").state(fake=[1.0]))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda y: lm.GaussianNLL()(y, y, variance=[1, 2, 0]), r"variance must be in \(0, inf\).*variance\[2\] is 0"),
        (lambda y: lm.GaussianNLL()(y, y, variance=-1.0), r"but variance is -1; a variance is positive"),
        (lambda y: lm.LaplaceNLL()(y, y, scale=[-2.0]), r"but scale\[0\] is -2; a scale is positive"),
        (lambda y: lm.CRPSGaussian()(y, y, scale=0), r"but scale is 0"),
        (lambda y: lm.StudentTNLL()(y, y, scale=[1, np.nan, 1]), r"scale\[1\] is nan; a missing value"),
        (lambda y: lm.GaussianNLL("log_variance")(y, y, log_variance=np.inf), r"log_variance must be finite"),
        (lambda y: lm.IntervalScore()(y_true=y, lower=y, upper=[1, 2, np.inf]), r"must be finite.*upper\[2\] is inf"),
        (lambda y: lm.SimPO()(chosen=-y, rejected=y), r"rejected must be in \(-inf, 0\].*\[0\] is 1; .*other sign"),
    ],
)  # fmt: skip
def test_domain_errors_name_argument_and_row(call: Any, message: str) -> None:
    with pytest.raises(lm.DomainError, match=message):
        call(np.ones(3))


@pytest.mark.parametrize("name", [name for name in lm.names() if not lm.get(name).paired])
def test_a_loss_of_named_inputs_says_why_there_is_no_constant(name: str) -> None:
    loss = lm.get(name)
    target = "y_true" in [item.name for item in loss.inputs]
    reason = "are predicted together, not one number for each target" if target else "none of which is a target"
    for ask in (loss.optimal_constant, loss.context, (2 * loss).optimal_constant, (2 * loss).context):
        with pytest.raises(lm.NoConstantError, match=f"has no best constant: it is a loss of .*{reason}"):
            ask([1.0, 2.0])


@pytest.mark.parametrize("name", NAMED)
def test_what_needs_one_prediction_and_a_target_is_refused(name: str) -> None:
    loss = lm.get(name)
    for question in (loss.optimal_constant, loss.context):
        with pytest.raises(lm.NoConstantError, match=f"a loss of {loss.inputs[0].name}"):
            question([1.0, 2.0])
    if len(loss.predicted) > 1:
        with pytest.raises(lm.ParameterError, match="several predicted inputs"):
            loss.cost_and_gradient(**sample(loss), out=np.zeros(40))


@pytest.mark.parametrize("loss", FORMS, ids=str)
def test_losses_go_through_text_data_and_pickle(loss: lm.Loss) -> None:
    assert lm.parse(str(loss)) == loss == lm.from_config(loss.to_config()) == pickle.loads(pickle.dumps(loss))
    assert Program.from_json(loss.program(2).to_json()) == loss.program(2)
    assert hash(loss) == hash(loss.replace())


# --- no number is lost ------------------------------------------------------------------------------

_EXTREMES = (0.0, 5e-324, 5e-311, 1e-310, 1e-160, 0.3, 1.0, 40.0, 800.0, 1e20)


def extremes(loss: lm.Loss, dtype: Any) -> list[Array]:
    """Return extreme inputs inside the domains, in the order of the symbols."""
    scales = [
        [float(dtype(x)) for x in {*_EXTREMES, *(-x for x in _EXTREMES)} if loss.domains[s].includes(float(dtype(x)))]
        for s in loss.symbols
    ]
    grid = np.array(list(itertools.product(*scales)), dtype=dtype).T
    if grid.shape[1] > 20_000:
        grid = np.ascontiguousarray(grid[:, np.random.default_rng(0).permutation(grid.shape[1])[:20_000]])
    return list(grid)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("loss", FORMS, ids=str)
def test_value_and_derivatives_are_numbers_everywhere(loss: lm.Loss, dtype: Any) -> None:
    data = dict(zip((item.name for item in loss.inputs), extremes(loss, dtype), strict=True))
    outputs = ("losses", "gradient", "hessian", *(["full_hessian"] if len(loss.predicted) > 1 else []))
    for output, found in loss.evaluate(**data, outputs=outputs).items():
        for key, part in each_part(found):
            assert not np.isnan(part).any(), (output, key)


def test_without_common_denominators_a_tiny_scale_gives_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Graph, "_together", lambda *arguments: None)
    loss = lm.LaplaceNLL()
    value = trace(lambda ops, s: {"value": loss.formula(ops, s["y"], s["f"], s["s"])}, loss.symbols)
    found = engine.run(derive(value, loss.wrt, 2), extremes(loss, np.float64), loss.free_parameters)
    assert [name for name, part in found.items() if np.isnan(part).any()] == ["gradient:s", "hessian:s,s"]

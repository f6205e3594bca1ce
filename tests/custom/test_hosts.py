"""Losses from texts in PyTorch, JAX and Keras: once, since what a loss is made from is no matter of theirs."""

from __future__ import annotations

from pathlib import Path

import jax
import keras
import numpy as np
import pytest
import torch

import lossmith as lm
import lossmith.jax as lj
import lossmith.keras as lk
import lossmith.torch as lt
from lossmith.certify.hosts import HOSTS

OWN = lm.formula("where(f < y, k*log(1 + exp(y - f)), (y - f)**2)", parameters={"k": (4.0, "(0, inf)")}, name="late")
Y, F = np.array([0.0, 1.0, 2.0]), np.array([0.5, -1.0, -3.0])


def test_pytorch_and_jax_say_what_the_core_says() -> None:
    f = torch.tensor(F, requires_grad=True)
    cost = lt.module(OWN)(f, torch.tensor(Y))
    cost.backward()
    assert cost.item() == pytest.approx(OWN.cost(Y, F), rel=1e-14)
    np.testing.assert_allclose(f.grad.numpy(), OWN.gradient(Y, F) / 3, rtol=1e-14)
    with jax.enable_x64(True):
        value, slope = jax.value_and_grad(lambda x: lj.cost(OWN, x, Y))(F)
        np.testing.assert_allclose(value, OWN.cost(Y, F), rtol=1e-13)
        np.testing.assert_allclose(slope, OWN.gradient(Y, F) / 3, rtol=1e-13)


SOON = [name for name, host in HOSTS.items() if host.pace != "never"]


@pytest.mark.parametrize("host", SOON)
def test_what_a_choice_holds_at_a_root_has_no_slope_on_any_host(host: str) -> None:
    loss = lm.formula("abs(f - y)**1.5 + sqrt(max(0, f - y))")
    given = {"y_true": np.zeros(3), "y_pred": np.array([-4.0, 0.0, 4.0])}
    found = HOSTS[host].ask(loss, given, "float64")
    np.testing.assert_allclose(found["gradient:f"], [-3.0, 0.0, 3.25], rtol=1e-12)
    np.testing.assert_allclose(found["hessian:f"], [0.375, np.inf, 0.34375], rtol=1e-12)


@pytest.mark.parametrize("host", SOON)
@pytest.mark.parametrize("text", ["abs(f - y)**p", "max(f - y, 0)**p + (abs(y - f)/k)**p", "exp(abs(f - y)**p)"])
def test_powers_by_parameters_have_their_derivatives_at_perfect_predictions(host: str, text: str) -> None:
    off = np.array([-2.0, -1e-3, -1e-5, 0.0, 1e-5, 1e-3, 2.0])
    given = {"y_true": np.zeros(len(off)), "y_pred": off}
    for p in (1.5, 2.0, 2.5, 3.0, 4.0):
        scale = {"k": (1.0, "(0, inf)")} if "k" in text else {}
        loss = lm.formula(text, parameters={"p": (p, "(1, inf)"), **scale})
        with np.errstate(divide="ignore"):
            slope = p * np.sign(off) * np.abs(off) ** (p - 1)
            curve = p * (p - 1) * np.abs(off) ** (p - 2)
        if "max" in text:  # of a tie it is the first that counts
            above = off >= 0
            slope, curve = slope + above * slope, curve + np.where(above, curve, 0)
        if "exp" in text:
            rise = np.exp(np.abs(off) ** p)
            slope, curve = rise * slope, rise * (curve + slope**2)
        found = HOSTS[host].ask(loss, given, "float64")
        np.testing.assert_allclose(found["gradient:f"], slope, rtol=1e-11)
        np.testing.assert_allclose(found["hessian:f"], curve, rtol=1e-11)


@pytest.mark.parametrize("host", SOON)
def test_second_derivatives_of_hypot_keep_their_digits_on_every_host(host: str) -> None:
    loss, far = lm.formula("hypot(1, f - y)"), np.array([0.0, 5e3, 1e6])
    for kind, rtol in (("float64", 1e-14), ("float32", 1e-6)):
        found = HOSTS[host].ask(loss, {"y_true": np.zeros(3), "y_pred": far}, kind)
        np.testing.assert_allclose(found["gradient:f"], far / np.sqrt(1 + far**2), rtol=rtol)
        np.testing.assert_allclose(found["hessian:f"], (1 + far**2) ** -1.5, rtol=rtol)


def test_a_model_of_keras_is_loaded_with_its_formula(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", loss=lk.loss(OWN.replace(k=2.0)))
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").loss.loss == OWN.replace(k=2.0)

"""Mistakes in calls: the same class of error for every loss and every method, naming argument, row and mend."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.certify.points import Array
from tests.laws.grid import CASES
from tests.laws.test_contract import batch
from tests.together import by_name

pytestmark = pytest.mark.engines

METHODS: dict[str, Callable[..., Any]] = {
    "losses": lambda loss, y, f: loss.losses(y, f),
    "gradient": lambda loss, y, f: loss.gradient(y, f),
    "hessian": lambda loss, y, f: loss.hessian(y, f),
    "evaluate": lambda loss, y, f: loss.evaluate(y, f),
    "call": lambda loss, y, f: loss(y, f),
    "cost": lambda loss, y, f: loss.cost(y, f),
    "none": lambda loss, y, f: loss.cost(y, f, reduction="none"),
    "state": lambda loss, y, f: loss.state(y, f),
    "cost_and_gradient": lambda loss, y, f: loss.cost_and_gradient(y, f),
}


class Tensor:
    """Looks like another library's array."""

    __module__ = "torch"


@dataclass(frozen=True)
class Mistake:
    """Arguments that are wrong, the error they have to give, and what its text has to say."""

    change: Callable[[Array, Array], tuple[Any, Any]]
    error: type[Exception]
    says: tuple[str, ...]


def put(array: Array, place: Any, value: float) -> Array:
    changed = array.copy()
    changed[place] = value
    return changed


MISTAKES = {
    "a column against a row": Mistake(
        lambda y, f: (y, f[:, None]),
        lm.ShapeError,
        (
            "y_true has shape (6,) and y_pred (6, 1)",
            "would give (6, 6)",
            "Use y_pred.squeeze(-1), or y_true[..., None]",
        ),
    ),
    "a row against a column": Mistake(lambda y, f: (y[:, None], f), lm.ShapeError, ("Use y_true.squeeze(-1)",)),
    "different lengths": Mistake(lambda y, f: (y[:5], f), lm.ShapeError, ("(5,) and y_pred (6,)", "must be equal")),
    "one number for many": Mistake(lambda y, f: (y, f[0]), lm.ShapeError, ("must be equal",)),
    "rows of different lengths": Mistake(
        lambda y, f: ([[1.0], [1.0, 2.0]], f), lm.ShapeError, ("y_true", "rectangular")
    ),
    "text": Mistake(
        lambda y, f: (["yes"] * 6, f), lm.KindError, ("y_true must hold real numbers", "'yes'", "labels == 'yes'")
    ),
    "text in objects": Mistake(
        lambda y, f: (np.array(["yes"] * 6, object), f), lm.KindError, ("y_true", "'yes'", "labels == 'yes'")
    ),
    "objects": Mistake(lambda y, f: (y, np.array([None] * 6)), lm.KindError, ("y_pred", "dtype=float", "masked")),
    "complex numbers": Mistake(lambda y, f: (y, f + 1j), lm.KindError, ("y_pred", "complex128", "modulus")),
    "dates": Mistake(lambda y, f: (np.array(["2024-01-01"] * 6, "M8[D]"), f), lm.KindError, ("y_true", "datetime64")),
    "another library's array": Mistake(lambda y, f: (y, Tensor()), lm.KindError, ("y_pred is a torch Tensor",)),
    "a masked array": Mistake(
        lambda y, f: (np.ma.array(y, mask=False), f), lm.KindError, ("y_true is a masked array", "mask=~y_true.mask")
    ),
    "a missing target": Mistake(
        lambda y, f: (put(y, 4, np.nan), f), lm.DomainError, ("y_true[4] is nan", "a missing value", "mask=")
    ),
    "a missing prediction": Mistake(lambda y, f: (y, put(f, 3, np.nan)), lm.DomainError, ("y_pred[3] is nan", "mask=")),
    "an infinite target": Mistake(
        lambda y, f: (put(y, 2, np.inf), f), lm.DomainError, ("y_true must be", "y_true[2] is inf")
    ),
    "an infinite prediction": Mistake(lambda y, f: (y, put(f, 5, -np.inf)), lm.DomainError, ("y_pred[5] is -inf",)),
    "a table with a gap": Mistake(
        lambda y, f: (y.reshape(2, 3), put(f, 5, np.nan).reshape(2, 3)), lm.DomainError, ("y_pred[1, 2] is nan",)
    ),
    "the first of two": Mistake(
        lambda y, f: (put(y, 4, np.nan), put(f, 1, np.nan)), lm.DomainError, ("y_pred[1] is nan",)
    ),
    "a single number": Mistake(lambda y, f: (y[0], np.nan), lm.DomainError, ("y_pred[()] is nan",)),
}


def mistakes_are_refused(loss: Loss) -> None:
    """Every method refuses every mistake with the same class of error, which says where and what to do."""
    y, f = batch(loss, 6)
    for mistake in MISTAKES.values():
        wrong = mistake.change(y, f)
        for method in METHODS.values():
            with pytest.raises(mistake.error) as caught:
                method(loss, *wrong)
            text = str(caught.value)
            assert isinstance(caught.value, lm.LossmithError)
            assert text.startswith(f"{type(loss).__name__}: ")
            for part in mistake.says:
                assert part in text


def values_outside_domains_are_named(loss: Loss) -> None:
    """A value just outside a domain is refused with its row, the domain, and the hint of the domain."""
    y, f = batch(loss, 6)
    for symbol, label in (("y", "y_true"), ("f", "y_pred")):
        domain = loss.domains[symbol]
        ends = [np.nextafter(domain.low, -np.inf), np.nextafter(domain.high, np.inf)]
        for outside in [end for end in (*ends, 0.5, -3.0) if np.isfinite(end) and not domain.includes(end)]:
            wrong = [put(array, 2, outside) if name == symbol else array for name, array in (("y", y), ("f", f))]
            for method in METHODS.values():
                with pytest.raises(
                    lm.DomainError, match=re.escape(f"{label} must be in {domain}, but {label}[2] is")
                ) as caught:
                    method(loss, *wrong)
                assert domain.hint
                assert domain.hint in str(caught.value)


def bad_weights_and_masks_are_refused(loss: Loss) -> None:
    """Weights are finite and at least 0, masks are boolean, and both fit."""
    y, f = batch(loss, (2, 3))
    for value in (-1.0, np.nan, np.inf, -np.inf):
        with pytest.raises(lm.DomainError, match=r"weights must be finite and at least 0, but weight\[1, 0\] is"):
            loss.cost(y, f, put(np.ones((2, 3)), (1, 0), value))
    for weight in (np.ones(3), np.ones((3, 2)), np.ones(6), np.ones((1, 2, 3))):
        with pytest.raises(lm.ShapeError, match=r"weight has shape .*only axes of size 1 broadcast"):
            loss.cost(y, f, weight)
    assert loss.cost(y, f, 2.0, reduction="sum") == loss.cost(y, f, np.full((2, 3), 2.0), reduction="sum")
    with pytest.raises(lm.KindError, match="weight must hold real numbers"):
        loss.cost(y, f, np.full((2, 3), "a"))
    with pytest.raises(lm.KindError, match=r"mask must be boolean .*astype\(bool\)"):
        loss.cost(y, f, mask=np.ones((2, 3), int))
    with pytest.raises(lm.ShapeError, match="mask has shape"):
        loss.cost(y, f, mask=np.ones(3, bool))


def bad_choices_are_refused(loss: Loss) -> None:
    """Reductions, policies, outputs, kinds and orders that do not exist are named, with a guess."""
    y, f = batch(loss, 6)
    with pytest.raises(lm.ParameterError, match=r"reduction='maen' is not known.*Did you mean 'mean'"):
        loss.cost(y, f, reduction="maen")
    with pytest.raises(lm.ParameterError, match="reduction='avg'"):
        loss.cost_and_gradient(y, f, reduction="avg")
    with pytest.raises(lm.ParameterError, match=r"call loss\.losses"):
        loss.state(y, f).reduce("none")
    with pytest.raises(lm.ParameterError, match=r"empty='nothing' .*'error', 'zero', 'nan'"):
        loss.cost(y, f, empty="nothing")
    want = r"outputs must be among losses, gradient, hessian, full_hessian, got 'jacobian'"
    with pytest.raises(lm.ParameterError, match=want):
        loss.evaluate(y, f, ("losses", "jacobian"))
    with pytest.raises(lm.ParameterError, match=r"hessian\(kind='full'\).*use kind='diagonal'"):
        loss.hessian(y, f, kind="full")
    with pytest.raises(lm.ParameterError, match="unknown kind"):
        loss.hessian(y, f, kind="diag")
    with pytest.raises(lm.ParameterError, match="order must be 0, 1 or 2"):
        loss.program(order=3)
    with pytest.raises(lm.ParameterError, match="has no parameter 'no_such'"):
        loss.replace(no_such=1)


def bad_outputs_are_refused(loss: Loss) -> None:
    """``out`` must be an array of the right shape and type that can be written."""
    y, f = batch(loss, (2, 3))
    locked = np.empty((2, 3))
    locked.flags.writeable = False
    for out in (np.empty((2, 3), np.float32), np.empty((2, 3), int), [[0.0] * 3] * 2, locked):
        with pytest.raises(lm.KindError, match="out must be a writeable float64 array"):
            loss.cost_and_gradient(y, f, out=out)  # type: ignore[arg-type]
    for shape in ((6,), (3, 2), (2, 3, 1)):
        with pytest.raises(lm.ShapeError, match=r"out has shape .*the predictions have \(2, 3\)"):
            loss.cost_and_gradient(y, f, out=np.empty(shape))
    for array in (np.empty((2, 3)), np.zeros(1), np.empty(0), [0.0], ()):
        with pytest.raises(lm.ParameterError, match=r"out takes a dict by output, such as \{'gradient': array\}; got"):
            loss.evaluate(y, f, ("gradient",), out=array)  # type: ignore[arg-type]


def losses_do_not_change(loss: Loss) -> None:
    """A loss is immutable, and says how to get another."""
    for name in (*loss.values, "anything"):
        with pytest.raises(AttributeError, match="cannot be changed; make another"):
            setattr(loss, name, 1.0)


LAWS = (
    mistakes_are_refused,
    values_outside_domains_are_named,
    bad_weights_and_masks_are_refused,
    bad_choices_are_refused,
    bad_outputs_are_refused,
    losses_do_not_change,
)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_mistakes(case: Loss, law: Callable[[Loss], None]) -> None:
    law(case)


# --- logits that look like probabilities -----------------------------------------------------------

LOGITS = [loss for loss in CASES if loss.values.get("prediction") == "logits"]
every_logit_loss = pytest.mark.parametrize("case", by_name(LOGITS))


def labels(loss: Loss, size: int) -> Array:
    domain = loss.domains["y"]
    return np.resize([domain.low, domain.high], size)


@every_logit_loss
def test_logits_that_look_like_probabilities_give_a_warning_with_the_evidence(case: Loss) -> None:
    f = np.linspace(0.02, 0.97, 40)
    says = r"y_pred is declared as logits, but all 40 values lie in \[0, 1\] \(from 0.02 to 0.97\)"
    for ask in METHODS.values():
        with pytest.warns(lm.LossmithWarning, match=says) as caught:
            ask(case, labels(case, 40), f)
        offered = "probabilities" in type(case).options()["prediction"].choices
        mend = "pass prediction='probabilities'" if offered else "pass the scores from before the sigmoid"
        assert mend in str(caught[0].message)


@pytest.mark.engines("numpy")  # warnings come before engines, and each has kernels to compile
@every_logit_loss
@pytest.mark.parametrize(
    "logits",
    [
        np.linspace(0.02, 0.97, 15),  # too few to judge
        np.full(40, 0.5),  # a constant is no sigmoid
        np.append(np.linspace(0, 1, 40), 1.01),
        np.append(np.linspace(0, 1, 40), -0.01),
        np.zeros(40),
    ],
    ids=["few", "constant", "one above", "one below", "zeros"],
)
def test_other_logits_give_none(case: Loss, logits: Array) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for ask in METHODS.values():
            ask(case, labels(case, len(logits)), logits)


def test_probabilities_and_trusted_calls_give_no_warning() -> None:
    f = np.linspace(0.02, 0.97, 40)
    lm.BinaryCrossEntropy(prediction="probabilities").cost(np.resize([0.0, 1.0], 40), f)
    lm.BinaryCrossEntropy().evaluate(np.resize([0.0, 1.0], 40), f, trusted=True)
    lm.SquaredError().cost(f, f)

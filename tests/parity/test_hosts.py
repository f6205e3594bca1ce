"""The same number everywhere: every host that is installed is as near to the truth as the command demands.

What is sampled, since compiling takes its time: losses run with their defaults. NumPy, PyTorch in memory and in
operations get every loss of the catalogue in float64, float32 and bfloat16; the compiled engine and TensorFlow get
every loss in one of the types, which take turns; JAX, with and without ``jit``, and XLA under TensorFlow get a quarter
of the losses each, in one type. ``torch.compile`` gets two losses, through ``aot_eager``. Nothing is left out by
``python -m lossmith.certify --full``.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.certify import definitions, exactness, oracle
from lossmith.certify.command import main
from lossmith.certify.hosts import ARRAYS, HOSTS, KINDS, REFERENCE, Host, engine
from lossmith.certify.measure import examples, losses, measure, turns
from lossmith.frameworks.torch.answers import compiled

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{text}:DeprecationWarning")
    for text in (".*torch.jit.script.* is deprecated", ".*Function.* should not be instantiated")
]

DEFAULTS = [loss for forms in losses(full=False).values() for loss in forms]
INSTALLED = [name for name, host in HOSTS.items() if not host.missing and host.pace != "never"]


def beyond(loss: Loss, host: Host, kinds: Iterable[str] = KINDS) -> list[Any]:
    return [(key, worst) for key, worst in measure(loss, "a host", host, kinds).items() if not worst.within]


@pytest.mark.long
def test_every_host_says_the_same() -> None:
    # All in one process: truths, to hundreds of digits, cost more than what most hosts say.
    asked = list(turns(DEFAULTS, HOSTS, sampled=True))
    counts = Counter(host for _, host, _ in asked)
    assert all(counts[name] >= len(DEFAULTS) // 4 for name in INSTALLED)
    assert [
        (host, found) for loss, host, kinds in asked if host in INSTALLED for found in beyond(loss, HOSTS[host], kinds)
    ] == []


@pytest.mark.parametrize("loss", [lm.BinaryCrossEntropy(), lm.KLDivergence(q_kind="logits")], ids=str)
def test_so_does_what_torch_compiles(loss: Loss) -> None:
    assert beyond(loss, Host(("torch",), partial(compiled, backend="aot_eager"), ARRAYS), ["float32"]) == []


@pytest.mark.parametrize("name", ["jax", "tensorflow-xla"])
def test_logarithms_of_xla_are_set_right(name: str) -> None:
    # Its own log1p is off by 128 units there.
    loss, y, f = lm.BinaryCrossEntropy(prediction="probabilities"), 0.0, 0.4141942548387097
    found = HOSTS[name].ask(loss, {"y_true": np.array([y]), "y_pred": np.array([f])}, "float64")
    assert exactness.ulps(float(found["losses"][0]), oracle.truth(loss, y, f, 0)) <= 4


def test_both_truths_agree() -> None:
    for loss in (lm.LogCosh(), lm.BinaryCrossEntropy(), lm.Gamma(prediction="mean")):
        found = definitions.truths(loss, ((1.0,), (0.3125,)))
        for order, output in enumerate(("losses", "gradient:f", "hessian:f")):
            assert abs(found[output][0] - oracle.truth(loss, 1.0, 0.3125, order)) < 1e-24


def test_examples_are_numbers_of_every_type() -> None:
    for loss in DEFAULTS:
        for numbers in examples(loss).values():
            for kind in KINDS.values() if numbers.dtype.kind == "f" else ():
                np.testing.assert_array_equal(numbers.astype(kind).astype(float), numbers)


# --- what is wrong is found ---------------------------------------------------------------------


def _changed(change: Any, loss: Loss, given: Any, kind: str) -> Any:
    return {name: change(name, found) for name, found in engine("numpy", loss, given, kind).items()}


WRONG = {
    "a slope off by 1e-12": lambda name, found: found * (1 + 1e-12) if name.startswith("gradient") else found,
    "a bend off by 1e-12": lambda name, found: found * (1 + 1e-12) if name.startswith("hessian") else found,
    "single precision": lambda name, found: found.astype(np.float32).astype(float),
    "no number": lambda name, found: np.full_like(found, np.nan),
}


@pytest.mark.parametrize("loss", [lm.LogCosh(), lm.SparseCategoricalCrossEntropy(), lm.GaussianNLL()], ids=str)
@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_wrong_host_is_found(change: Any, loss: Loss) -> None:
    assert beyond(loss, Host(("numpy",), partial(_changed, change), REFERENCE), ["float64"])


def _instead(other: Loss, loss: Loss, given: Any, kind: str) -> Any:
    return engine("numpy", other, given, kind)


@pytest.mark.parametrize(
    ("loss", "other"),
    [
        (lm.Huber(), lm.Huber(delta=1 + 1e-6)),
        (lm.KLDivergence(), lm.ReverseKLDivergence()),
        (lm.CrammerSinger(), lm.WestonWatkins()),
        (lm.Triplet(), lm.Triplet(distance="squared")),
    ],
    ids=str,
)
def test_a_wrong_loss_is_found(loss: Loss, other: Loss) -> None:
    host = Host(("numpy",), partial(_instead, other), REFERENCE)
    assert beyond(loss, host)
    assert not beyond(other, host)


@pytest.mark.parametrize(
    ("name", "loss", "change"),
    [
        ("jax", lm.Cauchy(), {"roots": False}),
        ("tensorflow", lm.Cauchy(), {"roots": False}),
    ],
)
def test_what_hosts_do_not_promise_they_do_not_keep(name: str, loss: Loss, change: Any) -> None:
    assert beyond(loss, replace(HOSTS[name], **change), ["float32"])


# --- the command ----------------------------------------------------------------------------------


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--loss", "huber", "--host", "numpy", "--host", "torch", "--dtype", "float32"]) == 0
    head, first, second, *rest = capsys.readouterr().out.splitlines()
    assert head.split()[:5] == ["host", "inputs", "value", "gradient", "second"]
    assert [first.split()[:2], second.split()[:2]] == [["numpy", "float32"], ["torch", "float32"]]
    assert rest == ["", "1 loss; no results beyond the tolerance"]


def test_the_command_prints_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--loss", "huber", "--host", "numpy", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["within"] is True
    assert {row["inputs"] for row in found["worst"]} == set(KINDS)


def test_what_is_beyond_leaves_with_1_and_says_where(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(HOSTS, "wrong", Host(("numpy",), partial(_changed, WRONG["no number"]), REFERENCE))
    assert main(["--loss", "huber", "--host", "wrong", "--dtype", "float64"]) == 1
    assert "BEYOND: Huber(delta=1) on wrong in float64: losses is nan, should be" in capsys.readouterr().out


def test_hosts_that_are_not_installed_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = Host(("a_module_of_nobody",), "a_module_of_nobody:answers", ARRAYS)
    monkeypatch.setattr("lossmith.certify.hosts.HOSTS", {"numpy": HOSTS["numpy"], "absent": absent})
    assert main(["--loss", "huber"]) == 0
    assert "not tried: absent, which needs a_module_of_nobody" in capsys.readouterr().out
    assert "needs a_module_of_nobody, not installed here" in _refused(["--host", "absent"], capsys)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--loss", "hubr"], "huber"),
        (["--loss", "huber(delta=2)"], "takes the name of a loss in the catalogue, and 'huber(delta=2)' says more"),
        (["--loss", "huber(dleta=2)"], "Did you mean 'delta'?"),
        (["--host", "nump"], "There are: numpy, llvm, torch"),
        (["--dtype", "float16"], "There are: float64, float32, bfloat16"),
    ],
)
def test_mistakes_are_named(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert text in _refused(arguments, capsys)


def test_the_truth_says_what_it_needs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "mpmath", None)
    assert "the truth needs mpmath: pip install 'lossmith[certify]'" in _refused([], capsys)


def _refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    return capsys.readouterr().err

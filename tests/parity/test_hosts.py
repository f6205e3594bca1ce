"""The same number everywhere: every host that is installed is as near to the truth as the command demands."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.certify.command import main
from lossmith.certify.hosts import HOSTS, KINDS, Host
from lossmith.certify.measure import measure
from lossmith.frameworks.torch.answers import compiled

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{text}:DeprecationWarning")
    for text in (".*torch.jit.script.* is deprecated", ".*Function.* should not be instantiated")
]

LOSSES = (
    lm.Huber(),
    lm.Quantile(),
    lm.LogCosh(),
    lm.Tukey(),
    lm.SquaredLogError(),
    lm.Poisson(),
    lm.Gamma(),
    lm.BinaryCrossEntropy(),
    lm.BinaryCrossEntropy(prediction="probabilities"),
    lm.Focal(),
    lm.Exponential(),
    lm.SquaredHinge(labels="signed"),
)
INSTALLED = {name: host for name, host in HOSTS.items() if host.installed and not host.asked}
AHEAD = {"aot_eager": Host("torch", partial(compiled, backend="aot_eager"))}


def beyond(loss: Loss, hosts: dict[str, Host], kinds: tuple[str, ...] = KINDS) -> list[Any]:
    return [(key, worst) for key, worst in measure(loss, hosts, kinds).items() if not worst.within]


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_every_host_says_the_same(loss: Loss) -> None:
    assert beyond(loss, INSTALLED) == []


@pytest.mark.parametrize("loss", [lm.Huber(), lm.BinaryCrossEntropy()], ids=str)
def test_so_does_what_torch_compiles(loss: Loss) -> None:
    assert beyond(loss, AHEAD) == []


def _changed(change: Any, loss: Loss, y: Any, f: Any, kind: str) -> Any:
    return change(HOSTS["numpy"].ask(loss, y, f, kind))


WRONG = {
    "a slope off by 1e-5": lambda found: [found[0], found[1] * (1 + 1e-5), found[2]],
    "single precision": lambda found: [each.astype(np.float32) for each in found],
    "no number": lambda found: [np.full_like(found[0], np.nan), *found[1:]],
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_a_wrong_host_is_found(change: Any) -> None:
    wrong = {"wrong": Host("numpy", partial(_changed, change), HOSTS["numpy"].tolerance)}
    assert beyond(lm.LogCosh(), wrong, ("float64",))


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--loss", "huber", "--host", "numpy"]) == 0
    table = capsys.readouterr().out
    assert table.splitlines()[0].split()[:3] == ["host", "inputs", "output"]
    assert table.count("Huber(delta=1)") == 9


def test_the_command_prints_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--loss", "huber", "--host", "numpy", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["within"] is True
    assert {row["inputs"] for row in found["worst"]} == set(KINDS)


def test_what_is_beyond_leaves_with_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(HOSTS, "wrong", Host("numpy", partial(_changed, WRONG["no number"])))
    assert main(["--loss", "huber", "--host", "wrong"]) == 1
    assert "BEYOND" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--loss", "hubr"], "huber"),
        (["--host", "nump"], "There are: numpy"),
        (["--loss", "triplet"], "triplet is no loss of a target and a prediction"),
    ],
)
def test_mistakes_are_named(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert text in capsys.readouterr().err

"""Code that losses are exported as: it is run, and says what they say."""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
import sys
from itertools import count
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import lossmith as lm
from lossmith.custom.export import BOOSTING, TARGETS
from lossmith.custom.export.sheet import sheet_of
from lossmith.engines.numpy import run as run_program
from lossmith.program import Program
from tests.custom.exported import (
    CHOICES,
    FORMS,
    LOSSES,
    OWN,
    PLAIN,
    ROW_LOSSES,
    ROWS,
    apart,
    data,
    right,
    run,
    single,
)

pytestmark = pytest.mark.engines("numpy")  # costs are those of either engine, and kernels take a while to compile


def by_pairs(loss: lm.Loss, hessian: object) -> dict[str, np.ndarray]:
    """Return second derivatives by what they are called."""
    return {str(key): x for key, x in hessian.items()} if isinstance(hessian, dict) else {"hessian": hessian}


def test_numpy_says_what_the_loss_says() -> None:
    said = []
    for loss in FORMS:
        names, arrays = run(lm.export(loss, "numpy")), data(loss)
        slopes = names["gradient"](**arrays)
        slopes = slopes if isinstance(slopes, dict) else {loss.predicted[0].name: slopes}
        said += apart(loss, {"losses": names["loss"](**arrays), **slopes}, right(loss, arrays))
        with np.errstate(all="ignore"):
            bends = loss.hessian(**arrays, kind="full" if loss._couples else "diagonal")
        said += apart(loss, by_pairs(loss, names["hessian"](**arrays)), by_pairs(loss, bends))
        weight = np.arange(1.0, ROWS + 1)
        assert names["cost"](**arrays, weight=weight) == pytest.approx(loss.cost(**arrays, weight=weight), rel=1e-9), (
            loss
        )
    assert said == []


def test_a_wrong_formula_is_found() -> None:
    loss = lm.Huber()
    text = lm.export(loss, "numpy")
    assert "0.5 *" in text
    names, arrays = run(text.replace("0.5 *", "0.501 *")), data(loss)
    found = {"losses": names["loss"](**arrays), "y_pred": names["gradient"](**arrays)}
    assert len(apart(loss, found, right(loss, arrays))) == 1


OVER_CLASSES = {"lightgbm": ROW_LOSSES[8:9], "xgboost": ROW_LOSSES[5:6], "catboost": ROW_LOSSES[8:9]}


def test_python_is_formatted_and_clean(tmp_path: Path) -> None:
    number = count()
    for target in ("numpy", "torch", "keras", "jax", *BOOSTING):
        for loss in ROW_LOSSES if target not in BOOSTING else OVER_CLASSES[target]:
            (tmp_path / f"{target}_{next(number)}.py").write_text(lm.export(loss, target), encoding="utf-8")
        for loss in LOSSES if target not in BOOSTING else (lm.Huber(), lm.Focal(), OWN[0], lm.Poisson()):
            (tmp_path / f"{target}_{next(number)}.py").write_text(lm.export(loss, target), encoding="utf-8")
    for command in (["format", "--check"], ["check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--isolated", "--no-cache", str(tmp_path)]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]


def test_c_compiles_without_a_warning_and_says_what_the_loss_says(tmp_path: Path) -> None:
    lines = []
    for number, loss in enumerate(LOSSES):
        text = lm.export(loss, "c")
        name = re.search(r"#ifndef (\w+)_H", text)[1].lower()
        (tmp_path / f"{name}.h").write_text(text, encoding="utf-8")
        values = list(parameters_of(loss))
        inputs = [f"in[{place}]" for place in range(len(loss.inputs))]
        outputs = 1 + len(loss.predicted) + len(loss.predicted) * (len(loss.predicted) + 1) // 2
        given = ", ".join(["n", *inputs, *map(repr, values), "0", *(f"out[{place}]" for place in range(outputs))])
        given = re.sub(r"\binf\b", "INFINITY", given)
        lines += [f'#include "{name}.h"', f"void run_{number}(size_t n, const double **in, double **out);"]
        lines += [f"void run_{number}(size_t n, const double **in, double **out) {{ {name}_each({given}); }}"]
    lines += ["double mean(size_t n, const float *y, const float *f, const float *w);"]
    lines += ["double mean(size_t n, const float *y, const float *f, const float *w)"]
    lines += ["{ return huber_loss_meanf(n, y, f, 1.5, w); }"]
    (tmp_path / "all.c").write_text("\n".join([*lines, ""]), encoding="utf-8")
    command = [
        "cc",
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Wconversion",
        "-Wdouble-promotion",
        "-Werror",
        "-O2",
        "-shared",
        "-fPIC",
        "all.c",
        "-o",
        "all.so",
        "-lm",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    library, said = ctypes.CDLL(str(tmp_path / "all.so")), []
    pointer = ctypes.POINTER(ctypes.c_double)
    for number, loss in enumerate(LOSSES):
        arrays = data(loss)
        given = [np.ascontiguousarray(arrays[item.name]) for item in loss.inputs]
        with np.errstate(all="ignore"):
            bends = by_pairs(loss, loss.hessian(**arrays, kind="full" if loss._couples else "diagonal"))
        wanted = right(loss, arrays) | bends
        results = {name: np.full(ROWS, np.nan) for name in wanted}
        getattr(library, f"run_{number}")(
            ctypes.c_size_t(ROWS),
            (pointer * len(given))(*(x.ctypes.data_as(pointer) for x in given)),
            (pointer * len(results))(*(x.ctypes.data_as(pointer) for x in results.values())),
        )
        said += apart(loss, results, wanted)
    assert said == []
    y, f, w = (np.arange(5, dtype=np.float32) * scale for scale in (1, 3, 2))
    library.mean.restype = ctypes.c_double
    found = library.mean(ctypes.c_size_t(5), *(ctypes.c_void_p(x.ctypes.data) for x in (y, f, w)))
    assert found == pytest.approx(lm.Huber(delta=1.5).cost(y, f, weight=w), rel=1e-12)


def test_headers_of_c_go_into_cpp_whatever_parameters_are_called(tmp_path: Path) -> None:
    loss = lm.formula("new*(y - f)**2 + this*abs(y - f)", parameters={"new": 1.0}, inputs={"this": "(0, inf)"})
    (tmp_path / "own.hpp").write_text(lm.export(loss, "c"), encoding="utf-8")
    command = ["c++", "-x", "c++", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-Wno-unused-function", "own.hpp"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]


def parameters_of(loss: lm.Loss) -> list[float]:
    if hasattr(loss, "parts"):
        return [value for _, part in loss.parts for value in parameters_of(part)]
    return list(loss.free_parameters.values())


def test_onnx_runs_and_says_what_the_loss_says() -> None:
    said = []
    for loss in (loss for loss in (*LOSSES, *CHOICES) if loss.name != "two_inputs"):
        arrays = single(data(loss))
        if loss.name == "squared_log_error":
            arrays["y_true"], arrays["y_pred"] = (np.maximum(x, np.float32(-0.9)) for x in arrays.values())
        session = onnxruntime.InferenceSession(lm.export(loss, "onnx"), providers=["CPUExecutionProvider"])
        found = dict(zip([x.name for x in session.get_outputs()], session.run(None, arrays), strict=True))
        named = {name: found["gradient" if len(found) == 2 else f"gradient_{name}"] for name in right(loss, arrays)
                 if name != "losses"}  # fmt: skip
        said += apart(loss, {"losses": found["losses"], **named}, right(loss, arrays), double=False)
    assert said == []


@pytest.mark.parametrize(
    ("loss", "says"),
    [
        (lm.formula("1e300*(y - f)**2*1e-300"), "1e.300 is infinite there"),
        (lm.formula("(y - f)**2 - log(f**2 + 1e-60)"), "1e-60 is 0 there"),
        (lm.formula("log(k + (y - f)**2)", parameters={"k": 1e-50}), "1e-50 is 0 there"),
        (lm.SparseCategoricalCrossEntropy(class_weight=(1.0, 1e200)), "1e.200 is infinite there"),
    ],
)
def test_onnx_refuses_numbers_that_it_would_lose(loss: lm.Loss, says: str) -> None:
    with pytest.raises(lm.ParameterError, match=says):
        lm.export(loss, "onnx")


@pytest.mark.parametrize("name", ["sub_0", "mul_1", "abs_2", "inf", "whole_0", "shape_3"])
def test_onnx_takes_parameters_and_inputs_called_as_its_nodes(name: str) -> None:
    loss = lm.formula(f"{name}*abs(y - f)", parameters={name: 3.0})
    session = onnxruntime.InferenceSession(lm.export(loss, "onnx"), providers=["CPUExecutionProvider"])
    ones = np.ones(2, np.float32)
    assert session.run(["losses"], {"y_true": ones, "y_pred": 3 * ones})[0].tolist() == [6.0, 6.0]


def test_lengths_are_those_of_c_where_sides_are_infinite_or_no_number() -> None:
    inf, nan = np.inf, np.nan
    pairs = [(inf, inf), (inf, nan), (nan, -inf), (nan, 1), (1, nan), (nan, 0), (0, nan), (-inf, 5), (0, 0), (-3, 4)]
    y, f = np.array([*pairs, (1e30, 1e30), (3e-30, 4e-30)], np.float32).T.copy()
    wanted = np.hypot(y.astype(float), f)
    session = onnxruntime.InferenceSession(lm.export("hypot(y, f)", "onnx"), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(["losses"], {"y_true": y, "y_pred": f})[0], wanted, rtol=1e-6)
    for target in ("numpy", "torch", "jax", "keras"):
        names = run(lm.export("hypot(y, f)", target))
        first, second = (f, y) if target in ("torch", "jax") else (y, f)
        if target == "torch":
            first, second = torch.tensor(first), torch.tensor(second)
        found = (names["loss"] if target == "numpy" else names["losses"])(first, second)
        np.testing.assert_allclose(np.asarray(found), wanted, rtol=1e-6, err_msg=target)


def test_json_holds_the_loss() -> None:
    for loss in (*PLAIN, OWN[0], OWN[-1]):
        document = json.loads(lm.export(loss, "json"))
        assert (document["format"], document["version"]) == ("lossmith.custom.export", 1)
        assert lm.from_config(document["config"]) == loss
        program = Program.from_json(json.dumps(document["program"]))
        with np.errstate(all="ignore"):
            found = run_program(program, [data(loss)[item.name] for item in loss.inputs], sheet_of(loss).parameters)
        assert apart(loss, {"losses": found["value"]}, {"losses": loss.losses(**data(loss))}) == []
        assert document["instructions"].keys() == {step.op for step in program.steps}
        assert document["parameters"].keys() == set(program.parameters)
    given = json.loads(lm.export(OWN[1], "json"))["inputs"]
    assert [item["doc"] for item in given] == ["targets", "predictions", "a prediction of your own"]
    infinite = json.loads(lm.export(lm.Barron(alpha=-np.inf), "json"))
    assert infinite["parameters"]["alpha"]["value"] == infinite["config"]["parameters"]["alpha"] == "-inf"


BAD = [
    (lambda: lm.export(lm.Huber(), "cobol"), lm.ParameterError, "to='cobol' is not known"),
    (lambda: lm.export(lm.Huber(), "troch"), lm.ParameterError, "Did you mean 'torch'"),
    (lambda: lm.export(lm.Huber(), None), lm.ParameterError, "to=None is not known"),
    (lambda: lm.export("hubr", "c"), lm.LossNotFoundError, "Did you mean 'huber'"),
    (lambda: lm.export("y +* f", "c"), lm.FormulaError, "column"),
    (lambda: lm.export(lm.GaussianNLL(), "lightgbm"), lm.ParameterError, "for one target"),
    (lambda: lm.export(lm.CrammerSinger(), "catboost"), lm.ParameterError, "lossmith.catboost itself takes more"),
    (lambda: lm.export(lm.MultiQuantile(), "xgboost"), lm.ParameterError, "of class indices and logits"),
    (lambda: lm.export(lm.SoftmaxFocal(prediction="probabilities"), "lightgbm"), lm.ParameterError, "and logits"),
    (lambda: lm.export(lm.MeanError(), "catboost"), lm.ParameterError, "no minimum"),
    (lambda: lm.export(lm.ZeroOne(), "lightgbm"), lm.ParameterError, "no slope"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "said"), BAD, ids=range(len(BAD)))
def test_bad_inputs_are_refused_in_words(call, error, said: str) -> None:
    with pytest.raises(error, match=re.escape(said)):
        call()


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    with pytest.raises(lm.MissingDependencyError, match=re.escape("pip install 'lossmith[onnx]'")):
        lm.export("huber", "onnx")


def test_every_target_takes_a_formula_as_text() -> None:
    for target in TARGETS:
        text = lm.export("(y - f)**2 + abs(y - f)", target)
        assert (b"losses" in text) if target == "onnx" else ("needs" in text or "lossmith" in text.lower())

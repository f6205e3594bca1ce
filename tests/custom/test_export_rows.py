"""Code that losses of rows are exported as, in C, ONNX and JSON."""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import lossmith as lm
from lossmith.custom.export.sheet import RowSheet, sheet_of
from lossmith.engines.numpy import run as run_program
from lossmith.program import Program
from tests.custom.exported import FEW_ROWS, ROW_LOSSES, Arrays, apart, right, rows, run

pytestmark = [
    pytest.mark.engines("numpy"),  # costs are those of either engine, and kernels take a while to compile
    pytest.mark.filterwarnings("ignore::lossmith.LossmithWarning"),
]


def recipe(loss: lm.Loss) -> RowSheet:
    sheet = sheet_of(loss)
    assert isinstance(sheet, RowSheet)
    return sheet


def test_numpy_says_what_losses_of_rows_say() -> None:
    said = []
    for loss in ROW_LOSSES:
        names, arrays = run(lm.export(loss, "numpy")), rows(loss)
        slopes = names["gradient"](**arrays)
        slopes = slopes if isinstance(slopes, dict) else {loss.predicted[0].name: slopes}
        said += apart(loss, {"losses": names["loss"](**arrays), **slopes}, right(loss, arrays))
        weight = np.arange(1.0, 61.0)
        assert names["cost"](**arrays) == pytest.approx(loss.cost(**arrays), rel=1e-9), loss
        assert names["cost"](**arrays, weight=weight) == pytest.approx(loss.cost(**arrays, weight=weight), rel=1e-9)
    assert said == []


def test_certain_rows_lose_no_more_than_rounding() -> None:
    z = np.array([[0.0, 800.0, -50.0], [1e-9, 0.0, -1e-9], [-745.0, 0.0, 30.0]])
    for loss in (lm.SparseCategoricalCrossEntropy(), lm.SoftmaxFocal(), lm.MulticlassBrier()):
        names = run(lm.export(loss, "numpy"))
        for place in range(3):
            arrays = {"y_true": np.full(3, place), "y_pred": z}
            found = {"losses": names["loss"](**arrays), "y_pred": names["gradient"](**arrays)}
            assert apart(loss, found, right(loss, arrays)) == []


@pytest.mark.parametrize("kind", [lm.CrammerSinger, lm.WestonWatkins])
def test_classes_that_are_ruled_out_are_no_rivals_under_shares(kind: type[lm.Loss]) -> None:
    loss = kind(targets="distributions")
    arrays = {"y_true": np.array([[0.3, 0.7, 0.0], [1.0, 0.0, 0.0]]), "y_pred": np.array([[1.0, 2.0, -np.inf]] * 2)}
    names = run(lm.export(loss, "numpy"))
    found = {"losses": names["loss"](**arrays), "y_pred": names["gradient"](**arrays)}
    assert apart(loss, found, right(loss, arrays)) == []


def test_c_compiles_without_a_warning_and_says_what_the_loss_says(tmp_path: Path) -> None:
    for number, loss in enumerate(FEW_ROWS):
        text = lm.export(loss, "c")
        name, sheet = re.search(r"#ifndef (\w+)_H", text)[1].lower(), recipe(loss)
        kinds = ["long" if item.symbol in sheet.recipe.places else "double" for item in loss.inputs]
        arrays = [f"x{place}" for place in range(len(kinds))]
        outputs = ["losses", *(f"slope{place}" for place in range(len(loss.predicted)))]
        head = ", ".join([
            *("long rows", "long width"), *(f"const {kind} *{x}" for kind, x in zip(kinds, arrays, strict=True)),
            *("const double *weight", "double *mean"), *(f"double *{x}" for x in outputs),
        ])  # fmt: skip
        given = ", ".join(["rows", "width", *arrays, *map(repr, sheet.parameters.values()), "weight"])
        text += f"void run_{number}({head});\nvoid run_{number}({head}) {{\n"
        text += f"    {name}_each({given}, {', '.join(outputs)});\n    *mean = {name}_mean({given});\n}}\n"
        (tmp_path / f"loss_{number}.c").write_text(text, encoding="utf-8")
    command = ["cc", "-std=c99", "-Wall", "-Wextra", "-Wdouble-promotion", "-Werror", "-O0", "-shared", "-fPIC"]
    command += [*(f"loss_{number}.c" for number in range(len(FEW_ROWS))), "-o", "all.so", "-lm"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]
    library, said = ctypes.CDLL(str(tmp_path / "all.so")), []
    for number, loss in enumerate(FEW_ROWS):
        said += in_c(getattr(library, f"run_{number}"), loss)
    assert said == []


def test_headers_of_several_losses_go_into_one_file(tmp_path: Path) -> None:
    for number, kind in enumerate((lm.SparseCategoricalCrossEntropy, lm.SoftmaxFocal)):
        (tmp_path / f"{number}.h").write_text(lm.export(kind(class_weight=(1 + number, 2)), "c"), encoding="utf-8")
    (tmp_path / "both.c").write_text('#include "0.h"\n#include "1.h"\n', encoding="utf-8")
    command = ["cc", "-std=c99", "-fsyntax-only", "both.c"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:3000]


def in_c(function: Any, loss: lm.Loss) -> list[str]:
    """Return where a function of C says something else than a loss."""
    arrays, sheet, weight = rows(loss), recipe(loss), np.arange(1.0, 61.0)
    inputs = []
    for item in loss.inputs:
        x = arrays[item.name]
        x = np.moveaxis(x, sheet.class_axis, -1) if item.symbol in sheet.recipe.entries else x
        inputs.append(np.ascontiguousarray(x, np.int64 if item.symbol in sheet.recipe.places else np.float64))
    width = max(x.ndim * x.shape[-1] for x in inputs if x.ndim == 2) // 2
    results = [np.empty(1), np.empty(60), *(np.empty((60, width)) for _ in loss.predicted)]
    pointers = [ctypes.c_void_p(x.ctypes.data) for x in (*inputs, weight, *results)]
    function(ctypes.c_long(60), ctypes.c_long(width), *pointers)
    assert results[0][0] == pytest.approx(loss.cost(**arrays, weight=weight), rel=1e-9), loss
    wanted = right(loss, arrays)
    found = {"losses": results[1] / weight}
    for item, slope in zip(loss.predicted, results[2:], strict=True):
        found[item.name] = np.moveaxis(slope / weight[:, None], -1, sheet.class_axis)
    return apart(loss, found, wanted)


def test_onnx_runs_and_says_what_the_loss_says() -> None:
    said = []
    for loss in FEW_ROWS:
        sheet = recipe(loss)
        given: Arrays = {
            item.name: x.astype(np.int64 if item.symbol in sheet.recipe.places else np.float32)
            for item, x in ((item, sample_of(loss)[item.name]) for item in loss.inputs)
        }
        session = onnxruntime.InferenceSession(lm.export(loss, "onnx"), providers=["CPUExecutionProvider"])
        found = dict(zip([x.name for x in session.get_outputs()], session.run(None, given), strict=True))
        alone = len(loss.predicted) == 1
        named = {x.name: found["gradient" if alone else f"gradient_{x.name}"] for x in loss.predicted}
        said += apart(loss, {"losses": found["losses"], **named}, right(loss, given), double=False)
        if sheet.counts:
            mean = np.sum(found["losses"]) / np.sum(found["weight"])
            assert mean == pytest.approx(loss.cost(**given), rel=1e-5)
    assert said == []


@pytest.mark.parametrize("axis", [-3, 1, 2])
def test_a_model_of_onnx_has_the_axes_that_the_class_axis_asks_for(axis: int) -> None:
    rng, shape = np.random.default_rng(0), (5, 3, 4) if axis != 1 else (6, 3)
    logits = np.moveaxis(rng.normal(size=shape), 1, axis).astype(np.float32)
    y = rng.integers(0, 3, np.delete(logits.shape, axis))
    for loss in (
        lm.SparseCategoricalCrossEntropy(class_axis=axis, label_smoothing=0.1, class_weight=(1, 2, 3)),
        lm.CategoricalCrossEntropy(class_axis=axis),
    ):
        given = {"y_true": y if loss.class_indices else np.moveaxis(np.eye(3)[y], -1, axis).astype(np.float32)}
        given["y_pred"] = logits
        session = onnxruntime.InferenceSession(lm.export(loss, "onnx"), providers=["CPUExecutionProvider"])
        losses, slopes = session.run(["losses", "gradient"], given)
        assert apart(loss, {"losses": losses, "y_pred": slopes}, right(loss, given), double=False) == []


def sample_of(loss: lm.Loss) -> Arrays:
    """Return rows that single precision holds."""
    arrays = rows(loss)
    if loss.values.get("prediction") == "logits":
        arrays["y_pred"] = np.clip(arrays["y_pred"], -20, 20)
    return arrays


def test_json_says_what_the_loss_says() -> None:
    said = []
    for loss in FEW_ROWS:
        document = json.loads(lm.export(loss, "json"))
        assert lm.from_config(document["config"]) == loss
        arrays = {item.symbol: rows(loss)[item.name] for item in loss.inputs}
        found = interpreted(document, arrays)
        wanted = right(loss, rows(loss))
        slopes = {
            item.name: np.moveaxis(found[f"gradient:{item.symbol}"], -1, document["class_axis"])
            for item in loss.predicted
        }
        said += apart(loss, {"losses": found["value"][..., 0], **slopes}, wanted)
    assert said == []


def interpreted(document: dict[str, Any], arrays: Arrays) -> Arrays:
    """Return the outputs of statements, by their description alone."""
    axis = document["class_axis"]
    known = {x: np.moveaxis(a, axis, -1) if x in document["entries"] else a[..., None] for x, a in arrays.items()}
    like = known[document["entries"][-1]]
    numbers = {name: found["value"] for name, found in document["parameters"].items()}
    for statement in document["statements"]:
        of = [known[name] for name in (*statement.get("of", []), *statement.get("others", []))]
        known[statement["value"]] = made(statement, of, like, numbers)
    return {output: known[name] for output, name in document["outputs"].items()}


def made(statement: dict[str, Any], of: list[Any], like: np.ndarray, numbers: dict[str, float]) -> np.ndarray:
    match statement["kind"]:
        case "formula":
            program = Program.from_json(json.dumps(statement["program"]))
            given = np.broadcast_arrays(*(np.asarray(x, float) for x in of))
            with np.errstate(all="ignore"):
                found = run_program(program, [np.ascontiguousarray(x).reshape(-1) for x in given], numbers)["value"]
            return np.broadcast_to(found, given[0].size).reshape(given[0].shape)
        case "across":
            program, first = Program.from_json(json.dumps(statement["program"])), len(statement.get("of", []))
            assert program.inputs == (*statement["of"], *(f"{name} of the other" for name in statement["others"]))
            pairs = np.broadcast_arrays(*(x[..., None] for x in of[:first]), *(x[..., None, :] for x in of[first:]))
            found = run_program(program, [np.ascontiguousarray(x).reshape(-1) for x in pairs], numbers)["value"]
            return found.reshape(pairs[0].shape).sum(axis=-1)
        case "sum" | "max" | "argmax" as kind:
            return getattr(np, kind)(np.broadcast_to(of[0], like.shape), axis=-1, keepdims=True)
        case "pick":
            return np.take_along_axis(np.broadcast_to(of[0], like.shape), of[1], axis=-1)
        case "lookup":
            return np.array(statement["numbers"])[of[0]]
        case "place":
            return np.where(of[0] == statement["numbers"][0], 0, of[0])
        case "width":
            return np.full((*like.shape[:-1], 1), float(like.shape[-1]))
        case "cumsum":
            return np.cumsum(of[0], axis=-1)
        case "places":
            return np.broadcast_to(np.arange(like.shape[-1]), like.shape)
        case "numbers":
            return np.broadcast_to(np.array(statement["numbers"]), like.shape)
    raise AssertionError(statement)

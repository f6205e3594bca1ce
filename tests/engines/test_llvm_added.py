"""Numbers of fused products that kernels read from memory."""

from __future__ import annotations

import ctypes
import re

import numpy as np
import pytest

import lossmith as lm
from lossmith.engines import choice
from lossmith.engines.llvm import added, divergence_kernel
from lossmith.engines.llvm import compile as compiler

HEAD = """
declare <4 x float> @llvm.fma.v4f32(<4 x float>, <4 x float>, <4 x float>)
declare <4 x double> @llvm.fma.v4f64(<4 x double>, <4 x double>, <4 x double>)
define double @kernel(float %x) {
entry:
  %first = insertelement <4 x float> zeroinitializer, float %x, i32 0
"""
PRODUCT = "  %{} = call <4 x float> @llvm.fma.v4f32(<4 x float> %{}, <4 x float> {}, <4 x float> {})"
HALF, TWO, THREE, ZERO = (f"0x{bits:016X}" for bits in (0x3FE0 << 48, 0x4000 << 48, 0x4008 << 48, 0))


def floats(found: str, x: str, factor: str, other: str) -> str:
    return PRODUCT.format(found, x, f"splat (float {factor})", f"splat (float {other})")


TEXT = "\n".join(
    [
        HEAD,
        floats("a", "first", TWO, THREE),
        floats("b", "a", HALF, ZERO),
        "  br label %after\nafter:",
        "  %wide = fpext <4 x float> %b to <4 x double>",
        "  %c = call <4 x double> @llvm.fma.v4f64(<4 x double> %wide, <4 x double> splat (double " + HALF + "), "
        "<4 x double> splat (double " + THREE + "))",
        floats("d", "b", HALF, THREE),
        floats("e", "d", HALF, THREE),
        floats("f", "e", HALF, THREE),
        "  %last = fpext <4 x float> %f to <4 x double>",
        "  %sum = fadd <4 x double> %c, %last",
        "  %found = extractelement <4 x double> %sum, i32 0",
        "  ret double %found\n}\n",
    ]
)


def test_they_are_read_once_in_a_block_from_places_of_their_own() -> None:
    text = added.in_memory(TEXT)
    places = re.findall(r"load <4 x (\w+)>.*?ptr (\S+)_at, align (\d+)", text)
    assert [(kind, int(size)) for kind, _, size in places] == [
        ("float", 16), ("float", 16), ("float", 16), ("double", 32), ("double", 32),
    ]  # fmt: skip
    begins = [int(re.search(rf"{name}_at = .* i64 (\d+)", text)[1]) for _, name, _ in places]  # type: ignore[index]
    assert begins == [0, 16, 32, 64, 96]


def test_those_that_are_taken_often_are_left_and_so_is_nothing() -> None:
    text = added.in_memory(TEXT)
    for number in (HALF, THREE):
        assert text.count(f"splat (float {number})") == 1 + 3  # of the table, and of the second block
    assert text.count(f"splat (float {ZERO})") == 1
    assert added.in_memory(HEAD) == HEAD


def test_results_are_the_same() -> None:
    signature = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_float)
    for text in (TEXT, added.in_memory(TEXT), compiler.RARELY + TEXT, compiler.LONG + TEXT):
        assert compiler.function(text, "kernel", signature)(1.25) == 9.96875


def test_what_runs_rarely_is_compiled_by_other_means() -> None:
    assert compiler.build(TEXT) != compiler.build(compiler.RARELY + TEXT)


def test_what_is_long_is_compiled_by_a_lower_level(monkeypatch: pytest.MonkeyPatch) -> None:
    levels: list[int] = []
    builder = compiler._builder
    monkeypatch.setattr(compiler, "_builder", lambda here, level: levels.append(level) or builder(here, level))
    for head in ("", compiler.LONG, compiler.RARELY):
        compiler.build(head + TEXT)
    assert levels == [3, 1, 0]


def test_divergences_are_long_where_their_texts_are(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    loaded = compiler.loaded
    monkeypatch.setattr(compiler, "loaded", lambda text, *shared: texts.append(text) or loaded(text, *shared))
    for loss, q in (
        (lm.AlphaDivergence(q_kind="logits"), np.ones((3, 200))),
        (lm.TotalVariation(), np.full((3, 200), 0.005)),
    ):
        divergence_kernel.divergence_kernel.clear()
        with choice.using("llvm"):
            loss.cost_and_gradient(p=np.full((3, 200), 0.005), q=q)
        assert texts[-1].startswith(compiler.LONG) == (len(texts[-1]) > divergence_kernel.LONG)
    assert {text.startswith(compiler.LONG) for text in texts} == {True, False}

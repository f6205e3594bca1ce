"""The scripts that figures come from run, on the least that they take."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.targets import _times

ROOT = Path(__file__).parents[2]
SCRIPTS = {
    "kernels": ["--only", "huber", "--only", "kl_divergence", "--calls", "2"],
    "ways": ["--size", "300000", "--rounds", "1"],
    "switch": ["--only", "huber"],
    "boosting": ["--speed", "--rows", "4e3", "--trees", "2", "--rounds", "1"],
    "constants": ["--rows", "500", "--rounds", "1"],
    "hosts": ["--host", "torch", "--length", "1000", "--rounds", "1"],
    "linear": ["--rows", "300", "--rounds", "1"],
    "cpu": [
        "--quick",
        "--only",
        "huber",
        "--cases",
        "boosting",
        "--cases",
        "custom",
        "--rounds",
        "2",
        "--budget",
        "0.01",
    ],
}


FILES = {"cpu": ("json", "picture", "markdown"), "hosts": ("json",)}
"""What scripts write their figures into."""


@pytest.mark.long
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_prints_its_table(script: str, tmp_path: Path) -> None:
    files = {kind: tmp_path / f"{kind}.{'png' if kind == 'picture' else kind}" for kind in FILES.get(script, ())}
    kept = [part for kind, path in files.items() for part in (f"--{kind}", str(path))]
    given = [sys.executable, "-m", f"benchmarks.{script}", *SCRIPTS[script], *kept]
    done = subprocess.run(given, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert "huber" in done.stdout.lower()
    assert "| ---" in done.stdout
    if "json" in files:
        assert "huber" in files["json"].read_text(encoding="utf-8").lower()
        json.loads(files["json"].read_text(encoding="utf-8"))
    if "picture" in files:
        assert files["picture"].read_bytes().startswith(b"\x89PNG")
    if "markdown" in files:
        assert files["markdown"].read_text(encoding="utf-8") in done.stdout


def test_a_target_beyond_what_memory_allows_says_so() -> None:
    times = {
        "near": {"Lossmith": 2.0, "floor": 1.0, "PyTorch": 30.0},
        "far": {"Lossmith": 2.0, "floor": 1.0, "PyTorch": 7.0},
    }
    records = [
        {"loss": loss, "label": loss, "times": {name: {"median_s": value} for name, value in found.items()}}
        for loss, found in times.items()
    ]
    target = _times("10 times", records, "PyTorch", 10)
    assert (target.measured, target.met) == (
        "9.25 in the middle of 2, 1 as aimed at, 3.5 for far; memory allows 7 for far",
        False,
    )
    assert "memory" not in _times("10 times", records[:1], "PyTorch", 10).measured

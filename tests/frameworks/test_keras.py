"""Objects of Keras on each of its backends, which it chooses when it is imported: a process each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).with_name("keras_cases.py")
ROOT = CASES.parents[2]
OPTIONS = ("-q", "-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider")


def run(backend: str, home: Path, *options: str) -> tuple[int, str]:
    """Run cases on a backend, and return how it ended and what was said."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *OPTIONS, *options, str(CASES)],
        env={**os.environ, "KERAS_BACKEND": backend, "KERAS_HOME": str(home), "TF_CPP_MIN_LOG_LEVEL": "3"},
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("backend", ["tensorflow", "torch", "jax"])
def test_losses_are_at_home_in_keras(backend: str, tmp_path: Path) -> None:
    code, text = run(backend, tmp_path)
    assert code == 0, text


def test_another_backend_is_refused(tmp_path: Path) -> None:
    code, text = run("numpy", tmp_path, "-k", "test_the_backend_is_that_of_keras")
    assert code == 1
    assert "MissingDependencyError: lossmith.keras runs on the backends tensorflow, torch, jax" in text

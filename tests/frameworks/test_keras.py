"""Objects of Keras on each of its backends, which it chooses when it is imported: PyTorch here, others elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.frameworks.keras_cases import *  # noqa: F403  # on PyTorch, which Keras runs on where all tests run
from tests.frameworks.keras_cases import BACKEND
from tests.frameworks.keras_graphs import *  # noqa: F403
from tests.frameworks.keras_mistakes import *  # noqa: F403

CASES = [str(Path(__file__).with_name(name)) for name in ("keras_cases.py", "keras_graphs.py", "keras_mistakes.py")]
ROOT = Path(__file__).parents[2]
# JAX compiles hundreds of small functions here, which takes the time; what becomes of numbers has tests of its own.
QUICK = {"jax": {"XLA_FLAGS": "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"}}
OPTIONS = ("-q", "-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider")


@pytest.mark.long
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_losses_are_at_home_in_keras(backend: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *OPTIONS, *CASES],
        env={**os.environ, **QUICK.get(backend, {}), "KERAS_BACKEND": backend, "KERAS_HOME": str(tmp_path)},
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_third_backend_is_that_of_this_process() -> None:
    assert BACKEND == "torch"

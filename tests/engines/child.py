"""Scripts in processes of their own, for what a test must not do to its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping

SLOWER = float(os.environ.get("SLOWER", "1"))
"""How much more time a script has than on a machine at hand; see ``tests/machines/run``."""

START = """
import os, sys
import numpy as np
import lossmith as lm
from lossmith.engines import choice

def data(rows, dtype=np.float32):
    rng = np.random.default_rng(3)
    return rng.normal(size=rows).astype(dtype), rng.normal(size=rows).astype(dtype)
"""
"""What every script begins with."""


def start(script: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a script, whose output can be read."""
    return subprocess.Popen(
        [sys.executable, "-c", START + textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    )


def end(process: subprocess.Popen[str], timeout: float = 60) -> tuple[str, str]:
    """Return what a script wrote to its two streams; it must end well, and before the time is over."""
    try:
        out, err = process.communicate(timeout=timeout * SLOWER)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"the script hangs; it wrote {out!r} and {err!r}") from None
    assert process.returncode == 0, f"exit {process.returncode}: {err}"
    return out, err


def run(script: str, env: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Run a script to its end."""
    return end(start(script, env))

"""What tests of the engines share."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator

import pytest

from lossmith.engines import choice


@pytest.fixture
def reading_arrays() -> Iterator[None]:
    """Let functions in machine code read arrays, where they can."""
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        pytest.skip("without its lock, objects of Python begin otherwise")
    with choice.using("auto"):
        yield

"""What tests of frameworks share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture
def wide() -> Iterator[None]:
    """Let JAX compute in double precision where arrays have it."""
    import jax

    with jax.enable_x64(True):
        yield

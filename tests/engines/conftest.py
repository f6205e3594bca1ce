"""Kernels of tests are kept apart from those of the user."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _kernels_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOSSMITH_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "kernels"))
        yield

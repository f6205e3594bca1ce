"""What all tests share: losses found through the registry, and examples that repeat."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# The same examples on every machine: a failure is one to repeat, and slow machines are no failure.
settings.register_profile(
    "lossmith", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("lossmith")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give ``case`` every loss with its options and edge parameters, and ``kind`` every class of losses."""
    own = " ".join(str(mark.args[0]) for mark in metafunc.definition.iter_markers("parametrize"))
    if "case" in metafunc.fixturenames and "case" not in own:
        from tests.laws.grid import CASES, name_of

        metafunc.parametrize("case", CASES, ids=name_of)
    if "kind" in metafunc.fixturenames and "kind" not in own:
        from tests.laws.grid import kinds

        metafunc.parametrize("kind", kinds(), ids=lambda kind: kind.name)

"""The table of exceptions: every law has its part, every entry says why, and nothing is about what is not there."""

from __future__ import annotations

import pytest

import lossmith as lm
from lossmith.certify import exactness
from lossmith.relations import RELATIONS
from tests import exceptions
from tests.laws import test_every_loss, test_parameters
from tests.relations import check
from tests.structures import row_cases, test_divergence_exact, test_named_losses

USERS = {
    "grid": {allowance.name for allowance in exactness.ALLOWANCES},
    "parameters": set(test_parameters.EXCEPTIONS),
    "rows": set(row_cases.EXCEPTIONS),
    "divergences": set(test_divergence_exact.EXCEPTIONS),
    "likelihoods": set(test_named_losses.EXCEPTIONS),
    "relations": set(check.EXCEPTIONS),
    "finite": set(test_every_loss.BOUNDS),
    "far": set(test_parameters.FAR),
}


def test_every_law_uses_its_part_of_the_table() -> None:
    assert set(USERS) == set(exceptions.LAWS)
    assert {item.law for item in exceptions.EXCEPTIONS} == set(exceptions.LAWS)
    for law, used in USERS.items():
        assert used == set(exceptions.of(law)), law


@pytest.mark.parametrize("item", exceptions.EXCEPTIONS, ids=lambda item: f"{item.law}: {item.about}")
def test_every_exception_says_why(item: exceptions.Less) -> None:
    assert len(item.reason) > 30
    assert not item.reason.endswith(".")


def test_no_exception_is_written_twice() -> None:
    assert len({(item.law, item.about) for item in exceptions.EXCEPTIONS}) == len(exceptions.EXCEPTIONS)


def test_what_is_about_a_loss_names_one() -> None:
    for name in (*exceptions.of("parameters"), *(name for name, _, _ in exceptions.of("rows"))):
        assert name in lm.names()
    for written, _ in exceptions.of("divergences"):
        assert written.split("(")[0] in lm.__all__
    for left, right, _ in exceptions.of("relations"):
        assert any((relation.left, relation.right) == (left, right) for relation in RELATIONS)

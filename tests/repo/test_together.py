"""A test that takes several losses one after the other runs for each, and names each that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

import lossmith as lm
from lossmith.engines import choice
from tests.together import Together, by_name, for_each, several

HUBERS = [lm.Huber(delta=delta) for delta in (0.5, 1.0, 2.0)]


def test_losses_of_one_name_come_together() -> None:
    (first, second) = by_name([HUBERS[0], lm.LogCosh(), *HUBERS[1:]])
    assert (first.id, first.values[0], first.values[0].name) == ("huber", tuple(HUBERS), "huber")
    assert (second.id, second.values[0]) == ("log_cosh", (lm.LogCosh(),))


def test_each_is_tried_whatever_became_of_the_others() -> None:
    tried = []

    def law(loss: lm.Loss, number: int) -> None:
        tried.append((loss, number))
        assert loss.values["delta"] == 1, "not one"

    with pytest.raises(BaseExceptionGroup, match=r"2 of 3 fail, .*0.5\); .*delta=2\)") as caught:
        for_each({"loss": Together("huber", HUBERS), "number": 3}, law)
    assert tried == [(loss, 3) for loss in HUBERS]
    assert all("not one" in str(error) for error in caught.value.exceptions)


@pytest.mark.parametrize("end", [pytest.skip, pytest.fail])
def test_one_can_neither_skip_the_others_nor_hide(end: Callable[[str], None]) -> None:
    tried = []

    def law(loss: lm.Loss) -> None:
        tried.append(loss)
        end("why")

    try:
        for_each({"loss": Together("huber", HUBERS)}, law)
    except BaseException as error:  # a skip that gets out would skip this test
        assert isinstance(error, BaseExceptionGroup)  # noqa: PT017
        assert len(error.exceptions) == 3  # noqa: PT017
    assert tried == HUBERS


def test_what_comes_alone_is_passed_on() -> None:
    assert several({"loss": HUBERS[0], "pair": (1, 2)}) == {}
    with pytest.raises(ZeroDivisionError):
        for_each({"number": 0}, lambda number: 1 / number)


def test_cases_come_together(case: lm.Loss) -> None:
    assert isinstance(case, lm.Loss)


@pytest.fixture
def ran(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    found: list[str] = []
    yield found
    assert found == request.param


@pytest.mark.engines
@pytest.mark.parametrize("ran", [["numpy", "llvm"]], indirect=True)
def test_what_is_marked_runs_on_every_engine(ran: list[str]) -> None:
    ran.append(choice._forced)


@pytest.mark.engines(of=lambda ran, loss: ("llvm",) if loss.values["delta"] == 1 else ("numpy",))
@pytest.mark.parametrize("ran", [["numpy", "llvm", "numpy"]], indirect=True)
@pytest.mark.parametrize("loss", by_name(HUBERS))
def test_each_runs_where_it_is_said_to(ran: list[str], loss: lm.Loss) -> None:
    ran.append(choice._forced)

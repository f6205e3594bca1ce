"""Values that one test takes one after the other, since a test for each takes longer than most of them do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Any

import pytest

from lossmith import Loss


class Together(tuple[Any, ...]):
    """Losses of one name; in the place of an argument, the test is run for each."""

    name: str

    def __new__(cls, name: str, values: Iterable[Any]) -> Together:
        self = super().__new__(cls, values)
        self.name = name
        return self


def by_name(losses: Iterable[Loss]) -> list[Any]:
    """Return the losses of each name as one parameter, whose id is the name."""
    groups: dict[str, list[Loss]] = {}
    for loss in losses:
        groups.setdefault(loss.name, []).append(loss)
    return [pytest.param(Together(name, group), id=name.replace(" ", "")) for name, group in groups.items()]


def several(arguments: Mapping[str, Any]) -> dict[str, Together]:
    """Return the arguments that are given together with others."""
    return {name: value for name, value in arguments.items() if isinstance(value, Together)}


def for_each(arguments: Mapping[str, Any], run: Callable[..., None]) -> None:
    """Run a test for each value that is given together with others.

    Raises:
        BaseExceptionGroup: of all failures, where a value fails, or skips the test, whose others nobody would miss.
    """
    names = several(arguments)
    if not names:
        return run(**arguments)
    failed: list[BaseException] = []
    ways = list(product(*names.values()))
    for way in ways:
        try:
            run(**{**arguments, **dict(zip(names, way, strict=True))})
        except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:
            error.add_note(f"for {', '.join(map(str, way))}")
            failed.append(error)
    if failed:
        which = "; ".join(error.__notes__[-1] for error in failed)
        raise BaseExceptionGroup(f"{len(failed)} of {len(ways)} fail, {which}", failed)
    return None

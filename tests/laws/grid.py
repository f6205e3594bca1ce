"""The losses that every law is tried on, found through the registry alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from lossmith import Loss, ParameterError
from lossmith.certify.points import combinations, kinds
from lossmith.engines import choice

WRITTEN = "labels"
"""An option of how labels are written, which no formula sees: with signed ones ``test_limits`` compares each case."""


def variants(cls: type[Loss]) -> Iterator[Loss]:
    """Yield a loss with its defaults, every combination of its options, and each parameter at its edges.

    Edges of a parameter are the ends of its typical range and the ends that its domain includes.
    They are tried with the default options, and with each option changed alone that changes the formula.
    """
    options = cls.options()
    plain = {name: option.default for name, option in options.items()}
    for form in combinations(cls):
        yield cls(**form)
        if sum(form[name] != plain[name] for name in form) > (form.get(WRITTEN) == plain.get(WRITTEN)):
            continue
        for name, parameter in cls.parameters().items():
            domain = parameter.domain
            ends = [
                end for end, kept in ((domain.low, domain.low_included), (domain.high, domain.high_included)) if kept
            ]
            for value in (*parameter.typical, *ends):
                with suppress(ParameterError):  # a parameter of another form; test_grid holds that some form takes it
                    yield cls(**{**form, name: value})


def _cases() -> list[Loss]:
    return list(dict.fromkeys(loss for kind in kinds() for loss in variants(kind)))


CASES: tuple[Loss, ...] = tuple(_cases())


def name_of(loss: Loss) -> str:
    """Return the id of a case, such as ``huber(delta=0.1)``."""
    return loss.name + str(loss)[len(type(loss).__name__) :]


def defaults_on_every_engine(case: Loss, **others: Any) -> tuple[choice.Name, ...]:
    """Return where laws are tried that ask for many kernels each: only losses with their defaults on every engine.

    The contract of calls that kernels keep lies around the formula, and what options change is the formula. For each
    option the contract is kept on every engine in ``test_every_loss``.
    """
    return ("numpy", "llvm") if case == type(case)() else ("numpy",)

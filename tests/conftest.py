"""What all tests share: losses found through the registry, examples that repeat, and both engines where marked."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, settings

from lossmith.engines import choice
from tests.together import by_name, for_each, several

# Keras chooses its backend when whatever test is first imports it, and those that compare with it want this one.
os.environ.setdefault("KERAS_BACKEND", "torch")

_CACHE = "LOSSMITH_CACHE_DIR"
ENGINES: tuple[choice.Name, ...] = ("numpy", "llvm")

# The same examples on every machine: a failure is one to repeat, and slow machines are no failure.
settings.register_profile(
    "lossmith", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("lossmith")


def pytest_collection() -> None:
    """Collect a million objects that all stay without looking through them again and again for garbage."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage among what comes from now on, until Python ends, when libraries ask what is left of theirs."""
    gc.freeze()
    gc.enable()
    atexit.register(gc.unfreeze)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give ``case`` the losses of a name with their options and edge parameters, and ``kind`` every class of losses."""
    own = " ".join(str(mark.args[0]) for mark in metafunc.definition.iter_markers("parametrize"))
    if "case" in metafunc.fixturenames and "case" not in own:
        from tests.laws.grid import CASES

        metafunc.parametrize("case", by_name(CASES))
    if "kind" in metafunc.fixturenames and "kind" not in own:
        from lossmith.certify.points import kinds

        metafunc.parametrize("kind", kinds(), ids=lambda kind: kind.name)


def pytest_configure(config: pytest.Config) -> None:
    """Keep machine code in a folder of this run, which its workers share, and never in the user's cache."""
    config.addinivalue_line("markers", "long: among the longest tests, with which a run begins")
    config.addinivalue_line(
        "markers",
        "engines(*names, of=None): run on these engines, or those that ``of`` says for the arguments, or all, "
        "one after the other, with one truth",
    )
    if not hasattr(config, "workerinput"):
        os.environ[_CACHE] = config.stash[_FOLDER] = tempfile.mkdtemp(prefix="lossmith-kernels-")
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            # A job in the background ignores interrupts, and so would all that tests start and interrupt.
            signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest tests, and let the laws of one loss follow one another, in whatever order those come.

    At the end one worker would wait for another that has come to the longest. And what laws share, the truths of a loss
    at 60 digits and its kernels, is computed once where one worker has them all, one soon after the other.
    """
    from lossmith import names

    known = frozenset(names())
    places = [_subject(item, known) for item in items]
    first = {subject: place for place, subject in reversed(list(enumerate(places))) if subject}
    order = {item: first.get(subject, place) for place, (item, subject) in enumerate(zip(items, places, strict=True))}
    items.sort(key=lambda item: (item.get_closest_marker("long") is None, order[item]))


_LAWS = Path(__file__).parent / "laws", Path(__file__).parent / "structures"


def _subject(item: pytest.Item, known: frozenset[str]) -> str:
    """Return the name of the loss that a law is tried on; none for other tests."""
    if item.path.parent not in _LAWS or not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return ""
    named = (getattr(value, "name", value) for value in item.callspec.params.values())
    return next((name for name in named if isinstance(name, str) and name in known), "")


_FOLDER = pytest.StashKey[str]()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the folder."""
    if folder := config.stash.get(_FOLDER, None):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Literal[True] | None:
    """Run a test for each of what it gets together, and a marked one on each engine.

    Truths at 60 digits, which take the time, are kept in between.
    """
    marker = pyfuncitem.get_closest_marker("engines")
    given = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    if marker is None and not several(given):
        return None

    def run(**arguments: Any) -> None:
        if marker is None:
            return pyfuncitem.obj(**arguments)
        engines = marker.kwargs["of"](**arguments) if "of" in marker.kwargs else marker.args
        for engine in engines or ENGINES:
            try:
                with choice.using(engine):
                    pyfuncitem.obj(**arguments)
            except BaseException as error:
                error.add_note(f"on the {engine} engine")
                raise
        return None

    for_each(given, run)
    return True

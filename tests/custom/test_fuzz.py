"""No text whatever runs, hangs or grows beyond its bounds: each is a loss, or an error with its place.

The texts differ from run to run. What a failure notes, ``LOSSMITH_FUZZ=...``, set in the environment, gives its texts
again; Hypothesis prints what repeats its own.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lossmith as lm
from lossmith.custom.functions import CONSTANTS, FUNCTIONS, written
from lossmith.custom.grammar import LONGEST, MOST, parse
from lossmith.engines import choice
from lossmith.errors import FormulaError

SEED = int(os.environ.get("LOSSMITH_FUZZ") or Random().getrandbits(32))
SECONDS = 10.0
"""What takes longer hangs: the slowest texts take one."""
STEPS = 100
"""Instructions of a loss and its derivatives, at most, for each part of its formula."""
NAMES = ("y", "f", "k")

# --- the watch ------------------------------------------------------------------------------------

RUNS = (
    "exec", "import", "open", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.putenv", "os.remove",
    "subprocess.Popen", "socket.connect", "ctypes.dlopen", "code.__new__", "marshal.loads", "pickle.find_class",
)  # fmt: skip
_watched: list[str] | None = None
_watcher = threading.get_ident()


def _watch(event: str, _: object) -> None:
    if _watched is not None and event in RUNS and threading.get_ident() == _watcher:
        _watched.append(event)


@pytest.fixture(scope="module", autouse=True)
def watch() -> None:
    """See what runs. Nothing takes such a watch away, so it sleeps where nobody asks."""
    global _watcher
    _watcher = threading.get_ident()
    lm.formula("f*y")  # imports what it needs
    refusal("lgo(f)")
    sys.addaudithook(_watch)


@contextlib.contextmanager
def watched(text: str, seconds: float = SECONDS) -> Iterator[None]:
    """Fail where anything runs or takes too long; where not even signals come through, end Python and say where."""
    global _watched
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail(f"no end after {seconds:g} s: {text!r}"))
    faulthandler.dump_traceback_later(10 * seconds, exit=True, file=2)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    ran: list[str] = []
    _watched = ran
    try:
        yield
    finally:
        _watched = None
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, before)
    assert ran == [], text


def loss_of(text: str) -> lm.Loss:
    """Return the loss of a text that may have a parameter k."""
    return lm.formula(text, parameters={"k": 1.5} if re.search(r"\bk\b", text) else {})


def refusal(text: str) -> FormulaError | None:
    """Return the error of a text, if there is one; any other would go on its way."""
    try:
        loss_of(text)
    except FormulaError as error:
        return error
    return None


def _runs() -> None:
    eval("1 + 1")


def _imports() -> None:
    with contextlib.suppress(ImportError):
        __import__("a_module_of_nobody")


def _hangs() -> None:
    while True:
        pass


@pytest.mark.parametrize(
    ("call", "says"), [(_runs, "exec"), (_imports, "import"), (_hangs, r"no end after 0\.05 s: 'a text'")]
)
def test_the_watch_sees_what_runs_and_what_hangs(call: Callable[[], None], says: str) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception), match=says), watched("a text", 0.05):
        call()


# --- texts ----------------------------------------------------------------------------------------

WORDS = [
    *NAMES, *FUNCTIONS, *CONSTANTS, "1", "0", "2.5", "1e300", ".5", "+", "-", "*", "/", "**", "(", ")", "(", ")", ",",
    "<", "<=", "==", "!=", " and ", " or ", " not ", " if ", " else ", "__import__", "('os')", ".system", "[0]", "\\",
    "lambda", "\x00", "\n", "{", "'", '"', "=", ":=", "\u2028", "\uff59", "#", "f'{f}'", "@", "~", "1j", "None",
    "exec('import this')", "eval", "open('here', 'w')", "().__class__.__bases__", "breakpoint()", "9**9**9**9",
    "\udc80",
]  # fmt: skip
GOOD = ("where(f < y, 4*(y - f)**2, (y - f)**2)", "-(y*log(sigmoid(f)) + (1 - y)*log(1 - sigmoid(f)))")
RUN = ("__import__('os').system('true')", "__import__(f)", "exec('import this')", "eval(f)", "open('here', 'w') + f")


def _words(chance: Random) -> str:
    return "".join(chance.choices(WORDS, k=chance.randrange(13)))


def _characters(chance: Random, most: int = 30) -> str:
    below = (0x80, 0x500, 0xD800)  # beyond are surrogates, and planes of which more than enough come here
    return "".join(chr(chance.randrange(chance.choice(below))) for _ in range(chance.randrange(most + 1)))


def _spoilt(chance: Random) -> str:
    text, begin = chance.choice(GOOD), chance.randrange(51)
    return text[:begin] + _characters(chance, 4) + text[begin + chance.randrange(5) :]


def _tree(chance: Random, parts: int) -> str:
    """Return a formula of about so many parts."""
    if parts < 2:
        return chance.choice(("y", "f", "f", "k", "f - y", "1", "0", "2", "0.5", "pi", "-3", "1e-300"))
    part = chance.randrange(1, parts)
    if chance.random() < 0.5:
        return f"({_tree(chance, part)}){chance.choice(('+', '-', '*', '/', '**'))}({_tree(chance, parts - part)})"
    called = chance.choice(sorted(FUNCTIONS.keys() - {"lgamma"}))  # which has no derivative
    arity = FUNCTIONS[called].arity or chance.randrange(2, 5)
    inner = [_tree(chance, (parts - 1) // arity) for _ in range(arity)]
    if FUNCTIONS[called].first:
        inner[0] += f" {chance.choice(('<', '<=', '==', '!=', '>', '>='))} {_tree(chance, part // 2)}"
    return f"{called}({', '.join(inner)})"


def _formulas(chance: Random) -> str:
    return _tree(chance, chance.randrange(1, 40))


def _long(chance: Random) -> str:
    """Return a formula inside itself, or many in a row, up to more than there may be."""
    piece = chance.choice((*GOOD, _tree(chance, 5), _words(chance)))
    times = chance.randrange(2 * LONGEST // (len(piece) + 1)) if chance.random() < 0.5 else chance.randrange(40)
    if chance.random() < 0.5:
        return chance.choice((" + ", "*", " - ", ", ", "**", " < ")).join([piece] * times)
    before, _, after = piece.partition(chance.choice(("f", "y", "k")))
    return before * times + "f" + after * times


# Not from Hypothesis, which takes ten times as long as what is tested.
@pytest.mark.parametrize(
    ("kind", "texts", "least", "most"),
    [
        (_words, 3_500, 0, 350),
        (_characters, 3_500, 0, 350),
        (_spoilt, 3_500, 35, 1_000),
        (_formulas, 400, 100, 400),
        (_long, 60, 0, 60),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_any_text_is_a_loss_or_a_located_error(
    kind: Callable[[Random], str], texts: int, least: int, most: int
) -> None:
    chance, losses = Random(SEED), 0
    text = ""
    try:
        for _ in range(texts):
            text = kind(chance)
            losses += is_a_loss(text)
    except BaseException as error:
        error.add_note(f"LOSSMITH_FUZZ={SEED} repeats it; the text is {text!r}")
        raise
    assert least <= losses <= most, "some texts are formulas, and of those that are spoilt most are not"


def is_a_loss(text: str) -> bool:
    """Return whether a text is a loss, which then has derivatives and reads back, and else an error that says where."""
    with watched(text):
        error = refusal(text)
    if error is not None:
        assert 1 <= error.column <= len(text) + 1
        assert re.search(r"\^ (line \d+, )?column \d+$", str(error))
        return False
    with watched(text):
        tree, loss = parse(text, NAMES), loss_of(text)
        steps = len(loss.program(2).steps)
    assert tree.size <= MOST
    assert steps <= STEPS * tree.size
    assert parse(written(tree), NAMES) == tree
    if steps < 500:
        with choice.using("numpy"):
            for found in (loss.losses, loss.gradient, loss.hessian):
                assert found([0.0, 1.5], [0.5, -2.0]).shape == (2,)
    return True


@pytest.mark.parametrize("text", RUN)
def test_no_text_runs(text: str) -> None:
    for whole in (text, f"f + {text}", f"where(f < y, {text}, y)"):
        with watched(whole):
            assert refusal(whole) is not None


ATOMS = st.sampled_from(["y", "f", "1", "0", "2", "0.5", "pi", "-3"])


def _grown(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(parts, st.sampled_from([" + ", " - ", "*", "/", "**"]), parts)
    calls = st.tuples(st.sampled_from([name for name, call in FUNCTIONS.items() if call.arity == 1]), parts)
    chosen = st.tuples(parts, st.sampled_from(["<", "<=", "==", "!=", ">"]), parts, parts)
    return st.one_of(
        pairs.map(lambda p: f"({p[0]}){p[1]}({p[2]})"),
        calls.map(lambda p: f"{p[0]}({p[1]})"),
        chosen.map(lambda p: f"where({p[0]} {p[1]} {p[2]}, {p[3]}, {p[0]})"),
    )


@settings(max_examples=150, derandomize=False, print_blob=True)
@given(st.recursive(ATOMS, _grown, max_leaves=8))
def test_any_formula_has_numbers_or_says_why_not(text: str) -> None:
    with watched(text):
        error = refusal(text)
    if error is None:
        assert loss_of(text).losses([0.0, 1.5], [0.5, -2.0]).shape == (2,)

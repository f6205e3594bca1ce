"""The command line as a whole: start-up, exit codes, errors, pipes, terminals, completion."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from lossmith.cli import terminal as talk
from lossmith.cli._group import LazyGroup
from lossmith.cli._root import COMMANDS, root

from .conftest import COMMAND, Done, environment

Run = Callable[..., Done]

HEAVY = ("numpy", "duckdb", "sympy", "rich", "rich_click", "lightgbm", "sklearn", "matplotlib")


def modules_after(*words: str) -> set[str]:
    """Return the top-level modules that a run has imported when it ends."""
    code = (
        "import sys\n"
        f"sys.argv = ['lossmith', *{list(words)!r}]\n"
        "from lossmith.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('MODULES', *{name.partition('.')[0] for name in sys.modules})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split()[1:])


@pytest.mark.parametrize("words", [("--help",), ("--version",), (), ("nonsense",)])
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    assert not modules_after(*words) & set(HEAVY)


def test_that_test_can_fail() -> None:
    assert "numpy" in modules_after("list")


def test_help_names_every_command(run: Run) -> None:
    done = run("--help")
    assert done.code == 0
    assert done.err == ""
    for name, (_, line) in COMMANDS.items():
        assert f"{name} " in done.out
        assert line in done.out
    assert run().out == done.out
    assert run("-h").out == done.out


@pytest.mark.parametrize("name", COMMANDS)
def test_the_line_in_the_help_is_the_command_s_own(name: str) -> None:
    command = root.load(name)
    assert command.get_short_help_str(limit=100) == COMMANDS[name][1]
    assert CliRunner().invoke(root, [name, "--help"]).exit_code == 0


def test_version(run: Run) -> None:
    import lossmith

    assert run("--version").out == f"lossmith {lossmith.__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["shwo", "huber"], "error: no such command: shwo. Did you mean 'show'?"),
        (["qqq"], "error: no such command: qqq. Commands: choose, list, show, plot, learn, check, export, score."),
        (["--nope"], "error: No such option '--nope'."),
        (["show"], "error: Missing argument 'LOSS'. Try `lossmith show --help`."),
        (["show", "hubr"], "error: no loss is called 'hubr'. Did you mean 'huber'?"),
        (["show", "huber(delta=-1)"], "error: Huber(delta=-1): delta must lie in (0, inf)"),
        (["list", "--jsn"], "error: No such option '--jsn'. Did you mean '--json'?"),
        (["score", "none.csv", "-t", "y", "-p", "p", "-l", "mae"], "error: no such file: none.csv."),
        (["score", "none.csv"], "error: Missing option"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(run: Run, words: list[str], said: str) -> None:
    done = run(*words)
    assert done.code == 2
    assert done.out == ""
    assert done.err.startswith(said)
    assert done.err.count("\n") == 1


def toy() -> LazyGroup:
    """Return a group whose commands end in every possible way."""
    group = LazyGroup("toy", lazy={})

    def add(name: str, body: Callable[[], object]) -> None:
        found = click.Command(name, callback=body, help=name)
        group.lazy[name] = (f"{__name__}:_toy_{name}", name)
        globals()[f"_toy_{name}"] = found

    def fail(error: BaseException) -> Callable[[], object]:
        def body() -> object:
            raise error

        return body

    add("fine", lambda: None)
    add("found", lambda: 1)
    add("interrupt", fail(KeyboardInterrupt()))
    add("abort", fail(click.Abort()))
    add("click", fail(click.ClickException("no")))
    add("disk", fail(OSError(28, "No space left on device", "out.html")))
    add("package", fail(ModuleNotFoundError("No module named 'zzz'", name="zzz")))
    add("ours", fail(ModuleNotFoundError("No module named 'lossmith.zzz'", name="lossmith.zzz")))
    add("bug", fail(ZeroDivisionError("division by zero")))
    add("exit", lambda: sys.exit(3))
    return group


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("fine", 0, ""),
        ("found", 1, ""),
        ("interrupt", 130, "interrupted\n"),
        ("abort", 130, "interrupted\n"),
        ("click", 2, "error: no.\n"),
        ("disk", 2, "error: No space left on device: out.html\n"),
        ("package", 2, "error: this needs the package zzz. Install it with: pip install 'lossmith[lab]'\n"),
        ("exit", 3, ""),
    ],
)
def test_how_a_command_ends(name: str, code: int, said: str) -> None:
    result = CliRunner().invoke(toy(), [name])
    assert (result.exit_code, result.stderr, result.stdout) == (code, said, "")


@pytest.mark.parametrize("name", ["bug", "ours"])
def test_a_bug_shows_its_traceback_and_has_its_own_code(name: str) -> None:
    result = CliRunner().invoke(toy(), [name])
    assert result.exit_code == 70
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("error: this is a bug in Lossmith. Please report it with the lines above.\n")


def test_ctrl_c(tmp_path: Path) -> None:
    words = [*COMMAND, "score", "-", "-t", "y", "-p", "p", "-l", "mae"]
    process = subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(TMPDIR=str(tmp_path)),
        text=True,
    )
    assert process.stdin is not None
    process.stdin.write("y,p\n1,2\n")
    process.stdin.flush()
    until = time.monotonic() + 60
    # The copy of standard input appears when the command reads. Before, Python tries the folder with a file of its own.
    while not list(tmp_path.glob("lossmith-*.csv")) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "interrupted\n")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_goes_away(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*COMMAND, "list"], stdout=writer, stderr=subprocess.PIPE, text=True, env=environment())
    os.close(writer)
    assert done.returncode == 141
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("words", [["list", "--json"], ["list", "--estimates", "median"]], ids=["long", "short"])
def test_a_full_disk(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True, env=environment())
    assert done.returncode == 2
    assert done.stderr.endswith("error: No space left on device\n")
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("words", [["--help"], ["list"], ["show", "huber"], ["nonsense"]], ids=" ".join)
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_output(words: list[str], closed: str) -> None:
    line = " ".join([*COMMAND, *words, closed])
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=environment())
    assert done.returncode == (2 if words == ["nonsense"] else 0)
    assert "Traceback" not in done.stderr


def test_a_terminal_that_cannot_show_a_character(run: Run) -> None:
    done = run("show", "huber", env={"PYTHONIOENCODING": "ascii"})
    assert done.code == 0
    assert "delta (?)" in done.out


def test_colour_is_for_terminals(run: Run, terminal: Run) -> None:
    for words in (["--help"], ["list"], ["show", "huber"], ["score", "--help"]):
        assert "\x1b[" in terminal(*words).out
        plain = run(*words)
        assert "\x1b" not in plain.out + plain.err
    for words in (["--help"], ["list"], ["show", "huber"], ["nonsense"]):
        shown = terminal(*words, env={"NO_COLOR": "1"}).out
        assert not any(f"\x1b[{code}m" in shown for code in (*range(31, 38), "1;36", "1;33"))
    assert "\x1b[31m\x1b[1merror" in terminal("nonsense").out


@pytest.mark.parametrize("columns", [80, 120])
def test_nothing_is_wider_than_the_terminal(terminal: Run, columns: int) -> None:
    for words in (
        ["--help"],
        ["list"],
        ["show", "huber"],
        ["show", "focal"],
        ["nonsense"],
        ["list", "--help"],
        ["score", "--help"],
    ):
        shown = terminal(*words, columns=columns, env={"NO_COLOR": "1", "TERM": "dumb"}).out
        wide = [line for line in shown.splitlines() if len(line) > columns and "https://" not in line]
        assert wide == []


def completions(run: Run, line: str) -> list[str]:
    words = line.split(" ")
    env = {"_LOSSMITH_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    return [entry.partition(",")[2] for entry in run(env=env).out.split()]


def test_completion(run: Run, tmp_path: Path) -> None:
    assert completions(run, "lossmith s") == ["show", "score"]
    assert completions(run, "lossmith show hu") == ["huber"]
    assert completions(run, "lossmith show mse") == ["mse"]
    assert "quantile" in completions(run, "lossmith score x.csv --loss q")
    assert completions(run, "lossmith list --task b") == ["binary"]
    assert completions(run, "lossmith list --family em") == ["embedding"]
    assert "--lipschitz" in completions(run, "lossmith list --l")
    (tmp_path / "t.csv").write_text("wage,wage_before,age\n1,2,3\n")
    assert completions(run, "lossmith score t.csv --target wa") == ["wage", "wage_before"]
    assert completions(run, "lossmith score t.csv -l mae -t y --prediction a") == ["age"]
    assert completions(run, "lossmith score none.csv --target wa") == []
    assert completions(run, "lossmith score 't.csv --target wa") == []
    script = run(env={"_LOSSMITH_COMPLETE": "bash_source"})
    assert script.code == 0
    assert "_LOSSMITH_COMPLETE=bash_complete" in script.out


def test_json_documents(capsys: pytest.CaptureFixture[str]) -> None:
    talk.write_json({"b": float("nan"), "a": [1, np.float64(-np.inf), np.int64(3)], "c": np.array([1.5]), "ü": True})
    out = capsys.readouterr().out
    assert out.endswith("}\n")
    assert list(json.loads(out)) == ["a", "b", "c", "ü"]
    assert json.loads(out) == {"a": [1, None, 3], "b": None, "c": [1.5], "ü": True}
    with pytest.raises(TypeError, match="object has no JSON form"):
        talk.write_json({"x": object()})


def test_plain_tables(capsys: pytest.CaptureFixture[str]) -> None:
    talk.print_table(("name", "n"), [("a", "1"), ("long name", "1,000")], right=[1], title="ignored")
    assert capsys.readouterr().out == "name           n\na              1\nlong name  1,000\n"


def test_the_width_of_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(talk, "is_terminal", lambda: False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert talk.width() == 100
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert talk.width() == 60  # of the terminal that the pager behind the pipe is in
    monkeypatch.setenv("COLUMNS", "3")
    assert talk.width() == 20


def test_consoles() -> None:
    assert talk.err.stderr
    assert not talk.out.stderr
    with pytest.raises(AttributeError, match="nothing"):
        talk.nothing  # type: ignore[attr-defined]  # noqa: B018


def test_running_the_group_inside_a_program() -> None:
    assert root.main(["--version"], standalone_mode=False) in (0, None)
    with pytest.raises(click.UsageError):
        root.main(["nonsense"], standalone_mode=False)


def test_an_interrupt_inside_an_exec_leaves_with_130_too(tmp_path: Path) -> None:
    (tmp_path / "stopping.py").write_text(
        "import click\n"
        "from lossmith.cli._group import LazyGroup\n"
        "@click.command()\n"
        "def stop(): exec('raise KeyboardInterrupt')\n"
        "if __name__ == '__main__': LazyGroup(lazy={'stop': ('stopping:stop', 'Stop.')}).main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "stopping", "stop"], cwd=tmp_path, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 130
    assert done.stderr == "interrupted\n"

"""Running the command line as people and scripts do."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import lossmith

HERE = str(Path(lossmith.__file__).resolve().parent.parent)  # the same code as in this process, from any folder
COMMAND = [sys.executable, "-m", "lossmith"]


def environment(**changed: str) -> dict[str, str]:
    dropped = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "PYTHONWARNINGS", "PYTHONUNBUFFERED")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "PYTHONPATH": HERE, "TERM": "xterm-256color", **changed}


class Done:
    """What a run left: exit code, standard output and standard error."""

    def __init__(self, code: int, out: str, err: str = "") -> None:
        self.code, self.out, self.err = code, out, err

    def __repr__(self) -> str:
        return f"exit code {self.code}\n{self.out}\n{self.err}"


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Done]:
    """Run in a pipe, in an empty folder."""

    def run(*words: str, stdin: str = "", env: Mapping[str, str] = {}) -> Done:
        done = subprocess.run(
            [*COMMAND, *words],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment(**env),
            timeout=60,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def terminal(tmp_path: Path) -> Callable[..., Done]:
    """Run in a terminal of 80 columns; standard output and error come together."""

    def terminal(*words: str, columns: int = 80, env: Mapping[str, str] = {}) -> Done:
        ours, theirs = pty.openpty()
        os.set_blocking(ours, False)
        size = environment(**env, COLUMNS=str(columns), LINES="50")
        process = subprocess.Popen(
            [*COMMAND, *words], stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path, env=size
        )
        os.close(theirs)
        seen = bytearray()
        while True:
            if select.select([ours], [], [], 60)[0] == []:
                process.kill()
                raise AssertionError(f"silent for a minute after {seen!r}")
            try:
                part = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            seen += part
        os.close(ours)
        return Done(process.wait(60), seen.decode().replace("\r\n", "\n"))

    return terminal

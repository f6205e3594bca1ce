"""The group of commands: loads a command only when it runs, and turns every error into one line and an exit code."""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NoReturn

import click

from lossmith.cli import terminal
from lossmith.errors import LossmithError, did_you_mean

FAILED, USAGE, CRASHED, INTERRUPTED, NO_READER = 1, 2, 70, 130, 141


class Help(click.HelpFormatter):
    """Help text with coloured headings and option names; click removes the colours in a pipe."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._colour = terminal.colours(sys.stdout)

    def _paint(self, text: str, **style: Any) -> str:
        return click.style(text, **style) if self._colour else text

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the line that shows how a command is called."""
        super().write_usage(prog, args, self._paint(prefix or "Usage: ", fg="yellow", bold=True))

    def write_heading(self, heading: str) -> None:
        """Write the heading of a section."""
        super().write_heading(self._paint(heading, fg="yellow", bold=True))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write terms and what they mean in two columns."""
        painted = [(self._paint(term, fg="cyan", bold=True), meaning) for term, meaning in rows]
        super().write_dl(painted, col_max, col_spacing)


class Context(click.Context):
    """A context whose help is coloured."""

    formatter_class: ClassVar[type[click.HelpFormatter]] = Help  # type: ignore[misc]  # click declares no ClassVar


class LazyGroup(click.Group):
    """A group whose commands are imported when they run, not to print their names.

    ``lazy`` maps the name of a command to where it is, ``module:attribute``, and its line in the help.
    """

    context_class = Context

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(*args, **options)
        self.lazy = dict(lazy)
        self._standalone = True

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of the table."""
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a stand-in with the command's name and line: enough for the help and for completion."""
        found = self.lazy.get(cmd_name)
        return click.Command(cmd_name, short_help=found[1], help=found[1]) if found else None

    def load(self, name: str) -> click.Command:
        """Import a command."""
        module, _, attribute = self.lazy[name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        if command.context_class is click.Context:
            command.context_class = Context
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the first argument names, imported."""
        name = args[0]
        if name in self.lazy:
            return name, self.load(name), args[1:]
        if ctx.resilient_parsing:
            return None, None, args[1:]
        known = ", ".join(self.lazy)
        raise click.UsageError(f"no such command: {name}.{did_you_mean(name, self.lazy)} Commands: {known}.", ctx)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line and leave with its exit code.

        0 is success, 1 a threshold that failed, 2 wrong usage or bad input, 70 a bug in Lossmith, 130 Ctrl-C, and
        141 a reader of the pipe that went away.
        """
        self._standalone = standalone_mode
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, standalone_mode, **extra)
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:  # closed by the shell, as in `lossmith list >&-`
                setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  (open to the end)
            # A terminal that cannot show a character shows a question mark, not a traceback.
            with contextlib.suppress(AttributeError, ValueError):
                getattr(sys, name).reconfigure(errors="replace")
        code = 0
        try:
            with _one_line_errors():
                result = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
                code = result if isinstance(result, int) else 0
                sys.stdout.flush()  # here, so that a full disk or a closed pipe is met while we can still say so
        except _Leave as leave:
            code = leave.code
            _drop_unwritable()
        sys.exit(code)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        if not self._standalone:
            return super().invoke(ctx)
        with _one_line_errors():  # inside click's own handlers, which would print more lines than one
            return super().invoke(ctx)


class _Leave(Exception):
    """Everything is said; only the exit code is left. No click error, so that click lets it pass."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def _drop_unwritable() -> None:
    """Send what standard output cannot take to nowhere; Python would try again on leaving, and complain."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except (_Leave, click.exceptions.Exit):
        raise
    except (KeyboardInterrupt, click.Abort):
        # An interrupt that passed through an exec() of text, as in making a dataclass, leaves a mark on CPython:
        # under `python -m` it would end by the signal, whatever exit code we ask for. The next exec() wipes it.
        exec("")
        _leave(INTERRUPTED, "interrupted")
    except click.ClickException as error:
        text = error.format_message()
        context = getattr(error, "ctx", None)
        hint = f" Try `{context.command_path} --help`." if context else ""
        _leave(USAGE, text + ("" if text.endswith((".", "?", "!")) else ".") + hint, "error")
    except LossmithError as error:
        _leave(USAGE, str(error), "error")
    except OSError as error:
        if error.errno == errno.EPIPE:  # nobody reads any more, as in `lossmith list | head -1`
            raise _Leave(NO_READER) from None
        _leave(USAGE, f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", "error")
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and missing.partition(".")[0] != "lossmith":
            _leave(USAGE, f"this needs the package {missing}. Install it with: pip install 'lossmith[lab]'", "error")
        traceback.print_exc()
        _leave(CRASHED, "this is a bug in Lossmith. Please report it with the lines above.", "error")


def _leave(code: int, text: str, mark: str = "") -> NoReturn:
    with contextlib.suppress(OSError):
        terminal.say(text, mark)
    raise _Leave(code) from None

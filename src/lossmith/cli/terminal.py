"""Talking to a terminal or a pipe: data on standard output, talk on standard error.

``out`` and ``err`` are rich consoles on standard output and standard error. They are made when first used, so that
commands which need no colour start without rich. In a pipe they write plain text; ``NO_COLOR`` is honoured.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    out: Console
    err: Console

WIDEST = 100  # a longer line of text is hard to read


def __getattr__(name: str) -> Any:
    if name in ("out", "err"):
        return _console(name == "err")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@cache
def _console(stderr: bool) -> Console:
    from rich.console import Console

    # Colour by rich's own guess would paint numbers and paths wherever they stand; only what we mark is coloured.
    return Console(stderr=stderr, highlight=False, soft_wrap=False)


def is_terminal() -> bool:
    """Return whether standard output is a terminal, not a pipe or file."""
    try:
        return sys.stdout.isatty()
    except (AttributeError, ValueError):  # closed, or replaced by something simpler
        return False


def width() -> int:
    """Return the columns to fill: those of the terminal, or 100 where there is none.

    A pipe has no width, but behind it often stands a pager in the terminal that standard error goes to.
    """
    return _columns() if is_terminal() or sys.stderr.isatty() else WIDEST


def _columns() -> int:
    wanted = os.environ.get("COLUMNS", "")
    if wanted.isdecimal() and int(wanted) > 0:
        return max(int(wanted), 20)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            return max(os.get_terminal_size(stream.fileno()).columns or 80, 20)
    return 80


def write(text: str = "") -> None:
    """Write one line of data to standard output as it is, without markup or wrapping."""
    sys.stdout.write(text + "\n")


def bold(text: str) -> str:
    """Return ``text`` bold where standard output shows colours."""
    return _styled(text, bold=True)


def heading(text: str) -> str:
    """Return ``text`` as a heading where standard output shows colours."""
    return _styled(text, fg="cyan", bold=True)


def painted(styles: Mapping[str, Mapping[str, Any]]) -> Callable[[str, str], str]:
    """Return what paints a text in one of some styles, by name, where standard output shows colours."""
    return lambda text, name: _styled(text, **styles.get(name, {}))


def _styled(text: str, **style: Any) -> str:
    if not colours(sys.stdout):
        return text
    import click

    return click.style(text, **style)


def say(text: str, mark: str = "") -> None:
    """Write talk to standard error, after a mark such as ``warning``: one line, or wrapped lines on a terminal.

    Lines after the first are written as they are, such as a formula and the mark below it.
    """
    text = f"{mark}: {text}" if mark else text
    if sys.stderr.isatty():
        first, *others = text.split("\n")
        text = "\n".join([*wrap(first, _columns()), *others])
    if mark and colours(sys.stderr):
        import click

        colour = {"error": "red", "warning": "yellow", "failed": "red"}.get(mark, "cyan")
        text = click.style(mark, fg=colour, bold=True) + text[len(mark) :]
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def colours(stream: Any) -> bool:
    """Return whether a stream shows colours: a terminal that is not told otherwise by ``NO_COLOR``."""
    # https://no-color.org: any value but the empty string counts.
    return bool(stream.isatty()) and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def write_json(obj: Any) -> None:
    """Write one JSON document to standard output: sorted keys, and ``null`` for numbers that are not finite."""
    unicode = "utf" in (getattr(sys.stdout, "encoding", None) or "").lower()
    write(json.dumps(jsonable(obj), indent=2, sort_keys=True, allow_nan=False, ensure_ascii=not unicode))


def jsonable(obj: Any) -> Any:
    """Return a copy of ``obj`` in JSON's own types; NumPy numbers and arrays become numbers and lists.

    Raises:
        TypeError: For an object that has no JSON form.
    """
    if obj is None or isinstance(obj, bool | int | str):
        return obj
    if isinstance(obj, float):
        return float(obj) if math.isfinite(obj) else None
    if isinstance(obj, Mapping):
        return {str(key): jsonable(value) for key, value in obj.items()}
    if isinstance(obj, Sequence | Collection) and not isinstance(obj, bytes):
        return [jsonable(value) for value in obj]
    if hasattr(obj, "tolist"):
        return jsonable(obj.tolist())
    raise TypeError(f"{type(obj).__name__} has no JSON form")


def aligned(rows: Sequence[Sequence[str]], columns: int, indent: str = "  ") -> list[str]:
    """Return lines with the cells of each row below each other, the last cell wrapped to a width in columns."""
    widths = [max(map(len, cells)) for cells in list(zip(*rows, strict=True))[:-1]]
    lines: list[str] = []
    for row in rows:
        first = indent + "".join(cell.ljust(width + 2) for cell, width in zip(row, widths, strict=False))
        lines += wrap(row[-1], columns, first, " " * len(first))
    return lines


def wrap(text: str, columns: int, first: str = "", rest: str | None = None) -> list[str]:
    """Return text broken into lines that begin with ``first``, then with ``rest``; links and numbers stay whole."""
    return textwrap.wrap(
        text,
        columns,
        initial_indent=first,
        subsequent_indent=first if rest is None else rest,
        break_long_words=False,
        break_on_hyphens=False,
    )


def print_table(
    headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[int] = (), title: str = ""
) -> None:
    """Print a table: with lines and colour on a terminal, as aligned plain text in a pipe.

    Args:
        headers: Names of the columns.
        rows: The cells, printed as they are (markup in them is not interpreted).
        right: Columns to align right, counted from 0; numbers belong there.
        title: A line above the table, on a terminal only.
    """
    if is_terminal():
        _print_rich(headers, rows, right, title)
    else:
        print_plain(headers, rows, right=right)


def print_plain(headers: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> None:
    """Print a table as aligned plain text; arguments as of ``print_table``."""
    cells = [list(headers), *(list(row) for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headers))]
    for row in cells:
        line = (c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True)))
        write("  ".join(line).rstrip())


def _print_rich(headers: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int], title: str) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, title=Text(title) if title else None, title_justify="left", pad_edge=False)
    for i, header in enumerate(headers):
        table.add_column(Text(header), justify="right" if i in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    _console(False).print(table)

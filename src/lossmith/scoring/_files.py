"""How DuckDB reads one file: its columns, their kinds and the text of the query's FROM clause.

Columns are renamed by position (``c0``, ``c1``, ...) inside every query, so that a column name never becomes
part of the SQL text, and so that names that differ only in case stay apart.
"""

from __future__ import annotations

import csv
import difflib
import os
import re
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lossmith.errors import TableError

CSV_ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".csv.zst", ".tsv.zst")
PARQUET_ENDINGS = (".parquet", ".pq")

# What counts as missing in a text file: the marks that pandas, R, SQL and spreadsheets write.
MISSING = ("", "NA", "N/A", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None", "none")

# Rows that decide the kind of a CSV column. A later value that does not fit is an error that names its row.
SAMPLE_ROWS = 20_480

_TEXT_TESTS = {"number": "DOUBLE", "boolean": "BOOLEAN", "time": "TIMESTAMP"}
_INTEGERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"}
_NUMBERS = _INTEGERS | {f"U{name}" for name in _INTEGERS} | {"FLOAT", "DOUBLE", "DECIMAL", "BIGNUM"}


def literal(text: str) -> str:
    """Return ``text`` as a quoted SQL string."""
    return "'" + text.replace("'", "''") + "'"


def cell(index: int) -> str:
    """Return the name that column number ``index`` (from 0) has inside a query."""
    return f"c{index}"


@dataclass(frozen=True, slots=True)
class Scan:
    """One readable file: the names and kinds of its columns and the FROM clause that reads them."""

    columns: tuple[str, ...]
    kinds: dict[str, str]
    clause: str


def inspect(connection: Any, path: str, *, shown: str, form: str) -> Scan:
    """Read the columns and kinds of the file at ``path``; ``form`` is ``"csv"``, ``"tsv"`` or ``"parquet"``."""
    if form == "parquet":
        return _inspect_parquet(connection, path, shown)
    return _inspect_text(connection, path, shown, delimiter="\t" if form == "tsv" else None)


def find_file(path: str) -> tuple[str, str]:
    """Return the full path of a file that can be read and its form, or raise a TableError that says why not.

    A pipe or a device has the form ``"pipe"``: it can be read only once.
    """
    if "\0" in path:
        raise TableError(f"{path!r} is not a file name.")
    if re.match(r"[a-z][a-z0-9+]+://", path):
        raise TableError(f"{path} is an address. Download the file first, and name it here.")
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise TableError(f"no such file: {path}.{_near_file(path)}") from None
    except OSError as error:
        raise TableError(f"cannot read {path}: {error.strerror}.") from None
    if stat.S_ISDIR(mode):
        raise TableError(f"{path} is a folder. Name one CSV, TSV or Parquet file.")
    if not os.access(path, os.R_OK):
        raise TableError(f"cannot read {path}: permission denied.")
    if not stat.S_ISREG(mode):
        return path, "pipe"
    form = _form(path)
    if os.path.getsize(path) == 0:
        raise TableError(f"{path} is empty.")
    full = os.path.abspath(path)
    try:
        full.encode("utf-8")
    except UnicodeEncodeError:
        raise TableError(f"the path {path!r} is not valid UTF-8. Rename the file.") from None
    return full, form


def short(error: BaseException, shown: str) -> TableError:
    """Make one plain sentence of a DuckDB or Arrow error about the file ``shown``."""
    text = re.sub(r"^[\w:. ]*?Error: ", "", str(error).strip())
    place = re.search(r"CSV Error on Line: (\d+)", text)
    where = f"line {place[1]}: " if place else ""
    fields = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
    if "unicode" in text or "not utf-8" in text.lower():
        return TableError(f"cannot read {shown}: {where}the text is not UTF-8. Save it again as UTF-8.")
    if "\\0" in text or "\0" in text:
        return TableError(f"cannot read {shown}: {where}it holds binary data, not text.")
    if fields:
        found = "1 field" if fields[2] == "1" else f"{fields[2]} fields"
        return TableError(f"cannot read {shown}: {where}{found}, but the header has {fields[1]}.")
    if "unterminated quote" in text:
        return TableError(f"cannot read {shown}: {where}a quote that is opened here never closes.")
    if "state machine" in text:
        return TableError(f"cannot read {shown}: its quotes do not follow the rules of CSV.")
    if place:
        reason = next((line for line in text.splitlines()[2:] if line.strip()), "it does not fit the header.")
        return TableError(f"cannot read {shown}: {where}{reason}")
    reason = re.sub(r" (in|at end of) file '.*'", "", text.splitlines()[0]).rstrip(":. ") if text else "no reason given"
    if shown.lower().endswith(PARQUET_ENDINGS):
        return TableError(f"{shown} is broken, or is no Parquet file: {reason}.")
    return TableError(f"cannot read {shown}: {reason}.")


def _form(path: str) -> str:
    lowered = path.lower()
    if lowered.endswith(PARQUET_ENDINGS):
        return "parquet"
    if lowered.endswith(CSV_ENDINGS):
        return "tsv" if ".tsv" in lowered[-8:] else "csv"
    ending = "".join(Path(path).suffixes[-1:])
    what = f"the ending {ending!r}" if ending else "a name without an ending"
    known = ", ".join(CSV_ENDINGS + PARQUET_ENDINGS)
    raise TableError(f"{path} has {what}, so its form is unknown. Lossmith reads {known}.")


def _near_file(path: str) -> str:
    folder = os.path.dirname(path) or "."
    try:
        names = os.listdir(folder)
    except OSError:
        return f" There is no folder {folder} either."
    close = difflib.get_close_matches(os.path.basename(path), names, n=1)
    return f" Did you mean {os.path.join(os.path.dirname(path), close[0])}?" if close else ""


def _check_names(names: Sequence[str], shown: str) -> tuple[str, ...]:
    for name, count in Counter(names).items():
        if count > 1:
            places = " and ".join(str(i) for i, other in enumerate(names, 1) if other == name)
            raise TableError(f"{shown} has {count} columns named {name!r} (columns {places}). Rename them.")
    return tuple(names)


def _inspect_text(connection: Any, path: str, shown: str, delimiter: str | None) -> Scan:
    # One column a line, whatever the file holds: DuckDB unpacks .gz and .zst and gives the first lines as they are.
    lines = [row[0] or "" for row in connection.execute(f"SELECT * FROM {_raw_lines(path)} LIMIT 64").fetchall()]
    blank = next((i for i, line in enumerate(lines) if line.strip()), None)
    if blank is None:
        raise TableError(f"{shown} is empty.")
    lines = lines[blank:]
    delimiter = delimiter or max(",;\t|", key=re.sub(r'"[^"]*"', "", lines[0]).count)
    try:
        header = next(csv.reader([line + "\n" for line in lines], delimiter=delimiter))
    except csv.Error as error:
        raise TableError(f"cannot read {shown}: line {blank + 1}: {error}.") from None
    names = _check_names([name.strip() or f"column{i}" for i, name in enumerate(header, 1)], shown)
    types = ", ".join(f"{literal(cell(i))}: 'VARCHAR'" for i in range(len(names)))
    missing = ", ".join(literal(mark) for mark in MISSING)
    # Every field is read as text and cast in the query: measured as fast as typed reading, and a value that is no
    # number can then be found and shown.
    clause = (
        f"read_csv({literal(path)}, auto_detect=false, delim={literal(delimiter)}, quote='\"', escape='\"', "
        f"comment='', header=true, skip={blank}, nullstr=[{missing}], columns={{{types}}})"
    )
    return Scan(names, dict(zip(names, _guess_kinds(connection, clause, len(names), shown), strict=True)), clause)


def _raw_lines(path: str) -> str:
    return (
        f"read_csv({literal(path)}, auto_detect=false, delim='\x01', quote='', escape='', comment='', "
        "header=false, columns={'line': 'VARCHAR'})"
    )


def _guess_kinds(connection: Any, clause: str, count: int, shown: str) -> list[str]:
    sample = f"(SELECT * FROM {clause} LIMIT {SAMPLE_ROWS})"
    rows, kinds = _kinds_of(connection, sample, range(count))
    if not rows:
        raise TableError(f"{shown} has a header but no rows of data.")
    unknown = [i for i in range(count) if kinds[i] is None]
    if unknown and rows == SAMPLE_ROWS:
        # Columns without a value in the sample are judged by the first value that comes later, if any.
        first = ", ".join(f"first({cell(i)}) FILTER ({cell(i)} IS NOT NULL) AS {cell(i)}" for i in unknown)
        kinds |= _kinds_of(connection, f"(SELECT {first} FROM {clause})", unknown)[1]
    return [kinds[i] or "number" for i in range(count)]


def _kinds_of(connection: Any, source: str, indices: Sequence[int]) -> tuple[int, dict[int, str | None]]:
    asks = [f"count(TRY_CAST({cell(i)} AS {kind}))" for i in indices for kind in ("VARCHAR", *_TEXT_TESTS.values())]
    rows, *counts = connection.execute(f"SELECT count(*), {', '.join(asks)} FROM {source}").fetchone()
    kinds: dict[int, str | None] = {}
    for place, index in enumerate(indices):
        present, *fits = counts[4 * place : 4 * place + 4]
        fitting = (kind for kind, fit in zip(_TEXT_TESTS, fits, strict=True) if fit == present)
        kinds[index] = next(fitting, "text") if present else None
    return int(rows), kinds


def _inspect_parquet(connection: Any, path: str, shown: str) -> Scan:
    # A folder named `year=2020` must not add a column, hence no hive partitions.
    table = f"read_parquet({literal(path)}, hive_partitioning=false)"
    schema = connection.execute(f"SELECT name, num_children FROM parquet_schema({literal(path)})").fetchall()
    names = _check_names(_top_names(schema), shown)
    renamed = ", ".join(cell(i) for i in range(len(names)))
    clause = f"{table} AS t({renamed})"
    types = [str(kind) for kind in connection.sql(f"SELECT * FROM {clause}").types]
    if connection.execute(f"SELECT 1 FROM {clause} LIMIT 1").fetchone() is None:
        raise TableError(f"{shown} has columns but no rows of data.")
    return Scan(names, {name: _parquet_kind(kind) for name, kind in zip(names, types, strict=True)}, clause)


def _top_names(schema: Sequence[tuple[str, int | None]]) -> list[str]:
    """Pick the names of the outermost columns from Parquet's schema, a tree written depth first."""
    names: list[str] = []

    def skip(place: int) -> int:
        after = place + 1
        for _ in range(schema[place][1] or 0):
            after = skip(after)
        return after

    place = 1  # the first entry is the root
    while place < len(schema):
        names.append(schema[place][0])
        place = skip(place)
    return names


def _parquet_kind(kind: str) -> str:
    base = kind.partition("(")[0]
    if kind.endswith("[]"):
        return "text"
    if base in _NUMBERS:
        return "number"
    if base == "BOOLEAN":
        return "boolean"
    return "time" if base.startswith(("DATE", "TIME")) else "text"

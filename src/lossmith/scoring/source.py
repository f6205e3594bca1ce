"""Tables in files: CSV, TSV and Parquet, read with DuckDB and handed out as NumPy arrays.

A table is never loaded whole unless it is asked for: ``Table.batches`` streams it in file order, so a file may be
larger than memory. Rows are counted from 1: the first row of data, below the header, is row 1.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from lossmith.errors import MissingDependencyError, TableError, did_you_mean, plural
from lossmith.scoring import _files
from lossmith.scoring._files import cell

Numbers = npt.NDArray[np.float64]

BATCH_ROWS = 65_536
_MANY_COLUMNS = 24  # more names than this do not help in an error message


class Table:
    """A table in a file, opened with ``Table.open``.

    Attributes:
        path: The file as the caller named it; ``-`` for standard input.
        label: How messages name the file: the path, or ``standard input``.
        columns: The names of the columns, in order.
        kinds: For each column ``"number"``, ``"boolean"``, ``"text"`` or ``"time"``. In CSV the first 20,480 rows
            decide.
        rows: The number of rows of data; counted on first use, which reads the file once.

        A table holds a database connection: close it, or use ``with``.:
    """

    def __init__(self, path: str, scan: _files.Scan, connection: Any, spool: str | None = None) -> None:
        self.path = path
        self.label = _shown(path)
        self.columns = scan.columns
        self.kinds = scan.kinds
        self._clause = scan.clause
        self._connection = connection
        self._spool = spool
        self._index = {name: i for i, name in enumerate(scan.columns)}

    @classmethod
    def open(cls, path: str | os.PathLike[str], stdin: IO[bytes] | None = None) -> Self:
        """Open a ``.csv``, ``.tsv`` (also ``.gz``, ``.zst``) or ``.parquet`` file; ``-`` is CSV on standard input.

        A pipe is copied to a temporary file first, since a table is read more than once.
        ``stdin`` replaces standard input (for tests).

        Raises:
            TableError: The file is not there, is a folder, is empty, has no rows, repeats a column name, is broken, or
                has an ending that says nothing about its form.
            MissingDependencyError: DuckDB or nanoarrow is not installed.
        """
        name = os.fspath(path)
        if name == "-":
            return cls._open_pipe(name, stdin or sys.stdin.buffer)
        full, form = _files.find_file(name)
        if form == "pipe":
            with open(full, "rb") as pipe:
                return cls._open_pipe(name, pipe)
        return cls._open_file(name, full, form)

    @classmethod
    def _open_pipe(cls, name: str, pipe: IO[bytes]) -> Self:
        # Its name is known before the file is there: an interrupt at any moment leaves none.
        spool = os.path.join(tempfile.gettempdir(), f"lossmith-{secrets.token_hex(16)}.csv")
        try:
            with open(spool, "xb", opener=partial(os.open, mode=0o600)) as copy:
                shutil.copyfileobj(pipe, copy, 1 << 20)
            if os.path.getsize(spool) == 0:
                raise TableError(f"{_shown(name)} is empty.")
            return cls._open_file(name, spool, "csv", spool)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(spool)
            raise

    @classmethod
    def _open_file(cls, name: str, full: str, form: str, spool: str | None = None) -> Self:
        duckdb = _duckdb()
        # A table is a local file: nothing is fetched from a network, and no Python variable is taken for a table.
        connection = duckdb.connect(
            config={
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
                "python_enable_replacements": False,
            }
        )
        try:
            with _plain_errors(_shown(name)):
                # Square brackets, stars and question marks in a path are part of the name, not a pattern.
                exact = re.sub(r"([*?\[])", r"[\1]", full)
                scan = _files.inspect(connection, exact, shown=_shown(name), form=form)
            return cls(name, scan, connection, spool)
        except BaseException:
            connection.close()
            raise

    def require(self, name: str) -> str:
        """Return ``name`` if the table has that column; else raise a TableError that offers the nearest names."""
        if name in self._index:
            return name
        hint = did_you_mean(name, self.columns)
        if len(self.columns) <= _MANY_COLUMNS:
            hint += f" Its columns: {', '.join(self.columns)}."
        elif not hint:
            hint = f" It has {plural(len(self.columns), 'column')}, from {self.columns[0]!r} to {self.columns[-1]!r}."
        if all(re.fullmatch(r"[-+.\deE]+", column) for column in self.columns):
            hint += " They look like data: the first line of the file must name the columns."
        raise TableError(f"{self.label} has no column {name!r}.{hint}")

    @cached_property
    def rows(self) -> int:
        """The number of rows of data."""
        with _plain_errors(self.label):
            return int(self._connection.execute(f"SELECT count(*) FROM {self._clause}").fetchone()[0])

    def numbers(self, name: str) -> Numbers:
        """Return a whole column as float64, with NaN where a value is missing and 0 and 1 for false and true.

        Raises:
            TableError: There is no such column, or it holds text or times; the first row that is no number is named.
        """
        parts = [batch[name] for batch in self.batches([name])]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def texts(self, name: str) -> npt.NDArray[np.object_]:
        """Return a whole column as text: an object array of ``str``, with ``None`` where a value is missing."""
        column = cell(self._index[self.require(name)])
        with _plain_errors(self.label), contextlib.closing(self._connection.cursor()) as cursor:
            query = f"SELECT CAST({column} AS VARCHAR) AS v FROM {self._clause}"
            values = cursor.execute(query).fetchnumpy()["v"]
        out = np.empty(len(values), dtype=np.object_)
        out[:] = np.ma.getdata(values)
        out[np.ma.getmaskarray(values)] = None
        return out

    def batches(self, names: Sequence[str], rows: int = BATCH_ROWS) -> Iterator[dict[str, Numbers]]:
        """Stream columns in file order as dicts of float64 arrays of ``rows`` rows each; the last may be shorter.

        Missing values are NaN. The arrays are the caller's to keep or change.

        Raises:
            TableError: As ``numbers``; text in a numeric column shows when its batch is reached.
        """
        if rows < 1:
            raise ValueError(f"rows must be 1 or more, not {rows}.")
        wanted = list(dict.fromkeys(self.require(name) for name in names))
        if not wanted:
            raise ValueError("batches needs at least one column.")
        return self._stream(wanted, rows)

    def _stream(self, names: list[str], rows: int) -> Iterator[dict[str, Numbers]]:
        nothing = "'nan'::DOUBLE"  # missing becomes NaN inside the query: no bitmap to unpack here
        picked = ", ".join(f"coalesce(CAST({self._number(name)} AS DOUBLE), {nothing})" for name in names)
        with contextlib.closing(self._connection.cursor()) as cursor, self._number_errors(names):
            # DuckDB's own batches differ in size with the number of threads; ours are all of `rows` rows, so that
            # sums taken batch by batch come out the same on every machine.
            relation = cursor.sql(f"SELECT {picked} FROM {self._clause}")
            block, filled = np.empty((len(names), rows)), 0
            for arrays in _arrow_columns(relation):
                done = 0
                while done < len(arrays[0]):
                    take = min(rows - filled, len(arrays[0]) - done)
                    for row, array in zip(block, arrays, strict=True):
                        row[filled : filled + take] = array[done : done + take]
                    filled, done = filled + take, done + take
                    if filled == rows:
                        yield dict(zip(names, block, strict=True))
                        block, filled = np.empty((len(names), rows)), 0
            if filled:
                yield dict(zip(names, block[:, :filled].copy(), strict=True))

    def _number(self, name: str) -> str:
        column = cell(self._index[name])
        return f"CAST({column} AS BOOLEAN)" if self.kinds[name] == "boolean" else column

    @contextlib.contextmanager
    def _number_errors(self, names: Sequence[str]) -> Iterator[None]:
        """Replace a failed cast by an error that names the first row and value that is no number."""
        try:
            with _plain_errors(self.label):
                yield
        except TableError:
            for name in names:
                self._complain_of_text(name)
            raise

    def _complain_of_text(self, name: str) -> None:
        column = cell(self._index[name])
        if self.kinds[name] == "time":
            raise TableError(
                f"column {name!r} of {self.label} holds dates or times where numbers are needed."
            ) from None
        kind = "BOOLEAN" if self.kinds[name] == "boolean" else "DOUBLE"
        numbered = f"SELECT row_number() OVER () AS r, CAST({column} AS VARCHAR) AS v FROM {self._clause}"
        bad = f"v IS NOT NULL AND TRY_CAST(v AS {kind}) IS NULL"
        with _plain_errors(self.label):
            found = self._connection.execute(f"SELECT r, v FROM ({numbered}) WHERE {bad} ORDER BY r LIMIT 1").fetchone()
        if found:
            row, value = found
            value = value if len(value) <= 40 else value[:37] + "..."
            wanted = "true and false are" if kind == "BOOLEAN" else "numbers are"
            hint = " Write decimals with a point." if re.fullmatch(r"-?\d+,\d+", value) else ""
            raise TableError(
                f"column {name!r} of {self.label} holds text where {wanted} needed: row {row:,} is {value!r} "
                f"(the first row of data is row 1).{hint}"
            ) from None

    def close(self) -> None:
        """Close the file; closing twice is allowed."""
        self._connection.close()
        if self._spool is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._spool)
            self._spool = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Table({self.path!r}, {plural(len(self.columns), 'column')})"


def _shown(path: str) -> str:
    return "standard input" if path == "-" else path


def _duckdb() -> Any:
    try:
        import duckdb
        import nanoarrow  # noqa: F401  (checked here so that its absence shows before a file is half read)
    except ImportError as error:
        raise MissingDependencyError(
            f"Reading tables needs the package {error.name}. Install it with: pip install 'lossmith[lab]'"
        ) from None
    return duckdb


def _arrow_columns(relation: Any) -> Iterator[list[Numbers]]:
    """Yield DuckDB's result piece by piece, each as float64 arrays that share the memory of the Arrow buffers."""
    from nanoarrow.c_array_stream import c_array_stream

    with c_array_stream(relation) as stream:
        for piece in stream:
            views = (piece.child(i).view() for i in range(piece.n_children))
            yield [np.frombuffer(v.buffer(1), np.float64)[v.offset : v.offset + v.length] for v in views]


@contextlib.contextmanager
def _plain_errors(shown: str) -> Iterator[None]:
    import duckdb

    try:
        yield
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except (duckdb.Error, RuntimeError) as error:  # an error in mid-stream arrives as nanoarrow's RuntimeError
        if "Query interrupted" in str(error):
            raise KeyboardInterrupt from None
        raise _files.short(error, shown) from None

"""Tables in files: what is read, and what is said when a file or column cannot be read."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import duckdb
import numpy as np
import pytest

from lossmith.errors import TableError
from lossmith.scoring.source import Table, _plain_errors


def write(folder: Path, name: str, text: str | bytes) -> str:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def parquet(path: Path, query: str) -> str:
    with duckdb.connect() as connection:
        quoted = str(path).replace("'", "''")
        connection.execute(f"COPY ({query}) TO '{quoted}' (FORMAT parquet)")
    return str(path)


def complaint(path: str, column: str | None = None) -> str:
    """Return what is said when the file is opened, or the column read."""
    if column is None:
        with pytest.raises(TableError) as caught:
            Table.open(path)
    else:
        with Table.open(path) as table, pytest.raises(TableError) as caught:
            table.numbers(column)
    assert "\n" not in str(caught.value)
    return str(caught.value)


SMALL = "y,p,flag,name,when\n1,0.5,true,ann,2020-01-01\n,2.25,false,,2020-01-02\n-3e2,NA,TRUE,bob,\n"


@pytest.fixture
def small(tmp_path: Path) -> str:
    return write(tmp_path, "small.csv", SMALL)


def check_small(path: str) -> None:
    with Table.open(path) as table:
        assert table.columns == ("y", "p", "flag", "name", "when")
        assert table.kinds == {"y": "number", "p": "number", "flag": "boolean", "name": "text", "when": "time"}
        assert table.rows == 3
        np.testing.assert_array_equal(table.numbers("y"), [1.0, np.nan, -300.0])
        np.testing.assert_array_equal(table.numbers("p"), [0.5, 2.25, np.nan])
        np.testing.assert_array_equal(table.numbers("flag"), [1.0, 0.0, 1.0])
        assert list(table.texts("name")) == ["ann", None, "bob"]
        assert list(table.texts("y")) in (["1", None, "-3e2"], ["1.0", None, "-300.0"])
        (batch,) = table.batches(["p", "y"])
        assert list(batch) == ["p", "y"]
        assert batch["p"].dtype == np.float64


@pytest.mark.parametrize("name", ["small.csv", "SMALL.CSV", "small.csv.gz", "small.tsv", "small.csv.zst"])
def test_text_files_of_every_form(tmp_path: Path, name: str, small: str) -> None:
    text = SMALL.replace(",", "\t") if ".tsv" in name else SMALL
    if name.endswith(".zst"):
        with duckdb.connect() as connection:
            source = f"read_csv('{small}', all_varchar=true, nullstr='')"
            connection.execute(f"COPY (FROM {source}) TO '{tmp_path}/{name}' (FORMAT csv, COMPRESSION zstd)")
        path = str(tmp_path / name)
    else:
        path = write(tmp_path, name, gzip.compress(text.encode()) if name.endswith(".gz") else text)
    check_small(path)


def test_parquet(tmp_path: Path) -> None:
    rows = (
        "(1::DOUBLE, 0.5::DECIMAL(9, 3), true, 'ann', DATE '2020-01-01'), (NULL, 2.25, false, NULL, DATE '2020-01-02'),"
        "(-300, NULL, true, 'bob', NULL)"
    )
    check_small(parquet(tmp_path / "small.parquet", f'SELECT * FROM (VALUES {rows}) t(y, p, flag, name, "when")'))


def test_parquet_types_and_nested_columns(tmp_path: Path) -> None:
    path = parquet(
        tmp_path / "types.pq",
        "SELECT 1::UTINYINT AS a, 2::HUGEINT AS b, 3::FLOAT AS c, {'u': 1, 'v': {'w': 2}} AS nested, [1, 2] AS list, "
        "TIMESTAMPTZ '2020-01-01' AS t, 'x'::BLOB AS blob, 7 AS last",
    )
    with Table.open(path) as table:
        assert table.columns == ("a", "b", "c", "nested", "list", "t", "blob", "last")
        assert list(table.kinds.values()) == ["number", "number", "number", "text", "text", "time", "text", "number"]
        assert table.numbers("last").tolist() == [7.0]


@pytest.mark.parametrize(
    "text", ["a,b\r\n1,2\r\n\r\n3,4\r\n", "\ufeffa,b\n1,2\n3,4", "\n\na;b\n1;2\n3;4\n", "a|b\n1|2\n3|4"]
)
def test_line_ends_marks_and_separators(tmp_path: Path, text: str) -> None:
    with Table.open(write(tmp_path, "t.csv", text)) as table:
        assert table.columns == ("a", "b")
        assert table.numbers("a").tolist() == [1, 3]
        assert table.numbers("b").tolist() == [2, 4]


def test_no_line_is_a_comment(tmp_path: Path) -> None:
    with Table.open(write(tmp_path, "t.csv", "#id,v\n#1,2\n3,4\n")) as table:
        assert table.columns == ("#id", "v")
        assert list(table.texts("#id")) == ["#1", "3"]
        assert table.numbers("v").tolist() == [2, 4]


def test_numbers_are_read_to_the_last_bit(tmp_path: Path) -> None:
    values = np.random.default_rng(3).standard_normal(500) * 10.0 ** np.random.default_rng(4).integers(-300, 300, 500)
    path = write(tmp_path, "bits.csv", "v\n" + "\n".join(map(repr, values.tolist())))
    with Table.open(path) as table:
        np.testing.assert_array_equal(table.numbers("v"), values)


NASTY = [
    "it's.csv",
    'say "hi".csv',
    "100%.csv",
    "a b.csv",
    "größe ☂.csv",
    "a[1].csv",
    "st*r.csv",
    "w?y.csv",
    "--x.csv",
    "; DROP TABLE t.csv",
]


@pytest.mark.parametrize("name", NASTY)
def test_paths_are_names_and_not_patterns(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, "a\n1\n")
    write(tmp_path, "a1.csv", "a\n99\n")
    write(tmp_path, "stor.csv", "a\n99\n")
    write(tmp_path, "way.csv", "a\n99\n")
    with Table.open(path) as table:
        assert table.numbers("a").tolist() == [1.0]


def test_column_names_are_names_and_not_sql(tmp_path: Path) -> None:
    names = ["it's", 'say "hi"', "100%s", "a b", "größe", "SELECT", "c0", "x; DROP TABLE t", "A", "a", "{}", "$1", "?"]
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    path = write(tmp_path, "t.csv", header + "\n" + ",".join(map(str, range(len(names)))) + "\n")
    aliased = ", ".join(
        f'{i} AS "{name}"'.replace('say "hi"', 'say ""hi""') for i, name in enumerate(names) if name != "a"
    )
    second = parquet(tmp_path / "t.parquet", f"SELECT {aliased}")
    for source in (path, second):
        with Table.open(source) as table:
            for i, name in enumerate(names):
                if name in table.columns:
                    assert table.numbers(name).tolist() == [i]
    with Table.open(path) as table:
        assert table.columns == tuple(names)


def test_a_folder_named_like_a_partition_adds_no_column(tmp_path: Path) -> None:
    (tmp_path / "year=2020").mkdir()
    with Table.open(parquet(tmp_path / "year=2020" / "t.parquet", "SELECT 1 AS a")) as table:
        assert table.columns == ("a",)


def test_batches_are_even_and_in_file_order(tmp_path: Path) -> None:
    for path in (
        parquet(tmp_path / "long.parquet", "SELECT i::DOUBLE AS i FROM range(300001) t(i)"),
        write(tmp_path, "long.csv", "i\n" + "\n".join(map(str, range(300001)))),
    ):
        with Table.open(path) as table:
            sizes, seen = [], []
            for batch in table.batches(["i"], rows=4096):
                sizes.append(len(batch["i"]))
                seen.append(batch["i"])
            assert set(sizes[:-1]) == {4096}
            assert sizes[-1] == 300001 % 4096
            np.testing.assert_array_equal(np.concatenate(seen), np.arange(300001.0))


def test_batches_can_be_kept_interleaved_and_abandoned(tmp_path: Path) -> None:
    with Table.open(parquet(tmp_path / "t.parquet", "SELECT i::DOUBLE AS i FROM range(100000) t(i)")) as table:
        first, second = table.batches(["i"], rows=100), table.batches(["i", "i"], rows=70)
        kept = next(first)["i"]
        next(second)
        next(first)["i"][:] = -1
        assert kept.tolist() == list(range(100))
        first.close()
        assert sum(len(batch["i"]) for batch in second) == 100000 - 70
        assert table.rows == 100000


def test_bad_arguments_of_batches(small: str) -> None:
    with Table.open(small) as table:
        with pytest.raises(ValueError, match="rows must be 1 or more"):
            table.batches(["y"], rows=0)
        with pytest.raises(ValueError, match="at least one column"):
            table.batches([])
        with pytest.raises(TableError, match="no column 'z'"):
            table.batches(["y", "z"])


def test_the_kind_of_a_late_column(tmp_path: Path) -> None:
    lines = ["a,b,c"] + ["1,,"] * 30_000 + ["2,word,"]
    with Table.open(write(tmp_path, "late.csv", "\n".join(lines))) as table:
        assert table.kinds == {"a": "number", "b": "text", "c": "number"}
        assert np.isnan(table.numbers("c")).all()


def test_text_in_a_number_column(tmp_path: Path) -> None:
    lines = ["a,b"] + ["1,2"] * 30_000 + ["1,oops", "1,again"]
    message = complaint(write(tmp_path, "late.csv", "\n".join(lines)), "b")
    assert "column 'b'" in message
    assert "row 30,001 is 'oops'" in message
    assert "first row of data is row 1" in message
    message = complaint(write(tmp_path, "soon.csv", 'b\n"multi\nline"\n2\n'), "b")
    assert "row 1 is 'multi\\nline'" in message
    assert "point" in complaint(write(tmp_path, "comma.csv", "a;b\n1;2,5\n"), "b")
    path = parquet(tmp_path / "t.parquet", "SELECT * FROM (VALUES ('1'), (NULL), ('x')) t(b)")
    assert "row 3 is 'x'" in complaint(path, "b")
    assert "dates or times" in complaint(write(tmp_path, "time.csv", "b\n2020-01-01\n"), "b")
    late = ["b"] + ["true"] * 30_000 + ["perhaps"]
    assert "true and false are needed: row 30,001 is 'perhaps'" in complaint(
        write(tmp_path, "b.csv", "\n".join(late)), "b"
    )


def test_other_columns_may_hold_anything(tmp_path: Path) -> None:
    lines = ["a,b"] + ["1,2"] * 30_000 + ["1,oops"]
    with Table.open(write(tmp_path, "late.csv", "\n".join(lines))) as table:
        assert table.numbers("a").sum() == 30_001
        assert table.texts("b")[-1] == "oops"


def test_require_suggests(small: str, tmp_path: Path) -> None:
    assert "Did you mean 'name'?" in complaint(small, "nmae")
    assert "Its columns: y, p, flag, name, when." in complaint(small, "zzz")
    wide = write(tmp_path, "wide.csv", ",".join(f"col{i}" for i in range(99)) + "\n" + ",".join("1" * 99))
    assert "It has 99 columns, from 'col0' to 'col98'" in complaint(wide, "zzzzzz")
    assert "Did you mean 'col7'" in complaint(wide, "coll7")
    assert "must name the columns" in complaint(write(tmp_path, "bare.csv", "1,2.5\n3,4\n"), "y")


CASES = {
    "nothing": ("x.csv", b"", "is empty"),
    "blank lines": ("x.csv", b"\n \n\n", "is empty"),
    "empty after unpacking": ("x.csv.gz", gzip.compress(b""), "is empty"),
    "header only": ("x.csv", b"a,b\n", "has a header but no rows"),
    "twice": ("x.csv", b"a,b,a\n1,2,3\n", "2 columns named 'a' (columns 1 and 3)"),
    "long row": ("x.csv", b"a,b\n1,2\n3,4\n5,6,7\n8,9\n", "line 4: 3 fields, but the header has 2"),
    "short row": ("x.csv", b"a,b\n1,2\n3\n", "line 3: 1 field, but the header has 2"),
    "open quote": ("x.csv", b'a,b\n1,2\n3,"4\n5,6\n', "line 3: a quote"),
    "latin-1": ("x.csv", "a,b\né,2\n".encode("latin-1"), "not UTF-8"),
    "utf-16": ("x.csv", "a,b\n1,2\n".encode("utf-16"), "not UTF-8"),
    "binary": ("x.csv", bytes(range(256)) * 9, "binary data"),
    "not gzip": ("x.csv.gz", b"a,b\n1,2\n", "not a GZIP"),
    "broken parquet": ("x.parquet", b"PAR1 this is no parquet PAR1", "is broken, or is no Parquet file"),
    "short parquet": ("x.parquet", b"PAR1", "too small"),
    "parquet that is text": ("x.parquet", b"a,b\n1,2\n" * 9, "is no Parquet file: No magic bytes found."),
    "unknown ending": ("x.xlsx", b"PK", "the ending '.xlsx', so its form is unknown"),
    "no ending": ("data", b"a\n1\n", "without an ending"),
}


@pytest.mark.parametrize("trouble", CASES)
def test_broken_files(tmp_path: Path, trouble: str) -> None:
    name, content, wanted = CASES[trouble]
    message = complaint(write(tmp_path, name, content))
    assert wanted in message
    assert name in message


def test_parquet_without_rows(tmp_path: Path) -> None:
    assert "no rows of data" in complaint(parquet(tmp_path / "none.parquet", "SELECT 1 AS a WHERE false"))


def test_missing_files(small: str, tmp_path: Path) -> None:
    assert f"Did you mean {small}?" in complaint(small.replace("small", "smal"))
    assert "no such file" in complaint(str(tmp_path / "qqqqqq.csv"))
    assert "There is no folder" in complaint(str(tmp_path / "none" / "x.csv"))
    assert "no such file" in complaint(small + "/x.csv")
    assert "is a folder" in complaint(str(tmp_path))
    assert "not a file name" in complaint("a\0b.csv")
    assert "no such file" in complaint("")
    assert "is an address" in complaint("https://example.org/t.csv")


def test_a_path_that_is_not_utf8(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff.csv"
    with open(name, "wb") as file:
        file.write(b"a\n1\n")
    assert "not valid UTF-8" in complaint(os.fsdecode(name))


def test_standard_input_and_pipes(tmp_path: Path) -> None:
    with Table.open("-", stdin=io.BytesIO(SMALL.encode())) as table:
        assert table.numbers("p").tolist()[:2] == [0.5, 2.25]
        spool = Path(str(table._spool))
        assert spool.exists()
        with pytest.raises(TableError, match="standard input has no column 'q'"):
            table.require("q")
    assert not spool.exists()
    table.close()
    with pytest.raises(TableError, match="standard input is empty"):
        Table.open("-", stdin=io.BytesIO(b""))
    fifo = str(tmp_path / "pipe")
    os.mkfifo(fifo)
    writer = threading.Thread(target=lambda: Path(fifo).write_text(SMALL))
    writer.start()
    with Table.open(fifo) as table:
        assert table.rows == 3
    writer.join()


@pytest.mark.parametrize("error", [duckdb.InterruptException("INTERRUPT Error: x"), RuntimeError("Query interrupted")])
def test_ctrl_c_inside_a_query_is_ctrl_c(error: Exception) -> None:
    with pytest.raises(KeyboardInterrupt), _plain_errors("t.csv"):
        raise error


def test_neither_pandas_nor_pyarrow_is_needed(small: str) -> None:
    code = (
        "import sys\n"
        "sys.modules['pandas'] = sys.modules['pyarrow'] = None\n"
        "from lossmith.scoring.source import Table, _plain_errors\n"
        f"with Table.open({small!r}) as t: print(t.numbers('p').sum(), t.texts('name')[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "nan ann\n"

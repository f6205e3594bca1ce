"""Scoring a file: the numbers of one pass over arrays, whatever the file's size and form."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import duckdb
import numpy as np
import pytest

import lossmith as lm
from lossmith.errors import DomainError, EmptyError, LossNotFoundError, ParameterError, TableError
from lossmith.scoring import ScoreReport, Table, score

ROWS = 200_003


def save(path: Path, **columns: np.ndarray) -> str:
    """Write columns as CSV with every digit; NaN becomes an empty field."""
    lines = [",".join(columns)]
    for row in zip(*(column.tolist() for column in columns.values()), strict=True):
        lines.append(",".join("" if value != value else repr(value) for value in row))
    path.write_text("\n".join(lines) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def columns() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    y = rng.standard_t(2, ROWS) * 10.0 ** rng.integers(-3, 6, ROWS)
    return {"y": y, "p": y + rng.standard_t(2, ROWS), "w": rng.random(ROWS)}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, columns: dict[str, np.ndarray]) -> str:
    return save(tmp_path_factory.mktemp("score") / "long.csv", **columns)


LOSSES = ["mse", "huber(delta=2)", "quantile(level=0.9)"]


@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("batch_rows", [16_384, 65_536, 10**7])
def test_same_bits_as_one_pass_over_arrays(
    path: str, columns: dict[str, np.ndarray], weight: str | None, batch_rows: int
) -> None:
    report = score(path, "y", "p", LOSSES, weight=weight, batch_rows=batch_rows)
    assert report.rows == ROWS
    assert report.skipped == 0
    w = columns["w"] if weight else None
    for found, text in zip(report.scores, LOSSES, strict=True):
        state = lm.parse(text).state(columns["y"], columns["p"], weight=w)
        assert found.loss == lm.parse(text)
        assert (found.mean, found.sum, found.weight, found.count) == (state.mean, state.sum, state.weight, ROWS)
        assert (found.bad, found.first_bad) == (0, None)


def test_same_bits_in_every_form(path: str, columns: dict[str, np.ndarray], tmp_path: Path) -> None:
    want = score(path, "y", "p", LOSSES).scores
    parquet, packed = str(tmp_path / "t.parquet"), tmp_path / "t.csv.gz"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (FROM '{path}') TO '{parquet}' (FORMAT parquet, ROW_GROUP_SIZE 3000)")
    packed.write_bytes(gzip.compress(Path(path).read_bytes(), 1))
    assert score(parquet, "y", "p", LOSSES).scores == want
    assert score(packed, "y", "p", LOSSES).scores == want
    with Table.open(path) as table:
        assert score(table, "y", "p", LOSSES).scores == want
        assert score(table, "y", "p", LOSSES).scores == want  # a table can be read again


def test_skipped_rows_leave_the_same_bits_as_the_rest(columns: dict[str, np.ndarray], tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    holed = {name: np.where(rng.random(ROWS) < 0.01, math.nan, column) for name, column in columns.items()}
    kept = ~np.isnan(np.stack(list(holed.values()))).any(axis=0)
    report = score(save(tmp_path / "holes.csv", **holed), "y", "p", LOSSES, weight="w", missing="skip")
    assert report.rows == ROWS
    assert report.skipped == ROWS - kept.sum() > 1000
    for found in report.scores:
        state = found.loss.state(columns["y"][kept], columns["p"][kept], weight=columns["w"][kept])
        assert (found.mean, found.sum, found.weight, found.count) == (state.mean, state.sum, state.weight, kept.sum())


def test_missing_values_are_refused_by_row(columns: dict[str, np.ndarray], tmp_path: Path) -> None:
    p, w = columns["p"].copy(), columns["w"].copy()
    p[150_000], w[150_001] = math.nan, math.nan
    path = save(tmp_path / "hole.csv", y=columns["y"], p=p, w=w)
    with pytest.raises(TableError, match=r"row 150,001 of .*hole\.csv has no value in column 'p'.*--missing skip"):
        score(path, "y", "p", ["mae"])
    with pytest.raises(TableError, match="column 'p'"):
        score(path, "y", "p", ["mae"], weight="w")
    with pytest.raises(TableError, match=r"row 150,002 .* column 'w'"):
        score(path, "y", "y", ["mae"], weight="w")


def chances(tmp_path: Path, *, skipped: int = 0, **changed: tuple[int, float]) -> str:
    """Write 70,000 labels and probabilities, with one value of some columns changed, after rows without values."""
    rng = np.random.default_rng(7)
    y = (rng.random(70_000) < 0.5).astype(float)
    table = {"y": y, "p": 0.8 * y + 0.1, "w": np.ones(70_000)}
    for name, (row, value) in changed.items():
        table[name][row - 1] = value
    table["y"][:skipped] = math.nan
    return save(tmp_path / "chances.csv", **table)


def test_errors_name_the_row_of_the_file(tmp_path: Path) -> None:
    bce = "bce(prediction=probabilities)"
    with pytest.raises(DomainError, match=r"column 'p' must be in \[0, 1\], but row 69,000 of .* holds 1.5 .*logits"):
        score(chances(tmp_path, p=(69_000, 1.5)), "y", "p", [bce])
    with pytest.raises(DomainError, match=r"column 'p' .* row 69,000"):
        score(chances(tmp_path, p=(69_000, 1.5), skipped=1_000), "y", "p", [bce], missing="skip")
    with pytest.raises(DomainError, match=r"column 'y' must be in \{0, 1\}, but row 66,000 .* holds 2"):
        score(chances(tmp_path, y=(66_000, 2)), "y", "p", ["hinge"])
    with pytest.raises(DomainError, match=r"column 'w' must hold weights .* row 66,000 .* holds -1"):
        score(chances(tmp_path, w=(66_000, -1)), "y", "p", [bce], weight="w")
    with pytest.raises(DomainError, match=r"column 'w' must hold weights .* holds inf"):
        score(chances(tmp_path, w=(66_000, math.inf)), "y", "p", [bce], weight="w")
    with pytest.raises(DomainError, match=r"column 'p' must be finite, but row 5 .* holds inf"):
        score(chances(tmp_path, p=(5, math.inf)), "y", "p", ["mae"])


def test_infinite_losses_are_counted_and_placed(tmp_path: Path) -> None:
    path = chances(tmp_path, p=(69_000, 0.0), y=(69_000, 1.0), skipped=1_000)
    report = score(path, "y", "p", ["bce(prediction=probabilities)", "mae"], missing="skip")
    first, second = report.scores
    assert (first.mean, first.bad, first.first_bad, first.count) == (math.inf, 1, 69_000, 69_000)
    assert (second.bad, second.first_bad) == (0, None)


def notes(path: str, loss: str) -> tuple[str, ...]:
    return score(path, "y", "p", [loss]).notes


def test_probabilities_given_as_logits_are_noticed(tmp_path: Path) -> None:
    path = chances(tmp_path)
    (note,) = notes(path, "bce")
    assert "all 70,000 values lie in [0, 1] (from 0.1 to 0.9)" in note
    assert "BinaryCrossEntropy(prediction='probabilities')" in note
    assert "--prediction-kind probabilities" in note
    assert notes(path, "bce(prediction=probabilities)") == ()
    assert notes(path, "mae") == ()
    assert notes(chances(tmp_path, p=(66_000, 1.01)), "bce") == ()
    few = save(tmp_path / "few.csv", y=np.array([0.0, 1.0]), p=np.array([0.2, 0.7]))
    assert notes(few, "bce") == ()


def test_rates_given_as_log_rates_are_noticed(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    rates = rng.gamma(4, 5, 1000)
    counts = rng.poisson(rates).astype(float)
    (note,) = notes(save(tmp_path / "rates.csv", y=counts, p=rates), "poisson")
    assert "Poisson(prediction='rate')" in note
    assert notes(save(tmp_path / "logs.csv", y=counts, p=np.log(rates)), "poisson") == ()
    assert notes(str(tmp_path / "rates.csv"), "poisson(prediction=rate)") == ()


def test_nothing_left(tmp_path: Path) -> None:
    path = save(tmp_path / "none.csv", y=np.array([1.0, math.nan]), p=np.array([math.nan, 1.0]), w=np.zeros(2))
    with pytest.raises(EmptyError, match=r"of 2 rows .* none has all values"):
        score(path, "y", "p", ["mae"], missing="skip")
    full = save(tmp_path / "zero.csv", y=np.ones(2), p=np.ones(2), w=np.zeros(2))
    with pytest.raises(EmptyError, match=r"weights in column 'w' .* all zero"):
        score(full, "y", "p", ["mae"], weight="w")


def test_refused_arguments(path: str) -> None:
    with pytest.raises(TableError, match="no column 'q'"):
        score(path, "y", "q", ["mae"])
    with pytest.raises(ParameterError, match="at least one loss"):
        score(path, "y", "p", [])
    with pytest.raises(ParameterError, match="'error' or 'skip'"):
        score(path, "y", "p", ["mae"], missing="drop")  # type: ignore[arg-type]
    with pytest.raises(LossNotFoundError, match="huber"):
        score(path, "y", "p", ["hubr"])


def test_one_column_may_play_two_parts(path: str) -> None:
    assert score(path, "y", "y", ["mae"]).scores[0].mean == 0


def test_the_report_as_data(path: str) -> None:
    report = score(path, "y", "p", ["huber(delta=2)"], weight="w")
    assert isinstance(report, ScoreReport)
    found = report.to_dict()
    assert set(found) == {
        "schema", "file", "target", "prediction", "weight", "rows", "skipped", "scores", "notes",
    }  # fmt: skip
    (entry,) = found["scores"]
    assert set(entry) == {
        "text", "loss", "parameters", "mean", "sum", "weight", "count", "bad", "first_bad",
    }  # fmt: skip
    assert lm.from_config({"loss": entry["loss"], "parameters": entry["parameters"]}) == lm.Huber(delta=2)

"""Scoring on this machine: one pass over a file, batch by batch, with any number of losses.

Each batch gives a cost state and states merge exactly, so that the cost of a file is the cost of its arrays to the
last bit, whatever the size of memory or the number of threads.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from lossmith.core.mistakes import LossmithWarning
from lossmith.errors import DomainError, EmptyError, ParameterError, TableError, plural
from lossmith.scoring.metrics import require_columns
from lossmith.scoring.source import BATCH_ROWS, Table

if TYPE_CHECKING:
    from lossmith.core.loss import Loss
    from lossmith.core.state import CostState

Block = npt.NDArray[np.float64]

_FEW = 16  # values that are no evidence for what they are


@dataclass(frozen=True)
class Score:
    """The cost of one loss over a file.

    Attributes:
        loss: The loss.
        mean, sum: Weighted mean and weighted sum of the losses, in the loss's own unit; infinite where a loss is.
        weight: Sum of the weights; the number of rows without weights.
        count: Rows that were counted.
        bad: Rows whose loss is not finite, such as the log of a zero probability.
        first_bad: The first of them; the first row of data is row 1.
    """

    loss: Loss
    mean: float
    sum: float
    weight: float
    count: int
    bad: int
    first_bad: int | None


@dataclass(frozen=True)
class ScoreReport:
    """What ``score`` returns.

    Attributes:
        path, target, prediction: The file and its columns.
        weight: The column of weights.
        rows, skipped: Rows of the file, and how many of them were left out because a value is missing.
        scores: One for each loss, in the order asked.
        notes: What looks like a mistake, with the evidence.
    """

    path: str
    target: str
    prediction: str
    weight: str | None
    rows: int
    skipped: int
    scores: tuple[Score, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data for JSON; ``schema`` grows when the meaning of a field changes."""
        return {
            "schema": 1,
            "file": self.path,
            "target": self.target,
            "prediction": self.prediction,
            "weight": self.weight,
            "rows": self.rows,
            "skipped": self.skipped,
            "scores": [
                {
                    "text": str(s.loss),
                    **s.loss.to_config(),
                    "mean": s.mean,
                    "sum": s.sum,
                    "weight": s.weight,
                    "count": s.count,
                    "bad": s.bad,
                    "first_bad": s.first_bad,
                }
                for s in self.scores
            ],
            "notes": list(self.notes),
        }


@dataclass
class _Seen:
    """What the values look like, for notes on likely mistakes."""

    count: int = 0
    low: float = math.inf
    high: float = -math.inf
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0])  # of targets and of predictions

    def add(self, block: Block) -> None:
        self.count += block.shape[1]
        self.low, self.high = min(self.low, float(block[1].min())), max(self.high, float(block[1].max()))
        with np.errstate(all="ignore"):
            self.sums = [total + float(np.sum(values)) for total, values in zip(self.sums, block[:2], strict=True)]


def score(
    path: str | os.PathLike[str] | Table,
    target: str,
    prediction: str,
    losses: Sequence[str | Loss],
    *,
    weight: str | None = None,
    missing: Literal["error", "skip"] = "error",
    batch_rows: int = BATCH_ROWS,
) -> ScoreReport:
    """Measure the predictions in a file with one or several losses, in a single pass.

    Args:
        path: A CSV, TSV or Parquet file, ``-`` for CSV on standard input, or an open table. It may exceed memory.
        target, prediction: Names of the columns that hold the truth and the predictions, in the kind that each loss
            declares.
        losses: Such as ``["mae", "huber(delta=2)"]``.
        weight: Name of the column of weights, at least 0. Each row counts 1 by default.
        missing: What to do about a row without a target, prediction or weight. Default ``"error"``.
        batch_rows: Rows that are computed together. The result does not depend on it as long as it is a multiple of
            16,384.

    Raises:
        TableError: The file or a column cannot be used, or a value is missing; the row is named, counted from 1.
        DomainError: A value is outside what a loss allows; the row of the file is named.
        LossNotFoundError, ParameterError: For a loss that does not exist or that two columns cannot feed, or an
            impossible ``missing``.
        EmptyError: No row is left, or all weights are zero.
    """
    import lossmith as lm

    if missing not in ("error", "skip"):
        raise ParameterError(f"missing must be 'error' or 'skip', not {missing!r}.")
    chosen = [lm.parse(loss) for loss in losses]
    if not chosen:
        raise ParameterError("name at least one loss, such as 'mae'.")
    for loss in chosen:
        require_columns(loss)
    if isinstance(path, Table):
        return _Run(path, target, prediction, weight, chosen).over(missing, batch_rows)
    with Table.open(path) as table:
        return _Run(table, target, prediction, weight, chosen).over(missing, batch_rows)


class _Run:
    """One pass over one table."""

    def __init__(self, table: Table, target: str, prediction: str, weight: str | None, losses: list[Loss]) -> None:
        self.table = table
        self.names = [target, prediction, *([weight] if weight is not None else [])]
        for name in self.names:
            table.require(name)
        self.losses = losses
        self.first_bad: list[int | None] = [None] * len(losses)
        self.seen = _Seen()
        self.rows = 0
        self.skipped = 0

    def over(self, missing: str, batch_rows: int) -> ScoreReport:
        states: list[CostState | None] = [None] * len(self.losses)
        for block in self._blocks(missing, batch_rows):
            self.seen.add(block)
            for i, loss in enumerate(self.losses):
                state, so_far = self._state(loss, block), states[i]
                states[i] = state if so_far is None else so_far.merge(state)
                if state.first_bad is not None and self.first_bad[i] is None:
                    self.first_bad[i] = int(block[-1, state.first_bad])
        scores = tuple(map(self._score, states, self.first_bad))
        target, prediction, *weight = self.names
        return ScoreReport(
            path=self.table.path,
            target=target,
            prediction=prediction,
            weight=weight[0] if weight else None,
            rows=self.rows,
            skipped=self.skipped,
            scores=scores,
            notes=tuple(note for loss in self.losses if (note := self._suspicion(loss))),
        )

    def _blocks(self, missing: str, size: int) -> Iterator[Block]:
        """Yield blocks of ``size`` columns: target, prediction, weight where there is one, and the row of the file."""
        kept = np.empty((len(self.names) + 1, 0))
        for batch in self.table.batches(self.names, size):
            columns = [batch[name] for name in self.names]
            numbers = np.arange(self.rows + 1.0, self.rows + 1.0 + len(columns[0]))  # exact up to 2**53
            block = np.vstack([*columns, numbers])
            self.rows += block.shape[1]
            gone = np.isnan(block).any(axis=0)
            if gone.any():
                if missing == "error":
                    self._refuse_missing(block[:, gone])
                self.skipped += int(gone.sum())
                block = block[:, ~gone]
            # Blocks are filled up again after rows were left out, so that the cost is that of the rows that remain.
            kept = np.hstack([kept, block]) if kept.size else block
            while kept.shape[1] >= size:
                yield kept[:, :size]
                kept = kept[:, size:]
        if kept.shape[1]:
            yield kept

    def _refuse_missing(self, rows: Block) -> None:
        column = self.names[int(np.argmax(np.isnan(rows[:-1, 0])))]
        raise TableError(
            f"row {int(rows[-1, 0]):,} of {self.table.label} has no value in column {column!r} (the first row of data "
            "is row 1). Leave such rows out with missing='skip', on the command line --missing skip."
        )

    def _state(self, loss: Loss, block: Block) -> CostState:
        y, p, *w = block[:-1]
        try:
            with warnings.catch_warnings():
                # A batch knows too little to warn; `_suspicion` does so once, of the whole file.
                warnings.simplefilter("ignore", LossmithWarning)
                return loss.state(y, p, weight=w[0] if w else None)
        except DomainError as error:
            raise self._in_file(loss, block, error) from None

    def _in_file(self, loss: Loss, block: Block, error: DomainError) -> DomainError:
        """Say again what is wrong, with the column and row of the file in place of the array's."""
        domains = list(loss.domains.values())
        for place in range(block.shape[1]):
            for name, domain, value in zip(self.names, domains, block[:, place], strict=False):
                if not domain.includes(float(value)):
                    wanted = "finite" if math.isinf(value) else f"in {domain}"
                    return self._outside(f"{loss}: column {name!r} must be {wanted}", place, value, block, domain.hint)
            if len(block) == 4 and not 0 <= block[2, place] < math.inf:
                what = f"column {self.names[2]!r} must hold weights that are finite and at least 0"
                return self._outside(what, place, block[2, place], block)
        return error

    def _outside(self, what: str, place: int, value: float, block: Block, hint: str = "") -> DomainError:
        row = int(block[-1, place])
        where = f"row {row:,} of {self.table.label} holds {value:g} (the first row of data is row 1)"
        return DomainError(f"{what}, but {where}{f'; {hint}' if hint and math.isfinite(value) else ''}.")

    def _score(self, state: CostState | None, first_bad: int | None) -> Score:
        if state is None:
            raise EmptyError(
                f"of {plural(self.rows, 'row')} of {self.table.label} none has all values; nothing is left to measure."
            )
        if state.weight == 0:
            raise EmptyError(f"the weights in column {self.names[2]!r} of {self.table.label} are all zero.")
        return Score(state.loss, state.mean, state.sum, state.weight, state.count, state.bad, first_bad)

    def _suspicion(self, loss: Loss) -> str | None:
        """Return what speaks for predictions of another kind than the loss was told, if anything does."""
        seen, column = self.seen, self.names[1]
        option = loss.options().get("prediction")
        if option is None or len(option.choices) < 2 or loss.values["prediction"] != option.choices[0]:
            return None
        if seen.count < _FEW:
            return None
        given, other = option.choices[0], option.choices[1]
        remedy = f"If they are, say so: {loss.replace(prediction=other)}, or --prediction-kind {other}."
        if given == "logits" and 0 <= seen.low < seen.high <= 1:
            return (
                f"{loss} reads column {column!r} as logits, but all {seen.count:,} values lie in [0, 1] "
                f"(from {seen.low:.3g} to {seen.high:.3g}), as probabilities do. {remedy}"
            )
        truth, mean = (total / seen.count for total in seen.sums)
        # The mean of exp(f) is at least exp of the mean: log rates would predict far more than there is.
        if (
            given == "log_rate"
            and seen.low >= 0
            and mean > 0
            and truth / 2 < mean < 2 * truth < math.exp(min(mean, 700)) / 2
        ):
            return (
                f"{loss} reads column {column!r} as logarithms of rates, but its mean, {mean:.3g}, is about that of "
                f"the target, {truth:.3g}, as rates have it. {remedy}"
            )
        return None

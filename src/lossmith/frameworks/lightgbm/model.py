"""A trained model, with start score and link inside, and its file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.loss import Loss
from lossmith.errors import ParameterError
from lossmith.frameworks.boosting import Head
from lossmith.frameworks.boosting.columns import refuse_others
from lossmith.frameworks.boosting.trained import Trained
from lossmith.frameworks.lightgbm.library import library, table

Array = npt.NDArray[Any]

_MARK = "lossmith:"
_LAST = "pandas_categorical:"


@dataclass(frozen=True, repr=False)
class Model(Trained):
    """A trained model, with start score and link inside.

    Attributes:
        booster: LightGBM's own model of the trees alone; ``None`` where no feature could be split.
        head: loss, start score and link.
        rounds: number of rounds in use, the best number where training stopped early.
        history: mean loss on the validation rows after each round, when there were any.
    """

    booster: Any
    head: Head
    rounds: int
    history: tuple[float, ...] = ()

    def predict_raw(self, X: Any) -> Array:
        """Return the raw prediction of each row; see ``Trained``.

        Raises:
            ShapeError: for another number of columns than in training.
            ParameterError: for a table whose columns lie in another order.
        """
        rows = table(X)
        if self.booster is not None:
            refuse_others(rows, self.booster.feature_name(), "LightGBM")
        if not rows.shape[0]:  # which LightGBM refuses
            return self.head.constant(0)
        if self.rounds == 0 or self.booster is None:
            return self.head.constant(rows.shape[0])
        return self.head.raw(self.booster.predict(rows, num_iteration=self.rounds, raw_score=True))

    def importance(self) -> Array:
        """Return the total gain of each feature's splits; empty where no feature could be split."""
        if self.booster is None:
            return np.zeros(0)
        if not self.rounds:  # which LightGBM takes for all of them
            return np.zeros(self.booster.num_feature())
        return np.asarray(self.booster.feature_importance("gain", iteration=self.rounds), dtype=np.float64)

    def save(self, path: str | Path) -> None:
        """Write the model to a text file, which ``Model.load`` reads and LightGBM too, the trees in use alone.

        Args:
            path: of the file.
        """
        Path(path).write_text(self.to_text(), encoding="utf-8")

    def to_text(self) -> str:
        """Return the model as text: LightGBM's own, and before its last line one line with loss, start and link."""
        described = {**self.head.to_config(), "rounds": self.rounds, "history": list(self.history)}
        line = f"{_MARK}{json.dumps(described)}\n"
        if self.booster is None:
            return line
        # No rounds are all rounds to LightGBM, unless it begins behind the last one.
        first = 0 if self.rounds else self.booster.current_iteration()
        trees = self.booster.model_to_string(num_iteration=self.rounds or 1, start_iteration=first)
        before, last, rest = trees.rpartition(_LAST)
        return f"{before}{line}\n{last}{rest}" if last else f"{trees}\n{line}"

    @classmethod
    def load(cls, path: str | Path, loss: Loss | None = None) -> Model:
        """Read a model that ``save`` wrote.

        Args:
            path: of the file.
            loss: the loss, where it is made of a function of your own, which a text cannot hold.

        Raises:
            ParameterError: for another file, or another loss.
        """
        return cls.from_text(Path(path).read_text(encoding="utf-8"), loss)

    @classmethod
    def from_text(cls, text: str, loss: Loss | None = None) -> Model:
        """Return the model that a text holds; see ``load``."""
        before, mark, rest = text.rpartition(f"\n{_MARK}") if not text.startswith(_MARK) else ("", _MARK, text[9:])
        line, _, after = rest.partition("\n")
        if not mark:
            raise ParameterError(
                f"this is no model that Lossmith wrote: it has no line that begins with {_MARK!r}, so loss and start "
                "score are not known; for trees alone use lightgbm.Booster"
            )
        head = Head.from_json(line, loss)
        described = json.loads(line)
        booster = library().Booster(model_str=f"{before}\n{after}") if before else None
        return cls(booster, head, int(described["rounds"]), tuple(described["history"]))

"""The exam: eight students, one of them an outlier, for every kind of target that a loss may want."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lossmith.core.loss import Loss
from lossmith.errors import ParameterError
from lossmith.learning.record import Array

HOURS = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
MARKS = (1.9, 3.1, 3.8, 5.2, 5.9, 7.1, 0.5, 8.9)
OUTLIER = 6
"""The place of the student who was ill."""

_PASSED, _DISTINCTION = 5.0, 8.0


class Exam(NamedTuple):
    """What a loss is to learn from.

    Attributes:
        X: hours of study, shape (8, 1).
        y: marks; whether each passed, as labels of the loss; or failed, passed and distinction, as classes.
        feature, target: what these are called.
        story: the data in a sentence or two.
    """

    X: Array
    y: Array
    feature: str
    target: str
    story: str


def exam(loss: Loss) -> Exam:
    """Return the exam for a loss of a target and a prediction.

    Raises:
        ParameterError: for a loss of other targets than numbers, labels and classes.
    """
    hours, marks = np.array(HOURS)[:, None], np.array(MARKS)
    story = "Eight students, their hours of study and {}. The one with 3.5 hours was ill{}."
    task = loss.card.task
    if task in ("regression", "counts"):
        return Exam(hours, marks, "hours", "mark", story.format("their mark, from 0 to 10", ": mark 0.5"))
    if task == "binary":
        labels = np.where(marks >= _PASSED, 1.0, -1.0 if loss.domains["y"].low < 0 else 0.0)
        return Exam(hours, labels, "hours", "passed", story.format("whether they passed the exam", ", and failed"))
    if task == "categorical":
        classes = (marks >= _PASSED).astype(int) + (marks >= _DISTINCTION)
        what = "their grade: 0 failed, 1 passed, 2 with distinction"
        y = np.eye(3)[classes] if np.isfinite(loss.domains["y"].low) else classes
        return Exam(hours, y, "hours", "grade", story.format(what, ", and failed"))
    raise ParameterError(f"{loss} is for a target of the kind {task!r}, which the worked example does not have")

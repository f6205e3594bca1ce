"""The form of losses over classes: a logit or score for each class in a row."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lossmith.core.loss import Loss
from lossmith.engines.hosts import REFERENCE
from lossmith.errors import DomainError, NoConstantError, ParameterError
from lossmith.frameworks.boosting.forms import CERTAIN, Derivatives, Form
from lossmith.frameworks.labels import changed, ignored

Array = npt.NDArray[Any]

_MARGIN = 1.0  # scores of margin losses are at rest there
_SAMPLE = 64


class Classes(Form):
    """A raw prediction for each class.

    Args:
        loss: in raw form, with classes along the last axis.
        outputs: number of classes.
        declared: whether somebody said so, and classes without a target are no mistake.
        mends: what the caller names the number of classes.
    """

    def __init__(self, loss: Loss, outputs: int, *, declared: bool = True, mends: str = "classes") -> None:
        super().__init__(along(loss, -1), outputs)
        self.one_hot = not loss.singles
        self.softmax = loss.card.activation == "softmax"
        self._declared, self._mends = declared, mends

    def targets(self, y: Array) -> Array:
        """Return targets as the loss takes them: an index, or a distribution a row where it asks for one.

        Raises:
            DomainError: for a class beyond those that there are, such as one of a validation set alone.
        """
        if y.ndim == 2:
            return y
        indices = y.astype(np.intp)
        if not self.one_hot:
            return indices
        if indices.max(initial=0) >= self.outputs:
            raise DomainError(
                f"{self.loss}: a target is of class {indices.max()}, but the classes go from 0 to {self.outputs - 1}; "
                f"say how many there are by {self._mends}="
            )
        return np.eye(self.outputs)[indices]

    def narrow(self, y: Array) -> Array:
        """Return targets as ``fill`` takes them: distributions in float32."""
        found = self.targets(y)
        return found if found.ndim == 1 else found.astype(np.float32)

    def start(self, y: Array, weight: Array | None) -> Array:
        """Return the best constant row; a class without target begins where it is ruled out. See ``Form.start``.

        Raises:
            DomainError: for one class alone, and for classes without target that nobody declared.
        """
        if y.ndim == 1:
            seen = np.unique(y if weight is None else y[weight > 0])
            self._refuse_missing(seen[seen != ignored(self.loss)])
        try:
            found = np.asarray(self.loss.optimal_constant(self.targets(y), weight), np.float64)
        except NoConstantError:
            return np.zeros(self.outputs)  # kinks, or certainty of a class: none is favoured then
        rest = np.full(self.outputs - len(found), -np.inf)  # indices tell of no class beyond the largest one
        return np.asarray(np.maximum(np.concatenate([found, rest]), -CERTAIN))

    def _refuse_missing(self, seen: Array) -> None:
        if seen.size < 2:
            raise DomainError(
                f"{self.loss}: all targets with weight are of class {seen[0]:g}, one class only, so there is nothing "
                "to learn"
            )
        missing = np.setdiff1d(np.arange(self.outputs), seen)
        if missing.size and not self._declared:
            raise DomainError(
                f"{self.loss}: targets go up to class {self.outputs - 1}, but none with weight is of class "
                f"{', '.join(map(str, missing[:6].tolist()))}; number the classes that occur from 0 up without a gap, "
                f"or say how many there are by {self._mends}="
            )

    def _evaluate(self, y: Array, raw: Array, *outputs: str) -> dict[str, Any]:
        return super()._evaluate(self.targets(y), raw, *outputs)

    def bound(self, y: Array, raw: Array, hessian: Array) -> Array:
        """Return sums of absolute values of rows of the Hessian; see ``Form.bound``.

        For softmax cross-entropy these are 2 p (1 - p), twice the diagonal.
        """
        if self.twice:
            return 2 * np.abs(hessian)
        full = self._evaluate(y, raw, "full_hessian")["full_hessian"]
        return np.asarray(np.abs(full).sum(axis=-1))

    @cached_property
    def twice(self) -> bool:
        """Whether sums of absolute values of rows of the Hessian are twice the diagonal.

        They are where rows sum to zero and all beside the diagonal have one sign, as those of cross-entropy do; it is
        looked up on some rows.
        """
        rng = np.random.default_rng(0)
        raw, y = rng.normal(0, 3, (_SAMPLE, self.outputs)), rng.integers(0, self.outputs, _SAMPLE).astype(float)
        found = self._evaluate(y, raw, "hessian", "full_hessian")
        rows = np.abs(found["full_hessian"]).sum(axis=-1)
        return bool(np.allclose(rows, 2 * np.abs(found["hessian"]), rtol=1e-9, atol=1e-15))

    def base(self, hessian: Array) -> Array:
        """Return twice the absolute diagonal; see ``Form.base``."""
        return 2 * np.abs(hessian)

    def fill(self, targets: Array, raw: Array, gradient: Array, hessian: Array) -> None:
        """Write gradient and exact Hessian in float32, in the order in which the arrays lie.

        Args:
            targets: of ``narrow``.
            raw: logits, float32, in that order too.
            gradient, hessian: what is written.
        """
        across = not gradient.flags.c_contiguous
        loss = self._across if across else self.loss
        raw, gradient, hessian = (array.T if across else array for array in (raw, gradient, hessian))
        given = targets.T if across and targets.ndim == 2 else targets
        out = {"gradient": gradient, "hessian": hessian}
        loss.evaluate(given, raw, ("gradient", "hessian"), trusted=True, out=out)

    @cached_property
    def _across(self) -> Loss:
        return along(self.loss, 0)

    def expected(self, raw: Array) -> Derivatives:
        """Return the derivatives under the predicted classes; see ``Form.expected``.

        Raises:
            ParameterError: for a sum of losses, which has no row of its own.
        """
        row = getattr(self.loss, "row", None)
        if row is None:
            raise ParameterError(f"{self.loss}: hessian='gauss_newton' is not known of sums over classes")
        found = row(REFERENCE, raw, self.inverse(raw), ("gradient:f", "hessian:f,f"))
        return found["gradient:f"], found["hessian:f,f"]

    def best(self, y: Array) -> Array:
        """Return certainty of the true class; see ``Form.best``."""
        shares = np.eye(self.outputs)[y.astype(np.intp)] if y.ndim == 1 else y
        return (2 * shares - 1) * (CERTAIN if self.softmax else _MARGIN)

    def inverse(self, raw: Array) -> Array:
        """Return probabilities of classes; scores of margins stay as they are."""
        if not self.softmax:
            return np.array(raw, np.float64)
        shares = np.exp(raw - raw.max(axis=-1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=-1, keepdims=True))


def along(loss: Loss, axis: int) -> Loss:
    """Return a loss over classes, or a sum of some, with the classes along another axis."""
    return changed(loss, class_axis=axis)

"""The profile of a target: what kind of number it is, how it is spread, and what is odd about it.

A loss is chosen by what the target looks like. The profile measures that with figures that a few wild rows
cannot move, and :meth:`TargetProfile.sentences` says it in plain words.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossmith.choosing.words import number, share
from lossmith.errors import EmptyError, plural

__all__ = ["TargetProfile", "profile", "robust_deviation"]

FloatArray = NDArray[np.float64]

# Ratio of the two quantile ranges for a normal distribution: (z(0.975) - z(0.025)) / (z(0.75) - z(0.25)).
_NORMAL_TAIL = 1.959963984540054 / 0.6744897501960817
# Robust deviations from the median beyond which a target counts as an outlier.
OUTLIER_DEVIATIONS = 3.0


@dataclass(frozen=True)
class TargetProfile:
    """What a target looks like. All figures are in the unit of the target unless said otherwise.

    Attributes:
        name: Name of the target.
        rows: Rows that have a target.
        missing: Rows that have none.
        kind: ``"binary"`` (two classes), ``"counts"`` (whole numbers from 0 or 1 on), ``"positive"`` (amounts,
            all above zero), ``"continuous"`` (any other numbers) or ``"constant"``.
        distinct: Number of different values.
        minimum: Smallest target.
        quartile_1: A quarter of the targets lie at or below it.
        median: Half of the targets lie at or below it.
        quartile_3: Three quarters of the targets lie at or below it.
        maximum: Largest target.
        mean: Mean.
        deviation: Standard deviation, dividing by the rows.
        robust_deviation: See :func:`robust_deviation`.
        skew: Third standardised moment, no unit; 0 for a symmetric target.
        tail_weight: Range of the middle 95% over the range of the middle half, divided by the same ratio of the
            normal distribution, no unit; 1 for a normal target, above 1 for heavier tails, ``None`` where the
            middle half is one value. Crow and Siddiqui (1967), Robust estimation of location, Journal of the
            American Statistical Association 62, doi:10.1080/01621459.1967.10482914.
        outliers: Targets further than 3 robust deviations from the median.
        outliers_above: Those of them above the median.
        zeros: Targets that are exactly zero.
        integer: Whether all targets are whole numbers.
        dispersion: Variance over mean for counts, no unit; 1 for a Poisson target; else ``None``.
        labels: The two labels of a binary target, negative first; else ``None``.
        positives: Rows of the positive class of a binary target; else 0.
        reading: Which label counts as positive, and why; empty for other kinds.
    """

    name: str
    rows: int
    missing: int
    kind: str
    distinct: int
    minimum: float
    quartile_1: float
    median: float
    quartile_3: float
    maximum: float
    mean: float
    deviation: float
    robust_deviation: float
    skew: float
    tail_weight: float | None
    outliers: int
    outliers_above: int
    zeros: int
    integer: bool
    dispersion: float | None
    labels: tuple[str, str] | None
    positives: int
    reading: str

    @property
    def outlier_share(self) -> float:
        """Share of the targets beyond 3 robust deviations, from 0 to 1."""
        return self.outliers / self.rows

    @property
    def zero_share(self) -> float:
        """Share of the targets that are exactly zero, from 0 to 1."""
        return self.zeros / self.rows

    @property
    def positive_share(self) -> float:
        """Share of the rows in the positive class, from 0 to 1; 0 where the target is not binary."""
        return self.positives / self.rows

    @property
    def minority_share(self) -> float:
        """Share of the rarer class of a binary target, from 0 to 0.5."""
        return min(self.positive_share, 1.0 - self.positive_share)

    def sentences(self) -> tuple[str, ...]:
        """Say the profile in plain words, one fact a sentence."""
        if self.kind == "constant":
            return (f"'{self.name}' is {number(self.median, 6)} in all {plural(self.rows, 'row')}.",)
        if self.kind == "binary":
            return self._binary_sentences()
        said = [self._kind_sentence()]
        said.append(
            f"Half of the targets lie between {number(self.quartile_1)} and {number(self.quartile_3)}; "
            f"the middle one is {number(self.median)} and the mean is {number(self.mean)}."
        )
        said.append(self._shape_sentence())
        said.append(self._outlier_sentence())
        if self.zeros and self.kind != "positive":
            said.append(f"{share(self.zero_share)} of the targets are exactly zero.")
        if self.dispersion is not None:
            said.append(self._dispersion_sentence(self.dispersion))
        if self.missing:
            said.append(f"{plural(self.missing, 'row')} had no target and are not counted.")
        return tuple(said)

    def _kind_sentence(self) -> str:
        what = {
            "counts": "counts: whole numbers from zero up",
            "positive": "amounts: numbers that are all above zero",
            "continuous": "numbers that may be negative" if self.minimum < 0 else "numbers from zero up",
        }[self.kind]
        return (
            f"'{self.name}' has {plural(self.rows, 'row')} of {what}, "
            f"from {number(self.minimum)} to {number(self.maximum)}."
        )

    def _shape_sentence(self) -> str:
        if abs(self.skew) < 0.5:
            lean = "The targets spread about evenly to both sides"
        else:
            side, size = ("large", "right") if self.skew > 0 else ("small", "left")
            lean = f"The targets lean: a long tail of {side} values reaches to the {size} (skew {number(self.skew, 2)})"
        if self.tail_weight is None:
            return f"{lean}; the middle half is a single value."
        if self.tail_weight > 1.25:
            wide = f"{number(self.tail_weight, 2)} times as wide as"
        else:
            wide = "shorter than" if self.tail_weight < 0.8 else "about as wide as"
        return f"{lean}; up to the outermost 5%, the tails are {wide} those of a bell curve."

    def _outlier_sentence(self) -> str:
        scale = f"3 robust deviations (3 × {number(self.robust_deviation, 3)}) from the median"
        if not self.outliers:
            return f"No target lies further than {scale}."
        below = self.outliers - self.outliers_above
        where = "all above it" if not below else "all below it" if not self.outliers_above else "on both sides"
        return f"{share(self.outlier_share)} of the targets ({self.outliers:,}) lie further than {scale}, {where}."

    def _dispersion_sentence(self, dispersion: float) -> str:
        text = f"The variance is {number(dispersion, 2)} times the mean"
        if dispersion > 1.5:
            return f"{text}: more spread than plain Poisson counts, whose ratio is 1, unless the features explain it."
        if dispersion < 0.67:
            return f"{text}: less spread than plain Poisson counts, whose ratio is 1."
        return f"{text}, about as for plain Poisson counts."

    def _binary_sentences(self) -> tuple[str, ...]:
        negative, positive = self.labels or ("0", "1")
        said = [
            f"'{self.name}' has {plural(self.rows, 'row')} of two classes: {self.positives:,} are '{positive}' "
            f"({share(self.positive_share)}) and {self.rows - self.positives:,} are '{negative}'.",
        ]
        if self.reading:
            said.append(self.reading)
        if self.minority_share < 0.1:
            always = share(1.0 - self.minority_share)
            said.append(
                f"The classes are far from balanced: always saying the common one would be right {always} of the time "
                "and find nothing."
            )
        elif self.minority_share < 0.3:
            said.append("One class is clearly rarer than the other.")
        else:
            said.append("Both classes are well represented.")
        return tuple(said)


def robust_deviation(values: FloatArray) -> float:
    """Return a spread that a few wild values cannot move, on the scale of the standard deviation.

    It is 1.4826 times the median absolute deviation from the median. Where more than half of the values are
    equal that is zero; then the quartile range over 1.349 serves, and where that is zero too, 1.2533 times the
    mean absolute deviation. Each factor makes the measure equal to the standard deviation of a normal target.

    Args:
        values: Finite numbers, at least one.

    Returns:
        The deviation, in the unit of the values; 0 only where all are equal.

    References:
        Rousseeuw and Croux (1993), Alternatives to the median absolute deviation, Journal of the American
        Statistical Association 88, doi:10.1080/01621459.1993.10476408.
    """
    distances = np.abs(values - np.median(values))
    spread = 1.4826 * float(np.median(distances))
    if spread == 0.0:
        low, high = np.quantile(values, [0.25, 0.75])
        spread = float(high - low) / 1.349
    return spread if spread > 0.0 else 1.2533 * float(distances.mean())


def profile(
    y: ArrayLike, name: str = "target", *, labels: tuple[str, str] | None = None, reading: str = ""
) -> TargetProfile:
    """Describe a target. Rows count alike; a column of weights does not change the profile.

    A target of whole numbers counts as ``counts`` only where it begins at 0 or 1: prices and wages in whole
    units do not, and they are amounts.

    Args:
        y: The targets; NaN means missing.
        name: What to call the target in sentences.
        labels: For a target of 0 and 1, what the table calls them, negative first.
        reading: A sentence on how the labels were read.

    Raises:
        EmptyError: Not one target is there.
    """
    array = np.asarray(y, dtype=np.float64).ravel()
    values = array[~np.isnan(array)]
    if values.size == 0:
        raise EmptyError(f"the target '{name}' has no values, so there is nothing to describe")
    distinct = np.unique(values)
    integer = bool(np.all(values == np.round(values)))
    kind = _kind(distinct, integer)
    mean, deviation = float(values.mean()), float(values.std())
    low, middle, high = (float(v) for v in np.quantile(values, [0.25, 0.5, 0.75]))
    spread = robust_deviation(values)
    far = np.abs(values - middle) > OUTLIER_DEVIATIONS * spread
    binary = kind == "binary"
    return TargetProfile(
        name=name,
        rows=int(values.size),
        missing=int(array.size - values.size),
        kind=kind,
        distinct=int(distinct.size),
        minimum=float(distinct[0]),
        quartile_1=low,
        median=middle,
        quartile_3=high,
        maximum=float(distinct[-1]),
        mean=mean,
        deviation=deviation,
        robust_deviation=spread,
        skew=_skew(values, mean, deviation),
        tail_weight=_tail_weight(values, high - low),
        outliers=0 if binary else int(far.sum()),
        outliers_above=0 if binary else int((far & (values > middle)).sum()),
        zeros=int((values == 0.0).sum()),
        integer=integer,
        dispersion=deviation**2 / mean if kind == "counts" and mean > 0 else None,
        labels=(labels or (_label(distinct[0]), _label(distinct[1]))) if binary else None,
        positives=int((values == distinct[1]).sum()) if binary else 0,
        reading=reading if binary else "",
    )


def _kind(distinct: FloatArray, integer: bool) -> str:
    if distinct.size == 1:
        return "constant"
    if distinct.size == 2:
        return "binary"
    if integer and 0.0 <= distinct[0] <= 1.0:
        return "counts"
    return "positive" if distinct[0] > 0.0 else "continuous"


def _skew(values: FloatArray, mean: float, deviation: float) -> float:
    # Divided before it is cubed, so that large units do not overflow.
    return float((((values - mean) / deviation) ** 3).mean()) if deviation > 0.0 else 0.0


def _tail_weight(values: FloatArray, middle_half: float) -> float | None:
    if middle_half <= 0.0:
        return None
    low, high = np.quantile(values, [0.025, 0.975])
    ratio = float(high - low) / middle_half / _NORMAL_TAIL
    return ratio if math.isfinite(ratio) else None


def _label(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))

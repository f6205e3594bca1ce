"""How sure a contest can be: tests for scores that come from overlapping training sets.

The folds of a cross-validation share training rows, so their scores are not independent. A plain t-test
forgets that and finds winners where there are none. The tests here widen the variance by the share of rows
that a fold holds out, as Nadeau and Bengio (2003) proposed. The same widened variance gives the Bayesian
reading of Benavoli et al. (2017): how probable it is that one loss is better, worse, or equal in practice.

A difference here is always *worse minus better wanted*: positive means that the first model is better.
:func:`decide` puts the tests together into a :class:`Verdict`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossmith.errors import ParameterError

__all__ = [
    "Comparison",
    "CorrectedTest",
    "Posterior",
    "Verdict",
    "bayesian_correlated_t",
    "corrected_resampled_t",
    "decide",
    "holm",
]


# Relative difference of two scores that rounding alone can make.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class CorrectedTest:
    """Result of a corrected resampled t-test.

    Attributes:
        mean: Mean of the differences, in their unit.
        error: Corrected standard error of that mean, in the same unit.
        statistic: ``mean / error``.
        degrees: Degrees of freedom, the number of differences minus one.
        p: Two-sided p-value under "no difference".
        low: Lower end of the confidence interval.
        high: Upper end of the confidence interval.
        confidence: Coverage of the interval, such as 0.95.
    """

    mean: float
    error: float
    statistic: float
    degrees: int
    p: float
    low: float
    high: float
    confidence: float


@dataclass(frozen=True)
class Posterior:
    """Probabilities that a model is better, equal in practice, or worse; they sum to 1.

    Attributes:
        better: Probability that the mean difference is above the region of practical equality.
        equal: Probability that it is inside the region.
        worse: Probability that it is below the region.
        rope: Half the width of the region, in the unit of the differences.
    """

    better: float
    equal: float
    worse: float
    rope: float


@dataclass(frozen=True)
class Comparison:
    """The leader of a contest against one other candidate.

    Attributes:
        rival: Position of the other candidate.
        test: Corrected test of the differences, positive where the leader is better; ``None`` where the
            rival's score is infinite, so that no test is possible.
        p_holm: p-value after Holm's correction; 0 for a rival whose score is infinite.
        posterior: Bayesian reading of the same differences; ``None`` as for ``test``.
        beaten: Whether the rival is worse at the chosen level.
    """

    rival: int
    test: CorrectedTest | None
    p_holm: float
    posterior: Posterior | None
    beaten: bool


@dataclass(frozen=True)
class Verdict:
    """What a contest can say.

    Attributes:
        kind: ``"winner"`` where the leader beats every other candidate, ``"tie"`` where at least one other
            cannot be told apart from it, ``"alone"`` where there was one candidate only.
        leader: Position of the candidate with the best mean score.
        contenders: Positions that cannot be told apart, the leader first, then in the order of the score.
        comparisons: The leader against each other candidate, in the order of the score.
        level: Significance level of the family of comparisons.
        confidence: Coverage of the confidence intervals, ``1 - level``.
    """

    kind: str
    leader: int
    contenders: tuple[int, ...]
    comparisons: tuple[Comparison, ...]
    level: float
    confidence: float


def _spread(differences: ArrayLike, test_rows: float, train_rows: float) -> tuple[float, float, int]:
    """Return mean, corrected standard error and degrees of freedom."""
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or values.size < 2:
        raise ParameterError(
            f"a test needs a list of at least two differences, one a fold, but got shape {values.shape}"
        )
    if not np.isfinite(values).all():
        raise ParameterError("a test needs finite differences; set aside a model whose score is infinite")
    if not (test_rows > 0 and train_rows > 0):
        raise ParameterError(f"test and training rows must be positive, got {test_rows} and {train_rows}")
    mean = float(values.mean())
    # Equal differences leave rounding noise in the variance; below that noise the spread is none.
    noise = (4 * np.finfo(np.float64).eps * float(np.abs(values).max())) ** 2
    variance = float(values.var(ddof=1))
    variance = 0.0 if variance <= noise else variance
    error = math.sqrt(variance * (1.0 / values.size + test_rows / train_rows))
    return mean, error, int(values.size - 1)


def corrected_resampled_t(
    differences: ArrayLike, test_rows: float, train_rows: float, *, confidence: float = 0.95
) -> CorrectedTest:
    """Test whether the mean of fold-by-fold differences is zero, minding that folds share training rows.

    The variance of the mean is ``s² (1/J + test_rows/train_rows)`` for ``J`` differences instead of
    ``s²/J``. For differences whose correlation is ``test_rows / (test_rows + train_rows)`` this is exact.

    Args:
        differences: One difference a fold, over all repeats, in the unit of the score.
        test_rows: Rows that a fold holds out.
        train_rows: Rows that a fold trains on.
        confidence: Coverage of the interval, 0.95 unless told.

    Returns:
        Mean, corrected error, two-sided p-value and interval. Where all differences are equal the interval is
        the point itself, and p is 1 for a difference of zero and 0 for any other.

    Raises:
        ParameterError: Fewer than two differences, one that is not finite, or rows that are not positive.

    References:
        Nadeau and Bengio (2003), Inference for the generalization error, Machine Learning 52,
        doi:10.1023/A:1024068626366.
    """
    from scipy import special

    mean, error, degrees = _spread(differences, test_rows, train_rows)
    if error == 0.0:
        statistic = 0.0 if mean == 0.0 else math.copysign(math.inf, mean)
        return CorrectedTest(mean, error, statistic, degrees, float(mean == 0.0), mean, mean, confidence)
    statistic = mean / error
    half = error * float(special.stdtrit(degrees, 0.5 + confidence / 2.0))
    p = min(1.0, 2.0 * float(special.stdtr(degrees, -abs(statistic))))
    return CorrectedTest(mean, error, statistic, degrees, p, mean - half, mean + half, confidence)


def bayesian_correlated_t(differences: ArrayLike, test_rows: float, train_rows: float, rope: float) -> Posterior:
    """Give the probabilities that a model is better, equal in practice, or worse.

    The posterior of the mean difference is a Student t with the same corrected spread as
    :func:`corrected_resampled_t`; "equal in practice" is the region from ``-rope`` to ``rope``.

    Args:
        differences: One difference a fold, positive where the first model is better.
        test_rows: Rows that a fold holds out.
        train_rows: Rows that a fold trains on.
        rope: Half the width of the region of practical equality, in the unit of the differences.

    Raises:
        ParameterError: As :func:`corrected_resampled_t`, or a negative ``rope``.

    References:
        Benavoli, Corani, Demšar and Zaffalon (2017), Time for a change: a tutorial for comparing multiple
        classifiers through Bayesian analysis, Journal of Machine Learning Research 18(77),
        jmlr.org/papers/v18/16-305.html (the journal gives no DOI).
    """
    from scipy import special

    if not (rope >= 0.0 and math.isfinite(rope)):
        raise ParameterError(f"rope must be zero or more, got {rope}")
    mean, error, degrees = _spread(differences, test_rows, train_rows)
    if error == 0.0:
        return Posterior(float(mean > rope), float(-rope <= mean <= rope), float(mean < -rope), rope)
    worse = float(special.stdtr(degrees, (-rope - mean) / error))
    better = float(special.stdtr(degrees, (mean - rope) / error))
    return Posterior(better, max(0.0, 1.0 - better - worse), worse, rope)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Correct p-values for the number of comparisons, by Holm's step-down method.

    Args:
        p_values: One p-value a comparison, in any order.

    Returns:
        The corrected p-values in the same order, each at least its own p-value and at most 1.

    References:
        Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of
        Statistics 6(2), jstor.org/stable/4615733 (the journal gives no DOI).
    """
    corrected = [0.0] * len(p_values)
    running = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = running
    return tuple(corrected)


def decide(
    scores: NDArray[np.float64],
    *,
    greater_is_better: bool,
    test_rows: float,
    train_rows: float,
    level: float = 0.05,
    rope_share: float = 0.01,
) -> Verdict:
    """Compare the leader of a contest with every other candidate and say what follows.

    The leader is named a winner only where it beats every other candidate at ``level`` after Holm's
    correction. The leader is picked from the same scores that test it; the tests are two-sided, which pays for
    that choice between two candidates, and with more of them the demand to beat all is stricter still.

    Args:
        scores: One row a candidate, one column a fold, over all repeats. Infinite (or NaN) means that the score
            is not defined for the candidate; such a candidate cannot lead and cannot tie.
        greater_is_better: Whether a larger score is better.
        test_rows: Rows that a fold holds out.
        train_rows: Rows that a fold trains on.
        level: Significance level of the family of comparisons, 0.05 unless told.
        rope_share: Differences up to this share of the leader's mean score count as equal in practice.

    Raises:
        ParameterError: No candidate has a finite score, or fewer than two folds.
    """
    table = np.asarray(scores, dtype=np.float64)
    usable = np.asarray(np.isfinite(table).all(axis=1), dtype=np.bool_)
    if not usable.any():
        raise ParameterError("no candidate has a finite score on every fold, so nothing can be compared")
    sign = 1.0 if greater_is_better else -1.0
    means = np.where(usable, sign * np.where(np.isfinite(table), table, 0.0).mean(axis=1), -np.inf)
    order = [int(index) for index in np.argsort(-means, kind="stable")]
    leader, rivals = order[0], order[1:]
    confidence = 1.0 - level
    tests: dict[int, CorrectedTest] = {}
    posteriors: dict[int, Posterior] = {}
    rope = rope_share * abs(float(means[leader]))
    for rival in rivals:
        if usable[rival]:
            gain = sign * (table[leader] - table[rival])
            # Models that predict the same differ by rounding, always the same way; that is no difference.
            gain[np.abs(gain) <= _ROUNDING * np.abs(table[leader])] = 0.0
            tests[rival] = corrected_resampled_t(gain, test_rows, train_rows, confidence=confidence)
            posteriors[rival] = bayesian_correlated_t(gain, test_rows, train_rows, rope)
    corrected = dict(zip(tests, holm([test.p for test in tests.values()]), strict=True))
    comparisons = tuple(
        Comparison(
            rival,
            tests.get(rival),
            corrected.get(rival, 0.0),
            posteriors.get(rival),
            corrected.get(rival, 0.0) < level,
        )
        for rival in rivals
    )
    contenders = (leader, *(item.rival for item in comparisons if not item.beaten))
    kind = "alone" if not rivals else "winner" if len(contenders) == 1 else "tie"
    return Verdict(kind, leader, contenders, comparisons, level, confidence)

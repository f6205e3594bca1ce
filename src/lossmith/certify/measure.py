"""How far hosts are from the truth: the worst result of each over examples of losses."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from ml_dtypes import bfloat16
from mpmath import mp, mpf

from lossmith.certify import definitions, exactness, oracle
from lossmith.certify.definitions import Example
from lossmith.certify.exactness import OUTPUTS
from lossmith.certify.hosts import KINDS, SIGN_CHANGES, Host
from lossmith.certify.points import combinations, inside, law_pairs
from lossmith.certify.samples import kind_of, sample
from lossmith.core.loss import Loss
from lossmith.core.registry import loss_class, names

Array = npt.NDArray[Any]

EACH = 16
"""Examples; of losses of a target and a prediction, half are ordinary ones and half are of the law grid."""
_SIXTYFOURTHS = 64
_SOME = 4


@dataclass(frozen=True)
class Worst:
    """The worst result of a host.

    Attributes:
        ulps: how far it is off, in units in the last place.
        tolerance: how far it may be.
        loss: whose output.
        output: which: ``losses``, or ``gradient:x`` or ``hessian:x`` by the symbol of an input.
        example: the inputs, by name.
        got: the result.
        truth: what it should have been.
    """

    ulps: float
    tolerance: float
    loss: Loss
    output: str
    example: Mapping[str, Any]
    got: float
    truth: float

    @property
    def within(self) -> bool:
        """Whether that is near enough."""
        return self.ulps <= self.tolerance

    @property
    def rank(self) -> float:
        """What makes a result worse than another: its part of the tolerance."""
        return self.ulps / self.tolerance


Key = tuple[str, str, str]
"""Host, type of inputs, and output."""


def losses(*, full: bool) -> dict[str, list[Loss]]:
    """Return every loss of the catalogue, with its defaults or with every combination of its options."""
    found = {}
    for name in names():
        kind = loss_class(name)
        ways: Iterable[Mapping[str, Any]] = combinations(kind) if full else [{}]
        found[name] = list(dict.fromkeys(kind(**chosen) for chosen in ways))
    return found


def kinds_of(loss: Loss) -> list[str]:
    """Return the types that a loss is tried in: no row of logarithms in bfloat16 stands for probabilities."""
    logarithms = any(kind_of(loss, item.symbol) == "log_probabilities" for item in loss.inputs)
    return [kind for kind in KINDS if not (logarithms and kind == "bfloat16")]


@cache
def examples(loss: Loss) -> dict[str, Array]:
    """Return examples by name. Their numbers are ones of bfloat16 where a type need not be wider, so of every type."""
    if exactness.paired(loss):
        rng = np.random.default_rng(0)
        y, f = (inside(loss.domains[x], rng, EACH // 2) for x in ("y", "f"))
        grid = random.Random(str(loss)).choices(law_pairs(loss, np.float32), k=EACH // 2)
        pairs = _cut(np.array([*zip(y, f, strict=True), *grid]))
        domains = [loss.domains[x] for x in ("y", "f")]
        kept = [all(d.includes(x) for d, x in zip(domains, pair, strict=True)) for pair in pairs.tolist()]
        pairs = np.where(np.array(kept)[:, None], pairs, pairs[kept.index(True)])
        return dict(zip(("y_true", "y_pred"), np.ascontiguousarray(pairs.T), strict=True))
    drawn = sample(loss, EACH)
    return {item.name: _rounded(drawn[item.name], kind_of(loss, item.symbol)) for item in loss.inputs}


def _rounded(numbers: Array, kind: str) -> Array:
    """Return numbers of bfloat16 nearby; rows of probabilities still sum to 1."""
    if kind in ("indices", "log_probabilities"):
        return numbers
    if kind == "probabilities":
        parts = np.maximum(np.round(numbers * _SIXTYFOURTHS), 1)
        most = np.argmax(parts, axis=-1)[..., None]
        rest = _SIXTYFOURTHS - parts.sum(axis=-1, keepdims=True)
        np.put_along_axis(parts, most, np.take_along_axis(parts, most, -1) + rest, -1)
        return np.asarray(parts / _SIXTYFOURTHS)
    return _cut(numbers)


def _cut(numbers: Array) -> Array:
    """Return numbers of bfloat16, towards zero."""
    bits = np.ascontiguousarray(numbers, np.float32).view(np.uint32) & np.uint32(0xFFFF0000)
    return bits.view(np.float32).astype(np.float64)


def turns(losses: Sequence[Loss], hosts: Mapping[str, Host], *, sampled: bool) -> Iterator[tuple[Loss, str, list[str]]]:
    """Yield what a run measures: a loss, a host, and the types.

    Args:
        losses: all that are asked for.
        hosts: by their names.
        sampled: whether hosts get only as much as their pace says, in turns, and else all.
    """
    for n, loss in enumerate(losses):
        kinds = kinds_of(loss)
        for m, (name, host) in enumerate(hosts.items()):
            if sampled and (host.pace == "never" or (host.pace == "some" and (n + m) % _SOME)):
                continue
            yield loss, name, kinds if not sampled or host.pace == "all" else [kinds[(n // _SOME + m) % len(kinds)]]


def measure(loss: Loss, name: str, host: Host, kinds: Iterable[str]) -> dict[Key, Worst]:
    """Return the worst result of a host for one loss, by type of inputs and output."""
    found: dict[Key, Worst] = {}
    for kind in kinds:
        for worst in _results(loss, examples(loss), host, kind):
            worse(found, {(name, kind, worst.output.partition(":")[0]): worst})
    return found


def _results(loss: Loss, given: Mapping[str, Array], host: Host, kind: str) -> Iterator[Worst]:
    """Yield the worst result of each output."""
    rows = _examples(given, kind)
    used = [n for n, row in enumerate(rows) if all(host.promises(numbers, kind) for numbers in row)]
    computed = "float64" if kind == "float64" else "float32"
    for output, numbers in host.ask(loss, given, kind).items():
        second = output.startswith("hessian")
        tolerance = host.tolerance[numbers.dtype.name] * (SIGN_CHANGES if second and numbers.dtype != bfloat16 else 1)
        worst = Worst(0.0, tolerance, loss, output, {}, 0.0, 0.0)
        for n in used:
            for k, got in enumerate(np.ravel(numbers[n]).astype(float).tolist()):
                truth = _truth(loss, rows[n], output, k)
                if not host.promises([float(truth)], computed):
                    continue
                ulps = _error(loss, rows[n], output, k, got, numbers.dtype, KINDS[computed], tolerance)
                if ulps > worst.ulps or not worst.example:
                    shown = {name: x[n].tolist() for name, x in given.items()}
                    worst = Worst(ulps, tolerance, loss, output, shown, got, float(truth))
        yield worst


def _examples(given: Mapping[str, Array], kind: str) -> list[Example]:
    columns = [x if x.dtype.kind == "i" else x.astype(KINDS[kind]).astype(float) for x in given.values()]
    return [tuple(tuple(np.ravel(x[n]).tolist()) for x in columns) for n in range(len(columns[0]))]


def _truth(loss: Loss, example: Example, output: str, k: int) -> mpf:
    if exactness.paired(loss):
        (y,), (f,) = example
        return oracle.truth(loss, y, f, _order(output))
    return definitions.truths(loss, example)[output][k]


def _order(output: str) -> int:
    return OUTPUTS.index(output.partition(":")[0])


def _error(
    loss: Loss, example: Example, output: str, k: int, got: float, dtype: Any, computed: Any, enough: float
) -> float:
    """Return how far a result is off, in units in the last place, beyond what its inputs carry."""
    if exactness.paired(loss):
        (y,), (f,) = example
        return exactness.error(loss, _order(output), y, f, got, computed, enough, dtype)
    found, what = definitions.truths(loss, example), output.partition(":")[0]
    # In a row, parts that belong to several numbers of it cancel in single ones: a unit is that of the largest.
    size = max(abs(x) for name, numbers in found.items() if name.startswith(what) for x in numbers)
    truth = found[output][k]
    return exactness.off(got, truth, dtype, lambda: _carried(loss, example, output, k, computed), enough, size)


def _carried(loss: Loss, example: Example, output: str, k: int, computed: Any) -> mpf:
    """Return how far the truth moves when each input moves by one unit in the last place, all together."""
    here, total = _truth(loss, example, output, k), mpf(0)
    for place, item in enumerate(loss.inputs):
        if item.symbol in loss.class_indices or loss.domains[item.symbol].values:
            continue
        for n, x in enumerate(example[place]):
            beside = float(np.nextafter(computed(x), computed(math.inf)))
            moved = (*example[place][:n], beside, *example[place][n + 1 :])
            there = (*example[:place], moved, *example[place + 1 :])
            total += abs(_truth(loss, there, output, k) - here)
    return total if mp.isfinite(total) else mpf(0)


def worse(found: dict[Key, Worst], more: Mapping[Key, Worst]) -> None:
    """Put into one table what is worse in another."""
    for key, worst in more.items():
        if key not in found or worst.rank > found[key].rank:
            found[key] = worst

"""How far the mathematics of the compiled engine is off: ``python -m benchmarks.accuracy`` prints the worst errors.

In units in the last place, by function. Every float32 there is goes in, a few minutes long; with ``--every N``, of N
blocks of them one. Their truth is what the same function gives in float64, of which ``--numbers`` are drawn from all
sizes, with their truth by MPFR; so are pairs, for functions of two. ``--only NAME`` takes one function, and ``--bits``
vectors of other machines.
"""

from __future__ import annotations

import argparse
import ctypes
import math
from collections.abc import Callable, Sequence
from typing import Any

import gmpy2
import numpy as np

from lossmith.engines.llvm import compile as compiler
from lossmith.engines.llvm import math as vector
from lossmith.engines.llvm.lanes import Kind, Lanes
from lossmith.engines.llvm.vectors import Vector

Array = np.ndarray
TYPES: dict[Kind, Any] = {"float": np.float32, "double": np.float64}
DIGITS = 240
"""Bits of a truth."""

TRUTHS: dict[str, Callable[..., Any]] = {
    "exp": gmpy2.exp,
    "expm1": gmpy2.expm1,
    "log": gmpy2.log,
    "log1p": gmpy2.log1p,
    "tanh": gmpy2.tanh,
    "sigmoid": lambda x: 1 / (1 + gmpy2.exp(-x)),
    "softplus": lambda x: gmpy2.log1p(gmpy2.exp(x)) if x < FAR else x,
    "logcosh": lambda x: gmpy2.log1p(2 * gmpy2.sinh(x / 2) ** 2) if abs(x) < FAR else abs(x) - gmpy2.log(gmpy2.mpfr(2)),
    "sech2": lambda x: gmpy2.sech(x) ** 2,
    "bell": lambda x: gmpy2.exp(-x * x / 2),
    "normal_within": lambda x: gmpy2.erf(x / gmpy2.sqrt(2)),
    "log1p_excess": lambda x: x * x / 2 if abs(x) < NEAR else x - gmpy2.log1p(x) if x < gmpy2.inf() else x,
    "pow": lambda x, y: x**y,
    "hypot": gmpy2.hypot,
    "log_quotient": lambda x, y: gmpy2.log(x / y),
}
"""What each function is."""

FAR = 10_000
"""Where exponentials do not matter any more."""

NEAR = 1e-20
"""Below it squares do not matter beside numbers."""

LEAST = 2.0**-149
"""The least float32."""

BLOCK = 2**16
"""Float32 that are looked at together."""

PAIRS = ("pow", "hypot", "log_quotient")
"""Functions of two numbers."""


def written(name: str) -> Callable[..., Lanes]:
    """Return what writes a function."""
    found: Callable[..., Lanes] = getattr(Vector, name, None) or getattr(vector, name)
    return found


def over_arrays(
    write: Callable[..., Lanes], kind: Kind, arguments: int = 1, bits: int | None = None
) -> Callable[..., Array]:
    """Return a function of arrays that computes what ``write`` writes, in vectors of so many bits."""
    width = (bits or compiler.host().bits) // (32 if kind == "float" else 64)
    body = Vector(kind, width)
    found = write(body, *(Lanes(body, body.real, f"%a{n}") for n in range(arguments)))
    loads = [
        f"  %p{n} = getelementptr {kind}, ptr %in{n}, i64 %i\n  %a{n} = load {body.real}, ptr %p{n}, align 4"
        for n in range(arguments)
    ]
    stored = f"  %p = getelementptr {kind}, ptr %out, i64 %i\n  store {found.type} {found.name}, ptr %p, align 4"
    call = _compiled(body, [*(f"in{n}" for n in range(arguments)), "out"], [*loads, *body.lines, stored])

    def apply(*arrays: Array) -> Array:
        rows = -(-len(arrays[0]) // width) * width
        padded = [np.resize(array.astype(TYPES[kind]), rows) for array in arrays]
        out = np.empty(rows, TYPES[kind])
        call(*(array.ctypes.data for array in padded), out.ctypes.data, 0, rows)
        return out[: len(arrays[0])]

    return apply


def over_bits(name: str, bits: int) -> Callable[[int, int], tuple[float, float]]:
    """Return what finds the worst error so far, and its place, of floats whose bits are in a range."""
    width = bits // 32
    b = Vector("float", width)
    wide, x = b.widened(), Lanes(b, b.real, "%x")
    got, exact = written(name)(b, x), written(name)(wide, wide.take(x))
    nearest = b.give(exact)
    below = b.from_bits(b.apply("sub", b.bits(b.abs(nearest)), b.whole(1)))
    unit = b.largest(b.abs(nearest) - below, LEAST)
    off = wide.abs(wide.take(got) - exact) / wide.take(unit)
    off = b.select(off < math.inf, off, math.inf)  # where one of them is no number, too
    alike = got.equals(nearest) | ((got.equals(got) | nearest.equals(nearest)) ^ b.always)
    off = b.select(b.abs(nearest) < math.inf, off, b.select(alike, 0.0, b.number(math.inf, "double")))
    worst, place = Lanes(b, wide.real, "%worst"), Lanes(b, b.real, "%place")
    worse = off > worst
    kept = b.select(worse, off, worst), b.select(worse, x, place)
    lanes = ", ".join(f"i32 {lane}" for lane in range(width))
    before = [
        "  %low = trunc i64 %i to i32",
        f"  %one = insertelement {b.integer} zeroinitializer, i32 %low, i32 0",
        f"  %all = shufflevector {b.integer} %one, {b.integer} zeroinitializer, {b.integer} zeroinitializer",
        f"  %bits = add {b.integer} %all, <{lanes}>",
        f"  %x = bitcast {b.integer} %bits to {b.real}",
        f"  %worst = load {wide.real}, ptr %errors, align 8",
        f"  %place = load {b.real}, ptr %places, align 4",
    ]
    after = [
        f"  store {value.type} {value.name}, ptr %{where}, align 4"
        for value, where in zip(kept, ("errors", "places"), strict=True)
    ]
    call = _compiled(b, ["errors", "places"], [*before, *b.lines, *after])
    errors, places = np.zeros(width), np.zeros(width, np.float32)

    def find(first: int, last: int) -> tuple[float, float]:
        call(errors.ctypes.data, places.ctypes.data, first, last)
        at = int(errors.argmax())
        return float(errors[at]), float(places[at])

    return find


def _compiled(b: Vector, pointers: Sequence[str], lines: Sequence[str]) -> Callable[..., None]:
    """Return a loop over ``%i`` from one number up to another, a vector at a time."""
    text = "\n".join(
        [
            *sorted(b.declared),
            f"define void @f({', '.join(f'ptr %{name}' for name in pointers)}, i64 %from, i64 %to) {{",
            "entry:\n  br label %loop\nloop:\n  %i = phi i64 [ %from, %entry ], [ %next, %loop ]",
            *lines,
            f"  %next = add i64 %i, {b.width}\n  %more = icmp ult i64 %next, %to",
            "  br i1 %more, label %loop, label %done\ndone:\n  ret void\n}",
        ]
    )
    loaded = compiler.Loaded(compiler.build(text), ["f"])
    types = [ctypes.c_void_p] * len(pointers) + [ctypes.c_int64] * 2
    call = ctypes.CFUNCTYPE(None, *types)(loaded.address("f"))

    def run(*given: int) -> None:
        assert loaded  # the code lives as long as it
        call(*given)

    return run


def drawn(kind: Kind, count: int, seed: int = 0) -> Array:
    """Return numbers of all sizes, many of them where functions bend, and the special ones."""
    rng, info = np.random.default_rng(seed), np.finfo(TYPES[kind])
    each = -(-count // 8)
    size = np.exp2(rng.uniform(info.minexp - info.nmant, info.maxexp, each))
    parts = [
        size * rng.choice([-1.0, 1.0], each),
        np.exp(rng.uniform(-12, 7, each)) * rng.choice([-1.0, 1.0], each),
        rng.uniform(-110, 110, each) if kind == "float" else rng.uniform(-760, 720, each),
        rng.normal(size=2 * each) * 2,
        rng.uniform(-1, 1, each),
        rng.uniform(0.4, 2.1, each),
        rng.uniform(-40, 40, each),
        [0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, info.max, info.tiny, info.smallest_subnormal],
    ]
    with np.errstate(over="ignore", under="ignore"):
        return np.concatenate(parts).astype(TYPES[kind])


def pairs(name: str, kind: Kind, count: int) -> tuple[Array, Array]:
    """Return pairs of such numbers: bases and exponents, or numbers of which some are nearly equal."""
    rng = np.random.default_rng(1)
    if name == "pow":
        x = np.exp(rng.uniform(-80, 80, count))
        return x.astype(TYPES[kind]), (rng.uniform(-86, 86, count) / np.log(x)).astype(TYPES[kind])
    x, y = np.abs(drawn(kind, count)), np.abs(drawn(kind, count, seed=2))
    apart = np.exp(rng.uniform(-36, 0, len(x))) * rng.choice([-0.9, 0.9], len(x))
    with np.errstate(over="ignore"):
        return x, np.where(rng.random(len(x)) < 0.5, (x * (1 + apart)).astype(TYPES[kind]), y)


def of_drawn(name: str, kind: Kind, bits: int, count: int) -> tuple[float, tuple[float, ...]]:
    """Return the worst error of a function, and where, of numbers that are drawn."""
    given = pairs(name, kind, count) if name in PAIRS else (drawn(kind, count),)
    return worst_of(over_arrays(written(name), kind, len(given), bits)(*given), given, TRUTHS[name])


def worst_of(got: Array, given: Sequence[Array], truth: Callable[..., Any]) -> tuple[float, tuple[float, ...]]:
    """Return the worst error, and where; infinite for a wrong special value."""
    dtype, found, place = got.dtype.type, 0.0, (math.nan,)
    least = float(np.finfo(dtype).smallest_subnormal)
    with gmpy2.context(precision=DIGITS, emax=10**8, emin=-(10**8), subnormalize=False):
        for value, *at in zip(got.tolist(), *(a.tolist() for a in given), strict=True):
            exact = truth(*map(gmpy2.mpfr, at))
            if gmpy2.is_nan(exact) or math.isnan(value):
                off = 0.0 if gmpy2.is_nan(exact) and math.isnan(value) else math.inf
            else:
                nearest = abs(dtype(float(exact)))
                if math.isinf(nearest) or math.isinf(value):
                    off = 0.0 if value == dtype(float(exact)) else math.inf
                else:
                    unit = max(float(nearest) - float(np.nextafter(nearest, dtype(0))), least)
                    off = float(abs(gmpy2.mpfr(value) - exact) / unit)
            if off > found:
                found, place = off, tuple(at)
    return found, place


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", default=[], metavar="NAME")
    parser.add_argument("--every", type=int, default=1, help="of every so many blocks of float32, one")
    parser.add_argument("--numbers", type=int, default=100_000, help="of float64")
    parser.add_argument("--bits", type=int, default=compiler.host().bits, help="of a vector")
    options = parser.parse_args()
    print("| function | float32 | at | float64 | at |\n| --- | ---: | ---: | ---: | ---: |")
    for name in options.only or TRUTHS:
        if name in PAIRS:
            single = of_drawn(name, "float", options.bits, options.numbers)
        else:
            find = over_bits(name, options.bits)
            for first in range(0, 2**32, BLOCK * options.every):
                off, where = find(first, first + BLOCK)
            single = off, (where,)
        cells = [
            text
            for off, at in (single, of_drawn(name, "double", options.bits, options.numbers))
            for text in (f"{off:.3f}", ", ".join(f"{number:.9g}" for number in at))
        ]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

"""Numbers as they lie in arrays, of every type that arrays hold, and as kernels compute with them."""

from __future__ import annotations

from lossmith.engines.llvm.lanes import Body, Lanes
from lossmith.engines.llvm.spelling import SHORT

SIZES = {
    "half": 2, "bfloat": 2, "float": 4, "double": 8,
    "i8": 1, "i16": 2, "i32": 4, "i64": 8, "u8": 1, "u16": 2, "u32": 4, "u64": 8,
}  # fmt: skip
"""What arrays hold, with bytes a number: floating point, and integers with and without a sign."""


def in_memory(element: str) -> str:
    """Return the type that LLVM loads and stores for a key of ``SIZES``."""
    return "i16" if element == "bfloat" else f"i{element[1:]}" if element[0] == "u" else element


def widen(b: Body, a: Lanes, element: str) -> Lanes:
    """Return what was loaded as numbers of the type of the text; see ``SIZES`` for what it may be."""
    if element == "bfloat":  # the upper half of a float
        long = b.convert("zext", a, b.vector("i32"))
        high = b.write(long.type, f"shl {long.type} {long.name}, splat (i32 16)")
        return widen(b, b.convert("bitcast", high, b.vector("float")), "float")
    if element[0] in "iu":
        return b.convert("sitofp" if element[0] == "i" else "uitofp", a, b.real)
    return b.convert("fptrunc" if (element, b.kind) == ("double", "float") else "fpext", a, b.real)


def whole(b: Body, a: Lanes, element: str) -> Lanes:
    """Return integers that were loaded as such of 64 bits; those without a sign stay below 2**63."""
    return a if SIZES[element] == 8 else b.convert("zext" if element[0] == "u" else "sext", a, b.vector("i64"))


def masked(b: Body, at: str, element: str, inside: str, otherwise: float) -> Lanes:
    """Return what lies at a place in memory as numbers of the type of the text; ``otherwise`` where a mask is false."""
    kept = in_memory(element)
    type_, name = b.vector(kept), f"llvm.masked.load.v{b.width}{SHORT[kept]}.p0"
    b.declared.add(f"declare {type_} @{name}(ptr, i32, {b.truth}, {type_})")
    missing = b.number(otherwise).name if type_ == b.real else "zeroinitializer"
    text = f"ptr {at}, i32 {SIZES[element]}, {b.truth} {inside}, {type_} {missing}"
    loaded = b.write(type_, f"call {type_} @{name}({text})")
    if type_ == b.real:
        return loaded
    return b.select(Lanes(b, b.truth, inside), widen(b, loaded, element), otherwise)


def ask_for(b: Body, at: str, *, once: bool = False, write: bool = False) -> None:
    """Write that the cache line at a place is wanted soon; ``once`` where nothing else lies on it."""
    b.declared.add("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
    b.lines.append(f"  call void @llvm.prefetch.p0(ptr {at}, i32 {int(write)}, i32 {1 if once else 3}, i32 1)")


def narrow(b: Body, a: Lanes, element: str) -> Lanes:
    """Return numbers as they are stored: rounded to nearest, ties to even."""
    if element != "bfloat":
        return b.convert("fptrunc", a, b.vector(element))
    one = b.convert("fptrunc", a, b.vector("float"))
    whole = b.vector("i32")
    bits = b.convert("bitcast", one, whole).name
    last = b.write(whole, f"lshr {whole} {bits}, splat (i32 16)").name
    odd = b.write(whole, f"and {whole} {last}, splat (i32 1)").name
    up = b.write(whole, f"add {whole} {odd}, splat (i32 32767)").name
    near = b.write(whole, f"add {whole} {bits}, {up}")
    quiet = b.write(whole, f"or {whole} {bits}, splat (i32 4194304)")  # a NaN must not round to infinity
    kept = b.select(b.compare("ord", one, one), near, quiet).name
    high = b.write(whole, f"lshr {whole} {kept}, splat (i32 16)")
    return b.convert("trunc", high, b.vector("i16"))

"""Texts of vectors that know mathematics, as formulas ask for it."""

from __future__ import annotations

from collections.abc import Callable

from lossmith.engines import composites
from lossmith.engines.llvm import exponentials, polynomials, powers
from lossmith.engines.llvm import math as vector
from lossmith.engines.llvm.lanes import Body, Kind, Lanes, Number
from lossmith.engines.llvm.spelling import element_of


class Vector(Body):
    """A text that knows the functions of ``math``; see ``lossmith.engines.arithmetic`` for what it has to know."""

    expm1, log, log1p, pow, hypot = exponentials.expm1, vector.log, vector.log1p, powers.pow, vector.hypot
    log_of_either, log1p_of_share = vector.log_of_either, vector.log1p_of_share
    tanh, sigmoid, softplus, logcosh = vector.tanh, vector.sigmoid, vector.softplus, vector.logcosh
    sech2, bell, normal_within, normal_range = (
        exponentials.sech2,
        vector.bell,
        vector.normal_within,
        vector.normal_range,
    )
    sigmoid_below, softplus_below = vector.sigmoid_below, vector.softplus_below
    log1p_excess, atanh_gap, polynomial = vector.log1p_excess, vector.atanh_gap, polynomials.polynomial

    def __init__(self, kind: Kind, width: int, prefix: str = "v", label: str = "", *, registers: int = 1) -> None:
        super().__init__(kind, width, prefix, label, registers=registers)
        self._powers: dict[str, Callable[[], Lanes]] = {}

    def exp(self, a: Lanes, low: Lanes | None = None) -> Lanes:
        """Return the exponential; see the function of that name."""
        found = self._powers.get(a.name) if low is None else None
        return found() if found else exponentials.exp(self, a, low)

    def mul_exp(self, a: Lanes, x: Lanes, *, finite: bool = False, number: bool = False) -> Lanes:
        """Return a exp(x); see the functions of that name."""
        if self.scales:
            return exponentials.mul_exp(self, a, x, finite=finite, number=number)
        found: Lanes = composites.mul_exp(self, a, x)
        return found

    def lowered(self, a: Lanes, x: Lanes, low: Lanes) -> Lanes:
        """Return a exp(x + low) of x at most 0; see the functions of that name."""
        return exponentials.lowered(self, a, x, low) if self.scales else composites.lowered(self, a, x, low)

    def exp_rest(self, x: Lanes) -> Lanes:
        """Return (exp(x) - 1 - x) / x² of a number from -1 to 1."""
        return polynomials.polynomial(self, x, polynomials.table(self, "EXP_REST"))

    def is_exp(self, x: Lanes, make: Callable[[], Lanes]) -> None:
        """Say how the exponential of ``x`` is made without one."""
        self._powers[x.name] = make

    def finite_product(self, a: Lanes, b: Lanes) -> Lanes:
        """Return a b of finite factors, which is 0.0 and never -0.0 where one of them is zero."""
        return self.fma(a, b, 0.0)

    def equal(self, a: Lanes, b: Number) -> Lanes:
        """Return where two are equal; a NaN equals nothing."""
        return a.equals(b)

    def lgamma(self, a: Lanes) -> Lanes:
        """Return the logarithm of the gamma function, by the library of C."""
        return self._one_by_one("lgamma", a)

    def _one_by_one(self, name: str, a: Lanes) -> Lanes:
        """Return what a function of the standard library of C gives for each lane, in double precision."""
        self.declared.add(f"declare double @{name}(double)")
        element = element_of(a.type)
        found = "zeroinitializer"
        for lane in range(self.width):
            one = self.write(element, f"extractelement {a.type} {a.name}, i32 {lane}")
            if element == "float":
                one = self.write("double", f"fpext float {one.name} to double")
            one = self.write("double", f"call double @{name}(double {one.name})")
            if element == "float":
                one = self.write("float", f"fptrunc double {one.name} to float")
            found = self.write(a.type, f"insertelement {a.type} {found}, {element} {one.name}, i32 {lane}").name
        return Lanes(self, a.type, found)

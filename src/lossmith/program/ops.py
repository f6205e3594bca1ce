"""The table of instructions: the one place that says what a program can compute.

A row names an instruction and states its meaning, its derivative, its convention at a kink,
how it is typeset and where it is finite. Engines give each name an implementation; nothing
else in Lossmith lists instructions.

Conventions at kinks hold on every engine: ``abs'(0) = 0``, ``sign'(x) = 0``, ``min`` and
``max`` take the derivative of their first argument at a tie, and ``where`` that of the branch
it takes. The branch not taken never reaches a result, whatever it computes. What a choice holds has a slope
of 0 through roots and other powers too, whose own slope may be infinite there. Where slopes with a ``sign`` in them
meet without a jump, the second derivative is that of both sides, as 2 is of ``abs(a) * abs(a)``; see ``signs.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeAlias

Value: TypeAlias = Any
"""What a formula computes with: a traced symbol, an array, an mpmath number or a SymPy expression."""

Tangent: TypeAlias = Callable[["Ops", tuple[Value, ...], tuple[Value, ...], Value], Value]
"""Rule ``(ops, arguments, their tangents, result) -> tangent of the result``."""


@dataclass(frozen=True)
class Instruction:
    """One row of the table.

    Attributes:
        name: how formulas, programs and engines call it.
        arity: number of arguments, called ``a``, ``b`` and ``c`` in the other columns.
        meaning: the mathematics, as an expression that SymPy reads.
        latex: how the call is typeset, a format string over the arguments.
        tangent: the derivative rule; ``None`` where no loss needs one.
        takes: type of each argument, ``r`` for real and ``b`` for truth value.
        result: type of the result.
        kink: the convention where the derivative jumps.
        domain: where the result is finite for finite arguments.
        held: places of arguments that must be the same for every example, since the rule does not
            differentiate by them.
    """

    name: str
    arity: int
    meaning: str
    latex: str
    tangent: Tangent | None
    takes: str = ""
    result: Literal["real", "bool"] = "real"
    kink: str = ""
    domain: str = "everywhere"
    held: tuple[int, ...] = ()

    @cached_property
    def argument_types(self) -> tuple[str, ...]:
        """Type of each argument, ``"real"`` or ``"bool"``."""
        letters = self.takes or "r" * self.arity
        return tuple("bool" if letter == "b" else "real" for letter in letters)


class Ops:
    """The namespace that a formula receives: ``ops.exp(x)`` applies the row ``exp`` to ``x``.

    ``apply(name, arguments)`` decides what applying means: record it, compute it, typeset it.
    """

    def __init__(self, apply: Callable[[str, tuple[Value, ...]], Value]) -> None:
        self._apply = apply

    def __getattr__(self, name: str) -> Callable[..., Value]:
        if name not in TABLE:
            raise AttributeError(f"no instruction is called {name!r}; the table has: {', '.join(TABLE)}")

        def call(*arguments: Value) -> Value:
            return self._apply(name, arguments)

        return call


def _chain(partial: Callable[[Ops, Value, Value], Value]) -> Tangent:
    """Return the rule of a one-argument instruction from its derivative ``partial(ops, a, result)``."""
    return lambda o, x, dx, result: o.mul(partial(o, x[0], result), dx[0])


def _chain0(partial: Callable[[Ops, Value, Value], Value]) -> Tangent:
    """Return the rule of an instruction that levels off so fast that its derivative is 0 against any infinity."""
    return lambda o, x, dx, result: o.mul0(partial(o, x[0], result), dx[0])


def _tangent_pow(o: Ops, x: tuple[Value, ...], dx: tuple[Value, ...], result: Value) -> Value:
    base, exponent = x  # a base that stands still at 0, as abs and max do, does so against the infinite slope of a root
    by_base = o.mul0(o.mul0(exponent, o.pow(base, o.sub(exponent, 1.0))), dx[0])
    return o.add(by_base, o.mul(o.mul0(result, o.log(base)), dx[1]))


def _tangent_log1p_excess(o: Ops, x: tuple[Value, ...], dx: tuple[Value, ...], result: Value) -> Value:
    a = x[0]  # a / (1 + a) in two forms, so that it is 1 at infinity
    return o.mul(o.where(o.lt(a, 1.0), o.div(a, o.add(1.0, a)), o.div(1.0, o.add(1.0, o.div(1.0, a)))), dx[0])


def _tangent_harmonic(o: Ops, x: tuple[Value, ...], dx: tuple[Value, ...], result: Value) -> Value:
    share = o.div(x[1], o.add(x[0], x[1]))  # squared last: far out the result can be the least number there is
    return o.mul(o.mul(share, share), dx[0])


def _tangent_hypot(o: Ops, x: tuple[Value, ...], dx: tuple[Value, ...], result: Value) -> Value:
    a, b = x
    return o.add(o.mul(o.hypot_slope(a, b), dx[0]), o.mul(o.hypot_slope(b, a), dx[1]))


def _tangent_hypot_slope(o: Ops, x: tuple[Value, ...], dx: tuple[Value, ...], result: Value) -> Value:
    size = o.hypot(*x)
    other = o.div(x[1], size)  # by a it is b² over the cube of the size; the rule of quotients has 1 - a²/size² there
    return o.div(o.mul(other, o.sub(o.mul(other, dx[0]), o.mul(result, dx[1]))), size)


def _tangent_log1p_ratio2(o: Ops, x: tuple[Value, ...], dx: tuple[Value, ...], result: Value) -> Value:
    size = o.hypot(x[0], x[1])
    by_a = o.div(o.mul(o.div(x[0], size), dx[0]), size)
    by_b = o.div(o.mul(o.expm1(o.neg(result)), dx[1]), x[1])  # 1 - exp(-log(1 + q²)) is q² / (1 + q²)
    return o.mul(2.0, o.add(by_a, by_b))


def _tangent_crps_normal(o: Ops, x: tuple[Value, ...], dx: tuple[Value, ...], result: Value) -> Value:
    z = o.div(x[0], x[1])
    by_scale = o.sub(o.mul(_ROOT_2_BY_PI, o.bell(z)), _1_BY_ROOT_PI)
    return o.add(o.mul(o.normal_within(z), dx[0]), o.mul(by_scale, dx[1]))


def _none(o: Ops, x: tuple[Value, ...], dx: tuple[Value, ...], result: Value) -> Value:
    return 0.0


_ROOT_2_BY_PI = 0.7978845608028654
_1_BY_ROOT_PI = 0.5641895835477563

_ROWS = (
    Instruction("add", 2, "a + b", "{0} + {1}", lambda o, x, d, r: o.add(d[0], d[1])),
    Instruction("sub", 2, "a - b", "{0} - {1}", lambda o, x, d, r: o.sub(d[0], d[1])),
    Instruction("mul", 2, "a*b", r"{0} \cdot {1}", lambda o, x, d, r: o.add(o.mul(d[0], x[1]), o.mul(x[0], d[1]))),
    Instruction(
        "div", 2, "a/b", r"\frac{{{0}}}{{{1}}}", lambda o, x, d, r: o.div(o.sub(d[0], o.mul(r, d[1])), x[1]),
        domain="b != 0",
    ),
    Instruction("neg", 1, "-a", "-{0}", lambda o, x, d, r: o.neg(d[0])),
    Instruction("abs", 1, "Abs(a)", r"\left|{0}\right|", _chain(lambda o, a, r: o.sign(a)), kink="0 at a = 0"),
    Instruction("sign", 1, "sign(a)", r"\operatorname{{sign}}({0})", _none, kink="0 everywhere"),
    Instruction(
        "min", 2, "Min(a, b)", r"\min({0}, {1})", lambda o, x, d, r: o.where(o.le(x[0], x[1]), d[0], d[1]),
        kink="that of a at a = b",
    ),
    Instruction(
        "max", 2, "Max(a, b)", r"\max({0}, {1})", lambda o, x, d, r: o.where(o.le(x[1], x[0]), d[0], d[1]),
        kink="that of a at a = b",
    ),
    Instruction("pow", 2, "a**b", "{0}^{{{1}}}", _tangent_pow, domain="a > 0, or a = 0 and b >= 0"),
    Instruction("exp", 1, "exp(a)", "e^{{{0}}}", _chain(lambda o, a, r: r)),
    # Composite, since exp(a) - 1 loses the digits of a small a.
    Instruction("expm1", 1, "exp(a) - 1", r"\left(e^{{{0}}} - 1\right)", _chain(lambda o, a, r: o.exp(a))),
    Instruction("log", 1, "log(a)", r"\log {0}", lambda o, x, d, r: o.div(d[0], x[0]), domain="a > 0"),
    Instruction(
        "log1p", 1, "log(1 + a)", r"\log(1 + {0})", lambda o, x, d, r: o.div(d[0], o.add(1.0, x[0])), domain="a > -1"
    ),
    Instruction("tanh", 1, "tanh(a)", r"\tanh({0})", _chain(lambda o, a, r: o.sech2(a))),
    # The composites below exist because their naive forms overflow or lose digits.
    Instruction("sigmoid", 1, "1/(1 + exp(-a))", r"\sigma({0})", _chain(lambda o, a, r: o.mul(r, o.sigmoid(o.neg(a))))),
    Instruction("softplus", 1, "log(1 + exp(a))", r"\log(1 + e^{{{0}}})", _chain(lambda o, a, r: o.sigmoid(a))),
    Instruction("logcosh", 1, "log(cosh(a))", r"\log\cosh({0})", _chain(lambda o, a, r: o.tanh(a))),
    Instruction(
        "sech2", 1, "sech(a)**2", r"\operatorname{{sech}}^2({0})",
        _chain(lambda o, a, r: o.mul(-2.0, o.mul(o.tanh(a), r))),
    ),
    # A bowl of shape b, half of a² near zero and |a| ** b / b far out, with its limit at b = 0; then its first and
    # second derivative. The robust losses are made of it.
    Instruction(
        "bowl", 2, "Piecewise((log(1 + a**2)/2, Eq(b, 0)), (((1 + a**2)**(b/2) - 1)/b, True))",
        r"\operatorname{{bowl}}_{{{1}}}({0})", lambda o, x, d, r: o.mul(o.bowl_slope(*x), d[0]), held=(1,),
    ),
    Instruction(
        "bowl_slope", 2, "a*(1 + a**2)**(b/2 - 1)", r"\operatorname{{bowl}}'_{{{1}}}({0})",
        lambda o, x, d, r: o.mul(o.bowl_curvature(*x), d[0]), held=(1,),
    ),
    Instruction(
        "bowl_curvature", 2, "(1 + (b - 1)*a**2)*(1 + a**2)**(b/2 - 2)", r"\operatorname{{bowl}}''_{{{1}}}({0})",
        None, held=(1,),
    ),
    # Density of the standard normal distribution without its constant.
    Instruction("bell", 1, "exp(-a**2/2)", r"e^{{-{0}^2/2}}", _chain0(lambda o, a, r: o.neg(o.mul0(a, r)))),
    # An upturned bell of width b: half of a² near zero, b² far out; then its first and second derivative by a.
    Instruction(
        "bell_bowl", 2, "b**2*(1 - exp(-(a/b)**2/2))", r"{1}^2 \left(1 - e^{{-({0}/{1})^2/2}}\right)",
        lambda o, x, d, r: o.mul(o.bell_slope(*x), d[0]), domain="b > 0", held=(1,),
    ),
    Instruction(
        "bell_slope", 2, "a*exp(-(a/b)**2/2)", r"{0} \cdot e^{{-({0}/{1})^2/2}}",
        lambda o, x, d, r: o.mul(o.bell_curvature(*x), d[0]), domain="b > 0", held=(1,),
    ),
    Instruction(
        "bell_curvature", 2, "(1 - (a/b)**2)*exp(-(a/b)**2/2)",
        r"\left(1 - ({0}/{1})^2\right) e^{{-({0}/{1})^2/2}}", None, domain="b > 0", held=(1,),
    ),
    # Tukey's biweight, where |a| is less than b: half of a² near zero; then its first and second derivative by a.
    Instruction(
        "biweight", 2, "b**2*(1 - (1 - (a/b)**2)**3)/6", r"\frac{{{1}^2}}{{6}} \left(1 - (1 - ({0}/{1})^2)^3\right)",
        lambda o, x, d, r: o.mul(o.biweight_slope(*x), d[0]), held=(1,),
    ),
    Instruction(
        "biweight_slope", 2, "a*(1 - (a/b)**2)**2", r"{0} \cdot \left(1 - ({0}/{1})^2\right)^2",
        lambda o, x, d, r: o.mul(o.biweight_curvature(*x), d[0]), held=(1,),
    ),
    Instruction(
        "biweight_curvature", 2, "(1 - (a/b)**2)*(1 - 5*(a/b)**2)",
        r"\left(1 - ({0}/{1})^2\right) \left(1 - 5 ({0}/{1})^2\right)", None, held=(1,),
    ),
    Instruction("log1p_excess", 1, "a - log(1 + a)", r"\left({0} - \log(1 + {0})\right)", _tangent_log1p_excess,
                domain="a > -1"),
    # Half of a² near zero, b a far out, and its derivative, which goes from a to b.
    Instruction(
        "log1p_bowl", 2, "b*(a - b*log(1 + a/b))", r"{1} \left({0} - {1} \log(1 + {0}/{1})\right)",
        lambda o, x, d, r: o.mul(o.harmonic(*x), d[0]), domain="a >= 0, b > 0", held=(1,),
    ),
    Instruction(
        "harmonic", 2, "a*b/(a + b)", r"\frac{{{0} \cdot {1}}}{{{0} + {1}}}", _tangent_harmonic,
        domain="a >= 0, b > 0", held=(1,),
    ),
    Instruction(
        "log1p_difference", 2, "log(1 + a) - log(1 + b)", r"\left(\log(1 + {0}) - \log(1 + {1})\right)",
        lambda o, x, d, r: o.sub(o.div(d[0], o.add(1.0, x[0])), o.div(d[1], o.add(1.0, x[1]))),
        domain="a > -1, b > -1",
    ),
    Instruction("expm1_excess", 1, "exp(a) - 1 - a", r"\left(e^{{{0}}} - 1 - {0}\right)",
                _chain(lambda o, a, r: o.expm1(a))),
    # What makes likelihoods of counts whole. Its parts, and all of it and a deviance, would cancel.
    Instruction(
        "log_factorial_excess", 1, "loggamma(a + 1) - a*log(a) + a",
        r"\left(\log\Gamma({0} + 1) - {0} \log {0} + {0}\right)", None, domain="a >= 0",
    ),
    Instruction("lgamma", 1, "loggamma(a)", r"\log\Gamma({0})", None, domain="a > 0"),
    # No derivative at a = b = 0, nor a convention: no loss comes there.
    Instruction("hypot", 2, "sqrt(a**2 + b**2)", r"\sqrt{{{0}^2 + {1}^2}}", _tangent_hypot),
    Instruction(
        "hypot_slope", 2, "a/sqrt(a**2 + b**2)", r"\frac{{{0}}}{{\sqrt{{{0}^2 + {1}^2}}}}", _tangent_hypot_slope,
        domain="a != 0 or b != 0",
    ),
    Instruction(
        "log1p_ratio2", 2, "log(1 + (a/b)**2)", r"\log(1 + ({0}/{1})^2)", _tangent_log1p_ratio2, domain="b > 0"
    ),
    Instruction(
        "lgamma_half", 1, "loggamma(a + 1/2) - loggamma(a)", r"\log\frac{{\Gamma({0} + 1/2)}}{{\Gamma({0})}}", None,
        domain="a > 0",
    ),
    # What of the standard normal distribution lies between -a and a.
    Instruction(
        "normal_within", 1, "erf(a/sqrt(2))", r"\operatorname{{erf}}({0}/\sqrt{{2}})",
        _chain0(lambda o, a, r: o.mul(_ROOT_2_BY_PI, o.bell(a))),
    ),
    # The continuous ranked probability score of a normal distribution with scale b whose mean is off by a.
    # Its parts share a term that grows with a and cancels from the derivatives.
    Instruction(
        "crps_normal", 2, "a*erf(a/(sqrt(2)*b)) + b*(sqrt(2/pi)*exp(-(a/b)**2/2) - 1/sqrt(pi))",
        r"\operatorname{{CRPS}}({0}, {1})", _tangent_crps_normal, domain="b > 0",
    ),
    # A value that states its own derivative, where the one by rules would lose digits. ``c`` is what it is a
    # function of: it must depend on predictions through ``c`` alone.
    Instruction("sloped", 3, "a", r"{0}\;\left[\partial_{{{2}}} = {1}\right]", lambda o, x, d, r: o.mul(x[1], d[2])),
    Instruction("hold", 1, "a", r"\operatorname{{sg}}({0})", _none, kink="0 everywhere: a constant to derivatives"),
    # A product that neither overflows nor loses digits where its exponential alone does; an exact zero wins.
    Instruction(
        "mul_exp", 2, "a*exp(b)", r"{0} \cdot e^{{{1}}}",
        lambda o, x, d, r: o.add(o.mul_exp(d[0], x[1]), o.mul(r, d[1])),
    ),
    # A product in which an exact zero wins over infinity: 0 log 0 = 0.
    Instruction(
        "mul0", 2, "a*b", r"{0} \cdot {1}", lambda o, x, d, r: o.add(o.mul0(d[0], x[1]), o.mul0(x[0], d[1]))
    ),
    Instruction(
        "where", 3, "Piecewise((b, a), (c, True))",
        r"\begin{{cases}} {1} & {0} \\ {2} & \text{{otherwise}} \end{{cases}}",
        lambda o, x, d, r: o.where(x[0], d[1], d[2]), takes="brr", kink="that of the branch taken",
    ),
    # One number computed in two ways, each with digits where the other has none: where ``a`` holds, and elsewhere.
    Instruction(
        "alike", 3, "b", r"{1}\;\left[{0}\text{{, else as }}{2}\right]",
        lambda o, x, d, r: o.alike(x[0], d[1], d[2]), takes="brr",
    ),
    Instruction("lt", 2, "a < b", "{0} < {1}", _none, result="bool"),
    Instruction("le", 2, "a <= b", r"{0} \le {1}", _none, result="bool"),
    Instruction("equal", 2, "Eq(a, b)", "{0} = {1}", _none, result="bool"),
    Instruction("both", 2, "And(a, b)", r"{0} \land {1}", _none, takes="bb", result="bool"),
    Instruction("either", 2, "Or(a, b)", r"{0} \lor {1}", _none, takes="bb", result="bool"),
)  # fmt: skip

TABLE: dict[str, Instruction] = {row.name: row for row in _ROWS}
"""Every instruction by name."""

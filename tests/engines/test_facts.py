"""What is known of values before a program runs is true when it runs, and choices made early change nothing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping

import numpy as np
import pytest

import lossmith as lm
from lossmith.engines import facts
from lossmith.engines import numpy as reference
from lossmith.engines.arrays import Formula
from lossmith.engines.choice import using
from lossmith.engines.operations import OPERATIONS, recipe
from lossmith.engines.regimes import decided
from lossmith.program import Ops, Program, Value, trace
from lossmith.structures.pointwise import Pointwise
from tests.laws.samples import EVERY

FORMS = [loss for loss in EVERY if isinstance(loss, Pointwise)]
EXTREMES = (0.0, -0.0, 5e-324, 1e-300, 1e-8, 0.5, 1.0, -1.0, 40.0, -745.0, 1e20, -1e160, 1.7e308, -1.7e308)


def whole(loss: Pointwise) -> Program:
    return loss.part(*(name for name, _ in loss.program(2).outputs), "valid")


def shown(program: Program) -> Program:
    """Return the program with all its real values as outputs."""
    outputs = [(f"%{number}", number) for number, kind in enumerate(program.types) if kind == "real"]
    valid = dict(program.outputs)["valid"]
    return Program(
        program.inputs, program.parameters, program.constants, program.steps, (*outputs, ("valid", valid))
    )  # fmt: skip


def valid_inputs(loss: Pointwise, rows: int = 2000) -> list[np.ndarray]:
    rng, found = np.random.default_rng(0), []
    for symbol in loss.symbols:
        domain = loss.domains[symbol]
        inside = [x for x in (*EXTREMES, *domain.values, domain.low, domain.high) if domain.includes(x)]
        found.append(rng.choice(inside, rows))
    return found


def untrue(loss: Pointwise, ranges: dict[int, facts.Range], numbers: Collection[int] = ()) -> list[str]:
    """Return the values that are not what was said of them."""
    program, inputs = shown(whole(loss)), valid_inputs(loss)
    with np.errstate(all="ignore"):
        values = reference.run(program, inputs, loss.free_parameters)
    assert values["valid"].all()
    wrong = []
    for number, (low, high) in ranges.items():
        got = values.get(f"%{number}")
        if got is not None and not (np.isfinite(got) & (got >= low) & (got <= high)).all():
            wrong.append(f"%{number} is not within {low}, {high}")
    wrong += [f"%{number} is no number" for number in numbers if np.isnan(values.get(f"%{number}", 0.0)).any()]
    return wrong


@pytest.mark.parametrize("loss", FORMS, ids=str)
def test_what_is_said_of_values_is_true(loss: Pointwise) -> None:
    tame = all(map(math.isfinite, loss.free_parameters.values()))
    known = facts.ranges(whole(loss), tame=tame)
    assert untrue(loss, known, facts.numbers(whole(loss), known)) == []


def test_what_may_be_infinite_is_a_number() -> None:
    program = whole(lm.AbsoluteError())
    known = facts.ranges(program)
    residual = next(n for n, step in enumerate(program.steps, start=program.first_step) if step.op == "sub")
    assert residual in facts.numbers(program, known) - known.keys()


@pytest.mark.parametrize("text", ["min(f, y)", "max(y, f)", "abs(f - y)", "abs(f) + min(y, f - y)"])
def test_numbers_have_the_same_signs_and_the_same_smaller_one_without_a_look(text: str) -> None:
    loss = lm.formula(text)
    made = [make for _, make, _ in recipe(loss.part("value", "gradient:f", "valid"), watched=True)]
    assert not {OPERATIONS[op] for op in ("min", "max", "sign")} & {*made}
    y, f = (np.tile(x, 30) for x in zip(*itertools.product(EXTREMES, EXTREMES), strict=True))
    found = []
    for name in ("numpy", "llvm"):
        with using(name):
            found.append(loss.evaluate(y, f, outputs=("losses", "gradient")))
    for part, values in found[0].items():
        np.testing.assert_array_equal(values.view(np.int64), found[1][part].view(np.int64))


def test_a_wrong_fact_is_found() -> None:
    loss = lm.BinaryCrossEntropy()
    known = facts.ranges(whole(loss), tame=True)
    number = next(n for n, bounds in known.items() if bounds[1] == math.inf and n >= whole(loss).first_step)
    assert untrue(loss, {**known, number: (0.0, 5.0)})
    product = lm.formula("exp(abs(f)) * where(f > 0, 0, 1) + f - f")  # infinity times zero, in a branch
    assert untrue(product, {}, range(len(whole(product).types)))


def test_targets_and_predictions_of_cross_entropy_are_known() -> None:
    program = whole(lm.BinaryCrossEntropy())
    assert facts.ranges(program)[0] == (0.0, 1.0)
    assert facts.ranges(program)[1] == (-math.inf, math.inf)
    assert 1 in facts.finite_tests(program).values()


def test_nothing_is_known_without_a_domain() -> None:
    program = trace(lambda ops, s: {"v": ops.mul0(s["a"], s["b"]), "valid": ops.le(0.0, s["a"])}, ("a", "b"))
    known = facts.ranges(program)
    assert not {0, 1} & known.keys()  # a may still be infinite
    assert program.output("v") not in known


def test_outputs_that_show_an_invalid_residual_are_found() -> None:
    def by_residual(program: Program) -> set[str]:
        return set(facts.shown_by_residual(program, program.inputs.index("f"), program.inputs.index("y")))

    def of(loss: Pointwise) -> set[str]:
        return by_residual(loss.part("value", "gradient:f", "valid"))

    assert of(lm.SquaredError()) == {"value", "gradient:f"}
    assert of(lm.AbsoluteError()) == {"value"}
    assert of(lm.Huber()) == of(lm.Welsch()) == of(lm.Poisson(prediction="rate")) == set()

    def traced(other: float, valid: Callable[..., Value]) -> Program:
        def outputs(ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
            return {"value": (s["f"] - s["y"]) * (s["f"] - s["y"]) + other * s["y"], "valid": valid(ops, s)}

        return trace(outputs, ("f", "y"))

    assert by_residual(traced(0.0, lm.SquaredError().valid)) == {"value"}
    assert by_residual(traced(1.0, lm.SquaredError().valid)) == set()
    assert by_residual(traced(0.0, lambda ops, s: ops.le(0.0, s["f"]))) == set()  # residuals do not tell of signs
    # Both are infinite where the residual is.
    with np.errstate(all="ignore"):
        given = [np.array([0.0, np.inf, np.inf, np.nan]), np.array([np.inf, 0.0, np.inf, 0.0])]
        found = reference.run(lm.SquaredError().part("value", "gradient:f"), given, {})
    assert not any(np.isfinite(values).any() for values in found.values())


JOINED = [
    lm.formula(f"where({condition}, 2*f, y)", parameters={"k": 3.0})
    for condition in (
        *("k < 1 and f < 9", "f < 9 and k > 1", "f < 9 or k < 1", "k > 1 or f < 9"),
        *("k < 1 and k < 2", "k > 1 and k > 2", "k < 1 and k > 2", "k < 1 or k < 2", "k < 1 or k > 2"),
    )
]
"""Conditions of which some or all sides are decided by a parameter."""


@pytest.mark.parametrize("loss", [*FORMS, *JOINED], ids=str)
def test_choices_made_early_change_nothing(loss: Pointwise) -> None:
    program, inputs = whole(loss), valid_inputs(loss)
    chosen = decided(program, tuple(loss.free_parameters.items()))
    assert not any(step.op in ("where", "alike") and chosen.uniform[step.args[0]] for step in chosen.steps)
    with np.errstate(all="ignore"):
        one, other = (reference.run(each, inputs, loss.free_parameters) for each in (program, chosen))
    for name, values in one.items():
        np.testing.assert_array_equal(values, other[name])


def test_a_kernel_serves_all_parameters_that_ask_for_the_same_form() -> None:
    program = whole(lm.Asymmetric())
    forms = [decided(program, tuple(lm.Asymmetric(shift=shift).free_parameters.items())) for shift in (0.05, 0.2, 0.0)]
    assert forms[0] == forms[1]
    assert len(forms[2].steps) < len(forms[0].steps) < len(program.steps)


def test_nothing_is_multiplied_or_divided_by_one() -> None:
    program = whole(lm.GemanMcClure())
    one, two, three = (decided(program, (("scale", scale),)) for scale in (1.0, 2.0, 3.0))
    assert two == three
    assert {step.op for step in two.steps} - {step.op for step in one.steps} >= {"mul", "div"}
    turned = trace(lambda ops, s: {"v": s["k"] * s["a"] - 1 / (s["k"] / s["a"])}, ("a",), ("k",))
    assert [step.op for step in decided(turned, (("k", 1.0),)).steps] == ["div", "div", "sub"]


def test_no_zero_is_added_and_what_is_left_is_decided_as_well() -> None:
    def written(ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
        share = ops.exp(ops.mul0(s["k"], s["a"]))  # is 1 once k is 0, and only then the same for all
        return {
            "v": ops.mul0(s["b"] + s["k"], share) + s["k"],
            "valid": ops.both(ops.le(0.0, s["b"]), ops.le(s["b"], 1.0)),
        }

    program = trace(written, ("a", "b"), ("k",))
    nothing, something = (decided(program, (("k", k),)) for k in (0.0, 2.0))
    assert (nothing.output("v"), something) == (nothing.inputs.index("b"), program)


def test_a_parameter_that_makes_it_easy_is_a_number_of_the_program() -> None:
    program = whole(lm.Barron())
    plain, easy = (decided(program, tuple(lm.Barron(alpha=alpha).free_parameters.items())) for alpha in (1.3, 1.0))
    shapes = [{chosen.steps[n].args[1] for n, step in enumerate(chosen.steps) if step.op == "bowl"}
              for chosen in (plain, easy)]  # fmt: skip
    fixed = len(plain.inputs) + len(plain.parameters)
    assert all(shape < fixed for shape in shapes[0])
    assert [easy.constants[shape - fixed] for shape in shapes[1]] == [1.0]


@pytest.mark.parametrize("gamma", [0.7, 1.0, 3.0, 5.0])
@pytest.mark.parametrize("make", [lambda gamma: lm.Focal(gamma=gamma), lambda gamma: lm.Asymmetric(gamma, gamma)])
def test_exponentials_that_are_powers_are_seen(make: Callable[[float], Pointwise], gamma: float) -> None:
    loss = make(gamma)
    program = shown(whole(loss))
    seen = facts.powers(program)
    assert len(seen) >= 2
    inputs = [np.linspace(0, 1, 101), np.linspace(-30, 30, 101)]
    values = reference.run(program, inputs, loss.free_parameters)
    for number, (exponent, what, of) in seen.items():
        base = 1 / (1 + np.exp(values[f"%{of}"])) if what == "sigmoid" else 1 + values[f"%{of}"]
        right = base >= 0  # below, there is no logarithm
        assert right.sum() > 40
        raised = base[right] ** values[f"%{exponent}"][right]
        np.testing.assert_allclose(values[f"%{number}"][right], raised, rtol=1e-12, atol=1e-15)


def test_the_order_of_a_product_does_not_hide_a_power() -> None:
    def written(ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
        log = ops.log1p(s["a"])
        return {"one": ops.exp(log * (s["k"] + 1)), "other": ops.exp(ops.mul0(s["k"], log))}

    program = trace(written, ("a",), ("k",))
    assert len(facts.powers(program)) == 2
    chosen = decided(program, (("k", 2.0),))
    fixed = len(chosen.inputs) + len(chosen.parameters)
    exponents = [exponent - fixed for exponent, _, _ in facts.powers(chosen).values()]
    assert sorted(chosen.constants[place] for place in exponents) == [2.0, 3.0]


def test_a_small_whole_exponent_leaves_no_power_to_compute() -> None:
    def exponents(gamma: float) -> list[float | None]:
        chosen = decided(whole(lm.Asymmetric(0, gamma)), tuple(lm.Asymmetric(0, gamma).free_parameters.items()))
        fixed = len(chosen.inputs) + len(chosen.parameters)
        numbers = [step.args[1] for step in chosen.steps if step.op == "pow"]
        numbers += [exponent for exponent, _, _ in facts.powers(chosen).values()]
        return [chosen.constants[n - fixed] if fixed <= n < chosen.first_step else None for n in numbers]

    assert set(exponents(4.0)) == {2.0, 3.0, 4.0, 5.0}
    assert set(exponents(2.7)) == {None}


def test_an_exact_zero_wins_early() -> None:
    program = trace(
        lambda ops, s: {"v": ops.exp(ops.mul0(s["k"], s["a"])), "valid": ops.le(0.0, s["a"])}, ("a",), ("k",)
    )
    assert len(decided(program, (("k", 0.0),)).steps) < len(program.steps)
    assert decided(program, (("k", 1e-300),)) == program


def test_what_parameters_decide_alike_is_the_same_program() -> None:
    program = whole(lm.Asymmetric(0, 0.3))
    one, two = (decided(program, tuple(lm.Asymmetric(0, gamma).free_parameters.items())) for gamma in (0.3, 0.4))
    assert one is two


@pytest.mark.parametrize("output", ["value", "gradient:f"])
def test_arrays_of_other_libraries_know_what_is_finite_too(output: str) -> None:
    loss = lm.BinaryCrossEntropy()
    program = whole(loss)
    unknown = Formula(program.select([output]), {})._plans[output].steps
    known = Formula(program, {})._plans[output].steps
    assert OPERATIONS["mul0"] in [make for _, make, _ in unknown]
    assert OPERATIONS["mul0"] not in [make for _, make, _ in known]
    assert len(known) <= len(unknown)  # and nothing is computed of what tells it


def makers(loss: Pointwise) -> set[str]:
    """Return the names of what the gradient's kernel is made by."""
    chosen = decided(loss.part("value", "gradient:f", "valid"), tuple(loss.free_parameters.items()))
    return {make.__name__ for _, make, _ in recipe(chosen, tame=True, watched=True)}


def test_logarithms_of_shares_and_of_either_are_seen() -> None:
    assert "_log1p_of_share" in makers(lm.NegativeBinomial())
    assert "_log1p_of_share" not in makers(lm.NegativeBinomial(dispersion=2.0))  # of what may be less than 0
    assert "_log_of_either" in makers(lm.Asymmetric())
    assert "_log_of_either" not in makers(lm.Asymmetric(shift=0.0))


def test_excesses_of_what_is_small_where_it_counts_need_no_exponential() -> None:
    def chosen(most: float, *, at: str = "d", other: float = 0.0) -> list[str]:
        def written(ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
            near = ops.lt(ops.abs(s[at]), most)
            return {"v": ops.expm1_excess(-ops.where(near, s["d"], other))}

        return [make.__name__ for _, make, _ in recipe(trace(written, ("d", "e"), ()), watched=True)]

    assert "expm1_excess_near" in chosen(1.0)
    assert "expm1_excess_near" not in chosen(1.5)
    assert "expm1_excess_near" not in chosen(1.0, other=2.0)
    assert "expm1_excess_near" not in chosen(1.0, at="e")  # which says nothing of the other


def test_what_is_at_most_one_and_not_negative_is_a_share() -> None:
    def bounds(make: Callable[[Ops, Mapping[str, Value]], Value]) -> facts.Range | None:
        def written(ops: Ops, s: Mapping[str, Value]) -> dict[str, Value]:
            finite = ops.both(ops.lt(-math.inf, s["a"]), ops.lt(s["a"], math.inf))
            return {"v": ops.min(make(ops, s), 1), "valid": finite}

        program = trace(written, ("a",), ("k",))
        return facts.ranges(program, tame=True).get(program.output("v"))

    assert bounds(lambda ops, s: ops.exp(s["a"])) == (0.0, 1.0)
    assert bounds(lambda ops, s: ops.where(ops.lt(s["a"], 0), ops.exp(s["a"]), ops.exp(-s["a"]))) == (0.0, 1.0)
    assert bounds(lambda ops, s: ops.exp(2 * -ops.softplus(s["a"]))) == (0.0, 1.0)
    assert bounds(lambda ops, s: ops.exp(2 * -ops.softplus(s["a"] / s["k"]))) is None
    assert bounds(lambda ops, s: ops.log1p(ops.sigmoid(s["a"]))) == (0.0, 1.0)
    assert bounds(lambda ops, s: ops.log1p(ops.sigmoid(s["a"]) - 1)) is None  # which may be infinite
    assert bounds(lambda ops, s: s["k"] * s["a"]) is None
    assert bounds(lambda ops, s: ops.exp(s["a"] / s["k"])) is None  # which may be no number
    assert bounds(lambda ops, s: ops.where(ops.lt(s["a"], 0), ops.exp(s["a"]), s["k"] * s["a"])) is None


def test_two_bounds_of_an_input_are_seen_as_one() -> None:
    def bounds(loss: Pointwise) -> set[tuple[int, str, float]]:
        program = loss.part("value", "valid")
        return {*facts.spans(program, facts.conditions(program)[1]).values()}

    assert bounds(lm.BinaryCrossEntropy()) == {(0, "ule", 1.0)}
    assert bounds(lm.Poisson()) == {(0, "ult", math.inf)}
    assert bounds(lm.Gamma()) == bounds(lm.SquaredError()) == set()  # above 0; anywhere


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("label", [0.0, -0.0, 1.0, 0.25])
def test_labels_and_logits_are_right_or_refused(label: float, dtype: str) -> None:
    loss, rows, near = lm.BinaryCrossEntropy(), 9000, np.finfo(dtype)
    y, f = np.full(rows, label, dtype), np.linspace(-5, 5, rows, dtype=dtype)
    expected = np.mean(np.logaddexp(0, f.astype(float)) - label * f.astype(float))
    with using("llvm"):
        assert math.isclose(loss.cost(y, f), expected, rel_tol=1e-6)
        for wrong in (-float(near.smallest_subnormal), 1 + float(near.eps), -1.0, math.inf, -math.inf, math.nan):
            y[8000] = wrong
            with pytest.raises(lm.DomainError, match=r"y_true\[8000\]"):
                loss.cost(y, f)
        y[8000] = label
        for wrong in (math.inf, -math.inf, math.nan):
            f[8000] = wrong
            with pytest.raises(lm.DomainError, match=r"y_pred\[8000\]"):
                loss.cost(y, f)


def told(loss: Pointwise) -> set[str]:
    """Return the inputs that a value tells of, once it was seen to do so."""
    program, parameters = loss.part("value", "valid"), loss.free_parameters
    places = facts.told_by(program, "value")
    for place in places:
        for wrong in (math.inf, -math.inf, math.nan):
            inputs = valid_inputs(loss, 500)
            inputs[place] = np.full(500, wrong)
            with np.errstate(all="ignore"):
                found = reference.run(program, inputs, parameters)["value"]
            assert not np.isfinite(found).any(), (loss, program.inputs[place], wrong)
    return {program.inputs[place] for place in places}


def test_values_tell_of_inputs_that_are_no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels look at no input that the loss tells of."""
    for loss in FORMS:
        told(loss)
    assert told(lm.SquaredError()) == told(lm.Huber()) == {"f", "y"}
    assert told(lm.BinaryCrossEntropy()) == told(lm.Hinge()) == set()  # which may be 0 there
    monkeypatch.setattr(facts, "_OPEN", facts._OPEN | {"max"})
    with pytest.raises(AssertionError, match="Hinge"):
        told(lm.Hinge())


def test_all_is_told_where_finite_inputs_are_all_that_is_asked_for() -> None:
    def tells(loss: Pointwise) -> bool:
        return facts.tells_all(loss.part("value", "valid"))

    assert all(map(tells, (lm.SquaredError(), lm.Huber(), lm.IntervalScore())))
    assert not any(map(tells, (lm.Hinge(), lm.Poisson(), lm.EpsilonInsensitive())))


@pytest.mark.parametrize("rows", [36, 9000])  # by the reference, and by a kernel
@pytest.mark.parametrize("loss", [lm.SquaredError(), lm.Huber(), lm.Quantile(), lm.GaussianNLL(), lm.Hinge()], ids=str)
def test_infinite_inputs_that_the_loss_tells_of_are_refused(loss: Pointwise, rows: int) -> None:
    given = {item.name: np.full(rows, 1.0) for item in loss.inputs}
    for name, array in given.items():
        for wrong in (math.inf, -math.inf, math.nan):
            array[rows - 9] = wrong
            for ask in (loss.cost, loss.cost_and_gradient):
                with pytest.raises(lm.DomainError, match=rf"{name}\[{rows - 9}\]"):
                    ask(**given)
        array[rows - 9] = 1.0
    assert math.isfinite(loss.cost(**given))

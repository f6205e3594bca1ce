"""Every law is given something wrong, and has to catch it: a check that cannot fail proves nothing."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.certify import points
from tests.laws import (
    test_contract,
    test_derivatives,
    test_mistakes,
    test_roundtrips,
    test_states,
    test_statistics,
    test_traits,
    test_values,
    wrong,
)
from tests.laws.test_every_loss import comes_back_from_text_data_and_pickle
from tests.laws.test_every_loss_can_fail import BREAKS
from tests.laws.test_every_trait import as_declared

FAILURE = (AssertionError, RuntimeWarning, pytest.fail.Exception)

Law = Callable[..., None]
Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Catch:
    """A law, what is wrong, and what the law has to say about it."""

    law: Law
    make: Callable[[Patch], tuple[Any, ...]]
    says: str

    def __str__(self) -> str:
        return f"{self.law.__name__}: {self.says[:40]}"


def negated(o: Any, x: Any, d: Any, r: Any) -> Any:
    return o.neg(o.mul(o.sigmoid(x[0]), d[0]))


def itself(o: Any, x: Any, d: Any, r: Any) -> Any:
    return o.mul(r, d[0])


def second_at_ties(o: Any, x: Any, d: Any, r: Any) -> Any:
    return o.where(o.lt(x[1], x[0]), d[0], d[1])


def rightward(o: Any, x: Any, d: Any, r: Any) -> Any:
    return o.where(o.lt(x[0], 0.0), o.mul(-2.0, d[0]), o.mul(2.0, d[0]))


def baked_text(patch: Patch) -> tuple[Loss]:
    patch.setattr(lm.Huber, "__repr__", lambda self: f"Huber(delta={self.delta:.2g})")
    return (lm.Huber(delta=1 / 3),)


def short_config(patch: Patch) -> tuple[Loss]:
    patch.setattr(lm.Huber, "to_config", lambda self: {"loss": "huber", "parameters": {}})
    return (lm.Huber(delta=2),)


def forgetful_pickle(patch: Patch) -> tuple[Loss]:
    patch.setattr(lm.Huber, "__reduce__", lambda self: (lm.Huber, ()))
    return (lm.Huber(delta=2),)


def rounded_json(patch: Patch) -> tuple[Loss]:
    whole = lm.Program.to_json
    patch.setattr(lm.Program, "to_json", lambda self: whole(self).replace("0x1.62e42fefa39efp-1", "0x1.62e43p-1"))
    return (type("WithLog2", (lm.SquaredError,), {"formula": lambda self, ops, y, f: (f - y) * 0.6931471805599453})(),)


CATCHES = (
    # values
    Catch(test_values.values_are_exact, lambda p: (wrong.NaiveCrossEntropy(), np.float32), "ulp"),
    Catch(test_values.values_are_exact, lambda p: (wrong.Widening(), np.float32), "float64"),
    Catch(test_values.values_are_exact, lambda p: (wrong.UnlikeGamma(), np.float32), "ulp"),
    Catch(test_values.values_are_exact, lambda p: (wrong.RoundedLabels(labels="signed"),), "ulp"),
    Catch(test_values.nothing_is_never_minus_nothing, lambda p: (wrong.NegatedCrossEntropy(),), "signbit"),
    Catch(test_values.examples_are_true, lambda p: (wrong.example_that_is_false(),), "100.0 for 101.0"),
    Catch(test_values.examples_are_true, lambda p: (wrong.example_with_a_wrong_last_digit(),), "for 0.1053606"),
    # derivatives
    Catch(
        test_derivatives.derivatives_are_exact,
        lambda p: (wrong.with_rule(lm.BinaryCrossEntropy, "softplus", negated, p)(), "gradient", np.float32),
        "gradient at",
    ),
    Catch(
        test_derivatives.derivatives_are_exact,
        lambda p: (wrong.with_rule(lm.BinaryCrossEntropy, "sigmoid", itself, p)(), "hessian", np.float32),
        "hessian at",
    ),
    Catch(
        test_derivatives.derivatives_are_exact,
        lambda p: (wrong.MisstatedGamma(), "gradient", np.float32),
        "gradient at",
    ),
    Catch(
        test_derivatives.derivatives_are_exact,
        lambda p: (wrong.NaiveCrossEntropy(), "gradient", np.float32),
        "got nan|ulp",
    ),
    Catch(
        test_derivatives.kinks_follow_the_convention,
        lambda p: (wrong.with_rule(lm.Hinge, "max", second_at_ties, p)(),),
        "gradient at y=0.0, f=-1.0",
    ),
    Catch(
        test_derivatives.kinks_follow_the_convention,
        lambda p: (wrong.with_rule(lm.AbsoluteError, "abs", rightward, p)(),),
        "'gradient'",
    ),
    Catch(
        test_derivatives.kinks_follow_the_convention, lambda p: (wrong.kink_at_the_wrong_place()(),), "no float lies on"
    ),
    Catch(test_derivatives.finite_inputs_never_give_nan, lambda p: (wrong.NaiveCrossEntropy(),), "is NaN at"),
    # traits
    Catch(test_traits.kinks_are_true, lambda p: (wrong.with_card(lm.Huber, kinks=()),), "which the card does not say"),
    Catch(test_traits.kinks_are_true, lambda p: (wrong.kink_at_the_wrong_place(),), "the hessian jumps at -2.0"),
    Catch(
        test_traits.kinks_are_true,
        lambda p: (wrong.with_card(lm.Hinge, kinks=lm.SquaredHinge.card.kinks),),
        "the hessian jumps at",
    ),
    Catch(test_traits.kinks_are_true, lambda p: (wrong.ClippedCrossEntropy,), "the gradient jumps at"),
    Catch(test_traits.slopes_keep_to_their_bounds, lambda p: (wrong.UnderstatedError,), "proved -0.5 to 0.5"),
    Catch(
        test_traits.slopes_keep_to_their_bounds,
        lambda p: (wrong.with_trait(lm.Huber, "lipschitz"),),
        "denies a bounded gradient",
    ),
    Catch(
        test_traits.stronger_traits_imply_weaker,
        lambda p: (wrong.with_trait(lm.SquaredError, "differentiable"),),
        "differentiable",
    ),
    # statistics
    Catch(
        test_statistics.constant_is_best,
        lambda p: (wrong.with_card(lm.SquaredError, estimates="median")(),),
        "costs less than",
    ),
    Catch(test_statistics.constant_is_best, lambda p: (wrong.UnweightedMean(),), "costs less than"),
    Catch(test_statistics.weights_are_repetitions, lambda p: (wrong.UnweightedMean(),), "=="),
    Catch(test_statistics.flat_minimum_gives_its_middle, lambda p: (wrong.LowerMedian(),), "is not the middle of"),
    Catch(test_statistics.one_target_is_met, lambda p: (wrong.CautiousCrossEntropy(),), "inf"),
    Catch(test_statistics.context_bounds_costs, lambda p: (wrong.HighFloor(),), "floor"),
    Catch(
        test_statistics.constant_is_the_named_statistic,
        lambda p: (wrong.SoCalledMean,),
        "is not what 'mean' means",
    ),
    Catch(
        test_statistics.nothing_is_estimated,
        lambda p: (wrong.with_card(lm.SquaredError, estimates="nothing"),),
        "min",
    ),
    # states
    Catch(
        test_states.splits_merge_to_the_whole,
        lambda p: (wrong.with_state(lm.LogCosh, wrong.MeanOfMeans)(), [[7]]),
        "±",
    ),
    Catch(
        test_states.whole_blocks_merge_to_the_same_bits,
        lambda p: (wrong.with_state(lm.LogCosh, wrong.RoundedState)(),),
        "40|bits|0x",
    ),
    Catch(test_states.counts_are_right, lambda p: (wrong.Countless(prediction="probabilities"),), "diff: 0 != [1-9]"),
    Catch(
        test_states.nothing_is_neutral,
        lambda p: (wrong.with_state(lm.BinaryCrossEntropy, wrong.MisplacedState)(prediction="probabilities"),),
        "None",
    ),
    Catch(
        test_states.only_its_own_states_merge,
        lambda p: (wrong.with_state(lm.Huber, wrong.WelcomingState)(),),
        "DID NOT RAISE",
    ),
    # round trips
    Catch(test_roundtrips.goes_through_its_text, baked_text, "Huber"),
    Catch(test_roundtrips.goes_through_configurations, short_config, "Huber"),
    Catch(test_roundtrips.goes_through_pickles_and_copies, forgetful_pickle, "Huber"),
    Catch(test_roundtrips.its_programs_go_through_json_and_pickle, rounded_json, "constants"),
    Catch(test_roundtrips.parameters_do_not_change_the_program, lambda p: (wrong.BakedHuber(),), "BakedHuber"),
    # calls
    Catch(test_contract.results_have_the_shape_and_type, lambda p: (wrong.Widening(),), "float64"),
    Catch(test_contract.memory_layout_does_not_matter, lambda p: (wrong.Scribbling(),), "not equal"),
    Catch(test_contract.ways_of_asking_agree, lambda p: (wrong.TwoMinds(),), "not equal"),
    Catch(test_contract.reductions_divide_by_what_they_say, lambda p: (wrong.CountDivided(),), "Not equal"),
    Catch(test_contract.weights_broadcast_by_axes_of_size_one, lambda p: (wrong.RowWeights(),), "=="),
    Catch(test_contract.what_is_masked_does_not_matter, lambda p: (wrong.MaskedAsZero(),), "approx|==|±"),
    Catch(test_contract.weight_zero_silences_infinity, lambda p: (wrong.LoudInfinity(),), "±"),
    Catch(test_contract.overflow_is_infinite_and_silent, lambda p: (wrong.LoudOverflow(),), "overflow"),
    Catch(test_contract.nothing_to_average_follows_the_policy, lambda p: (wrong.EmptyIsFine(),), "DID NOT RAISE"),
    Catch(test_contract.out_is_written_in_place, lambda p: (wrong.OutIgnored(),), "is array"),
    Catch(test_mistakes.mistakes_are_refused, lambda p: (wrong.Broadcasting(),), "DID NOT RAISE"),
    Catch(test_mistakes.values_outside_domains_are_named, lambda p: (wrong.Boundless(),), "DID NOT RAISE"),
    Catch(test_mistakes.bad_weights_and_masks_are_refused, lambda p: (wrong.Forgiving(),), "DID NOT RAISE"),
    Catch(test_mistakes.bad_choices_are_refused, lambda p: (wrong.Forgiving(),), "DID NOT RAISE"),
    Catch(test_mistakes.bad_outputs_are_refused, lambda p: (wrong.Forgiving(),), "DID NOT RAISE"),
    Catch(test_mistakes.losses_do_not_change, lambda p: (wrong.Changing(),), "DID NOT RAISE"),
)


@pytest.mark.engines
@pytest.mark.parametrize("catch", CATCHES, ids=str)
def test_laws_catch_what_is_wrong(catch: Catch, monkeypatch: Patch) -> None:
    with monkeypatch.context() as patch:
        arguments = catch.make(patch)
        with pytest.raises(FAILURE, match=catch.says):
            catch.law(*arguments)


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("trait", test_traits.COUNTER)
def test_a_false_trait_is_caught_in_both_directions(trait: str, declared: bool) -> None:
    kinds = [kind for kind in points.kinds() if getattr(kind.card.traits, trait) is declared]
    with pytest.raises(FAILURE, match="nothing speaks against it" if declared else f"is not {trait}: "):
        test_traits.trait_is_true(wrong.with_trait(kinds[-1], trait), trait)


def laws() -> set[Law]:
    """Return every law: what takes a loss or a kind of losses and returns nothing, in the files beside this one."""
    found: set[Law] = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        module = import_module(f"tests.laws.{path.stem}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            signature = inspect.signature(function)
            first = next(iter(signature.parameters), "")
            own = function.__module__ == module.__name__ and not name.startswith(("test_", "_"))
            if own and first in ("loss", "kind") and signature.return_annotation == "None":
                found.add(function)
    return found


def test_no_law_is_without_something_it_catches() -> None:
    elsewhere = {law for _, law, *_ in BREAKS} | {comes_back_from_text_data_and_pickle, as_declared}
    caught = {catch.law for catch in CATCHES} | {test_traits.trait_is_true} | elsewhere
    assert {law.__name__ for law in laws() - caught} == set()
    assert len(laws()) > 30

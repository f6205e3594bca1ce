"""Each law of every loss fails for a loss that breaks it: here are such losses, one of each structure in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith import Loss
from lossmith.certify.samples import structure
from lossmith.core.contract import Batch
from tests.laws import test_every_loss as contract
from tests.laws import test_every_loss_mistakes as mistakes

pytestmark = pytest.mark.engines

RIGHT = (lm.SparseCategoricalCrossEntropy, lm.KLDivergence, lm.Triplet, lm.MultiQuantile, lm.GaussianNLL, lm.Huber)


def changed(right: type[Loss], **methods: Any) -> Loss:
    """Return a loss with some methods replaced, under its own name."""
    return type(right.__name__, (right,), {"__doc__": right.__doc__, "card": right.card, **methods})()


def with_batch(change: Callable[[Batch], Batch]) -> Callable[[type[Loss]], Loss]:
    """Return a maker of losses whose batches are changed after they were checked."""

    def make(right: type[Loss]) -> Loss:
        def batch(self: Loss, *arguments: Any, **options: Any) -> Batch:
            return change(right._batch(self, *arguments, **options))

        return changed(right, _batch=batch)

    return make


def with_blocks(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[type[Loss]], Loss]:
    """Return a maker of losses whose computed blocks are changed."""

    def make(right: type[Loss]) -> Loss:
        def stream(self: Loss, batch: Batch, outputs: Any, first: int = 0) -> Iterator[Any]:
            for start, stop, block in right._stream(self, batch, outputs, first):
                yield start, stop, change(dict(block))

        return changed(right, _stream=stream)

    return make


def broadcasts(right: type[Loss]) -> Loss:
    def batch(self: Loss, given: Any, *arguments: Any, **options: Any) -> Batch:
        size = max((np.shape(array) for array in given.values()), key=lambda shape: (len(shape), shape))
        spread = {}
        for name, array in given.items():
            try:
                spread[name] = np.broadcast_to(np.asarray(array), size)
            except ValueError:
                spread[name] = array
        return right._batch(self, spread, *arguments, **options)

    return changed(right, _batch=batch)


def writes_into_arguments(right: type[Loss]) -> Loss:
    def batch(self: Loss, given: Any, *arguments: Any, **options: Any) -> Batch:
        found = right._batch(self, given, *arguments, **options)
        for array in given.values():
            if isinstance(array, np.ndarray) and array.flags.writeable and array.dtype.kind == "f":
                array += 0.0 * array + 1e-3
        return found

    return changed(right, _batch=batch)


def swallows_missing_weights(right: type[Loss]) -> Loss:
    def batch(self: Loss, given: Any, weight: Any, mask: Any, **options: Any) -> Batch:
        return right._batch(self, given, None if weight is None else np.abs(np.nan_to_num(weight)), mask, **options)

    return changed(right, _batch=batch)


def takes_text(right: type[Loss]) -> Loss:
    def batch(self: Loss, given: Any, *arguments: Any, **options: Any) -> Batch:
        numbers = {n: np.ones(a.shape) if np.asarray(a).dtype.kind in "UOM" else a for n, a in given.items()}
        return right._batch(self, numbers, *arguments, **options)

    return changed(right, _batch=batch)


def drops_broadcast_weights(right: type[Loss]) -> Loss:
    def batch(self: Loss, given: Any, weight: Any, mask: Any, **options: Any) -> Batch:
        return right._batch(self, given, None if 1 in np.shape(weight) else weight, mask, **options)

    return changed(right, _batch=batch)


def depends_on_the_batch(right: type[Loss]) -> Loss:
    def stream(self: Loss, batch: Batch, outputs: Any, first: int = 0) -> Iterator[Any]:
        for start, stop, block in right._stream(self, batch, outputs, first):
            more = {"losses": block["losses"] * batch.size} if "losses" in block else {}
            yield start, stop, {**block, **more}

    return changed(right, _stream=stream)


def answers_otherwise(right: type[Loss]) -> Loss:
    return changed(right, losses=lambda self, *given, **named: 2 * right.losses(self, *given, **named))


def ignores_out(right: type[Loss]) -> Loss:
    def both(self: Loss, *given: Any, out: Any = None, **named: Any) -> Any:
        return right.cost_and_gradient(self, *given, **named)

    return changed(right, cost_and_gradient=both)


def takes_any_reduction(right: type[Loss]) -> Loss:
    def cost(self: Loss, *given: Any, reduction: str = "mean", **named: Any) -> Any:
        return right.cost(self, *given, **named)

    return changed(right, cost=cost)


def doubled(block: dict[str, Any]) -> dict[str, Any]:
    return {key: 2 * part if key.startswith("gradient") else part for key, part in block.items()}


def clipped(block: dict[str, Any]) -> dict[str, Any]:
    return {key: part if key == "valid" else part / part * part for key, part in block.items()}


def unchecked(block: dict[str, Any]) -> dict[str, Any]:
    return {**block, "valid": np.ones_like(block["valid"])}


ONE_GRADIENT = (lm.SparseCategoricalCrossEntropy, lm.MultiQuantile, lm.Huber)
BOUNDED = (lm.GaussianNLL,)  # a variance must be positive

BREAKS: list[tuple[Any, ...]] = [
    (depends_on_the_batch, contract.states_merge_to_one_pass),
    (answers_otherwise, contract.ways_of_asking_agree),
    (drops_broadcast_weights, contract.weights_broadcast_by_axes_of_size_one),
    (ignores_out, contract.the_gradient_is_written_in_place, ONE_GRADIENT),
    (ignores_out, mistakes.bad_outputs_are_refused),
    (takes_any_reduction, mistakes.bad_choices_are_refused),
    (with_blocks(unchecked), mistakes.values_outside_domains_are_named, BOUNDED),
    (broadcasts, mistakes.other_shapes_are_refused),
    (takes_text, mistakes.wrong_types_are_refused),
    (with_blocks(unchecked), mistakes.missing_and_infinite_values_are_named),
    (swallows_missing_weights, mistakes.bad_weights_and_masks_are_refused),
    (with_batch(lambda batch: replace(batch, weight=None)), contract.reductions_divide_by_what_they_say),
    (with_batch(lambda batch: replace(batch, mask=None)), contract.reductions_divide_by_what_they_say),
    (with_batch(lambda batch: replace(batch, mask=None)), contract.what_is_masked_does_not_matter),
    (with_batch(lambda batch: replace(batch, mask=None)), contract.nothing_to_average_follows_the_policy),
    (
        with_batch(lambda batch: replace(batch, dtype=np.dtype(np.float64))),
        contract.types_and_shapes_follow_the_arguments,
    ),
    (writes_into_arguments, contract.memory_layout_does_not_matter),
    (with_blocks(doubled), contract.the_gradient_is_the_slope_of_that_very_cost),
    (with_blocks(clipped), contract.finite_input_gives_no_nan_and_no_warning),
]


CASES = [(broken, law, right) for broken, law, *only in BREAKS for right in (only[0] if only else RIGHT)]


@pytest.mark.parametrize(("broken", "law", "right"), CASES, ids=lambda item: item.__name__)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_laws_can_fail(
    right: type[Loss], broken: Callable[[type[Loss]], Loss], law: Callable[[Loss], None]
) -> None:
    law(right())
    loss = broken(right)
    assert structure(loss) is loss
    with pytest.raises((AssertionError, pytest.fail.Exception, lm.LossmithError, RuntimeWarning)):
        law(loss)


def test_a_configuration_that_forgets_a_parameter_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = lm.Triplet(margin=2.0)
    contract.comes_back_from_text_data_and_pickle(loss)
    with monkeypatch.context() as patch:
        patch.setattr(lm.Triplet, "to_config", lambda self: {"loss": self.name, "parameters": {}})
        with pytest.raises(AssertionError):
            contract.comes_back_from_text_data_and_pickle(loss)

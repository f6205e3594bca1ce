"""What modules show and let change of their loss, and the type and the cost of what is unusual."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch

import lossmith as lm
import lossmith.torch as lt
from lossmith.structures.composite import Sum
from tests.mistakes import Mistake, is_named

X, Y = torch.linspace(-3, 3, 6), torch.linspace(2, -1, 6)
WAYS: dict[str, Callable[..., torch.Tensor]] = {
    "plain": lambda module, *given: module(*given),
    "masked": lambda module, *given: module(*given, mask=torch.ones(given[-1].shape, dtype=torch.bool)),
    "traced": lambda module, *given: torch.func.grad_and_value(module)(*given)[1],
}


def test_parameters_are_attributes_as_those_of_pytorch_are() -> None:
    module, peer = lt.Huber(delta=2.0), torch.nn.HuberLoss(delta=2.0)
    module(X, Y)  # what plain calls remember must not outlive it
    for _ in range(2):
        assert module.delta == peer.delta
        torch.testing.assert_close(module(X, Y), peer(X, Y))
        torch.testing.assert_close(torch.vmap(module)(X[None], Y[None])[0], peer(X, Y))
        module.delta = peer.delta = 0.5
    with pytest.raises(lm.ParameterError, match="delta must lie in"):
        module.delta = -1
    assert module.delta == 0.5
    smoothed = lt.SparseCategoricalCrossEntropy(class_weight=[1.0, 2.0])
    smoothed.class_weight.fill_(3)
    smoothed.label_smoothing = 0.1
    assert smoothed.loss == lm.SparseCategoricalCrossEntropy(class_axis=1, label_smoothing=0.1, class_weight=(3, 3))


def test_another_loss_may_be_assigned() -> None:
    module = lt.module(lm.SparseCategoricalCrossEntropy(class_weight=(1, 2)))
    module.loss = "huber(delta=2)"
    torch.testing.assert_close(module(X, Y), lt.Huber(2.0)(X, Y))
    assert not module.state_dict()
    divergence = lt.KLDivergence(reduction="batchmean")
    with pytest.raises(lm.ParameterError, match="'batchmean'"):
        divergence.loss = "huber"
    assert divergence.loss == lm.KLDivergence(class_axis=1)
    divergence.loss = "jensen_shannon"
    assert divergence.reduction == "batchmean"


@pytest.mark.parametrize("text", ["sparse_categorical_cross_entropy", "0.5*softmax_focal + 0.5*crammer_singer"])
def test_class_weights_are_read_from_their_buffer_by_one_graph(text: str) -> None:
    """Each fold of a table may have weights of its own, and PyTorch compiles a function eight times at most."""
    torch.compiler.reset()
    logits, labels = torch.linspace(-1, 1, 24, dtype=torch.float64).reshape(6, 4), torch.arange(6) % 4
    loss = lm.parse(text)
    for place in range(torch._dynamo.config.recompile_limit + 3):
        weights = [1.0 + place, 1.0, 2.0, 0.5]
        if isinstance(loss, Sum):
            own = loss.replace(terms=[(share, term.replace(class_weight=weights)) for share, term in loss.parts])
        else:
            own = loss.replace(class_weight=weights)
        module = lt.module(own)
        with torch._dynamo.config.patch(error_on_recompile=place > 0):
            found = torch.compile(module, fullgraph=True, backend="aot_eager")(logits, labels)
        torch.testing.assert_close(found, module(logits, labels))
        assert module.loss == own


def test_a_copy_of_a_compiled_module_is_a_module_of_its_own() -> None:
    torch.compiler.reset()
    module = lt.Huber(delta=2.0)
    module.compile(fullgraph=True, backend="aot_eager")
    right = module(X, Y)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert other(X, Y) == right
        other.delta = 0.5
        torch.testing.assert_close(other(X, Y), torch.nn.HuberLoss(delta=0.5)(X, Y))
    assert module(X, Y) == right


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_float64_among_the_inputs_makes_a_float64_cost(way: Callable[..., torch.Tensor]) -> None:
    wide = Y.double() / 3
    found = way(lt.Huber(), X, wide)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, torch.nn.HuberLoss()(X.double(), wide), rtol=1e-14, atol=0)
    assert way(lt.Huber(), X, Y).dtype == torch.float32
    labels = torch.tensor([1.0, 0.0], dtype=torch.float64)  # class indices are no numbers to compute with
    assert way(lt.SparseCategoricalCrossEntropy(), X.reshape(2, 3), labels).dtype == torch.float32


@pytest.mark.parametrize("reduction", ["mean", "count_mean", "sum"])
@pytest.mark.parametrize("empty", ["zero", "nan"])
def test_nothing_costs_the_same_in_memory_and_traced(reduction: str, empty: str) -> None:
    module = lt.Huber(reduction=reduction, empty=empty)
    for way in WAYS.values():
        assert way(module, X[:0], Y[:0]).isnan() == (empty == "nan")


def test_floats_that_numpy_does_not_have_are_computed_in_single_precision() -> None:
    x = X.to(torch.float8_e4m3fn)
    torch.testing.assert_close(lt.Huber()(x, Y), lt.Huber()(x.float(), Y))


LATE = lm.formula("where(f < y, k*(y - f)**2, (y - f)**2)", parameters={"k": (4.0, "(0, inf)")})


def test_parameters_of_any_loss_are_attributes_that_may_be_changed() -> None:
    module = lt.module(LATE)
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    assert module.k == 4.0
    for copied in (module, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        copied.k = 2.0
        assert (copied.k, copied.loss) == (2.0, LATE.replace(k=2.0))
        torch.testing.assert_close(copied(X, Y), lt.module(LATE.replace(k=2.0))(X, Y))
    torch.testing.assert_close(compiled(X, Y), module(X, Y))
    with pytest.raises(lm.ParameterError, match="k must lie in"):
        module.k = -1.0
    assert module.k == 2.0


def test_attributes_are_those_of_the_loss_of_the_day() -> None:
    module = lt.module(lm.Huber())
    module.delta = 0.5
    assert float(module(X, Y)) == float(lt.Huber(delta=0.5)(X, Y))
    module.loss = "log_cosh"
    assert not hasattr(module, "delta")
    module = lt.module(lm.SparseCategoricalCrossEntropy(class_weight=(1.0, 2.0), class_axis=1))
    module.label_smoothing = 0.5
    assert module.loss.values["class_weight"] == (1.0, 2.0)
    assert module.loss.values["label_smoothing"] == 0.5


WORDS = torch.tensor([0.5, 0.25, 0.25]).expand(2, 1, 3)
SAID: list[Mistake] = [
    (lambda: lt.mse, AttributeError, "It is called 'SquaredError' here."),
    (lambda: lt.huber, AttributeError, "It is called 'Huber' here."),
    (lambda: lt.DiceLoss, AttributeError, "'DiceLoss'. Losses of overlapping regions and boxes are not in"),
    (lambda: lt.InfoNCE, AttributeError, "'InfoNCE'. Of losses of embeddings the catalogue has Triplet."),
    (lambda: lt.NLLLoss, AttributeError, "It takes the exp of what that takes as input. Predictions are log-prob"),
    (lambda: lt.GaussianNLLLoss, AttributeError, "is called GaussianNLL() here. It takes input=, target=, variance=."),
    (lambda: lt.TripletMarginLoss, AttributeError, "It takes anchor=, positive=, negative=."),
    (lambda: lt.AdaptiveLogSoftmaxWithLoss, AttributeError, "has no counterpart here (a layer and its loss in one)"),
    (lambda: lt.WestonWatkins(margin=2), lm.ParameterError, "The margin is 1, the unit of scores; for one of m pass"),
    (
        lambda: lt.SparseCategoricalCrossEntropy(torch.ones(3)),
        lm.ParameterError,
        "as z_loss. class_weight= weighs class",
    ),
    (lambda: lt.BinaryCrossEntropy(torch.ones(3)), lm.ParameterError, "as eps. Weights of examples are passed to the"),
    (lambda: lt.Huber("sum", 1.0), lm.ParameterError, "Huber got 'sum' as delta; say reduction='sum'"),
    (lambda: lt.MarginRankingLoss, AttributeError, "It takes any scores, ours log-probabilities, which are at most 0."),
    (lambda: lt.Triplet(swap=True), lm.ParameterError, "The negative is compared with the anchor alone."),
    (lambda: lt.Triplet(p=2), lm.ParameterError, "Say distance='euclidean', which is the default and a norm of 2"),
    (lambda: lt.Triplet(eps=0), lm.ParameterError, "embeddings that coincide have a distance of 0"),
    (lambda: lt.KLDivergence()(p=WORDS, q=WORDS), lm.DomainError, "; along axis 2 they do: pass class_axis=2"),
    (lambda: lt.Huber()(X + 1j, Y), lm.KindError, "(the first is (-3+1j))"),
    (lambda: lt.Huber()(torch.nested.as_nested_tensor([X, Y]), Y), lm.KindError, "input is a nested tensor; pass"),
    (lambda: lt.Huber()(torch.masked.masked_tensor(X, X > 0), Y), lm.KindError, "input.get_mask() as mask="),
    (lambda: lt.module(lt.Huber()), lm.ParameterError, "got lossmith.torch.Huber, which holds one; pass its .loss"),
]


@pytest.mark.filterwarnings("ignore:The PyTorch API of")
@pytest.mark.parametrize("case", SAID, ids=lambda case: case[2])
def test_it_is_said_what_to_write_instead(case: Mistake) -> None:
    is_named(*case)

"""Modules take the forms that PyTorch's own functions take: one example, numbers as variances, ``batchmean``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional

import lossmith as lm
import lossmith.torch as lt
from tests.mistakes import Mistake, is_named

Z = torch.linspace(-2, 2, 5).double().cos()
INDEX, P = torch.tensor(3), torch.softmax(torch.linspace(0, 3, 5).double().sin(), -1)
WEIGHTS = torch.linspace(1, 3, 5).double()
REDUCTIONS = ("mean", "sum", "none")


def agree(module: lt.LossModule, expected: Callable[[torch.Tensor], torch.Tensor], input: torch.Tensor) -> None:
    """Hold a module of one tensor, in memory and traced, and its gradient against a function of PyTorch."""
    x = input.clone().requires_grad_()
    cost, right = module(x), expected(x)
    traced = torch.vmap(module)(x[None])[0]
    for found in (cost, traced):
        torch.testing.assert_close(found, right, rtol=1e-13, atol=0)
        torch.testing.assert_close(
            torch.autograd.grad(found.sum(), x, retain_graph=True),
            torch.autograd.grad(right.sum(), x, retain_graph=True),
            rtol=1e-12,
            atol=1e-15,
        )


class With(torch.nn.Module):
    """A module with all but its first argument."""

    def __init__(self, module: lt.LossModule, **others: Any) -> None:
        super().__init__()
        self.module, self.others = module, others

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.module(x, **self.others)


# --- one example without an axis of examples --------------------------------------------------------


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(
    ("name", "ours", "theirs", "target"),
    [
        ("SparseCategoricalCrossEntropy", {}, {}, INDEX),
        ("SparseCategoricalCrossEntropy", {"label_smoothing": 0.1}, {"label_smoothing": 0.1}, INDEX),
        ("SparseCategoricalCrossEntropy", {"class_weight": WEIGHTS}, {"weight": WEIGHTS}, INDEX),
        ("CategoricalCrossEntropy", {"label_smoothing": 0.1}, {"label_smoothing": 0.1}, P),
    ],
    ids=["index", "smoothed", "weighted", "distribution"],
)
def test_one_example_needs_no_axis_of_examples(
    name: str, ours: dict[str, Any], theirs: dict[str, Any], target: torch.Tensor, reduction: str
) -> None:
    module = getattr(lt, name)(**ours, reduction=reduction)
    agree(With(module, target=target), lambda x: functional.cross_entropy(x, target, reduction=reduction, **theirs), Z)
    state = module.state(Z, target)
    assert (int(state.count), state.cost().shape) == (1, ())


def test_one_example_may_be_left_out() -> None:
    module = lt.SparseCategoricalCrossEntropy(ignore_index=-1)
    assert module(Z, torch.tensor(-1)) == 0
    assert lt.SparseCategoricalCrossEntropy()(Z, INDEX, mask=torch.tensor(False)) == 0
    weighed = lt.SparseCategoricalCrossEntropy(reduction="sum")(Z, INDEX, weight=torch.tensor(3.0))
    torch.testing.assert_close(weighed, 3 * functional.cross_entropy(Z, INDEX))


@pytest.mark.parametrize(
    ("module", "target", "text"),
    [
        (lt.SparseCategoricalCrossEntropy(), torch.zeros(5, dtype=torch.long), "must have shape (), but has (5,)"),
        (lt.SparseCategoricalCrossEntropy(), torch.zeros(1, dtype=torch.long), "must have shape (), but has (1,)"),
        (lt.CategoricalCrossEntropy(), INDEX, "must have shape (5,), but has ()"),
        (lt.CategoricalCrossEntropy(class_axis=2), P, "no axis 2 for the classes"),
    ],
)
def test_what_is_no_single_example_is_refused(module: lt.LossModule, target: torch.Tensor, text: str) -> None:
    is_named(lambda: module(Z, target), lm.ShapeError, text)


# --- variances --------------------------------------------------------------------------------------

X, Y = torch.linspace(-1, 1, 12).double().reshape(4, 3), torch.linspace(1, 3, 12).double().sin().reshape(4, 3)


@pytest.mark.parametrize("var", [0.5, (4,), (4, 1), (1, 3), (4, 3)], ids=str)
def test_variances_come_in_the_forms_of_pytorch(var: Any) -> None:
    given = var if isinstance(var, float) else torch.linspace(0.5, 2, 12).double()[: torch.Size(var).numel()]
    v = given if isinstance(var, float) else given.reshape(var)
    agree(With(lt.GaussianNLL(), target=Y, variance=v), lambda x: functional.gaussian_nll_loss(x, Y, v), X)
    if isinstance(v, torch.Tensor):  # and its gradient has its shape
        by_v = torch.func.grad(lambda v: lt.GaussianNLL()(X, Y, v))(v)
        torch.testing.assert_close(by_v, torch.func.grad(lambda v: functional.gaussian_nll_loss(X, Y, v))(v))


def test_a_number_as_variance_keeps_its_digits_beside_half_precision() -> None:
    found = lt.GaussianNLL()(X.bfloat16(), Y.bfloat16(), 0.1)
    torch.testing.assert_close(found, lt.GaussianNLL()(X.bfloat16().float(), Y.bfloat16().float(), torch.tensor(0.1)))


@pytest.mark.parametrize(
    ("shape", "mend"),
    [((3,), "write variance[None]"), ((2, 3), "only axes of size 1 broadcast"), ((4, 3, 1), "write variance[..., 0]")],
)
def test_a_variance_of_another_shape_is_refused_with_what_to_write(shape: tuple[int, ...], mend: str) -> None:
    with pytest.raises(lm.ShapeError) as caught:
        lt.GaussianNLL()(X, Y, torch.ones(shape))
    assert str(caught.value).endswith(mend)


# --- reductions -------------------------------------------------------------------------------------

ROWS = torch.linspace(-2, 2, 24).double().sin().reshape(2, 3, 4)


@pytest.mark.parametrize("shape", [(6, 4), (2, 3, 4), (4, 3, 2)], ids=str)
def test_batchmean_is_that_of_pytorch(shape: tuple[int, ...]) -> None:
    logs = torch.log_softmax(ROWS.reshape(shape), 1)
    p = torch.softmax(-ROWS.reshape(shape), 1)
    module = lt.KLDivergence(q_kind="log_probabilities", reduction="batchmean")

    class ByName(torch.nn.Module):
        def forward(self, q: torch.Tensor) -> torch.Tensor:
            return module(p=p, q=q)

    agree(ByName(), lambda q: functional.kl_div(q, p, reduction="batchmean"), logs)
    twice = torch.full((shape[0], *shape[2:]), 2.0)
    torch.testing.assert_close(module(p=p, q=logs, weight=twice), 2 * module(p=p, q=logs))
    assert module(p=p[:0], q=logs[:0]) == 0


def test_batchmean_divides_by_the_first_axis_alone() -> None:
    module = lt.module(lm.KLDivergence(), reduction="batchmean")
    for rows in (ROWS, ROWS.float(), ROWS[0]):
        p, q = torch.softmax(-rows, -1), torch.softmax(rows, -1)
        torch.testing.assert_close(module(p=p, q=q), functional.kl_div(q.log(), p, reduction="batchmean"))


def test_batchmean_is_of_divergences_along_the_first_axis() -> None:
    with pytest.raises(lm.ParameterError, match=r"'batchmean' is not known; .* 'mean' here"):
        lt.Huber(reduction="batchmean")
    for module in (lt.KLDivergence(reduction="batchmean"), lt.KLDivergence(0, reduction="batchmean")):
        with pytest.raises(lm.ShapeError, match="lie the classes"):
            module(p=P, q=P)
    table = P[:, None].repeat(1, 2)
    with pytest.raises(lm.ShapeError, match="lie the classes"):
        lt.KLDivergence(class_axis=0, reduction="batchmean")(p=table, q=table)


def test_a_class_axis_by_place_takes_the_place_of_that_of_pytorch() -> None:
    assert lt.KLDivergence(0).loss == lm.KLDivergence(class_axis=0)
    assert lt.KLDivergence().loss == lm.KLDivergence(class_axis=1)


def test_a_reduction_may_be_set_later() -> None:
    module = lt.Huber()
    mean = module(X, Y)
    module.reduction = "sum"  # as trainers do with the modules of PyTorch
    torch.testing.assert_close(module(X, Y), mean * X.numel())
    module.reduction = "none"
    torch.testing.assert_close(module(X, Y), functional.huber_loss(X, Y, reduction="none"))
    with pytest.raises(lm.ParameterError, match="'average' is not known"):
        module.reduction = "average"


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace.* is deprecated", "ignore::torch.jit.TracerWarning")  # of shapes
@pytest.mark.parametrize(
    ("module", "target"),
    [(lt.Huber(), Y), (lt.GaussianNLL(), Y), (lt.SparseCategoricalCrossEntropy(), torch.tensor([0, 1, 2, 0]))],
    ids=["single numbers", "several inputs", "rows"],
)
def test_a_recorded_call_keeps_no_number_that_was_looked_at(module: lt.LossModule, target: torch.Tensor) -> None:
    others = (target, torch.full_like(X, 0.5)) if isinstance(module, lt.GaussianNLL) else (target,)
    recorded = torch.jit.trace(module, (X, *others))
    x = (3 * X).requires_grad_()
    for found in (recorded(x, *others), module(x, *others)):
        torch.testing.assert_close(found, module(3 * X, *others))
        torch.testing.assert_close(
            torch.autograd.grad(found, x), torch.autograd.grad(module(x, *others), x), rtol=1e-12, atol=1e-14
        )


ONES = torch.ones(2, 2) / 2
SAID: list[Mistake] = [
    (lambda: lt.BinaryCrossEntropy(pos_weight=Z), lm.ParameterError, "to the call: w where target is 1, and 1 else"),
    (lambda: lt.Huber()(X, Y, reduction="sum"), lm.ParameterError, "It is said when the module is made."),
    (lambda: lt.Huber()(X, Y, sample_weight=Y), lm.ParameterError, "passed to the call as weight=."),
    (lambda: lt.KLDivergence()(ONES, ONES), lm.ParameterError, "Say p=target, q=input: q is judged by p."),
    (lambda: lt.Distillation()(ONES, ONES), lm.ParameterError, "Say teacher=target, student=input: student is judged"),
    (lambda: lt.KLDivergence()(input=ONES, target=ONES), lm.ParameterError, "Say p=target, q=input: q is judged by"),
    (lambda: lt.GANDiscriminator()(input=X, target=Y), lm.ParameterError, "fake=; it has no input 'input'."),
    (
        lambda: lt.SquaredError(X.clone().requires_grad_(), Y),
        lm.ParameterError,
        "pass these to a call: SquaredError",
    ),
    (lambda: lt.Huber(X, Y), lm.ParameterError, "got 2 tensors; pass these to a call: Huber()(...)"),
    (lambda: lt.Huber(input=X.clone().requires_grad_()), lm.ParameterError, "has no parameter 'input'"),
    (lambda: lt.MarginRankingLoss, AttributeError, "called SLiC() here. It takes chosen=, rejected=. With a target of"),
    (lambda: lt.KLDivLoss, AttributeError, "here. It takes p=, q=. The prediction is q, as log-probabilities, and com"),
    (lambda: lm.get("MarginRankingLoss"), lm.LossNotFoundError, "it is slic, of the scores that should be higher (ch"),
]


@pytest.mark.parametrize("case", SAID, ids=lambda case: case[2])
def test_words_of_pytorch_are_answered_with_ours(case: Mistake) -> None:
    is_named(*case)


def test_modules_show_their_loss_once() -> None:
    assert repr(lt.Huber(2.0)) == "Huber(delta=2, reduction='mean')"
    assert repr(lt.SquaredError(reduction="sum", empty="nan")) == "SquaredError(reduction='sum', empty='nan')"
    assert repr(lt.module(lm.Huber())) == "LossModule(Huber(delta=1), reduction='mean')"

"""Losses of every structure, traced in PyTorch, say what the core says, to second derivatives."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import lossmith as lm
import lossmith.torch as lt
from lossmith import Loss
from lossmith.certify.samples import CLASSES, sample
from lossmith.engines import torch as engine
from lossmith.structures.divergence import KINDS
from lossmith.structures.pointwise import Pointwise
from tests.frameworks.elsewhere import trace
from tests.laws.samples import EVERY, is_plain, name_of
from tests.mistakes import is_named

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{text}:DeprecationWarning")
    for text in (".*torch.jit.script.* is deprecated", ".*Function.* should not be instantiated")
]

FORMS = [loss for loss in EVERY if not isinstance(loss, Pointwise)]
PAIRS = [
    cls(p_kind=p, q_kind=q)
    for cls in (lm.KLDivergence, lm.JensenShannon, lm.AlphaDivergence)
    for p in KINDS
    for q in KINDS
    if "probabilities" not in (p, q)
]
ONE_EACH: dict[str, Loss] = {
    "softmax": lm.SparseCategoricalCrossEntropy(
        class_axis=1, class_weight=(1.0, 2.0, 0.5), ignore_index=-1, label_smoothing=0.1, z_loss=0.1
    ),
    "sum": lm.LogitAdjusted(prior=(0.2, 0.5, 0.3)) + 0.1 * lm.MulticlassBrier(),
    "margin": lm.CrammerSinger(label_smoothing=0.1),
    "divergence": lm.KLDivergence(p_kind="log_probabilities", q_kind="logits"),
    "levels": lm.MultiQuantile(prediction="increments"),
    "distance": lm.Triplet(distance="cosine"),
}
ULPS = 24
"""How far a traced call may be from the core, in units in the last place of the largest result of its kind."""

Tensors = dict[str, torch.Tensor]


@pytest.fixture
def as_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let calls in memory go the way of those on other devices."""
    trace(monkeypatch)


def drawn(loss: Loss, rows: int = 5, dtype: Any = np.float64) -> Tensors:
    data = sample(loss, rows)
    return {
        name: torch.as_tensor(array.astype(dtype) if array.dtype.kind == "f" else array) for name, array in data.items()
    }


def learning(loss: Loss, given: Tensors) -> tuple[Tensors, list[torch.Tensor]]:
    """Return the tensors with the predicted ones asking for gradients, and those."""
    ends = {item.name: given[item.name].clone().requires_grad_() for item in loss.predicted}
    return {**given, **ends}, list(ends.values())


def directions(ends: list[torch.Tensor]) -> list[torch.Tensor]:
    rng = np.random.default_rng(1)
    return [torch.as_tensor(rng.normal(size=x.shape)).to(x.dtype) for x in ends]


def apart(found: Any, right: Any) -> float:
    """Return how far an array is from another, in units in the last place of its largest entry."""
    found, right = np.asarray(found, np.float64), np.asarray(right)
    size = np.abs(right).max()
    gap = np.abs(found - right.astype(np.float64)).max()
    return float(gap / np.spacing(size)) if gap != 0 else 0.0


def differentiated(loss: Loss, given: Tensors) -> list[list[torch.Tensor]]:
    """Return the cost, its gradients, and their change along a direction."""
    known, ends = learning(loss, given)
    cost = lt.module(loss, reduction="sum")(**known)
    slopes = torch.autograd.grad(cost, ends, create_graph=True)
    bends = torch.autograd.grad(slopes, ends, directions(ends))
    return [[cost.detach()], [slope.detach() for slope in slopes], list(bends)]


def furthest(loss: Loss, monkeypatch: pytest.MonkeyPatch, dtype: Any = np.float64, core: Loss | None = None) -> float:
    """Return how far traced calls are from those of the core, in value, gradient and second derivative."""
    given = drawn(loss, dtype=dtype)
    right = differentiated(core or loss, given)
    with monkeypatch.context() as patch:
        trace(patch)
        found = differentiated(loss, given)
    return max(apart(a, b) for one, other in zip(found, right, strict=True) for a, b in zip(one, other, strict=True))


TYPES = (np.float64, np.float32)
TRACED = [*FORMS, *PAIRS]


@pytest.mark.parametrize("loss", TRACED, ids=name_of)
def test_traced_calls_say_what_the_core_says(loss: Loss, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of a type, a loss has no more than the numbers in its formula: other forms than plain ones take turns.
    for dtype in TYPES if is_plain(loss) else [TYPES[TRACED.index(loss) % 2]]:
        assert furthest(loss, monkeypatch, dtype) <= ULPS


Right = lm.SparseCategoricalCrossEntropy


def wrong(change: Callable[[Any, dict[str, Any]], dict[str, Any]]) -> Loss:
    """Return a loss whose traced calls are changed."""

    def compute(self: Any, host: Any, given: Any, outputs: Any) -> Any:
        return change(host, Right.compute(self, host, given, outputs))

    name = "SparseCategoricalCrossEntropy"
    made: Loss = type(name, (Right,), {"__doc__": Right.__doc__, "card": Right.card, "compute": compute})()
    return made


def changed(key: str, function: Callable[[Any, Any], Any]) -> Callable[[Any, dict[str, Any]], dict[str, Any]]:
    return lambda host, found: {name: function(host, x) if name == key else x for name, x in found.items()}


WRONG = {
    "value": wrong(changed("losses", lambda host, x: x * (1 + 1e-13))),
    "gradient": wrong(changed("gradient:f", lambda host, x: x * (1 + 1e-13))),
    "second derivative": wrong(changed("gradient:f", lambda host, x: host.xp.held(x))),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_found(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert furthest(WRONG[what], monkeypatch, core=Right()) > ULPS


# --- rows at the edge -----------------------------------------------------------------------------

EDGES = torch.tensor(
    [[40.0, 0, 0], [-40, 0, 0], [0, 0, 0], [700, -700, 0], [0, -np.inf, 0], [-20, 3, 2]], dtype=torch.float64
)


def furthest_at_the_edge(loss: Loss, true: int) -> float:
    y = torch.full((len(EDGES),), true)
    cost = lt.module(loss.replace(class_axis=-1), reduction="sum")

    def slopes(z: torch.Tensor) -> torch.Tensor:
        return torch.func.grad(lambda z: cost(z, y))(z)

    blocks = torch.stack(
        [torch.func.grad(lambda z, k=k: slopes(z)[:, k].sum())(EDGES) for k in range(CLASSES)], dim=1
    ).numpy()
    right = loss.replace(class_axis=-1).hessian(y.numpy(), EDGES.numpy(), kind="full")
    first = apart(slopes(EDGES), loss.replace(class_axis=-1).gradient(y.numpy(), EDGES.numpy()))
    # Beside numbers that hardly differ from 0, digits are few.
    return max([first, *(apart(a, b) for a, b in zip(blocks, right, strict=True) if np.abs(b).max() > 1e-290)])


SURE = [loss for loss in (lm.get(name) for name in lm.names("categorical")) if getattr(loss, "indices", False)]


@pytest.mark.parametrize("true", range(CLASSES))
@pytest.mark.parametrize("loss", SURE, ids=name_of)
def test_second_derivatives_keep_their_digits_where_a_class_is_almost_certain(loss: Loss, true: int) -> None:
    assert furthest_at_the_edge(loss, true) <= 256


def test_derivatives_of_the_steps_of_a_softmax_would_lose_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.DIFFERENTIABLE.xp, "bound", engine.FUNCTIONS.bound)
    assert furthest_at_the_edge(Right(label_smoothing=0.1), 1) > 1e6


# --- the ways in which PyTorch asks ---------------------------------------------------------------


@pytest.mark.parametrize("loss", ONE_EACH.values(), ids=ONE_EACH)
def test_functions_of_torch_func(loss: Loss) -> None:
    given = drawn(loss, 3)
    name = loss.predicted[-1].name
    module = lt.module(loss, reduction="none")

    def cost(x: torch.Tensor) -> torch.Tensor:
        return module(**{**given, name: x}).sum()

    arrays = {key: x.numpy() for key, x in given.items()}
    blocks = loss.hessian(**arrays, kind="full")
    blocks = blocks[name, name] if isinstance(blocks, dict) else blocks
    forward, backward = torch.func.jacfwd, torch.func.jacrev
    for second in (
        forward(backward(cost)),
        backward(torch.func.grad(cost)),
        forward(forward(cost)),
        backward(forward(cost)),
    ):
        full = second(given[name]).numpy()
        assert apart([full[row, :, row] for row in range(3)], blocks) <= ULPS
        assert np.count_nonzero(full[0, :, 1]) == 0
    doubled = {key: torch.stack([x, x.flip(0)]) for key, x in given.items()}
    each = torch.vmap(lambda x: module(**x))(doubled)
    assert apart(each[1].flip(0), each[0]) == 0
    assert apart(each[0], loss.cost(**arrays, reduction="none")) <= ULPS


@pytest.mark.parametrize("loss", ONE_EACH.values(), ids=ONE_EACH)
def test_torch_compile_takes_it_in_one_graph(loss: Loss) -> None:
    torch.compiler.reset()
    loss = pickle.loads(pickle.dumps(loss))  # of which nobody has asked anything before
    known, ends = learning(loss, drawn(loss))
    module = lt.module(loss)
    cost = torch.compile(module, fullgraph=True, backend="aot_eager")(**known)
    right = module(**known)
    assert apart(cost.detach(), right.detach()) <= ULPS
    for slope, other in zip(torch.autograd.grad(cost, ends), torch.autograd.grad(right, ends), strict=True):
        assert apart(slope, other) <= ULPS


def test_torch_compile_takes_functions_of_torch_func() -> None:
    torch.compiler.reset()
    module, y = lt.SparseCategoricalCrossEntropy(), torch.tensor([0, 2, 1])
    slopes = torch.func.grad(lambda z: module(z, y))
    z = torch.randn(3, 3, dtype=torch.float64)
    torch.testing.assert_close(torch.compile(slopes, fullgraph=True, backend="aot_eager")(z), slopes(z))


@pytest.mark.usefixtures("as_elsewhere")
def test_class_indices_may_have_any_type() -> None:
    module, z = lt.SparseCategoricalCrossEntropy(), torch.randn(4, 2)
    costs = {
        module(z, torch.tensor([0, 1, 1, 0]).to(kind)).item()
        for kind in (torch.bool, torch.uint8, torch.int32, torch.int64, torch.float16, torch.float64)
    }
    assert len(costs) == 1


@pytest.mark.usefixtures("as_elsewhere")
@pytest.mark.parametrize("ignored", [None, -100, 2**40, -(2**70)])
def test_class_indices_may_be_of_fewer_bytes_than_the_number_of_classes(ignored: int | None) -> None:
    module, z = lt.SparseCategoricalCrossEntropy(ignore_index=ignored), torch.randn(1, 300)
    costs = {module(z, torch.tensor([156]).to(kind)).item() for kind in (torch.uint8, torch.int16, torch.int64)}
    assert len(costs) == 1
    assert costs != {0.0}


@pytest.mark.parametrize("loss", FORMS, ids=name_of)
def test_nothing_is_looked_at(loss: Loss) -> None:
    known, ends = learning(loss, {name: x.to("meta") for name, x in drawn(loss).items()})
    cost = lt.module(loss)(**known)
    assert (cost.shape, cost.device.type) == ((), "meta")
    assert [x.shape for x in torch.autograd.grad(cost, ends)] == [x.shape for x in ends]


# --- what does not count, and what is invalid -----------------------------------------------------


def spoiled(loss: Loss, given: Tensors, row: int) -> Tensors:
    """Return the tensors with a row that is nothing."""
    found = {}
    for item in loss.inputs:
        array = given[item.name].clone()
        axis = loss.row_axis if array.ndim > 1 else None
        rows = array if axis is None else array.movedim(axis, -1)
        rows[row] = -1 if item.symbol in loss.class_indices else np.nan
        found[item.name] = array
    return found


@pytest.mark.usefixtures("as_elsewhere")
@pytest.mark.parametrize("loss", ONE_EACH.values(), ids=ONE_EACH)
def test_rows_that_do_not_count_may_hold_anything(loss: Loss) -> None:
    given, mask = drawn(loss, 4), torch.tensor([True, False, True, True])
    weight = torch.tensor([1.0, np.nan, 2.0, 0.5])
    results = []
    for tensors in (given, spoiled(loss, given, 1)):
        known, ends = learning(loss, tensors)
        module = lt.module(loss)
        cost = module(**known, weight=weight, mask=mask)
        slopes = torch.autograd.grad(cost, ends, create_graph=True)
        results.append([cost.detach(), *slopes, *torch.autograd.grad(slopes, ends, directions(ends))])
        module.check()
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


INVALID: list[tuple[Loss, dict[str, Any], int]] = [
    (Right(), {"y_true": [0, 3, -1, 2], "y_pred": [[0.0, 1, 2]] * 4}, 2),
    (Right(), {"y_true": [0.0, 0.5, 1, np.nan], "y_pred": [[0.0, 1, 2]] * 4}, 2),
    (Right(ignore_index=-1), {"y_true": [0, 3, -1, 2], "y_pred": [[0.0, 1, 2]] * 4}, 1),
    (Right(), {"y_true": [0, 0, 0], "y_pred": [[-np.inf] * 3, [0, np.inf, 0], [0, np.nan, 0]]}, 3),
    (Right(prediction="probabilities"), {"y_true": [0, 0], "y_pred": [[0.5, 0.6], [1.2, -0.2]]}, 2),
    (lm.CategoricalCrossEntropy(), {"y_true": [[0.5, 0.4], [0.5, 0.5]], "y_pred": [[0.0, 1], [0, 1]]}, 1),
    (lm.KLDivergence(), {"p": [[0.5, 0.5], [1, 1]], "q": [[0.5, 0.5], [0.5, 0.5]]}, 1),
    (lm.GeneralisedKL(), {"p": [[0.5, 0.5], [-1, 1]], "q": [[0.5, np.inf], [0.5, 0.5]]}, 2),
    (lm.MultiQuantile(), {"y_true": [np.inf, 0], "y_pred": [[0.0, 0, 0], [0, np.nan, 0]]}, 2),
    (lm.Triplet(), {"anchor": [[0.0, np.nan]], "positive": [[0.0, 1]], "negative": [[1.0, 0]]}, 1),
    (Right(class_weight=(1, 2, 3)), {"y_true": [0, 3, -1, 2], "y_pred": [[0.0, 1, 2]] * 4}, 2),
    (lm.CategoricalCrossEntropy(class_weight=(1, 2)), {"y_true": [[0.0, 0], [0, 1]], "y_pred": [[0.0, 1]] * 2}, 1),
    (Right() + lm.CrammerSinger(), {"y_true": [0, 3, -1, 2], "y_pred": [[0.0, 1, 2]] * 4}, 2),
]


@pytest.mark.usefixtures("as_elsewhere")
@pytest.mark.parametrize("case", INVALID, ids=lambda case: str(case[0]))
def test_what_is_invalid_is_counted(case: tuple[Loss, dict[str, Any], int]) -> None:
    loss, given, wrong_rows = case
    module = lt.module(loss)
    assert module(**{name: torch.tensor(rows) for name, rows in given.items()}).isnan()
    with pytest.raises(lm.DomainError, match=f"{wrong_rows} examples? of traced calls lies? outside the domains"):
        module.check()
    module.check()


@pytest.mark.usefixtures("as_elsewhere")
def test_what_rows_must_be_is_said() -> None:
    module = lt.SparseCategoricalCrossEntropy()
    module(torch.zeros(2, 3), torch.tensor([0, 3]))
    with pytest.raises(lm.DomainError, match=r"target: class indices must be whole numbers from 0 up.*; input: logits"):
        module.check()


@pytest.mark.parametrize("loss", [lm.Huber(), Right()], ids=str)
def test_weights_and_masks_come_along_where_a_graph_knows_that_lengths_vary(loss: Loss) -> None:
    module = lt.module(loss)
    call = torch.compile(lambda *given, **named: module(*given, **named), backend="aot_eager", fullgraph=True)
    for length, named in ((2, {}), (3, {}), (3, {"weight": torch.ones(3)}), (4, {"mask": torch.ones(4).bool()})):
        given = (torch.zeros(length, 3), torch.ones(length).long()) if loss == Right() else (torch.zeros(length),) * 2
        torch.testing.assert_close(call(*given, **named), module(*given, **named))


BAD: list[tuple[Loss, dict[str, tuple[int, ...]], type[Exception], str]] = [
    (Right(), {"y_true": (4, 3), "y_pred": (4, 3)}, lm.ShapeError, "For distributions, one-hot or soft"),
    (Right(class_weight=(1.0, 2.0)), {"y_true": (4,), "y_pred": (4, 3)}, lm.ShapeError, "class_weight has 2 numbers"),
    (lm.LogitAdjusted(prior=(0.5, 0.5)), {"y_true": (4,), "y_pred": (4, 3)}, lm.ShapeError, "adjustment has 2"),
    (lm.KLDivergence(), {"p": (4, 3), "q": (4, 2)}, lm.ShapeError, "must have shape (4, 3), but has (4, 2)"),
    (lm.MultiQuantile(), {"y_true": (4,), "y_pred": (4, 2)}, lm.ShapeError, "each of the 3 levels"),
    (lm.Triplet(), {"anchor": (4, 3), "positive": (4, 3), "negative": (4,)}, lm.ShapeError, "along axis 1"),
    (
        Right(class_weight=(1.0, 2.0, 3.0)) + lm.CrammerSinger(),
        {"y_true": (4,), "y_pred": (4, 3)},
        lm.ParameterError,
        "give every term the same",
    ),
]


@pytest.mark.parametrize("shapes", [((4,), (5,)), ((4, 1), (4,)), ((4, 2), (4, 3))], ids=str)
def test_shapes_that_differ_are_named_by_a_compiler(shapes: tuple[tuple[int, ...], ...]) -> None:
    y, f = map(torch.ones, shapes)
    said = []
    for module in (lt.Huber(), torch.compile(lt.Huber(), backend="eager")):
        with pytest.raises(lm.ShapeError) as caught:
            module(f, y)
        said.append(str(caught.value))
    assert said[0] == said[1]


@pytest.mark.usefixtures("as_elsewhere")
@pytest.mark.parametrize("case", BAD, ids=lambda case: case[3])
def test_mistakes_are_named(case: tuple[Loss, dict[str, tuple[int, ...]], type[Exception], str]) -> None:
    loss, shapes, error, text = case
    given = {name: torch.ones(shape) for name, shape in shapes.items()}
    is_named(lambda: lt.module(loss)(**given), error, text)

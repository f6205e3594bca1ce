"""A model that is trained in parts, on one process or on two, has the weights of one that is trained whole."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import lossmith as lm
import lossmith.torch as lt
from lossmith.torch import distributed
from tests.frameworks import processes

# PyTorch warns of what its own compiler does.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.script.* is deprecated:DeprecationWarning")

ROOT = Path(__file__).parents[2]


TOGETHER = (
    "parallel", "sharded", "sent", "spread", "scaled", "rows", "half_placed", "others_group",
    "meshed", "groups_of_one", "other_losses",
)  # fmt: skip
Printed = dict[str, list[list[str]]]


@pytest.fixture(scope="module")
def on_two(tmp_path_factory: pytest.TempPathFactory) -> Printed:
    """What each of two processes printed, a line a case, by the group of cases; nobody waited for ever."""
    folder = tmp_path_factory.mktemp("processes")
    groups = [",".join(TOGETHER), *processes.ALONE]
    given = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.frameworks.processes", str(folder), *groups],
        cwd=ROOT, env=given, text=True, capture_output=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return {
        group: [(folder / f"{group}.{rank}").read_text(encoding="utf-8").splitlines() for rank in range(2)]
        for group in groups
    }


def whole(cuts: list[slice] | None = None) -> tuple[list[float], list[Any]]:
    net = processes.model()
    return processes.train(net, cuts or [slice(None)]), [p.tolist() for p in net.parameters()]


def close(got: Any, expected: Any) -> None:
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_accumulated_is_whole() -> None:
    costs, weights = whole([slice(0, 2), slice(2, 20), slice(20, 20), slice(20, None)])
    close([costs], [whole()[0]])
    close(weights, whole()[1])


def test_the_whole_is_what_one_call_says() -> None:
    net, (x, y) = processes.model(), processes.data(0)
    assert whole()[0][0] == pytest.approx(float(processes.CRITERION(net(x), y).detach()), rel=1e-14)


def test_a_mean_of_means_is_found() -> None:
    x, y = processes.data(0)
    net = processes.model()
    halves = [float(processes.CRITERION(net(x[cut]), y[cut]).detach()) for cut in (slice(0, 5), slice(5, None))]
    with pytest.raises(AssertionError):
        close([[np.mean(halves)]], [whole()[0][:1]])


def test_two_processes_train_what_one_does(on_two: Printed) -> None:
    costs, weights = whole()
    for rank, printed in enumerate(on_two[",".join(TOGETHER)]):
        *trained, _, _, _, _, _, _, _, alone, told = printed
        assert ast.literal_eval(alone) == [2 + rank, 1 / (2 + rank)]
        for line in trained:
            found = ast.literal_eval(line)
            close([found[0]], [costs])
            close(found[1], weights)
        assert told.startswith("MergeError: processes hold states of different losses")
        assert f"Huber(delta={1 + rank})" in told


def test_gradients_of_uneven_batches_are_those_of_one_process_for_each_reduction(on_two: Printed) -> None:
    x, y = processes.data(0)
    for printed in on_two[",".join(TOGETHER)]:
        found = ast.literal_eval(printed[TOGETHER.index("scaled")])
        for reduction, (averaged, summed) in zip(processes.REDUCTIONS, found, strict=True):
            net = processes.model()
            processes.CRITERION.state(net(x), y).cost(reduction).backward()
            close(averaged, processes.slopes(net))
            close(summed, processes.slopes(net))


def test_class_weights_that_one_process_sends_are_those_of_the_other(on_two: Printed) -> None:
    one, other = [ast.literal_eval(printed[TOGETHER.index("sent")]) for printed in on_two[",".join(TOGETHER)]]
    assert one[0] != other[0]
    assert one[0] == one[1] == other[1]


def test_a_group_may_be_part_of_a_mesh_and_examples_those_of_several_processes(on_two: Printed) -> None:
    x, y = processes.data(0)
    state = processes.CRITERION.state(x[:, : processes.CLASSES], y)
    for printed in on_two[",".join(TOGETHER)]:
        costs, count, scale, told = ast.literal_eval(printed[TOGETHER.index("meshed")])
        assert costs == pytest.approx([float(state.cost())] * 2, rel=1e-14)
        assert count == int(state.count)
        assert scale == pytest.approx(float(1 / state.weight), rel=1e-14)
        assert told[0].startswith("a mesh of 2 axes has a group for each; pass that which gradients are averaged over")
        assert told[1].startswith("a group of processes is wanted, got str")


def test_a_tensor_of_several_processes_has_a_cost_and_each_counts_its_share(on_two: Printed) -> None:
    found = [ast.literal_eval(printed[TOGETHER.index("spread")]) for printed in on_two[",".join(TOGETHER)]]
    assert found == [[3.5, 0], [3.5, 1]]


@pytest.mark.parametrize("kind", processes.KINDS)
def test_rows_and_classes_of_several_processes_cost_what_they_do_on_one(kind: str, on_two: Printed) -> None:
    for printed in on_two[",".join(TOGETHER)]:
        found = ast.literal_eval(printed[TOGETHER.index("rows")])
        each = len(processes.PLACES)
        first = each * [*processes.KINDS].index(kind)
        for some in found[first : first + each]:
            close(some, processes.derived(kind))


def test_what_one_process_has_beside_what_several_have_is_refused(on_two: Printed) -> None:
    for printed in on_two[",".join(TOGETHER)]:
        assert printed[TOGETHER.index("half_placed")] == (
            "KindError: SparseCategoricalCrossEntropy: target is a plain tensor beside others that several processes "
            "hold; pass distribute_tensor(target, device_mesh, placements)"
        )


def test_a_group_of_others_is_refused(on_two: Printed) -> None:
    there, outside = (ast.literal_eval(x[TOGETHER.index("others_group")]) for x in on_two[",".join(TOGETHER)])
    assert there == ["State", "Tensor"]
    assert [text[:36] for text in outside] == 2 * ["process 1 is not in the group that w"]


@pytest.mark.parametrize("case", processes.ALONE)
def test_nobody_waits_for_ever(case: str, on_two: Printed) -> None:
    (printed,) = on_two[case][0]
    assert printed.startswith("DistributedError: all_reduce of SparseCategoricalCrossEntropy(")
    assert "process 0 of 2" in printed


def test_alone_nothing_is_sent() -> None:
    criterion = lt.Huber()
    state = criterion.state(torch.tensor([0.0, 3.0]), torch.tensor([1.0, 1.0]), weight=torch.tensor([1.0, 3.0]))
    found = distributed.all_reduce(state)
    assert (found.cost(), found.count) == (pytest.approx(lm.Huber()([1.0, 1], [0.0, 3], weight=[1, 3])), 2)
    assert float(distributed.backward_scale(state)) == 0.25
    assert float(distributed.backward_scale(state, "count_mean")) == 0.5
    assert float(distributed.backward_scale(state, "sum")) == 1


def test_nothing_that_counts_has_no_gradient() -> None:
    z = torch.zeros(2, 3, requires_grad=True)
    state = processes.CRITERION.state(z, torch.tensor([-100, -100]))
    state.total.backward()
    distributed.scale_gradients([z], distributed.all_reduce(state))
    assert (float(state.cost().detach()), float(z.grad.abs().sum())) == (0, 0)
    with pytest.raises(lm.EmptyError, match="no example counts"):
        state.cost(empty="error")


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(), (2,)])
def test_gradients_of_many_examples_keep_their_digits(shape: tuple[int, ...], kind: torch.dtype) -> None:
    state = lt.AbsoluteError().state(torch.zeros(1), torch.ones(1), weight=torch.tensor([4e7]))
    learned = torch.zeros(shape, dtype=kind, requires_grad=True)
    learned.grad = gradient = torch.full(shape, 30000.0, dtype=kind)
    distributed.scale_gradients([learned], state)
    assert learned.grad is gradient
    torch.testing.assert_close(gradient, torch.full(shape, 30000 / 4e7).to(kind))


def test_states_that_do_not_belong_together() -> None:
    state = lt.Huber().state(torch.zeros(1), torch.ones(1))
    with pytest.raises(lm.MergeError, match="Huber"):
        state + lt.Huber(delta=2.0).state(torch.zeros(1), torch.ones(1))
    with pytest.raises(lm.ParameterError, match="reduction='none'"):
        state.cost("none")
    for call in (distributed.all_reduce, distributed.backward_scale):
        with pytest.raises(lm.KindError, match=r"a state is wanted, got int; .* a batch without rows"):
            call(0)
    for timeout in (0, float("nan"), "60", None, timedelta(seconds=60)):
        with pytest.raises(lm.ParameterError, match="positive number of seconds"):
            distributed.all_reduce(state, timeout=timeout)  # type: ignore[arg-type]


def test_what_holds_no_parameters_is_refused_before_any_is_scaled() -> None:
    layer, state = torch.nn.Linear(2, 1), lt.Huber().state(torch.zeros(4), torch.ones(4))
    for parameter in layer.parameters():
        parameter.grad = torch.ones_like(parameter)
    weight, bias = layer.parameters()
    for given, kind in ((layer, "Linear"), (layer.named_parameters(), "tuple"), ([weight, {"params": []}], "dict")):
        with pytest.raises(lm.KindError, match=rf"got {kind}; pass model\.parameters\(\)"):
            distributed.scale_gradients(given, state)
    distributed.scale_gradients(bias, state)  # as torch.nn.utils.clip_grad_norm_ takes one
    assert (weight.grad.tolist(), bias.grad.tolist()) == ([[1, 1]], [0.25])


def test_traced_states_count_what_nobody_could_look_at() -> None:
    criterion = lt.Poisson()
    state = torch.compile(criterion.state, fullgraph=True, backend="aot_eager")(
        torch.zeros(3), torch.tensor([1.0, -1, 2])
    )
    assert int(state.invalid) == 1
    with pytest.raises(lm.DomainError, match="1 example of"):
        state.check()


def test_the_module_is_there_without_an_import_of_its_own() -> None:
    text = "import lossmith.torch as lt; print(lt.distributed.all_reduce.__module__)"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "lossmith.frameworks.torch.distributed", done.stderr

"""What the processes of ``test_distributed`` run: ``python -m tests.frameworks.processes FOLDER CASE,CASE ...``.

Each group of cases is run by two processes, all at once. They are copies of the first one, since to import PyTorch
takes each longer than all that it does then; what they print is in ``FOLDER/CASE,CASE.RANK``.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Replicate, Shard, distribute_tensor, init_device_mesh
from torch.nn.parallel import DistributedDataParallel

import lossmith as lm
import lossmith.torch as lt
from lossmith.torch import distributed

STEPS, CLASSES = 4, 3
CRITERION = lt.SparseCategoricalCrossEntropy(ignore_index=-100, class_weight=(1.0, 2.0, 0.5))


def data(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the examples of a step, some of which are left out."""
    made = torch.Generator().manual_seed(step)
    x = torch.randn(23, 5, generator=made, dtype=torch.float64)
    y = torch.randint(0, CLASSES, (23,), generator=made)
    y[::7] = -100
    return x, y


def model() -> torch.nn.Module:
    """Return the same model everywhere."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, CLASSES)).double()


def train(
    net: torch.nn.Module, cuts: list[slice], silent: Callable[[int], Any] = lambda place: nullcontext()
) -> list[float]:
    """Train on the parts of each step that ``cuts`` gives to this process, and return the cost of each step."""
    optimizer, costs = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.9), []
    for step in range(STEPS):
        x, y = data(step)
        optimizer.zero_grad()
        total: Any = 0
        for place, cut in enumerate(cuts):
            with silent(place):
                state = CRITERION.state(net(x[cut]), y[cut])
                state.total.backward()
            total = total + state.detach()
        total = distributed.all_reduce(total)
        distributed.scale_gradients(net.parameters(), total)
        optimizer.step()
        costs.append(float(total.cost()))
    return costs


UNEVEN = {0: [slice(0, 9), slice(9, 16)], 1: [slice(16, 16), slice(16, 23)]}
"""What each of two processes gets of a step, in two accumulation steps; one part is empty."""


ALONE = ("one_dies", "one_hangs")
"""Cases after which there is nobody to part from."""


def parallel(rank: int) -> object:
    """Train on two processes, by DistributedDataParallel."""
    net = DistributedDataParallel(model())
    costs = train(net, UNEVEN[rank], lambda place: net.no_sync() if place == 0 else nullcontext())
    return [costs, [p.tolist() for p in net.parameters()]]


def sharded(rank: int) -> object:
    """Train on two processes, each of which holds a share of every parameter."""
    net = model()
    fully_shard(net)
    costs = train(net, UNEVEN[rank])
    return [costs, [p.full_tensor().tolist() for p in net.parameters()]]


REDUCTIONS = ("mean", "count_mean", "sum")


def slopes(net: torch.nn.Module) -> list[Any]:
    """Return the gradients of all parameters."""
    return [p.grad.tolist() for p in net.parameters() if p.grad is not None]


def scaled(rank: int) -> object:
    """Return gradients of the first step by each reduction, averaged by PyTorch, and accumulated and summed by hand."""
    (x, y), found = data(0), []
    for reduction in REDUCTIONS:
        averaged, cut = DistributedDataParallel(model()), [slice(0, 16), slice(16, None)][rank]
        state = CRITERION.state(averaged(x[cut]), y[cut])
        (state.total * distributed.backward_scale(distributed.all_reduce(state), reduction)).backward()
        summed = model()
        states = [CRITERION.state(summed(x[cut]), y[cut]) for cut in UNEVEN[rank]]
        whole = distributed.all_reduce(states[0] + states[1])
        for state in states:
            (state.total * distributed.backward_scale(whole, reduction, averaged=False)).backward()
        for parameter in summed.parameters():
            dist.all_reduce(parameter.grad)
        found.append([slopes(averaged), slopes(summed)])
    return found


def other_losses(rank: int) -> object:
    """Reduce states of losses that differ."""
    criterion = lt.Huber(delta=1.0 + rank)
    return distributed.all_reduce(criterion.state(torch.zeros(2), torch.ones(2)))


def groups_of_one(rank: int) -> object:
    """Reduce a state, with its gradients, in a group that has no other process."""
    own = [dist.new_group([each]) for each in range(2)][rank]
    state = distributed.all_reduce(CRITERION.state(torch.zeros(2 + rank, CLASSES), torch.zeros(2 + rank).long()), own)
    return [int(state.count), float(distributed.backward_scale(state, group=own))]


def others_group(rank: int) -> object:
    """Reduce a state, and scale gradients, over a group that only the first process is in."""
    own, state, told = dist.new_group([0]), some(), []
    for call in (lambda: distributed.all_reduce(state, own), lambda: distributed.backward_scale(state, group=own)):
        try:
            told.append(type(call()).__name__)
        except lm.ParameterError as error:
            told.append(str(error))
    return told


def sent(rank: int) -> object:
    """Return costs by class weights that the first process sent, and by the others before."""
    x, y = data(0)
    criterion = lt.SparseCategoricalCrossEntropy(ignore_index=-100, class_weight=(1.0, 2.0 + rank, 3.0))
    before = float(criterion(x[:, :CLASSES], y))
    dist.broadcast(criterion.class_weight, 0)
    return [before, float(criterion(x[:, :CLASSES], y))]


def spread(rank: int) -> object:
    """Return the cost of a tensor of which each process holds a half, and how many examples are invalid here."""
    mesh, criterion = init_device_mesh("cpu", (2,)), lt.SquaredError()
    x, y, bad = (
        distribute_tensor(torch.tensor(given), mesh, [Shard(0)])
        for given in ([0.0, 1.0, 2.0, 3.0], [0.0] * 4, [1.0, 1.0, 1.0, torch.nan])
    )
    cost = float(criterion(x, y).full_tensor())
    criterion(bad, y)
    return [cost, int(criterion.invalid)]


KINDS = {
    "indices": CRITERION,
    "each": lt.LogitAdjusted(prior=(0.2, 0.3, 0.5), reduction="none"),
    "shares": lt.CategoricalCrossEntropy(label_smoothing=0.1),
    "numbers": lt.LogCosh(),
}
"""Modules whose tensors several processes hold, over rows of classes, and one of single numbers."""
PLACES: dict[str, tuple[list[Any], list[Any]]] = {
    "rows": ([Shard(0)], [Shard(0)]),
    "classes": ([Shard(1)], [Replicate()]),
    "everywhere": ([Replicate()], [Replicate()]),
    "mixed": ([Shard(0)], [Replicate()]),
}
"""Where the input and the target lie; a weight lies where the target does."""


def derived(kind: str, place: Callable[[torch.Tensor, int], torch.Tensor] = lambda tensor, _: tensor) -> list[Any]:
    """Return the cost of some rows with its first and second derivatives.

    Args:
        kind: of ``KINDS``.
        place: puts a tensor on its processes; also told are 0 for an input and 1 for a target.
    """
    x, y = data(1)
    x, y, module = x[:, :CLASSES], y.clamp(min=-100 if kind == "indices" else 0), KINDS[kind]
    if kind in ("shares", "numbers"):
        y = x.flip(1).softmax(1)
    weight = place(torch.linspace(0, 1, 23).double(), 1) if kind == "indices" else None
    input = place(x, 0).requires_grad_()
    cost = module(input, place(y, 1), weight=weight)
    (slope,) = torch.autograd.grad(cost.sum(), input, create_graph=True)
    (bend,) = torch.autograd.grad(slope.square().sum(), input)
    return [(each.full_tensor() if hasattr(each, "full_tensor") else each).tolist() for each in (cost, slope, bend)]


def rows(rank: int) -> object:
    """Return costs and derivatives of tensors of which each process holds some rows, some classes, or all."""
    mesh = init_device_mesh("cpu", (2,))
    return [
        derived(kind, lambda tensor, which, places=places: distribute_tensor(tensor, mesh, places[which]))
        for kind in KINDS
        for places in PLACES.values()
    ]


def half_placed(rank: int) -> object:
    """Compare what several processes hold with what one does."""
    mesh = init_device_mesh("cpu", (2,))
    return CRITERION(distribute_tensor(torch.zeros(2, CLASSES), mesh, [Shard(0)]), torch.zeros(2).long())


def meshed(rank: int) -> object:
    """Return what a state of logits that two processes share comes to in a group of one, given as part of a mesh."""
    mesh = init_device_mesh("cpu", (2, 1), mesh_dim_names=("classes", "rows"))
    x, y = data(0)
    state = CRITERION.state(
        distribute_tensor(x[:, :CLASSES], mesh["classes"], [Shard(1)]),
        distribute_tensor(y, mesh["classes"], [Replicate()]),
    )
    told = []
    for strange in (mesh, "rows"):
        try:
            told.append(type(distributed.all_reduce(state, strange)).__name__)
        except lm.LossmithError as error:
            told.append(str(error))
    own = distributed.all_reduce(state, mesh["rows"])
    # All processes count the shared examples twice, in what is divided and in what it is divided by.
    costs = [float(each.cost()) for each in (own, distributed.all_reduce(state))]
    return [costs, int(own.count), float(distributed.backward_scale(state, group=mesh["rows"])), told]


def some() -> Any:
    """Return a state of two examples."""
    return CRITERION.state(torch.zeros(2, CLASSES), torch.zeros(2, dtype=torch.long))


def one_dies(rank: int) -> object:
    """Reduce a state that another process never comes to."""
    if rank == 1:
        sys.exit(0)
    time.sleep(0.5)
    return distributed.all_reduce(
        CRITERION.state(torch.zeros(2, CLASSES), torch.zeros(2, dtype=torch.long)), timeout=20
    )


def one_hangs(rank: int) -> object:
    """Reduce a state while another process does something else."""
    if rank == 1:
        time.sleep(4)
        return None
    return distributed.all_reduce(some(), timeout=1)


def work(rank: int, folder: Path, group: str) -> None:
    """Run cases in this process, to its end, and write what each returns, or its error."""
    sys.stdout = (folder / f"{group}.{rank}").open("w", buffering=1, encoding="utf-8")
    cases = group.split(",")
    dist.init_process_group("gloo", f"file://{folder}/{group}.meeting", rank=rank, world_size=2)
    for case in cases:
        try:
            print(repr(globals()[case](rank)))
        except Exception as error:
            print(f"{type(error).__name__}: {error}")
    if cases[-1] not in ALONE:
        dist.destroy_process_group()


def begin(rank: int, folder: Path, group: str) -> int:
    """Start a process and return its number."""
    if child := os.fork():
        return child
    code = 1
    try:
        work(rank, folder, group)
        code = 0
    except SystemExit:
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)  # threads of PyTorch that are still there now and then abort a process that ends as usual


def main() -> None:
    """Start all processes and wait for them; fail where one did."""
    folder, *groups = sys.argv[1:]
    started = [begin(rank, Path(folder), group) for group in groups for rank in range(2)]
    sys.exit(max([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0 for child in started]))


if __name__ == "__main__":
    main()

"""What a loss costs at home in a framework, beside the framework's own, interleaved in one run.

``python -m benchmarks.hosts`` prints a Markdown table: for each loss and length the time of cost and gradient with what
the framework or its usual library ships, as a multiple of ours. ``--host NAME`` takes one framework, ``--json FILE``
writes the times. Each framework runs in a process of its own.

``--small`` prints another: for each loss of PyTorch and a few numbers, our time as a multiple of theirs, forward with
backward and forward alone. All calls are timed in turns of a few, in an order that changes, as other work comes between
the calls of a training loop and takes the caches.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import timing
from benchmarks.calls import measure

LENGTHS = (128, 65_536, 8_000_000)
SMALL = (32, 128, 1024)
CLASSES = 10
TURN = 20
"""Small calls that are timed as one."""

Call = Callable[[], Any]


class Pair(NamedTuple):
    """The same cost and gradient by both.

    Attributes:
        label: the loss, and what is called in its place.
        ours, theirs: calls that return the cost and the gradient.
    """

    label: str
    ours: Call
    theirs: Call


def numbers(length: int) -> tuple[Any, Any, Any]:
    """Return predictions, targets and labels, float32."""
    rng = np.random.default_rng(length)
    f, y = (rng.normal(size=length).astype(np.float32) for _ in range(2))
    return f, y, (y > 0).astype(np.float32)


def rows(length: int) -> tuple[Any, Any]:
    """Return logits of ``CLASSES`` classes and class indices, together about ``length`` numbers."""
    rng = np.random.default_rng(length)
    count = max(1, length // CLASSES)
    return rng.normal(size=(count, CLASSES)).astype(np.float32), rng.integers(0, CLASSES, count)


class Criterion(NamedTuple):
    """A cost by a module and by a function of PyTorch, and the tensors that both take."""

    label: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    input: Any
    target: Any


def criteria(length: int, length_of_rows: int) -> Iterator[Criterion]:
    """Yield losses of PyTorch; those with classes take another length."""
    import torch
    import torch.nn.functional as F

    import lossmith.torch as lt

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    f, y, labels = map(torch.from_numpy, numbers(length))
    z, classes = map(torch.from_numpy, rows(length_of_rows))
    yield Criterion("squared error, `mse_loss`", lt.SquaredError(), F.mse_loss, f, y)
    yield Criterion("absolute error, `l1_loss`", lt.AbsoluteError(), F.l1_loss, f, y)
    yield Criterion("smooth L1, `smooth_l1_loss`", lt.SmoothL1(), F.smooth_l1_loss, f, y)
    yield Criterion("Huber, `huber_loss`", lt.Huber(), F.huber_loss, f, y)
    yield Criterion(
        "cross-entropy, `binary_cross_entropy_with_logits`",
        lt.BinaryCrossEntropy(), F.binary_cross_entropy_with_logits, f, labels,
    )  # fmt: skip
    yield Criterion("of 10 classes, `cross_entropy`", lt.SparseCategoricalCrossEntropy(), F.cross_entropy, z, classes)
    divergence = lt.KLDivergence(p_kind="probabilities", q_kind="log_probabilities")
    yield Criterion(
        "divergence of 10 classes, `kl_div`",
        lambda q, p: divergence(p=p, q=q), lambda q, p: F.kl_div(q, p, reduction="batchmean"),
        z.log_softmax(1), z.flip(0).softmax(1),
    )  # fmt: skip


def backward(criterion: Callable[..., Any], input: Any, target: Any) -> Call:
    """Return the call of a cost of PyTorch, forward and backward."""
    leaf = input.clone().requires_grad_()

    def run() -> Any:
        leaf.grad = None
        cost = criterion(leaf, target)
        cost.backward()
        return float(cost.detach()), leaf.grad

    return run


def forward(criterion: Callable[..., Any], input: Any, target: Any) -> Call:
    """Return the call of a cost of PyTorch, without a gradient."""
    return lambda: (float(criterion(input, target)), 0.0)


def by_torch(length: int) -> Iterator[Pair]:
    """Yield PyTorch: modules and ``torch.nn.functional``, forward and backward, eager."""
    for case in criteria(length, length):
        given = (case.input, case.target)
        yield Pair(case.label, backward(case.ours, *given), backward(case.theirs, *given))


def by_torch_small(length: int) -> Iterator[Pair]:
    """Yield PyTorch in small: forward and backward, and forward alone; there are a quarter as many rows as numbers."""
    for case in criteria(length, length // 4 * CLASSES):
        given = (case.input, case.target)
        yield Pair(case.label, backward(case.ours, *given), backward(case.theirs, *given))
        yield Pair(f"{case.label}, forward alone", forward(case.ours, *given), forward(case.theirs, *given))


def by_jax(length: int) -> Iterator[Pair]:
    """Yield JAX: functions and optax's, ``jax.jit`` of ``value_and_grad``, and a training step."""
    import jax
    import jax.numpy as jnp
    import optax

    import lossmith.jax as lj

    f, y, labels = map(jnp.asarray, numbers(length))
    z, classes = map(jnp.asarray, rows(length))

    def both(function: Callable[..., Any], predictions: Any, targets: Any) -> Call:
        compiled = jax.jit(jax.value_and_grad(lambda p, t: function(p, t).mean()))

        def run() -> Any:
            value, slope = compiled(predictions, targets)
            return float(value), slope.block_until_ready()

        return run

    for label, ours, theirs, targets in (
        ("squared error, `squared_error`", lj.squared_error, optax.losses.squared_error, y),
        ("Huber, `huber_loss`", lj.huber, optax.losses.huber_loss, y),
        ("log-cosh, `log_cosh`", lj.log_cosh, optax.losses.log_cosh, y),
        ("cross-entropy, `sigmoid_binary_cross_entropy`", lj.binary_cross_entropy,
         optax.losses.sigmoid_binary_cross_entropy, labels),
    ):  # fmt: skip
        yield Pair(label, both(ours, f, targets), both(theirs, f, targets))
    theirs = optax.losses.softmax_cross_entropy_with_integer_labels
    label = "of 10 classes, `softmax_cross_entropy_with_integer_labels`"
    yield Pair(label, both(lj.sparse_categorical_cross_entropy, z, classes), both(theirs, z, classes))

    def step(function: Callable[..., Any]) -> Call:
        descent = optax.sgd(0.0)  # each step is the same
        kernel = jnp.ones((CLASSES, CLASSES), jnp.float32)

        @jax.jit
        def stepped(kernel: Any, state: Any) -> Any:
            value, slope = jax.value_and_grad(lambda kernel: function(z @ kernel, classes).mean())(kernel)
            change, state = descent.update(slope, state)
            return value, optax.apply_updates(kernel, change), state

        state = descent.init(kernel)

        def run() -> Any:
            value, changed, _ = stepped(kernel, state)
            return float(value), changed.block_until_ready()

        return run

    yield Pair("the same, a training step of one layer", step(lj.sparse_categorical_cross_entropy), step(theirs))


def by_keras(length: int) -> Iterator[Pair]:
    """Yield Keras on TensorFlow: objects and Keras' own, in ``tf.function(jit_compile=True)``, and a training step."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import keras
    import tensorflow as tf

    import lossmith.keras as lk

    threads = int(os.environ["OMP_NUM_THREADS"])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    f, y, labels = (tf.constant(x[:, None]) for x in numbers(length))
    z, classes = map(tf.constant, rows(length))

    def both(loss: Any, predictions: Any, targets: Any) -> Call:
        @tf.function(jit_compile=True)
        def compiled(predictions: Any, targets: Any) -> Any:
            with tf.GradientTape() as tape:
                tape.watch(predictions)
                cost = loss(targets, predictions)
            return cost, tape.gradient(cost, predictions)

        def run() -> Any:
            value, slope = compiled(predictions, targets)
            return float(value), slope

        return run

    def step(loss: Any) -> Call:
        # At a rate of 0 each step is the same.
        model = keras.Sequential([keras.Input((CLASSES,)), keras.layers.Dense(CLASSES, kernel_initializer="ones")])
        model.compile(optimizer=keras.optimizers.SGD(0.0), loss=loss, jit_compile=True)
        return lambda: (float(model.train_on_batch(z, classes)), model.layers[-1].kernel)

    of_logits = {"from_logits": True}
    for label, ours, theirs, targets in (
        ("squared error, `MeanSquaredError`", lk.SquaredError(), keras.losses.MeanSquaredError(), y),
        ("Huber, `Huber`", lk.Huber(), keras.losses.Huber(), y),
        ("log-cosh, `LogCosh`", lk.LogCosh(), keras.losses.LogCosh(), y),
        ("cross-entropy, `BinaryCrossentropy`", lk.BinaryCrossEntropy(),
         keras.losses.BinaryCrossentropy(**of_logits), labels),
    ):  # fmt: skip
        yield Pair(label, both(ours, f, targets), both(theirs, f, targets))
    ours, theirs = lk.SparseCategoricalCrossEntropy(), keras.losses.SparseCategoricalCrossentropy(**of_logits)
    yield Pair("of 10 classes, `SparseCategoricalCrossentropy`", both(ours, z, classes), both(theirs, z, classes))
    yield Pair("the same, a training step of one layer", step(ours), step(theirs))


HOSTS: dict[str, Callable[[int], Iterator[Pair]]] = {"torch": by_torch, "jax": by_jax, "keras": by_keras}


def run_host(name: str, lengths: list[int], rounds: int) -> list[tuple[str, int, float, float]]:
    """Return the label, the length and the microseconds of both, for every pair of a framework."""
    found = []
    for length in lengths:
        for pair in HOSTS[name](length):
            # Costs of Keras are off by a hundredth where millions of floats are added one after the other.
            for mine, other, rtol in zip(pair.ours(), pair.theirs(), (2e-2, 2e-4), strict=True):
                np.testing.assert_allclose(
                    np.asarray(mine), np.asarray(other), rtol=rtol, atol=1e-6, err_msg=pair.label
                )
            found.append((pair.label, length, *measure(pair.ours, pair.theirs, rounds)))
    return found


def run_small(length: int, rounds: int) -> list[tuple[str, float, float]]:
    """Return the label and the microseconds of both, for every pair of small tensors of PyTorch."""
    pairs = list(by_torch_small(length))
    for pair in pairs:
        for mine, other in zip(pair.ours(), pair.theirs(), strict=True):
            np.testing.assert_allclose(np.asarray(mine), np.asarray(other), rtol=1e-4, atol=1e-6, err_msg=pair.label)
    calls = {(pair.label, place): call for pair in pairs for place, call in enumerate((pair.ours, pair.theirs))}
    times: dict[tuple[str, int], list[float]] = {key: [] for key in calls}
    order = list(calls)
    for number in range(rounds):
        random.Random(number).shuffle(order)
        for key in order:
            times[key].append(timing.seconds(calls[key], TURN) * 1e6)
    quarter = {key: statistics.quantiles(taken, n=4)[0] for key, taken in times.items()}
    return [(pair.label, quarter[pair.label, 0], quarter[pair.label, 1]) for pair in pairs]


def print_small(rounds: int) -> None:
    """Print the table of small tensors of PyTorch."""
    lengths = [f"{length:,}" for length in SMALL]
    print(f"| loss, and theirs | {' | '.join(lengths)} |\n| --- |{' ---: |' * len(lengths)}")
    cells: dict[str, list[str]] = {}
    for length in SMALL:
        for label, mine, other in run_small(length, rounds):
            cells.setdefault(label, []).append(f"{mine / other:.2f}, {mine:.0f} µs")
    for label, found in cells.items():
        print(f"| {label} | {' | '.join(found)} |")
    print("\nOur time as a multiple of theirs, and our time, each the lower quartile.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", action="append", default=[], choices=HOSTS, help="framework; may be repeated")
    parser.add_argument("--length", action="append", default=[], type=int, help="numbers in a call; may be repeated")
    parser.add_argument("--small", action="store_true", help="small tensors of PyTorch, also forward alone")
    parser.add_argument("--rounds", type=int, help="interleaved rounds, by default 15, or 200 of small tensors")
    parser.add_argument("--threads", type=int, help="threads of everybody, by default all, or one of small tensors")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the times there")
    options = parser.parse_args()
    timing.set_threads(options.threads or (1 if options.small else timing.processors()))
    if options.small:
        print_small(options.rounds or 200)
        return
    lengths, times = options.length or list(LENGTHS), {}
    print("| framework | loss, and theirs | " + " | ".join(f"{length:,}" for length in lengths) + " |")
    print("| --- | --- |" + " ---: |" * len(lengths))
    for name in options.host or HOSTS:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            times[name] = pool.submit(run_host, name, lengths, options.rounds or 15).result()
        by_label: dict[str, list[str]] = {}
        for label, _, mine, other in times[name]:
            by_label.setdefault(label, []).append(f"{other / mine:.2f}, {mine:,.0f} µs")
        for label, cells in by_label.items():
            print(f"| {name} | {label} | " + " | ".join(cells) + " |", flush=True)
    print("\nTheir time as a multiple of ours, above 1 where ours is less, and our time.")
    if options.json:
        options.json.write_text(json.dumps(times, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

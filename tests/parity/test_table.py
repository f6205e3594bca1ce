"""The table is complete: every loss of a peer has a row or a reason, and every row can be read."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import version

import pytest

import lossmith as lm
from tests.parity import arrays, relation
from tests.parity.adapters import resolve
from tests.parity.table import CONSTANTS, FOLDER, GRADIENTS, KINDS, ROWS, Difference, Peer, Row, peers


def losses_of_pytorch() -> Iterator[str]:
    listed = resolve("torch.nn.modules.loss.__all__")  # not all losses lie in that file
    yield from (f"torch.nn.{name}" for name in dir(import_module("torch.nn")) if name in listed or "Loss" in name)
    functional = "torch.nn.functional"
    for name in dir(import_module(functional)):
        if name.endswith(("_loss", "_div")) or "cross_entropy" in name:
            yield f"{functional}.{name}"


def losses_of_keras() -> Iterator[str]:
    module = resolve("keras.losses")
    for name in dir(module):
        if not name.startswith("_") and name not in ("Loss", "deserialize", "get", "serialize"):
            yield f"keras.losses.{name}"
    yield "keras.distillation.LogitsDistillation"


def losses_of_optax() -> Iterator[str]:
    module = resolve("optax.losses")
    yield from (f"optax.losses.{name}" for name in dir(module) if inspect.isfunction(getattr(module, name)))


def losses_of_scikit_learn() -> Iterator[str]:
    for name in resolve("sklearn.metrics.__all__"):
        if name.endswith(("_loss", "_error", "_deviance")) or name.startswith("mean_"):
            yield f"sklearn.metrics.{name}"
    module = import_module("sklearn._loss.loss")
    for name, found in inspect.getmembers(module, inspect.isclass):
        if issubclass(found, module.BaseLoss) and found is not module.BaseLoss and not name.endswith("ArrayAPI"):
            yield f"{module.__name__}.{name}"
    module = import_module("sklearn.linear_model._sgd_fast")
    bases = (module.Classification, module.Regression)
    for name, found in inspect.getmembers(module, inspect.isclass):
        if issubclass(found, bases) and found not in bases:
            yield f"{module.__name__}.{name}"


PUBLIC = {
    "PyTorch": losses_of_pytorch,
    "Keras": losses_of_keras,
    "optax": losses_of_optax,
    "scikit-learn": losses_of_scikit_learn,
}


@pytest.mark.parametrize("peer", peers(), ids=lambda peer: peer.name)
def test_every_loss_of_a_peer_has_a_row_or_a_reason(peer: Peer) -> None:
    listed = {name for row in peer.rows for name in row.names}
    assert listed | set(peer.absent) == set(PUBLIC[peer.name]())
    assert listed & set(peer.absent) == set()


@pytest.mark.parametrize("peer", peers(), ids=lambda peer: peer.name)
def test_the_table_is_about_the_version_that_is_installed(peer: Peer) -> None:
    assert version(peer.package).partition("+")[0] == peer.version, "read the peer's changes, then the table again"


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_row_is_well_formed(row: Row) -> None:
    words = {**arrays.ELEMENTS, **arrays.ROWS}
    assert {item.name for item in row.loss.inputs} <= set(row.inputs)
    assert set(row.inputs.values()) <= set(words)
    assert sorted(row.arguments) == sorted(row.inputs)
    assert row.constant in CONSTANTS
    assert row.gradient in GRADIENTS
    assert set(row.takes) <= set(row.inputs)
    assert all(relation.taken(word) for word in row.takes.values())
    assert row.reductions or row.returns
    for text in (row.note, *(item.text for item in row.differs)):
        assert text == text.strip()
        assert not text or text.endswith(".")
    for item in row.differs:
        assert item.kind in KINDS
        assert lm.parse(item.loss)
        assert set(item.names) <= set(row.names)


def test_fields_are_explained() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    fields = {name for kind in (Row, Peer, Difference) for name in kind.__dataclass_fields__} - {"rows", "name"}
    assert [name for name in sorted(fields) if f"`{name}`" not in text] == []
    for word in {**arrays.ELEMENTS, **arrays.ROWS}:
        assert f"`{word}`" in text

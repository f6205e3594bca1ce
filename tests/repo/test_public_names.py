"""The public names: what is there resolves, what is not there says so, nothing slips in unseen."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

import lossmith as lm
from lossmith import errors
from lossmith.frameworks.stubs import jax_stub, keras_stub, stub, torch_stub

NAMES = {
    "Binary", "Card", "Context", "CostState", "Divergence", "Domain", "DomainError", "ElasticNet", "EmptyError",
    "Example", "FormulaError", "KindError", "Kink", "L1", "L2", "Loss", "LossNotFoundError", "LossmithError",
    "LossmithWarning", "MergeError", "MissingDependencyError", "Myth", "NoConstantError", "Option", "Parameter",
    "ParameterError", "Pointwise", "Program", "ProgramError", "Reference", "ShapeError", "Sum", "TableError",
    "Traits", "check", "choose", "entropy", "export", "family", "formula", "from_config", "get", "get_num_threads",
    "learn",
    "loss", "loss_class", "names", "parse", "set_num_threads",
}  # fmt: skip
CLASSES = {lm.loss_class(name).__name__ for name in lm.names()}


def test_public_names_are_these_and_the_losses() -> None:
    assert set(lm.__all__) == NAMES | CLASSES


@pytest.mark.parametrize("name", sorted(NAMES | CLASSES))
def test_every_name_resolves(name: str) -> None:
    assert getattr(lm, name).__name__ == name


def test_the_issue_of_the_first_release_is_there() -> None:
    first = "MeanError SquaredError AbsoluteError Huber Quantile LogCosh Poisson BinaryCrossEntropy Focal Hinge "
    assert set((first + "SquaredHinge ZeroOne").split()) <= CLASSES


@pytest.mark.parametrize(
    ("alias", "cls"),
    [("mse", "SquaredError"), ("l2", "SquaredError"), ("mae", "AbsoluteError"), ("l1", "AbsoluteError"),
     ("pinball", "Quantile"), ("bce", "BinaryCrossEntropy"), ("log_loss", "BinaryCrossEntropy")],
)  # fmt: skip
def test_aliases_that_people_type(alias: str, cls: str) -> None:
    assert type(lm.get(alias)).__name__ == cls


@pytest.mark.parametrize("name", ["Hubr", "huber", "Huberr", "nothing", "HUBER"])
def test_unknown_names_raise_attribute_errors(name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        getattr(lm, name)


def test_a_wrong_name_gets_a_suggestion() -> None:
    with pytest.raises(AttributeError, match="Did you mean 'huber'"):
        _ = lm.Hubr  # type: ignore[attr-defined]


def test_every_error_is_a_lossmith_error_and_a_built_in_one() -> None:
    for name in NAMES:
        found = getattr(lm, name)
        if name.endswith("Error") and name != "LossmithError" and name not in CLASSES:
            assert issubclass(found, lm.LossmithError)
            assert issubclass(found, ValueError | TypeError | KeyError | ImportError)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = {line.split("── ")[1].split(" ")[0] for line in (errors.__doc__ or "").splitlines() if "── " in line}
    assert drawn == {cls.__name__ for cls in errors.LossmithError.__subclasses__() if cls.__module__ == errors.__name__}


def test_the_stub_names_everything_and_its_signatures() -> None:
    tree = ast.parse(stub())
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    assert set(classes) == CLASSES
    assert "delta: float" in ast.unparse(classes["Huber"])
    imported = {alias.asname for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported >= NAMES


@pytest.mark.parametrize("made", [torch_stub, keras_stub])
def test_the_stubs_of_modules_and_objects_name_every_loss_and_its_signature(made: Callable[[], str]) -> None:
    classes = {node.name: node for node in ast.parse(made()).body if isinstance(node, ast.ClassDef)}
    assert set(classes) == CLASSES
    assert "delta: float=..., *, reduction: Literal" in ast.unparse(classes["Huber"])


def test_the_stub_of_functions_names_every_loss_and_its_signature() -> None:
    functions = {node.name: node for node in ast.parse(jax_stub()).body if isinstance(node, ast.FunctionDef)}
    assert set(functions) == set(lm.names())
    assert ast.unparse(functions["huber"].args) == "predictions: ArrayLike, targets: ArrayLike, delta: float=..."
    assert ast.unparse(functions["total_variation"].args).startswith("*, p: ArrayLike, q: ArrayLike, ")


@pytest.mark.parametrize("made", [stub, torch_stub, keras_stub, jax_stub])
def test_stubs_take_arrays_and_tensors_as_class_weights(made: Callable[[], str]) -> None:
    for node in ast.parse(made()).body:
        if getattr(node, "name", "") in ("SparseCategoricalCrossEntropy", "sparse_categorical_cross_entropy"):
            assert "class_weight: npt.ArrayLike | None=..." in ast.unparse(node)
            return
    raise AssertionError


def test_the_stub_of_modules_has_the_reductions_that_each_takes() -> None:
    tree = ast.parse(torch_stub())
    shown = {node.name: ast.unparse(node) for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    divergences = {name for name in CLASSES if issubclass(lm.loss_class(name), lm.Divergence)}
    assert {name for name, text in shown.items() if "'batchmean'" in text} >= {*divergences, "module"}
    assert "'batchmean'" not in shown["Huber"]
    assert "Literal['mean', 'count_mean', 'sum', 'none']" in shown["Huber"]


def test_repository_says_nothing_of_one_machine() -> None:
    root = Path(__file__).resolve().parents[2]
    for folder in ("src", "docs", "benchmarks", "examples"):
        for path in (root / folder).rglob("*"):
            if path.suffix in (".py", ".md", ".html", ".toml"):
                text = path.read_text(encoding="utf-8")
                assert "/root/" not in text, path
                assert "/work/" not in text, path

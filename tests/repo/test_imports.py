"""Who may import whom, and what importing loads."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import lossmith

PACKAGE = Path(lossmith.__file__).parent

# Each room and the rooms that it may know. `errors` is a leaf that everyone knows.
ROOMS = {
    "errors": set(),
    "files": {"errors"},
    "program": {"errors"},
    "engines": {"errors", "files", "program"},
    "core": {"errors", "program", "engines"},
    "structures": {"errors", "program", "engines", "core"},
    "losses": {"errors", "program", "core", "structures"},
    "custom": {"errors", "program", "engines", "core", "structures", ""},
    "lightgbm": {"errors", "frameworks"},
    "xgboost": {"errors", "frameworks"},
    "catboost": {"errors", "frameworks"},
    "regularizers": {"errors", "core"},
    "relations": {"core"},
    "learning": {"errors", "core"},
    "frameworks": {"errors", "program", "core", "engines", "structures", "regularizers", ""},
    "torch": {"errors", "frameworks"},
    "jax": {"errors", "frameworks"},
    "keras": {"errors", "frameworks"},
    "sklearn": {"errors", "frameworks"},
    "scoring": {"errors", "core", ""},
    "plotting": {"errors", "core", ""},
    "choosing": {"errors", "files", "core", "scoring", "plotting", "lightgbm", ""},
    "cli": {
        *("errors", "files", "core", "custom", "relations", "learning", "checking", "scoring", "plotting"),
        *("choosing", ""),
    },
    "certify": {"errors", "program", "engines", "core", "structures", "frameworks"},
    "checking": {"errors", "program", "engines", "core", "structures", "certify"},
}
# Names resolved when they are used, against the direction of imports: each is one lookup.
LATE = {
    ("core/registry.py", "losses"),  # finds losses by walking their folder
    ("core/loss.py", "plotting"),  # loss.plot()
    ("core/sums.py", "structures"),  # a + b
    ("core/registry.py", "structures"),  # sums from their configuration
    ("core/registry.py", "custom"),  # formulas from theirs
    ("core/registry.py", "regularizers"),  # regularisers from theirs
    ("certify/command.py", "cli"),  # prints as commands do
    ("frameworks/torch/modules.py", "torch"),  # where modules say that they are at home
    ("frameworks/jax/functions.py", "jax"),  # and functions
    ("frameworks/keras/objects.py", "keras"),  # and objects
}


def imports(path: Path, package: str = "lossmith") -> Iterator[str]:
    """Yield the rooms that a file imports; the empty name is the package itself."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        found: list[str] = []
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the room"
            found = [node.module or ""]
            if node.module == package:
                rooms = [alias.name for alias in node.names if (PACKAGE / alias.name).exists()]
                found = [f"{package}.{room}" for room in rooms] or [package]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith(f"{package}."):
            head = node.value.split(" ")[0]
            found = [head] if head == node.value and all(part.isidentifier() for part in head.split(".")) else []
        for name in found:
            if name == package or name.startswith(f"{package}."):
                yield name.partition(".")[2].partition(".")[0]


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def violations(path: Path) -> list[str]:
    here, place = room_of(path), path.relative_to(PACKAGE).as_posix()
    allowed = ROOMS[here] | {here} | {room for file, room in LATE if file == place}
    return sorted({room for room in imports(path) if room not in allowed})


FILES = sorted(p for p in PACKAGE.rglob("*.py") if p.name not in ("__main__.py",) and p != PACKAGE / "__init__.py")


def test_a_room_knows_only_the_rooms_below() -> None:
    assert {path: found for path in FILES if (found := violations(path))} == {}


def test_the_truth_knows_no_engine() -> None:
    assert set(imports(PACKAGE / "certify" / "meaning.py")) == {"program"}
    assert set(imports(PACKAGE / "certify" / "oracle.py")) == {"certify"}


def test_every_room_has_a_rule() -> None:
    assert {room_of(path) for path in FILES} == set(ROOMS)


def test_the_rule_can_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / "program" / "bad.py"
    bad.parent.mkdir()
    bad.write_text("from lossmith.core.loss import Loss\nHOME = 'lossmith.losses.binary'\n")
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    assert violations(bad) == ["core", "losses"]


def test_only_its_own_room_knows_llvm_and_frameworks() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for framework in ("torch", "tensorflow", "keras", "jax", "llvmlite"):
                own = {"engines/llvm"} if framework == "llvmlite" else {f"frameworks/{framework}", framework}
                if path.parent.relative_to(PACKAGE).as_posix() in own or path == PACKAGE / f"engines/{framework}.py":
                    continue
                assert not any(n.split(".")[0] == framework for n in names), f"{path} imports {framework}"


def loaded_by(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


HEAVY = {
    "sympy",
    "mpmath",
    "scipy",
    "sklearn",
    "lightgbm",
    "xgboost",
    "catboost",
    "matplotlib",
    "duckdb",
    "nanoarrow",
    "jinja2",
    "click",
    "rich",
    "llvmlite",
}


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not loaded_by("import lossmith") & (HEAVY | {"numpy"})


def test_using_a_loss_loads_numpy_and_nothing_heavier() -> None:
    loaded = loaded_by("import lossmith as lm\nlm.Huber()([1.0], [2.0])\nlm.get('mse')\nlm.names('binary')")
    assert "numpy" in loaded
    assert not loaded & HEAVY


def test_the_load_check_can_fail() -> None:
    assert "sympy" in loaded_by("import sympy")

"""Rooms stay readable: a loss file under 100 lines, any other under 400, lines that an editor shows."""

from pathlib import Path

import lossmith

ROOT = Path(__file__).resolve().parents[2]
LOSSES = Path(lossmith.__file__).parent / "losses"
FILES = sorted(path for folder in ("src", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py"))


def limit(path: Path) -> int:
    return 100 if LOSSES in path.parents else 400


def test_size() -> None:
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {path: size for path, size in lines.items() if size > limit(path)} == {}


def test_the_limits_differ() -> None:
    assert limit(LOSSES / "regression" / "huber.py") == 100
    assert limit(LOSSES.parent / "core" / "loss.py") == 400

"""The examples run as people run them, and what they print goes down."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.py"))
SECONDS, LINES = 60, 100  # a quarter of that on an idle core

QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}  # TensorFlow talks of the processor otherwise


def printed(script: str, folder: Path) -> str:
    """Return what a script prints, run from some other folder with warnings as errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / script)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **QUIET, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=SECONDS,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def trained(text: str) -> dict[str, list[float]]:
    """Return the costs that were printed in training, by what it was with."""
    parts = re.split(r"^training with (.+)$", text, flags=re.MULTILINE)[1:]
    found = zip(parts[::2], parts[1::2], strict=True)
    return {
        name: [float(x) for x in re.findall(r"^  \w+ +\d+  cost (\S+)$", told, re.MULTILINE)] for name, told in found
    }


@pytest.mark.parametrize(
    ("script", "losses"),
    [
        (
            "recipe_numpy.py",
            ["SquaredError()", "0.5 * SquaredError() + 0.3 * AbsoluteError() + 0.2 * Quantile(level=0.9)"],
        ),
        ("recipe_torch.py", ["Huber", "Offer"]),
        ("recipe_tensorflow.py", ["Huber", "Offer"]),
        ("recipe_jax.py", ["Huber", "Offer"]),
    ],
)
def test_a_recipe_trains(tmp_path: Path, script: str, losses: list[str]) -> None:
    text = printed(script, tmp_path)
    costs = trained(text)
    assert list(costs) == losses
    for seen in costs.values():
        assert len(seen) >= 4
        assert seen == sorted(seen, reverse=True)
        assert seen[-1] < 0.7 * seen[0]
    usual, own = (int(share) for share in re.findall(r"too little (?:for|to) (\d+)%", text))
    assert own < usual  # which is what the loss of one's own is for


def test_the_story_of_learning_is_true(tmp_path: Path) -> None:
    text = printed("how_loss_guides_learning.py", tmp_path)
    numbers = dict(re.findall(r"^  (cost|by intercept|by slope|new cost) +(\S+)$", text, re.MULTILINE))
    assert float(numbers["new cost"]) < float(numbers["cost"])
    learned = re.findall(r"cost +(\S+) at the start, (\S+) at the end\n    it learns \S+ \+ (\S+) \* hours", text)
    assert len(learned) == 3
    assert all(float(last) < float(first) for first, last, _ in learned)
    squared, huber, absolute = (float(slope) for *_, slope in learned)
    assert abs(absolute - 2) < abs(huber - 2) < abs(squared - 2)
    shares = [float(share) for share in re.findall(r"the outlier has (\S+)% of the pull", text)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == 12.5


def test_a_cost_in_money_beats_squared_error(tmp_path: Path) -> None:
    rows = re.findall(
        r"^(.{14}) +([\d,]+) +([\d,]+) +([\d,]+) +(-?[\d,]+) to ([\d,]+) +(\d+)%, (\d+)%$",
        printed("asymmetric_business_cost.py", tmp_path),
        re.MULTILINE,
    )
    assert [name.strip() for name, *_ in rows] == ["LightGBM", "linear model"]
    for _, *numbers in rows:
        usual, own, saved, low, high, often, seldom = (float(number.replace(",", "")) for number in numbers)
        assert saved == pytest.approx(usual - own, abs=1.5)
        assert saved > 0.1 * usual
        assert 0 < low < saved < high
        assert seldom < often


def test_every_example_is_run_here_and_short() -> None:
    assert SCRIPTS == [
        "asymmetric_business_cost.py",
        "how_loss_guides_learning.py",
        "recipe_jax.py",
        "recipe_numpy.py",
        "recipe_tensorflow.py",
        "recipe_torch.py",
    ]
    for script in SCRIPTS:
        lines = (EXAMPLES / script).read_text(encoding="utf-8").splitlines()
        assert len(lines) < LINES, script
        assert f"    python examples/{script}" in lines[:5]

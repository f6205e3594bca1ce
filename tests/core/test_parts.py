"""The small parts: exact sums, domains, parameters, options, links and the registry."""

from __future__ import annotations

import itertools
import math
import pickle
import shutil
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lossmith as lm
from lossmith.core import registry
from lossmith.core.configured import snake_case
from lossmith.core.domain import Domain
from lossmith.core.link import LINKS
from lossmith.core.outputs import room, set_apart
from lossmith.core.state import ExactSum
from lossmith.program import Ops

FINITE = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e300, max_value=1e300)


@given(st.lists(FINITE, max_size=40))
def test_exact_sum_is_the_rounded_sum_of_fractions(terms: list[float]) -> None:
    assert ExactSum().add(*terms).value == float(sum(map(Fraction, terms)))


@given(st.lists(st.lists(FINITE, max_size=8), min_size=1, max_size=6), st.randoms())
def test_exact_sums_merge_in_any_order_and_grouping(groups: list[list[float]], random: Any) -> None:
    parts = [ExactSum().add(*group) for group in groups]
    while len(parts) > 1:
        random.shuffle(parts)
        parts = [parts[0].merge(parts[1]), *parts[2:]]
    assert parts[0].value == float(sum(Fraction(term) for group in groups for term in group))


def test_a_running_float_sum_would_fail_that() -> None:
    terms = [1e16, 1.0, -1e16]
    assert sum(terms) != float(sum(map(Fraction, terms)))


@pytest.mark.parametrize(
    ("terms", "value"),
    [
        ((math.inf, 1.0), math.inf),
        ((-math.inf,), -math.inf),
        ((math.inf, -math.inf), math.nan),
        ((1e308, 1e308), math.inf),
    ],
)
def test_sums_that_are_not_finite(terms: tuple[float, ...], value: float) -> None:
    got = ExactSum().add(*terms).value
    assert got == value or (math.isnan(got) and math.isnan(value))


@pytest.mark.parametrize("text", ["(0, inf)", "[0, 1]", "(-1, 1]", "{0, 1}", "(-inf, inf)", "[0.5, 2)"])
def test_domains_read_and_print_alike_and_agree_with_themselves(text: str) -> None:
    domain = Domain.parse(text)
    assert str(domain) == text
    plain = Ops(lambda name, a: {"lt": lambda: a[0] < a[1], "le": lambda: a[0] <= a[1], "equal": lambda: a[0] == a[1],
                                 "both": lambda: a[0] and a[1], "either": lambda: a[0] or a[1]}[name]())  # fmt: skip
    for x in (-math.inf, -1.0, -0.0, 0.0, 5e-324, 0.5, 1.0, 1.5, 2.0, 1e308, math.inf, math.nan):
        assert domain.contains(plain, x) == domain.includes(x)
    assert not domain.includes(math.nan)
    assert not domain.includes(math.inf)


@pytest.mark.parametrize("text", ["0, 1", "[1, 0]", "(0, inf", "", "{}", "(a, b)"])
def test_what_is_no_domain_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"domain|could not convert"):
        Domain.parse(text)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lm.Huber(delta=0), r"Huber\(delta=0\): delta must lie in \(0, inf\) .size of residual"),
        (lambda: lm.Huber(delta=math.nan), "delta must lie in"),
        (lambda: lm.Huber(delta=math.inf), "delta must lie in"),
        (lambda: lm.Huber(delta="1"), "must be a number in .*, got str"),
        (lambda: lm.Huber(delta=True), "must be a number .* got bool"),
        (lambda: lm.Huber(delta=None), "must be a number .* got NoneType"),
        (lambda: lm.Huber(1, 2), r"takes 1 value \(delta\), got 2"),
        (lambda: lm.Huber(1, delta=2), "got delta twice"),
        (lambda: lm.SquaredError(delta=1), "has no parameter 'delta'; it takes none"),
        (lambda: lm.Quantile(levle=0.5), "Did you mean 'level'"),
        (
            lambda: lm.BinaryCrossEntropy(prediction="logit"),
            "must be 'logits' or 'probabilities'. Did you mean 'logits'",
        ),
        (lambda: lm.BinaryCrossEntropy(labels=1), "labels must be 'binary' or 'signed'"),
        (lambda: lm.Poisson(full=1), "full must be False or True"),
        (lambda: lm.BinaryCrossEntropy(eps=1e-7), "eps is for probabilities"),
        (lambda: lm.Hinge(prediction="probabilities"), "distance on the scale of raw scores"),
        (lambda: lm.Hinge(eps=1e-7), "has no parameter 'eps'"),
    ],
)
def test_impossible_parameters_are_refused(make: Any, message: str) -> None:
    with pytest.raises(lm.ParameterError, match=message):
        make()


def test_numbers_of_any_type_are_parameters() -> None:
    assert lm.Huber(np.float32(2)) == lm.Huber(delta=2) == lm.Huber(np.int64(2))
    assert lm.Focal(3).values["gamma"] == 3.0
    assert lm.Focal(alpha=None).values["alpha"] is None


def test_losses_are_immutable() -> None:
    with pytest.raises(AttributeError, match=r"make another, for example Huber\(delta=...\)"):
        lm.Huber().delta = 2  # type: ignore[misc]


def test_a_class_shows_its_declarations() -> None:
    assert lm.Huber.delta.default == 1.0
    assert list(lm.Focal.parameters()) == ["gamma", "alpha", "eps"]
    assert "delta" in str(__import__("inspect").signature(lm.Huber))


@pytest.mark.parametrize("link", LINKS.values(), ids=lambda link: link.name)
def test_links_invert_and_pickle(link: Any) -> None:
    raw = np.array([-30.0, -1.0, 0.0, 2.0, 30.0])
    np.testing.assert_allclose(link.forward(link.inverse(raw)), raw, rtol=1e-3 if link.name == "logistic" else 1e-14)
    assert pickle.loads(pickle.dumps(link)) is link
    assert np.all(np.diff(link.inverse(raw)) > 0)


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("BinaryCrossEntropy", "binary_cross_entropy"),
        ("GaussianNLL", "gaussian_nll"),
        ("SmoothL1", "smooth_l1"),
        ("CRPS", "crps"),
    ],
)
def test_class_names_become_file_names(name: str, snake: str) -> None:
    assert snake_case(name) == snake


@pytest.mark.parametrize("name", lm.names())
def test_names_classes_and_aliases_find_the_same_loss(name: str) -> None:
    cls = registry.loss_class(name)
    for spelling in (name, name.upper(), name.replace("_", "-"), cls.__name__, *cls.aliases):
        assert registry.loss_class(spelling) is cls
    assert cls.__module__.endswith(f".{registry.family(name)}.{name}")


@pytest.mark.parametrize(
    ("text", "loss"),
    [
        ("huber", lm.Huber()), (" huber ( delta = 2 ) ", lm.Huber(delta=2)), ("Huber(2)", lm.Huber(delta=2)),
        ("bce(prediction=probabilities)", lm.BinaryCrossEntropy(prediction="probabilities")),
        ("bce(prediction='probabilities', eps=1e-7)", lm.BinaryCrossEntropy(prediction="probabilities", eps=1e-7)),
        ("focal(alpha=None)", lm.Focal()), ("quantile()", lm.Quantile()), ("poisson(full=True)", lm.Poisson(full=True)),
    ],
)  # fmt: skip
def test_losses_as_text(text: str, loss: lm.Loss) -> None:
    assert lm.parse(text) == loss


@pytest.mark.parametrize(
    "text",
    [
        "huber(",
        "huber(delta=)",
        "huber(delta=2))",
        "huber(delta=__import__('os'))",
        "huber(*[1])",
        "huber(**{})",
        "huber(1)(2)",
    ],
)
def test_text_that_is_no_loss_is_refused_and_never_run(text: str) -> None:
    with pytest.raises(lm.ParameterError, match=r"cannot read the loss .* such as huber\(delta=1.0\)"):
        lm.parse(text)


@pytest.mark.parametrize("config", [{}, {"loss": "huber"}, [], {"loss": "huber", "parameters": {}, "more": 1}])
def test_what_is_no_configuration_is_refused(config: Any) -> None:
    with pytest.raises(lm.ParameterError, match="a configuration is"):
        lm.from_config(config)


def test_a_new_file_is_a_new_loss_and_nothing_else_is_edited(tmp_path: Path) -> None:
    """Run a copy of the package with a thirteenth loss in its folder."""
    import subprocess
    import sys

    package = tmp_path / "lossmith"
    shutil.copytree(Path(lm.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    huber = (package / "losses" / "regression" / "huber.py").read_text(encoding="utf-8")
    fair = huber.replace("class Huber", "class Fair").replace(
        "return ops.where(a <= self.delta, r * r / 2, self.delta * (a - self.delta / 2))",
        "return self.delta * self.delta * (a / self.delta - ops.log1p(a / self.delta))",
    )
    assert fair.count("log1p") == 1
    (package / "losses" / "regression" / "fair.py").write_text(fair, encoding="utf-8")
    code = "import lossmith as lm; print('fair' in lm.names(), lm.Fair(delta=2).gradient([0.0], [2.0]), lm.get('fair'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True [1.] Fair(delta=1)"


def test_large_results_begin_elsewhere_in_their_pages_than_inputs_and_one_another() -> None:
    shape, places = (1 << 18,), list[int]()
    for part in ("gradient:f", "hessian:f", "losses"):
        array = room(shape[0], part, {"f": np.empty(shape)}, np.dtype(np.float32))
        assert array.shape == shape
        places.append(array.ctypes.data % 4096)
    for place, other in itertools.combinations((16, *places), 2):
        assert min((place - other) % 4096, (other - place) % 4096) >= 256
    assert all(place % 64 == 0 for place in places)
    assert set_apart((7, 3), np.dtype(np.float64), "F").flags.f_contiguous


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_of_a_megabyte_begin_at_a_cache_line(dtype: Any) -> None:
    for rows in (2**20 // np.dtype(dtype).itemsize, 300_001):
        y, f = np.zeros(rows, dtype), np.ones(rows, dtype)
        for gradient in (lm.Huber().gradient(y, f), lm.Huber().cost_and_gradient(y, f)[1]):
            assert gradient.ctypes.data % 64 == 0

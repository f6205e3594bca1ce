"""The names that people type: each finds its loss, or hears what to take instead."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import lossmith as lm
from lossmith.core.elsewhere import _CALLED, _SAID, elsewhere, known

FOUND = {
    "mean_error": "me mbe bias signed_error",
    "squared_error": "mse l2 mean_squared_error MSELoss mse_loss least_squares quadratic",
    "half_squared_error": "half_mse l2_loss",
    "absolute_error": "mae l1 mean_absolute_error L1Loss l1_loss lad",
    "huber": "huber_loss HuberLoss",
    "smooth_l1": "smoothl1 SmoothL1Loss",
    "log_cosh": "logcosh log-cosh",
    "quantile": "pinball pinball_loss quantile_loss check_loss",
    "absolute_percentage_error": "mape",
    "symmetric_percentage_error": "smape",
    "squared_log_error": "msle mean_squared_logarithmic_error",
    "poisson": "poisson_nll PoissonNLLLoss",
    "gaussian_nll": "GaussianNLLLoss heteroscedastic",
    "binary_cross_entropy": "bce log_loss BCELoss bce_with_logits BCEWithLogitsLoss binary_crossentropy logistic",
    "categorical_cross_entropy": "ce cross_entropy CrossEntropyLoss categorical_crossentropy",
    "sparse_categorical_cross_entropy": "nll NLLLoss nll_loss sparse_categorical_crossentropy",
    "focal": "focal_loss sigmoid_focal binary_focal",
    "hinge": "svm hinge_loss",
    "crammer_singer": "categorical_hinge multiclass_hinge",
    "weston_watkins": "MultiMarginLoss",
    "zero_one": "0-1 0-1_loss zero_one_loss misclassification error_rate",
    "kl_divergence": "kl kld kl_div KLDivLoss kullback_leibler",
    "jensen_shannon": "js jsd",
    "triplet": "triplet_loss TripletMarginLoss",
    "gan_discriminator": "discriminator critic",
    "gan_generator": "generator",
    "distillation": "kd knowledge_distillation",
}


@pytest.mark.parametrize(("name", "typed"), [(name, word) for name, words in FOUND.items() for word in words.split()])
def test_names_that_people_type(name: str, typed: str) -> None:
    assert lm.get(typed).name == name


def test_log_probabilities_are_logits_so_nll_is_sparse_cross_entropy() -> None:
    p = [[0.5, 0.2, 0.3]]
    logs = [[-0.6931471805599453, -1.6094379124341003, -1.2039728043259361]]
    assert lm.get("nll")([0], logs) == pytest.approx(lm.get("nll", prediction="probabilities")([0], p), rel=1e-15)


@pytest.mark.parametrize("key", sorted(known()))
def test_a_name_that_is_no_loss_says_what_to_take(key: str) -> None:
    for typed in (key, f"{key}_loss", key.upper()):
        with pytest.raises(lm.LossNotFoundError) as raised:
            lm.get(typed)
        assert "Did you mean" not in str(raised.value)
        assert elsewhere(key) in str(raised.value)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("reg:squarederror", "squared_error"), ("binary:logistic", "binary_cross_entropy"), ("ls", "squared_error"),
        ("multi:softprob", "sparse_categorical_cross_entropy"), ("count:poisson", "poisson"), ("binary", "binary_"),
        ("regression_l1", "absolute_error"), ("reg:quantileerror", "quantile"), ("RMSEWithUncertainty", "gaussian_nll"),
    ],
)  # fmt: skip
def test_objectives_of_boosters_are_answered_with_our_names(theirs: str, ours: str) -> None:
    with pytest.raises(lm.LossNotFoundError, match=f"no loss is called '{theirs}': it is called {ours}"):
        lm.get(theirs)


def test_what_it_says_to_take_is_there() -> None:
    there = {*lm.names(), "lossmith", "L1", "L2", "ElasticNet", "weight", "class_weight", "label_smoothing", "kind"}
    for key in known():
        for word in re.findall(r"[a-z]+(?:_[a-z]+)+|\bL\d\b|ElasticNet", elsewhere(key)):
            assert word in there or word in ("least_squares",), word


KEYWORDS = [
    (lambda: lm.BinaryCrossEntropy(pos_weight=3), "pass weight= to the call: w where y_true is 1, and 1 elsewhere."),
    (lambda: lm.BinaryCrossEntropy(class_weight=[1, 3]), "pass weight= to the call: w where y_true is 1, and"),
    (lambda: lm.BinaryCrossEntropy(label_smoothing=0.1), "Smooth the labels themselves: (1 - s) * y_true + s / 2."),
    (lambda: lm.BinaryCrossEntropy(from_logits=True), "prediction='logits', which is the default, or prediction='pro"),
    (lambda: lm.KLDivergence(log_target=True), "p_kind='probabilities', which is the default, or p_kind='log_pro"),
    (lambda: lm.SparseCategoricalCrossEntropy(weight=[1]), "class_weight= weighs classes, and weight= of a call exam"),
    (lambda: lm.SparseCategoricalCrossEntropy(axis=1), "It is called class_axis here."),
    (lambda: lm.SparseCategoricalCrossEntropy(class_weight={0: 1.0}), "pass the numbers of a mapping in their order"),
    (lambda: lm.Huber(sample_weight=[1]), "Weights of examples are passed to the call as weight=."),
    (lambda: lm.Huber(reduction="sum"), "It is passed to the call."),
    (lambda: lm.Huber(size_average=True), "Say reduction='mean', 'sum' or 'none'."),
    (lambda: lm.Huber(from_logits=True), "has no parameter 'from_logits'; it takes delta."),
    (lambda: lm.Quantile(tau=0.9), "It is called level here."),
    (lambda: lm.MultiQuantile(quantiles=[0.1, 0.9]), "It is called levels here."),
    (lambda: lm.Distillation(T=2), "It is called temperature here."),
    (lambda: lm.Poisson(eps=1e-8), "Nothing is added to predictions, not where one is 0 either."),
    (lambda: lm.Triplet(norm_degree=1), "Say distance='euclidean', which is the default and a norm of 2, or another."),
    (lambda: lm.Hinge(margin=2), "for one of m pass scores divided by m, and multiply the loss by m."),
    (lambda: lm.SquaredHinge(margin=2), "for one of m pass scores divided by m, and multiply the loss by m**2."),
    (lambda: lm.SmoothedHinge(margin=2), "pass scores divided by m, gamma too, and multiply the loss by m."),
    (lambda: lm.ModifiedHuber(margin=2), "The margin is 1, the unit of scores; for one of m pass scores divided by m."),
    (lambda: lm.Hinge()([1.0], [0.0], margin=2), "The margin is 1, the unit of scores; for one of m pass scores divi"),
    (lambda: lm.Hinge(p=2), "What a score lacks to the margin is not squared here; SquaredHinge does that."),
    (lambda: lm.SquaredHinge(p=1), "is squared here; Hinge takes it as it is."),
    (lambda: lm.CrammerSinger(margin=2), "The margin is 1, the unit of scores; for one of m pass scores divided by"),
    (lambda: lm.WestonWatkins(p=2), "What a lead lacks to the margin is counted as it is, which is a p of 1."),
    (
        lambda: lm.DPO(loss_type="ipo"),
        "Each type is a loss of its own: dpo ('sigmoid'), ipo, slic ('hinge') and simpo.",
    ),
    (lambda: lm.Focal(apply_class_balancing=True), "Classes are balanced where alpha= is given, and nowhere else."),
    (lambda: lm.Focal(beta=0.9, tau=1), "it takes gamma, alpha, eps, prediction, labels."),
    (lambda: lm.Huber().cost([1.0], [1.0], delta=2), "It is said when the loss is made: Huber(delta=...)."),
    (lambda: lm.Huber().gradient([1.0], [1.0], weight=[2.0]), "It is for costs, and not for what each example has."),
    (lambda: lm.Huber().cost([1.0], [1.0], ignore_index=0), "Examples are left out by mask= in the call."),
    (lambda: lm.GaussianNLL().cost([1.0], [1.0], var=[2.0]), "It is called variance here."),
    (lambda: lm.KLDivergence()([0.5, 0.5], [0.5, 0.5]), "Say p=y_true, q=y_pred: q is judged by p."),
    (lambda: lm.Huber()(input=[1.0], target=[1.0]), "no input 'input'. It is called y_pred here."),
    (lambda: lm.Huber().cost([1.0], predictions=[1.0]), "no input 'predictions'. It is called y_pred here."),
    (lambda: lm.KLDivergence()(input=[0.5, 0.5], target=[0.5, 0.5]), "'input'. Say p=y_true, q=y_pred: q is judged"),
    (lambda: lm.Distillation()([0.5, 0.5], [0.5, 0.5]), "Say teacher=y_true, student=y_pred: student is judged by"),
]


@pytest.mark.parametrize(("call", "text"), KEYWORDS, ids=[text for _, text in KEYWORDS])
def test_keywords_of_other_libraries_are_answered_with_ours(call: Callable[[], object], text: str) -> None:
    with pytest.raises(lm.ParameterError) as raised:
        call()
    assert text in str(raised.value)


@pytest.mark.parametrize(
    ("loss", "factor"), [(lm.Hinge(), 3.0), (lm.SquaredHinge(), 9.0), (lm.SmoothedHinge(gamma=0.5 / 3.0), 3.0)]
)
def test_what_is_said_of_margins_gives_those(loss: lm.Loss, factor: float) -> None:
    scores = np.array([-5.0, 2.0, 2.75, 2.9, 4.0])
    lacks = np.maximum(0, 3.0 - scores)
    of_three = {
        "hinge": lacks,
        "squared_hinge": lacks**2,
        "smoothed_hinge": np.where(lacks <= 0.5, lacks**2, lacks - 0.25),
    }
    found = factor * loss.losses(np.ones(5), scores / 3.0)
    np.testing.assert_allclose(found, of_three[loss.name], rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("huber", "has no attribute 'huber'; the loss is lossmith.Huber"),
        ("mse", "has no attribute 'mse'; the loss is lossmith.SquaredError"),
        ("dice", "has no attribute 'dice': losses of overlapping regions and boxes are not in the catalogue"),
        ("hubber", "has no attribute 'hubber'"),
        ("_mse", "has no attribute '_mse'"),
        ("catboost", "has no attribute 'catboost'; write import lossmith.catboost first"),
    ],
)
def test_names_in_small_letters_say_what_to_write(name: str, text: str) -> None:
    script = f"import lossmith\ntry:\n    lossmith.{name}\nexcept AttributeError as error:\n    print(error)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"module 'lossmith' {text}"


def test_class_indices_that_begin_at_1_say_what_to_do() -> None:
    z = np.zeros((3, 3))
    with pytest.raises(lm.DomainError, match=r"y_true\[2\] is 3 .*; yours begin at 1: subtract 1"):
        lm.SparseCategoricalCrossEntropy()([1, 2, 3], z)
    with pytest.raises(lm.DomainError, match=r"pass ignore_index=3"):
        lm.SparseCategoricalCrossEntropy()([0, 2, 3], z)


def test_weights_count_positives_as_it_is_said() -> None:
    y, f, w = np.array([1.0, 0.0, 1.0]), np.array([0.3, 2.0, -1.0]), 3.0
    weighed = lm.BinaryCrossEntropy().cost(y, f, weight=np.where(y == 1, w, 1), reduction="count_mean")
    expected = np.mean(w * y * np.logaddexp(0, -f) + (1 - y) * np.logaddexp(0, f))  # pos_weight of PyTorch
    assert weighed == pytest.approx(expected, rel=1e-15)


def test_keywords_are_answered_with_what_some_loss_has() -> None:
    there = {name for loss in map(lm.get, lm.names()) for name in (*loss.declared(), *(i.name for i in loss.inputs))}
    assert {ours for names in _CALLED.values() for ours in names} <= there
    assert {needed for texts in _SAID.values() for needed, _ in texts if needed} <= there


@pytest.mark.parametrize("text", ["(y_pred - y_true)**2", "-abs(y_hat - target)", "2*(preds - label)**2 + huber"])
def test_a_formula_in_the_words_of_others_is_answered_with_ours(text: str) -> None:
    with pytest.raises(lm.FormulaError, match=r"The prediction is called f\."):
        lm.parse(text)


@pytest.mark.parametrize("text", ["hubr(prediction=logits)", "studnt-t", "score", "score(1)"])
def test_a_name_is_no_formula_for_the_words_in_it(text: str) -> None:
    with pytest.raises(lm.LossNotFoundError):
        lm.parse(text)


def test_a_misspelt_name_still_gets_a_suggestion() -> None:
    with pytest.raises(lm.LossNotFoundError, match=r"no loss is called 'hubr'\. Did you mean 'huber'"):
        lm.get("hubr")


def test_what_is_no_text_names_no_loss() -> None:
    with pytest.raises(lm.ParameterError, match="a text that names one, got int"):
        lm.parse(3)
    for given, what in ((3, "int"), ([], "list"), (lm.Huber, r"a class; make one, as Huber\(\)")):
        with pytest.raises(lm.KindError, match=f"got by its name, such as lossmith.get\\('huber'\\), got {what}"):
            lm.get(given)


def test_a_value_is_given_once_and_is_a_number() -> None:
    with pytest.raises(lm.ParameterError, match=r"'huber\(delta=1, delta=2\)' has delta twice; give it once"):
        lm.parse("huber(delta=1, delta=2)")
    with pytest.raises(lm.ParameterError, match=r"Huber\(delta=nan\): delta must lie in \(0, inf\)"):
        lm.parse("huber(delta=nan)")
    with pytest.raises(lm.ParameterError, match=r"levels\[1\] is nan, but must lie in \(0, 1\)"):
        lm.parse("multi_quantile(levels=(0.1, nan))")
    assert lm.parse("multi_quantile(levels=[0.1, 0.5])") == lm.MultiQuantile((0.1, 0.5))


@pytest.mark.parametrize("text", ["huber(delta=2)", "0.5 * huber + mae", "huber/2", "(f - y)**2"])
def test_get_takes_names_and_says_what_reads_more(text: str) -> None:
    with pytest.raises(lm.LossNotFoundError, match=r"lossmith\.parse reads names with values, sums and formulas"):
        lm.get(text)
    assert lm.parse(text)


@pytest.mark.parametrize("number", [10**400, -(10**5000), Fraction(10**400)], ids=("large", "below", "fraction"))
def test_a_number_too_large_for_a_float_is_refused_as_infinite(number: Any) -> None:
    for call in (
        lambda: lm.Huber(delta=number),
        lambda: lm.Huber().replace(delta=number),
        lambda: number * lm.Huber(),
        lambda: lm.Huber() / number,
        lambda: lm.SparseCategoricalCrossEntropy(class_weight=[1, number]),
        lambda: lm.formula("k * (f - y)**2", parameters={"k": number}),
    ):
        with pytest.raises(lm.ParameterError, match="inf"):
            call()

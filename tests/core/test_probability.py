"""Probability repair: what a model was trained to say, and the probabilities that this stands for."""

from __future__ import annotations

import numpy as np
import pytest

import lossmith as lm

# Names and what differs: losses of labels and of classes, with everything that moves probabilities.
BINARY = [
    "binary_cross_entropy", "binary_cross_entropy(labels=signed)", "brier", "exponential", "focal",
    "focal(gamma=3, alpha=0.25)", "modified_huber", "poly_one(epsilon=3)", "smoothed_hinge(gamma=0.3)", "squared_hinge",
    "asymmetric(gamma_positive=1, gamma_negative=2, shift=0.2)", "0.5 * bce + 2 * focal",
    "bce(prediction=probabilities)",
]  # fmt: skip
CLASSES = [
    "sparse_categorical_cross_entropy(label_smoothing=0.1, z_loss=0.01)",
    "sparse_categorical_cross_entropy(class_weight=(1, 2, 5))",
    "categorical_cross_entropy",
    "balanced_softmax(counts=(70, 20, 10))",
    "logit_adjusted(prior=(0.7, 0.2, 0.1), tau=2)",
    "softmax_focal(class_weight=(1, 2, 5))",
    "softmax_poly_one(epsilon=0.5)",
    "generalised_cross_entropy(q=0.2)",
    "symmetric_cross_entropy(alpha=1, beta=0.1, class_weight=(1, 2, 5))",
    "multiclass_brier(label_smoothing=0.1)",
    "softmax_focal + 0.5 * sparse_categorical_cross_entropy",
]
UNTOLD = ["hinge", "perceptron", "zero_one", "asymmetric(gamma_negative=0)", "crammer_singer", "weston_watkins",
          "generalised_cross_entropy(q=1)"]  # fmt: skip
NO, YES = 0.02, 0.97
KNOWN = np.array([NO, 0.1, 0.5, 0.7, YES])
MILD = np.array([[0.32, 0.33, 0.35]])
ROWS = np.array([[0.2, 0.3, 0.5], [0.3, 0.3, 0.4], [0.5, 0.1, 0.4]])


def learned(loss: lm.Loss, p: np.ndarray) -> np.ndarray:
    """Return what a model that knows everything learns to say where classes have probabilities p: the least loss."""
    raw = loss.raw_form
    if p.ndim == 1:
        labels = [-1.0 if raw.domains["y"].low == -1 else 0.0, 1.0]
        return np.array([raw.optimal_constant(labels, weight=[1 - share, share]) for share in p])
    classes = np.arange(3) if raw.class_indices else np.eye(3)
    return np.stack([raw.optimal_constant(classes, weight=row) for row in p])


def tells_what_is_known(loss: lm.Loss, p: np.ndarray) -> None:
    np.testing.assert_allclose(loss.to_probability(learned(loss, p)), p, rtol=1e-7)


@pytest.mark.parametrize("name", BINARY)
def test_losses_of_labels(name: str) -> None:
    tells_what_is_known(lm.parse(name), KNOWN)


@pytest.mark.parametrize("name", CLASSES)
def test_losses_of_classes(name: str) -> None:
    tells_what_is_known(lm.parse(name), ROWS)


@pytest.mark.parametrize("name", [*lm.names("binary"), *lm.names("categorical")])
def test_every_loss_of_labels_and_classes_tells_or_is_refused(name: str) -> None:
    loss = lm.get(name)
    if name in UNTOLD:
        with pytest.raises(lm.ParameterError, match="does not tell"):
            loss.to_probability(np.zeros(3) if loss.elementwise else np.zeros((1, 3)))
    else:
        tells_what_is_known(loss, KNOWN[1:-1] if loss.elementwise else MILD)


def test_formulas_and_functions() -> None:
    text = "y*3*softplus(-f) + (1 - y)*softplus(f)"
    tells_what_is_known(lm.formula(text, task="binary"), KNOWN)
    np.testing.assert_allclose(lm.formula(text, task="binary").to_probability([0.0]), 1 / 4)

    @lm.loss(task="binary", target="{-1, 1}", link="identity")
    def savage(ops, y, f):
        return 1 / (1 + ops.exp(y * f)) ** 2

    tells_what_is_known(savage(), KNOWN)


@pytest.mark.parametrize("name", ["focal", "focal(gamma=3, alpha=0.25)", "poly_one(epsilon=3)", "exponential"])
def test_the_sigmoid_is_the_wrong_inverse(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = lm.parse(name)
    monkeypatch.setattr(type(loss), "to_probability", lambda self, raw: 1 / (1 + np.exp(-raw)))
    with pytest.raises(AssertionError):
        tells_what_is_known(loss, KNOWN)


@pytest.mark.parametrize(
    "name", ["softmax_focal", "balanced_softmax(counts=(7, 2, 1))", "generalised_cross_entropy(q=0.2)"]
)
def test_the_softmax_is_the_wrong_inverse(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = lm.parse(name)
    monkeypatch.setattr(type(loss), "to_probability", lambda self, raw: np.exp(raw) / np.exp(raw).sum(1, keepdims=True))
    with pytest.raises(AssertionError):
        tells_what_is_known(loss, ROWS)


def test_weights_rates_and_smoothing_of_training_are_undone() -> None:
    loss, p = lm.BinaryCrossEntropy(), KNOWN
    odds = 5 / 0.1 * p / (1 - p)  # positives weigh 5 times as much, and a tenth of the negatives is kept
    told = loss.to_probability(np.log(odds), class_weight=(1, 5), sampling_rates=(0.1, 1))
    np.testing.assert_allclose(told, p, rtol=1e-12)
    for kind in (lm.BinaryCrossEntropy(), lm.Focal()):
        raw = [kind.optimal_constant([0.1, 0.9], weight=[1 - share, share]) for share in p]
        np.testing.assert_allclose(kind.to_probability(raw, label_smoothing=0.2), p, rtol=1e-9)
    classes = lm.SparseCategoricalCrossEntropy()
    weighted = np.log(ROWS * [1, 2, 5])
    np.testing.assert_allclose(classes.to_probability(weighted, class_weight=(1, 2, 5)), ROWS, rtol=1e-12)
    np.testing.assert_allclose(classes.to_probability(weighted, sampling_rates=(0.2, 0.4, 1)), ROWS, rtol=1e-12)


def test_what_lies_far_out_is_certain() -> None:
    far = [-1e300, -800.0, 800.0, 1e300]
    for name in BINARY[:-1]:
        np.testing.assert_allclose(lm.parse(name).to_probability(far), [0, 0, 1, 1], atol=1e-12)
    np.testing.assert_allclose(lm.BinaryCrossEntropy().to_probability([-5.0, 5.0], label_smoothing=0.1), [0, 1])
    rows = 1e6 * np.eye(3)
    for name in CLASSES:
        np.testing.assert_allclose(lm.parse(name).to_probability(rows), np.eye(3), atol=1e-9)


def test_shapes_and_axes() -> None:
    raw = np.linspace(-3, 3, 24).reshape(2, 3, 4)
    focal, classes = lm.Focal(), lm.SoftmaxFocal(class_axis=1)
    assert focal.to_probability(raw).shape == raw.shape
    assert focal.to_probability(0.3).shape == ()
    told = classes.to_probability(raw)
    np.testing.assert_allclose(told.sum(axis=1), 1)
    np.testing.assert_allclose(told[1, :, 2], lm.SoftmaxFocal().to_probability(raw[1:, :, 2])[0])
    assert focal.to_probability(np.zeros((0, 2))).shape == (0, 2)
    assert lm.SoftmaxFocal().to_probability(np.zeros((0, 2))).shape == (0, 2)
    assert focal.to_probability(np.float32([0.5])).dtype == np.float64


@pytest.mark.parametrize("name", UNTOLD)
def test_losses_that_do_not_tell_are_refused(name: str) -> None:
    loss = lm.parse(name)
    with pytest.raises(lm.ParameterError, match="does not tell probabilities: its best prediction is the same for"):
        loss.to_probability([0.3, -2.0] if loss.elementwise else [[0.3, -2.0, 0.0]])


@pytest.mark.parametrize(
    ("name", "raw", "options", "error", "message"),
    [
        ("huber", [1.0], {}, lm.ParameterError, "predicts no class"),
        ("gaussian_nll", [1.0], {}, lm.ParameterError, "predicts no class"),
        ("bce", [np.nan], {}, lm.DomainError, r"y_pred\[0\] is nan"),
        ("bce", ["a"], {}, lm.KindError, "raw"),
        ("bce", [1.0], {"class_weight": (1, 2, 3)}, lm.ShapeError, "class_weight has 3 numbers for 2 classes"),
        ("bce", [1.0], {"class_weight": (1, 0)}, lm.ParameterError, r"class_weight\[1\] is 0"),
        ("bce", [1.0], {"sampling_rates": "no"}, lm.ParameterError, "sequence of numbers"),
        ("bce", [1.0], {"label_smoothing": 1.0}, lm.ParameterError, r"a number in \[0, 1\)"),
        ("bce", [1.0], {"label_smoothing": "a"}, lm.ParameterError, r"a number in \[0, 1\)"),
        ("bce", [1.0], {"sampling_rates": {0: 0.1, 1: 1}}, lm.ParameterError, "must be a sequence of numbers"),
        ("bce", [1.0], {"sampling_rates": (0.1,)}, lm.ShapeError, "has 1 number for 2 classes"),
        ("softmax_focal", 1.0, {}, lm.ShapeError, "classes must lie along axis -1"),
        ("softmax_focal", [[1.0], [2.0]], {}, lm.ShapeError, "one class along axis -1"),
        (
            "softmax_focal",
            [[1.0, 2.0]],
            {"label_smoothing": 0.1},
            lm.ParameterError,
            "make it with label_smoothing=0.1",
        ),
        ("softmax_focal(class_weight=(1, 2, 3))", [[1.0, 2.0]], {}, lm.ShapeError, "class_weight has 3 numbers"),
        ("hinge", [1.0], {"label_smoothing": 0.1}, lm.DomainError, "y_true"),
    ],
)
def test_what_makes_no_sense_is_refused(name, raw, options, error, message) -> None:
    with pytest.raises(error, match=message):
        lm.parse(name).to_probability(raw, **options)


def test_probabilities_in_the_place_of_logits_are_warned_of() -> None:
    with pytest.warns(lm.LossmithWarning, match="raw is declared as logits.*from before the sigmoid") as said:
        lm.Focal().to_probability(np.linspace(0.1, 0.9, 30))
    assert len(said) == 1


@pytest.mark.parametrize(
    ("name", "kept", "options"),
    [
        ("focal(gamma=2, alpha=0.25)", (1, 1), {}),
        ("binary_cross_entropy", (0.1, 1), {"sampling_rates": (0.1, 1)}),
        ("focal", (0.5, 1), {"sampling_rates": (0.5, 1), "class_weight": (1, 3)}),
        ("binary_cross_entropy", (1, 1), {"label_smoothing": 0.2}),
    ],
)
def test_models_that_were_trained_on_simulated_data_say_how_often_it_happens(name, kept, options) -> None:
    """A model with a parameter for each of four groups, fitted to rows whose probabilities are known."""
    p, rng, loss = np.array([0.05, 0.2, 0.5, 0.8]), np.random.default_rng(0), lm.parse(name)
    group = rng.integers(4, size=200_000)
    y = (rng.uniform(size=group.size) < p[group]).astype(float)
    rows = rng.uniform(size=group.size) < np.where(y == 1, kept[1], kept[0])
    group, y, smoothing = group[rows], y[rows], options.get("label_smoothing", 0.0)
    weight = np.array(options.get("class_weight", (1, 1)))[y.astype(int)]
    raw = np.array([
        loss.optimal_constant(y[group == g] * (1 - smoothing) + smoothing / 2, weight=weight[group == g])
        for g in range(4)
    ])  # fmt: skip
    told = loss.to_probability(raw, **options)
    np.testing.assert_allclose(told, p, atol=0.01)  # three standard errors of 20,000 draws and more
    assert np.abs(1 / (1 + np.exp(-raw)) - p).max() > 0.03  # as it was learnt it is none

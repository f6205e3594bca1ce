"""The names that people type: each finds its loss, or hears what to take instead."""

from __future__ import annotations

import re

import pytest

import lossmith as lm
from lossmith.core.elsewhere import elsewhere, known

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


def test_what_it_says_to_take_is_there() -> None:
    there = {*lm.names(), "lossmith", "L1", "L2", "ElasticNet", "weight", "class_weight", "label_smoothing", "kind"}
    for key in known():
        for word in re.findall(r"[a-z]+(?:_[a-z]+)+|\bL\d\b|ElasticNet", elsewhere(key)):
            assert word in there or word in ("least_squares",), word


def test_a_misspelt_name_still_gets_a_suggestion() -> None:
    with pytest.raises(lm.LossNotFoundError, match=r"no loss is called 'hubr'\. Did you mean 'huber'"):
        lm.get("hubr")


def test_what_is_no_text_names_no_loss() -> None:
    with pytest.raises(lm.ParameterError, match="a text that names one, got int"):
        lm.parse(3)

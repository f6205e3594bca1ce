"""Relations: which losses are one another, exactly, up to a factor, in a limit or in other variables.

The table is data. Pages about a loss print the rows that name it, and tests hold every row: values,
gradients and Hessians of both sides.
"""

from __future__ import annotations

from lossmith.core.loss import Loss
from lossmith.core.registry import loss_class
from lossmith.core.relation import Relation

_MARGIN = "(2 * y_true - 1) * y_pred"
_SHORT = f"max(0, 1 - {_MARGIN})"  # what is missing to a margin of 1
_LOGIT = "log(y_pred) - log1p(-y_pred)"
_INSIDE = "(0 < y_pred) & (y_pred < 1)"
_LEAD = "chosen - rejected"
_GAIN = "(chosen - reference_chosen) - (rejected - reference_rejected)"
_TWO = ("0", "y_pred")  # the logits or scores of two classes
_SWAPPED = {"p": "q", "q": "p"}
_NO_KINK = "y_pred != y_true"

RELATIONS: tuple[Relation, ...] = (
    # Regression: scales and halves.
    Relation("squared_error", "2 * half_squared_error"),
    Relation("squared_error", "2 * expectile(level=0.5)"),
    Relation("squared_error", "squared_epsilon_insensitive(epsilon=0)"),
    Relation("absolute_error", "2 * quantile(level=0.5)"),
    Relation("absolute_error", "epsilon_insensitive(epsilon=0)"),
    Relation("absolute_error", "mean_error", where="y_pred > y_true"),
    Relation("absolute_percentage_error", "absolute_error", times="1 / abs(y_true)"),
    Relation("smooth_l1(beta={t})", "{1 / t} * huber(delta={t})", t="t > 0"),
    # Regression: a change of variables.
    Relation("squared_log_error", "squared_error", at={"y_true": "log1p(y_true)", "y_pred": "log1p(y_pred)"}),
    Relation(
        "quantile(level={t})", "quantile(level={1 - t})", t="0 < t < 1", at={"y_true": "-y_true", "y_pred": "-y_pred"}
    ),
    Relation(
        "expectile(level={t})",
        "expectile(level={1 - t})",
        t="0 < t < 1",
        where=_NO_KINK,
        at={"y_true": "-y_true", "y_pred": "-y_pred"},
    ),
    Relation(
        "symmetric_percentage_error", "symmetric_percentage_error", at={"y_true": "y_pred", "y_pred": "y_true"}, by=()
    ),
    Relation("quantile(level={t})", "multi_quantile(levels=({t},))", t="0 < t < 1", at={"y_pred": ("y_pred",)}),
    Relation(
        "log_cosh", "binary_cross_entropy", plus="-log(2)", at={"y_true": "1 / 2", "y_pred": "2 * (y_pred - y_true)"}
    ),
    # Regression: one family, and its ends.
    Relation("barron(alpha=2, scale={t})", "{1 / t ** 2} * half_squared_error", t="t > 0"),
    Relation("barron(alpha=1, scale={t})", "{1 / t ** 2} * pseudo_huber(delta={t})", t="t > 0"),
    Relation("barron(alpha=0, scale={t})", "{1 / t ** 2} * cauchy(scale={2 ** 0.5 * t})", t="t > 0"),
    Relation("barron(alpha=-2, scale={t})", "{1 / t ** 2} * geman_mcclure(scale={2 * t})", t="t > 0"),
    Relation("barron(alpha=-inf, scale={t})", "{1 / t ** 2} * welsch(scale={t})", t="t > 0"),
    Relation("barron(alpha={2 - t})", "half_squared_error", t="t → 0"),
    Relation("barron(alpha={t})", "cauchy(scale={2 ** 0.5})", t="t → 0"),
    Relation("barron(alpha={t})", "welsch", t="t → -inf"),
    Relation("huber(delta={t})", "half_squared_error", t="t → inf"),
    Relation("{1 / t} * huber(delta={t})", "absolute_error", t="t → 0", where=_NO_KINK),
    Relation("smooth_l1(beta={t})", "absolute_error", t="t → 0", where=_NO_KINK),
    Relation("pseudo_huber(delta={t})", "half_squared_error", t="t → inf"),
    Relation("{1 / t} * pseudo_huber(delta={t})", "absolute_error", t="t → 0", where=_NO_KINK),
    Relation("fair(c={t})", "half_squared_error", t="t → inf"),
    Relation("{1 / t} * fair(c={t})", "absolute_error", t="t → 0", where=_NO_KINK),
    Relation("cauchy(scale={t})", "half_squared_error", t="t → inf"),
    Relation("geman_mcclure(scale={t})", "half_squared_error", t="t → inf"),
    Relation("welsch(scale={t})", "half_squared_error", t="t → inf"),
    Relation("tukey(c={t})", "half_squared_error", t="t → inf"),
    Relation(
        "absolute_error",
        "{1 / t} * log_cosh",
        t="t → inf",
        where=_NO_KINK,
        at={"y_true": "t * y_true", "y_pred": "t * y_pred"},
    ),
    Relation(
        "half_squared_error", "{1 / t ** 2} * log_cosh", t="t → 0", at={"y_true": "t * y_true", "y_pred": "t * y_pred"}
    ),
    # Counts: the powers of Tweedie, predictions of means, and the binomial's end.
    Relation("tweedie(power=0)", "half_squared_error", plus="-y_true ** 2 / 2", at={"y_pred": "exp(y_pred)"}),
    Relation("tweedie(power=1)", "poisson"),
    Relation("tweedie(power=2)", "gamma"),
    Relation("tweedie(power=3)", "inverse_gaussian"),
    Relation("tweedie(power={1 + t})", "poisson", t="t → 0"),
    Relation("poisson(prediction='rate')", "poisson", at={"y_pred": "log(y_pred)"}),
    Relation("gamma(prediction='mean')", "gamma", at={"y_pred": "log(y_pred)"}),
    Relation("inverse_gaussian(prediction='mean')", "inverse_gaussian", at={"y_pred": "log(y_pred)"}),
    Relation("negative_binomial(prediction='mean')", "negative_binomial", at={"y_pred": "log(y_pred)"}),
    Relation("poisson(full=True)", "poisson", plus="log_factorial(y_true)"),
    Relation("negative_binomial(dispersion={t})", "poisson", plus="-y_true * log(t)", t="t → 0"),
    Relation(
        "negative_binomial(dispersion=1)",
        "binary_cross_entropy",
        times="1 + y_true",
        at={"y_true": "y_true / (1 + y_true)"},
    ),
    Relation(
        "poisson(prediction='rate')",
        "generalised_kl",
        plus="y_true - y_true * log(y_true)",
        where="y_true > 0",
        at={"p": ("y_true",), "q": ("y_pred",)},
    ),
    # Binary: probabilities and logits.
    Relation(
        "binary_cross_entropy(prediction='probabilities')", "binary_cross_entropy", at={"y_pred": _LOGIT}, where=_INSIDE
    ),
    Relation("brier(prediction='probabilities')", "brier", at={"y_pred": _LOGIT}, where=_INSIDE),
    Relation("zero_one(prediction='probabilities')", "zero_one", at={"y_pred": _LOGIT}, where=_INSIDE),
    Relation("brier(prediction='probabilities')", "squared_error"),
    Relation("hinge(labels='signed')", "hinge", at={"y_true": "(1 + y_true) / 2"}),
    Relation("focal(gamma=0)", "binary_cross_entropy"),
    Relation("focal(gamma={t}, alpha=0.5)", "0.5 * focal(gamma={t})", t="t > 0"),
    Relation("asymmetric(gamma_positive=0, gamma_negative=0, shift=0)", "binary_cross_entropy"),
    Relation("asymmetric(gamma_positive={t}, gamma_negative={t}, shift=0)", "focal(gamma={t})", t="t > 0"),
    Relation("poly_one(epsilon=0)", "binary_cross_entropy"),
    Relation(
        "poly_one(epsilon={t}, prediction='probabilities')",
        "binary_cross_entropy(prediction='probabilities')",
        t="t > 0",
        plus="t * (y_true * (1 - y_pred) + (1 - y_true) * y_pred)",
        where="y_true * (1 - y_true) == 0",
    ),
    # Binary: margins.
    Relation("hinge", "absolute_error", at={"y_true": "0", "y_pred": _SHORT}),
    Relation("squared_hinge", "squared_error", at={"y_true": "0", "y_pred": _SHORT}),
    Relation(
        "smoothed_hinge(gamma={t})",
        "smooth_l1(beta={t})",
        t="t > 0",
        at={"y_true": "0", "y_pred": _SHORT},
        where=f"abs({_SHORT} - t) > 1e-12",
    ),
    Relation("modified_huber", "2 * huber(delta=2)", at={"y_true": "0", "y_pred": _SHORT}),
    Relation("perceptron", "hinge", at={"y_pred": "y_pred + (2 * y_true - 1)"}, where="abs(y_pred) > 1e-12"),
    Relation("exponential", "poisson", at={"y_true": "0", "y_pred": f"-{_MARGIN}"}),
    Relation("smoothed_hinge(gamma={t})", "hinge", t="t → 0", where=f"{_MARGIN} != 1"),
    Relation("{2 * t} * smoothed_hinge(gamma={t})", "squared_hinge", t="t → inf"),
    # Two classes.
    Relation("binary_cross_entropy", "sparse_categorical_cross_entropy", at={"y_pred": _TWO}, where="y_true % 1 == 0"),
    Relation("focal(gamma={t})", "softmax_focal(gamma={t})", t="t > 0", at={"y_pred": _TWO}, where="y_true % 1 == 0"),
    Relation(
        "poly_one(epsilon={t})",
        "softmax_poly_one(epsilon={t})",
        t="t > 0",
        at={"y_pred": _TWO},
        where="y_true % 1 == 0",
    ),
    Relation("2 * brier", "multiclass_brier", at={"y_pred": _TWO}, where="y_true % 1 == 0"),
    Relation("hinge", "crammer_singer", at={"y_pred": _TWO}),
    Relation("hinge", "weston_watkins", at={"y_pred": _TWO}),
    Relation(
        "absolute_error",
        "total_variation",
        at={"p": ("y_true", "1 - y_true"), "q": ("y_pred", "1 - y_pred")},
        where="(abs(y_true - 1 / 2) < 1 / 2) & (abs(y_pred - 1 / 2) < 1 / 2) & (abs(y_pred - y_true) > 1e-12)",
    ),
    # Classes.
    Relation("sparse_categorical_cross_entropy", "categorical_cross_entropy", at={"y_true": "one_hot(y_true)"}),
    Relation(
        "sparse_categorical_cross_entropy(label_smoothing={t})",
        "categorical_cross_entropy",
        t="0 < t < 1",
        at={"y_true": "(1 - t) * one_hot(y_true) + t / classes"},
    ),
    Relation(
        "categorical_cross_entropy(label_smoothing={t})",
        "categorical_cross_entropy",
        t="0 < t < 1",
        at={"y_true": "(1 - t) * y_true + t / classes"},
    ),
    Relation("softmax_focal(gamma=0)", "sparse_categorical_cross_entropy"),
    Relation("softmax_poly_one(epsilon=0)", "sparse_categorical_cross_entropy"),
    Relation("generalised_cross_entropy(q=0)", "sparse_categorical_cross_entropy"),
    Relation("generalised_cross_entropy(q={t})", "sparse_categorical_cross_entropy", t="t → 0"),
    Relation("generalised_cross_entropy(q=1)", "symmetric_cross_entropy(alpha=0, beta=1, log_zero=-1)"),
    Relation("symmetric_cross_entropy(alpha=1, beta=0)", "sparse_categorical_cross_entropy"),
    Relation("symmetric_cross_entropy(alpha={t})", "{t} * softmax_poly_one(epsilon={4 / t})", t="t > 0"),
    Relation("balanced_softmax(counts=(50, 30, 20))", "logit_adjusted(tau=1, prior=(0.5, 0.3, 0.2))"),
    Relation("logit_adjusted(tau=0, prior=(0.5, 0.3, 0.2))", "sparse_categorical_cross_entropy"),
    Relation("balanced_softmax(counts=(7, 7, 7))", "sparse_categorical_cross_entropy"),
    # Distributions.
    Relation("reverse_kl_divergence", "kl_divergence", at=_SWAPPED),
    Relation("jensen_shannon", "jensen_shannon", at=_SWAPPED),
    Relation("total_variation", "total_variation", at=_SWAPPED),
    Relation("squared_hellinger", "squared_hellinger", at=_SWAPPED),
    Relation("alpha_divergence(alpha=0.5)", "4 * squared_hellinger"),
    Relation(
        "alpha_divergence(alpha=1, p_kind='logits', q_kind='logits')", "kl_divergence(p_kind='logits', q_kind='logits')"
    ),
    Relation(
        "alpha_divergence(alpha=0, p_kind='logits', q_kind='logits')",
        "reverse_kl_divergence(p_kind='logits', q_kind='logits')",
    ),
    Relation(
        "alpha_divergence(alpha={1 + t}, p_kind='logits', q_kind='logits')",
        "kl_divergence(p_kind='logits', q_kind='logits')",
        t="t → 0",
    ),
    Relation(
        "alpha_divergence(alpha={t}, p_kind='logits', q_kind='logits')",
        "reverse_kl_divergence(p_kind='logits', q_kind='logits')",
        t="t → 0",
    ),
    Relation("alpha_divergence(alpha={t})", "alpha_divergence(alpha={1 - t})", t="0 < t < 1", at=_SWAPPED),
    Relation("kl_divergence", "generalised_kl", by=()),
    Relation(
        "kl_divergence(q_kind='logits')",
        "categorical_cross_entropy",
        plus="sum(p * log(p))",
        at={"y_true": "p", "y_pred": "q"},
        by=("q",),
    ),
    Relation(
        "binary_cross_entropy(prediction='probabilities')",
        "kl_divergence",
        where="(y_true > 0) & (y_true < 1)",
        plus="-y_true * log(y_true) - (1 - y_true) * log1p(-y_true)",
        at={"p": ("y_true", "1 - y_true"), "q": ("y_pred", "1 - y_pred")},
    ),
    Relation(
        "distillation(temperature={t})",
        "{t ** 2} * kl_divergence(p_kind='logits', q_kind='logits')",
        t="t > 0",
        at={"p": "teacher / t", "q": "student / t"},
    ),
    # Location and spread.
    Relation("half_squared_error", "gaussian_nll", at={"variance": "1"}),
    Relation("absolute_error", "laplace_nll", at={"scale": "1"}),
    Relation("2 * cauchy", "student_t_nll(df=1)", at={"scale": "1"}),
    Relation("{(1 + t) / t} * cauchy(scale={t ** 0.5})", "student_t_nll(df={t})", at={"scale": "1"}, t="t > 0"),
    Relation("student_t_nll(df={t})", "gaussian_nll(scale='scale')", t="t → inf"),
    Relation("gaussian_nll(scale='scale')", "gaussian_nll", at={"variance": "scale ** 2"}),
    Relation("gaussian_nll(scale='log_variance')", "gaussian_nll", at={"variance": "exp(log_variance)"}),
    Relation("gaussian_nll(full=True)", "gaussian_nll", plus="log(2 * pi) / 2"),
    Relation("laplace_nll(full=True)", "laplace_nll", plus="log(2)"),
    Relation("beta_nll(beta=0)", "gaussian_nll"),
    Relation("beta_nll(beta={t})", "gaussian_nll", times="variance ** t", t="0 < t < 1"),
    Relation("absolute_error", "crps_gaussian", t="t → 0", at={"scale": "t"}, where=_NO_KINK),
    Relation(
        "interval_score(level={t})",
        "{4 / (1 - t)} * multi_quantile(levels=({(1 - t) / 2}, {(1 + t) / 2}))",
        at={"y_pred": ("lower", "upper")},
        t="0 < t < 1",
    ),
    # Adversaries.
    Relation("gan_discriminator(kind='minimax')", "gan_discriminator(kind='non_saturating')"),
    Relation("gan_discriminator", "binary_cross_entropy", at={"y_true": "1", "y_pred": "real"}, plus="softplus(fake)"),
    Relation(
        "gan_discriminator(kind='least_squares')",
        "half_squared_error",
        at={"y_true": "1", "y_pred": "real"},
        plus="fake ** 2 / 2",
    ),
    Relation("gan_discriminator(kind='hinge')", "hinge", at={"y_true": "1", "y_pred": "real"}, plus="max(0, 1 + fake)"),
    Relation("gan_discriminator(kind='wasserstein')", "mean_error", at={"y_true": "0", "y_pred": "fake"}, plus="-real"),
    Relation("gan_generator(kind='minimax')", "binary_cross_entropy", times="-1", at={"y_true": "0", "y_pred": "fake"}),
    Relation("gan_generator", "binary_cross_entropy", at={"y_true": "1", "y_pred": "fake"}),
    Relation("gan_generator(kind='least_squares')", "half_squared_error", at={"y_true": "1", "y_pred": "fake"}),
    Relation("gan_generator(kind='wasserstein')", "mean_error", times="-1", at={"y_true": "0", "y_pred": "fake"}),
    Relation("gan_generator(kind='hinge')", "gan_generator(kind='wasserstein')"),
    # Preferences and embeddings.
    Relation("dpo(beta={t})", "binary_cross_entropy", t="t > 0", at={"y_true": "1", "y_pred": f"t * ({_GAIN})"}),
    Relation(
        "dpo(beta=0.2, label_smoothing={t})",
        "binary_cross_entropy",
        t="0 < t < 0.5",
        at={"y_true": "1 - t", "y_pred": f"0.2 * ({_GAIN})"},
    ),
    Relation("ipo(beta={t})", "squared_error", t="t > 0", at={"y_true": "1 / (2 * t)", "y_pred": _GAIN}),
    Relation("slic", "hinge", at={"y_true": "1", "y_pred": _LEAD}),
    Relation("slic(margin={t}, beta={t})", "{t} * slic", t="t > 0"),
    Relation("slic(beta={t}, reference=True)", "hinge", t="t > 0", at={"y_true": "1", "y_pred": f"t * ({_GAIN})"}),
    Relation(
        "simpo(beta={t}, gamma=1)",
        "binary_cross_entropy",
        t="t > 0",
        at={"y_true": "1", "y_pred": f"t * ({_LEAD}) - 1"},
    ),
    Relation(
        "simpo(beta={t}, gamma=0)", "dpo(beta={t})", t="t > 0", at={"reference_chosen": "0", "reference_rejected": "0"}
    ),
    Relation(
        "hinge",
        "triplet(margin=1)",
        where="(y_true == 1) & (y_pred > 0)",
        at={"anchor": ("0",), "positive": ("0",), "negative": ("y_pred",)},
    ),
)


def of(loss: str | Loss) -> tuple[Relation, ...]:
    """Return the relations that a loss is in.

    Args:
        loss: the loss, its name or an alias; a sum of losses is in none.

    Raises:
        LossNotFoundError: for an unknown name.
    """
    wanted = loss.name if isinstance(loss, Loss) else loss_class(loss).name
    return tuple(relation for relation in RELATIONS if wanted in relation.names)

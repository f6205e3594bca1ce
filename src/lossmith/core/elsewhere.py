"""Names that people look for among losses and do not find, with what to take instead.

The nearest name in spelling would mislead: ``gan`` is no misspelt ``geman``. Keys are in lower case without
``_``, ``-``, spaces and a final ``loss``. Tests hold that none of them is a loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_ROOT = "the root is taken of the cost of a whole table, which no loss of one example can do; train with {}"
_SCALED = "it compares the costs of two models on a whole table; train with {}, and divide one cost by the other"
_REGULARISER = "a price on parameters is a regulariser: lossmith.{}(strength)(parameters)"
_GAN = "a game has two sides: take gan_discriminator and gan_generator{}"
_OVERLAP = "losses of overlapping regions and boxes are not in the catalogue"
_EMBEDDING = "of losses of embeddings the catalogue has triplet"
_CLASS_WEIGHT = "weights are an option: pass weight= to a call, or class_weight= to a loss of classes"
_ACTIVATION = "it is a last layer; the loss that belongs to it is {}"
_ABSENT = "it is not in the catalogue"

_TABLE: Mapping[tuple[str, ...], str] = {
    ("rmse", "rootmeansquarederror"): _ROOT.format("squared_error"),
    ("rmsle", "rootmeansquaredlogarithmicerror"): _ROOT.format("squared_log_error"),
    ("mase", "meanabsolutescalederror"): _SCALED.format("absolute_error"),
    ("rmsse", "r2", "r2score", "nse"): _SCALED.format("squared_error"),
    ("accuracy", "acc"): "it is 1 minus the cost of zero_one",
    ("ridge", "tikhonov", "weightdecay"): _REGULARISER.format("L2"),
    ("lasso",): _REGULARISER.format("L1"),
    ("elasticnet", "l1l2"): _REGULARISER.format("ElasticNet"),
    ("gan", "adversarial", "minimax"): _GAN.format(""),
    ("lsgan",): _GAN.format(" with kind='least_squares'"),
    ("wgan", "wasserstein", "earthmover"): _GAN.format(" with kind='wasserstein'"),
    ("dice", "softdice", "jaccard", "iou", "giou", "diou", "ciou", "tversky", "focaltversky", "lovasz"): _OVERLAP,
    ("contrastive", "infonce", "ntxent", "supcon", "npairs", "arcface", "cosface", "circle"): _EMBEDDING,
    ("cosine", "cosinesimilarity", "cosineembedding", "hingeembedding", "marginranking"): _EMBEDDING,
    ("labelsmoothing",): "it is an option, label_smoothing=, of losses of classes",
    ("weightedcrossentropy", "weightedbce", "weightedmse"): _CLASS_WEIGHT,
    ("multilabel", "multilabelmargin", "multilabelsoftmargin"): "each label is a yes or no of its own: "
    "take binary_cross_entropy, or asymmetric where most labels do not apply",
    ("softmargin",): "it is binary_cross_entropy(labels='signed')",
    ("softmax",): _ACTIVATION.format("categorical_cross_entropy"),
    ("sigmoid", "logit"): _ACTIVATION.format("binary_cross_entropy"),
    ("deviance",): "it depends on the distribution: poisson, gamma, inverse_gaussian, tweedie and negative_binomial "
    "are half of theirs, up to a constant",
    ("ctc", "rnnt", "kto", "orpo", "grpo", "lambdarank", "listnet", "rps"): _ABSENT,
}
_BY_KEY = {key: text for keys, text in _TABLE.items() for key in keys}


def elsewhere(key: str) -> str:
    """Return what to take instead of a name that is no loss, or an empty string."""
    return _BY_KEY.get(key.removesuffix("loss"), "")


def known() -> Iterable[str]:
    """Return the names that have an answer."""
    return _BY_KEY

"""Names that people look for, among losses and their keywords, and do not find, with what to take instead.

The nearest name in spelling would mislead: ``gan`` is no misspelt ``geman``. Keys are in lower case without
``_``, ``-``, spaces and a final ``loss``. Tests hold that none of them is a loss.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Any

_ROOT = "the root is taken of the cost of a whole table, which no loss of one example can do; train with {}"
_SCALED = "it compares the costs of two models on a whole table; train with {}, and divide one cost by the other"
_REGULARISER = "a price on parameters is a regulariser: lossmith.{}(strength)(parameters)"
_GAN = "a game has two sides: take gan_discriminator and gan_generator{}"
_OVERLAP = "losses of overlapping regions and boxes are not in the catalogue"
_EMBEDDING = "of losses of embeddings the catalogue has triplet"
_CLASS_WEIGHT = "weights are an option: pass weight= to a call, or class_weight= to a loss of classes"
_ACTIVATION = "it is a last layer; the loss that belongs to it is {}"
_ABSENT = "it is not in the catalogue"
_OURS = "it is called {} here"
_TABLE_WIDE = "it judges a whole table of predictions; train with binary_cross_entropy"
_SCORE = "it is a score, and no loss: lossmith.sklearn.scorer(name) makes one of each loss"
_RANKED = "losses of the order of a list are not in the catalogue"
_JUDGES = "meansquarederror meanabsoluteerror medianabsoluteerror log rootmeansquarederror meanpoissondeviance mse mae"

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
    ("cosine", "cosinesimilarity", "cosineembedding", "hingeembedding"): _EMBEDDING,
    ("marginranking",): "it is slic, of the scores that should be higher (chosen) and lower (rejected)",
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
    **{
        tuple(theirs.split()): _OURS.format(ours)
        for ours, theirs in (
            ("squared_error", "reg:squarederror reg:linear regression regressionl2 multirmse ls"),
            ("absolute_error", "reg:absoluteerror regressionl1"),
            ("squared_log_error", "reg:squaredlogerror"),
            ("pseudo_huber", "reg:pseudohubererror"),
            ("gamma", "reg:gamma"),
            ("tweedie", "reg:tweedie"),
            ("poisson", "count:poisson halfpoisson"),
            ("quantile, or multi_quantile for several levels", "reg:quantileerror"),
            ("binary_cross_entropy", "reg:logistic binary:logistic binary:logitraw binary binarylog"),
            ("hinge", "binary:hinge"),
            ("sparse_categorical_cross_entropy", "multi:softprob multi:softmax multiclass multilog mlog"),
            ("gaussian_nll", "rmsewithuncertainty"),
            ("zero_one", "merror binaryerror multierror"),
        )
    },
    ("multiclassova", "multiclassonevsall"): "each class is a yes or no of its own: take binary_cross_entropy",
    ("ndcg", "map", "rank:ndcg", "rank:map", "rank:pairwise"): _RANKED,
    ("yetirank", "queryrmse", "rankxendcg", "pairlogit"): _RANKED,
    ("survival:cox", "survival:aft", "crossentropylambda", "friedmanmse"): _ABSENT,
    ("auc", "rocauc", "auroc", "prauc", "averageprecision", "f1"): _TABLE_WIDE,
    tuple(f"neg{word}" for word in _JUDGES.split()): _SCORE,
}
_BY_KEY = {key: text for keys, text in _TABLE.items() for key in keys}

_WEIGHTS = "Weights of examples are passed to the call as weight=."
AS_MANY = "w where y_true is 1, and 1 elsewhere."
_POSITIVES = f"To count positives w times, pass weight= to the call: {AS_MANY}"
_NORM = "Say distance='euclidean', which is the default and a norm of 2, or another."

_PREDICTED = "input inputs prediction predictions pred preds logits output outputs y_hat yhat y_score"
_TRUE = "target targets label labels y true truth y_test"

_CALLED: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_PREDICTED.split(), ("y_pred",)),
    **dict.fromkeys(_TRUE.split(), ("y_true",)),
    "from_logits": ("prediction", "q_kind"),
    "log_input": ("prediction",),
    "log_target": ("p_kind",),
    "axis": ("class_axis",),
    "dim": ("class_axis",),
    "ignore_class": ("ignore_index",),
    "pos_weight": ("class_weight",),
    **dict.fromkeys(("alpha", "q", "quantile", "quantiles", "quantile_alpha", "tau"), ("level", "levels")),
    **dict.fromkeys(("p", "variance_power", "tweedie_variance_power"), ("power",)),
    "huber_slope": ("delta",),
    "T": ("temperature",),
    "fair_c": ("c",),
    "var": ("variance",),
}
"""What keywords of other libraries are called here, where a loss has one of these."""

_SAID: Mapping[str, tuple[tuple[str, str], ...]] = {
    "weight": (("class_weight", "class_weight= weighs classes, and weight= of a call examples."), ("", _WEIGHTS)),
    "sample_weight": (("", _WEIGHTS),),
    "class_weight": (("labels", _POSITIVES), ("", _WEIGHTS)),
    "pos_weight": (("labels", _POSITIVES),),
    "scale_pos_weight": (("labels", _POSITIVES),),
    "label_smoothing": (("labels", "Smooth the labels themselves: (1 - s) * y_true + s / 2."),),
    "eps": (
        ("scale", "No variance is clamped: pass one that is large enough."),
        ("distance", "No coordinate is moved: embeddings that coincide have a distance of 0."),
        ("", "Nothing is added to predictions, not where one is 0 either."),
    ),
    **dict.fromkeys(("p", "norm_degree"), (("distance", _NORM),)),
    "apply_class_balancing": (("alpha", "Classes are balanced where alpha= is given, and nowhere else."),),
    "swap": (("distance", "The negative is compared with the anchor alone."),),
    **dict.fromkeys(("ignore_index", "ignore_class"), (("", "Examples are left out by mask= in the call."),)),
    "where": (("", "Rows that count are told by mask= in the call."),),
    **dict.fromkeys(("size_average", "reduce"), (("", "Say reduction='mean', 'sum' or 'none'."),)),
    **dict.fromkeys(("mask", "reduction", "empty"), (("", "It is passed to the call."),)),
}
"""What is to be said of others, where a loss has the first keyword, or always."""


def keyword(
    name: str,
    declared: Mapping[str, Any],
    inputs: Collection[str] = (),
    own: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Return what to write in the place of a keyword that a loss does not have, or an empty string.

    Args:
        name: the keyword.
        declared: parameters and options of the loss, by name.
        inputs: what the call takes, if it is one.
        own: what the loss itself says of keywords, by name.
    """
    if name in own:
        return f" {own[name]}"
    for ours in _CALLED.get(name, ()):
        item: Any = declared.get(ours)
        if choices := sorted(getattr(item, "choices", ()), key=lambda choice: choice != item.default):
            first, *others = (f"{ours}={choice!r}" for choice in choices)
            return f" Say {first}, which is the default, or {' or '.join(others)}."
        if item is not None or ours in inputs:
            return f" It is called {ours} here."
    return next((f" {text}" for needed, text in _SAID.get(name, ()) if not needed or needed in declared), "")


def counterpart(name: str, declared: Collection[str]) -> str:
    """Return which parameter of a loss a keyword is, by its name here or elsewhere, or an empty string."""
    return name if name in declared else next((ours for ours in _CALLED.get(name, ()) if ours in declared), "")


def elsewhere(key: str) -> str:
    """Return what to take instead of a name that is no loss, or an empty string."""
    return _BY_KEY.get(key.removesuffix("loss"), "")


def known() -> Iterable[str]:
    """Return the names that have an answer."""
    return _BY_KEY

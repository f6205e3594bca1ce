"""Mistakes that objects of Keras name, on the backend that it was imported with; ``test_keras`` runs this on each."""

from __future__ import annotations

import keras
import numpy as np
import pytest

import lossmith as lm
import lossmith.keras as lk
from tests.frameworks.keras_cases import BACKEND, ZEROS, X, Y, model
from tests.mistakes import Mistake, is_named

BAD: list[Mistake] = [
    (lambda: lk.Huber()(ZEROS, np.zeros((3, 2))), lm.ShapeError, "y_true has shape (3,) and y_pred (3, 2)"),
    (lambda: lk.Huber()(ZEROS, ZEROS.astype(int)), lm.KindError, "y_pred must hold floats"),
    (lambda: lk.Huber()(ZEROS, np.array(["a", "b", "c"])), lm.KindError, "y_pred must hold real numbers"),
    (lambda: lk.Huber()(ZEROS), lm.ParameterError, "y_pred is missing"),
    (
        lambda: lk.Huber()(ZEROS, np.float32([0, np.nan, 0])),
        lm.DomainError,
        "y_pred[1] is nan; a missing value: drop the row",
    ),
    (lambda: lk.Huber()(ZEROS, ZEROS, -1 - ZEROS), lm.DomainError, "but sample_weight[0] is -1"),
    (
        lambda: lk.Huber()(np.zeros((6, 3)), np.ones((6, 3)), -np.ones(6)),
        lm.DomainError,
        "sample_weight[0] is -1 (6 such of 6)",
    ),
    (lambda: lk.Huber()(ZEROS, ZEROS, np.ones(2)), lm.ShapeError, "sample_weight has shape (2,)"),
    (lambda: lk.BinaryCrossEntropy()(ZEROS + 2, ZEROS), lm.DomainError, "y_true"),
    (lambda: lk.SparseCategoricalCrossEntropy()([0, 3], np.zeros((2, 3))), lm.DomainError, "y_true[1] is 3"),
    (lambda: lk.SparseCategoricalCrossEntropy()([0, 1.5], np.zeros((2, 3))), lm.DomainError, "whole numbers"),
    (
        lambda: lk.SparseCategoricalCrossEntropy()(np.array([0, 2**32 + 1]), np.zeros((2, 3))),
        lm.DomainError,
        "y_true[1] is 4294967297",
    ),
    (lambda: lk.Huber(dleta=1.0), lm.ParameterError, "Did you mean 'delta'?"),
    (lambda: lk.Huber(reduction="count_mean"), lm.ParameterError, "called 'sum_over_batch_size'"),
    (lambda: lk.Huber(reduction="avg"), lm.ParameterError, "in Keras it is one of"),
    (lambda: lk.Triplet()(ZEROS, ZEROS), lm.ParameterError, "model.compile and fit pass y_true and y_pred alone"),
    (lambda: model(lk.GaussianNLL()).evaluate(X, Y, verbose=0), lm.ParameterError, "variance is missing"),
    (lambda: lk.loss("huber(delta=-1)"), lm.ParameterError, "delta must lie in (0, inf)"),
    (lambda: lk.loss(keras.losses.Huber()), lm.ParameterError, "a text that names one, got Huber"),
    (lambda: lk.Invalid("huber"), lm.ParameterError, "got str"),
    (lambda: lk.Check(lk.Huber()), lm.ParameterError, "a counter, lossmith.keras.Invalid, is wanted; got Huber"),
    (
        lambda: model(lk.Huber()).fit(X, Y, callbacks=[lk.Check(lk.Invalid(lm.Huber()))], verbose=0),
        lm.ParameterError,
        "the model has no metric 'invalid' to look at, only loss",
    ),
    (lambda: lk.Huber()(ZEROS, keras.Input((1,))), lm.KindError, "y_pred is a KerasTensor"),
    (lambda: lk.Huber()(keras.Input((1,)), ZEROS), lm.KindError, "y_true is a KerasTensor"),
    (lambda: lk.register(lm.Huber()), lm.ParameterError, "a class of losses is wanted"),
    (lambda: lk.Huber()(ZEROS, ZEROS, np.array(["a"] * 3)), lm.KindError, "sample_weight must hold real numbers"),
    (lambda: lk.SparseCategoricalCrossEntropy()([0, np.nan], np.eye(2)), lm.DomainError, "y_true[1] is nan"),
    (lambda: lk.Huber()(ZEROS, ZEROS, weight=ZEROS), lm.ParameterError, "called sample_weight in Keras"),
    (
        lambda: lk.Huber()(predictions=ZEROS, targets=ZEROS),
        lm.ParameterError,
        "'predictions'. It is called y_pred here",
    ),
    (lambda: lk.KLDivergence()(labels=ZEROS, output=ZEROS), lm.ParameterError, "'labels'. The truth is called y_true"),
    (lambda: lk.Huber()(np.array(["a"] * 3), ZEROS), lm.KindError, "convert labels to numbers first"),
    (lambda: lk.BinaryCrossEntropy(from_logits=True), lm.ParameterError, "Say prediction='logits'"),
    (lambda: lk.Huber(weight=3), lm.ParameterError, "'weight'; it takes delta. Weights of examples are passed to"),
    (lambda: lk.Hinge(ignore_class=3), lm.ParameterError, "left out by a mask of Keras, which comes with y_pred."),
    (lambda: lk.Hinge()(ZEROS, ZEROS, pos_weight=3), lm.ParameterError, "pass sample_weight= to the call: w where y"),
    (lambda: lk.Huber()(ZEROS, ZEROS, reduction="sum"), lm.ParameterError, "It is said when the loss is made."),
    (lambda: lk.KLDivergence()(np.eye(3), np.zeros((3, 2))), lm.ShapeError, "so y_pred must have shape (3, 3)"),
    (lambda: lk.huber, AttributeError, "That of Keras is called Huber() here."),
    (lambda: lk.MeanSquaredError, AttributeError, "That of Keras is called SquaredError() here."),
    (lambda: lk.MeanAbsolutePercentageError, AttributeError, "Error() here, and is 100 times as large."),
    (lambda: lk.mse, AttributeError, "It is called 'SquaredError' here."),
    (lambda: lk.CategoricalFocalCrossentropy, AttributeError, "='distributions') here, and is 0.25 times as large."),
    (lambda: lk.GAN, AttributeError, "'GAN'. A game has two sides: take GANDiscriminator and GANGenerator."),
    (lambda: lk.Hubber, AttributeError, "Did you mean 'Huber'?"),
]

if BACKEND == "tensorflow":
    import tensorflow as tf

    unknown = tf.function(lambda y, f: lk.Huber()(y, f), input_signature=[tf.TensorSpec(None), tf.TensorSpec((None,))])
    rewritten = tf.function(lambda f: lk.Huber()(ZEROS, f))
    BAD += [
        (lambda: unknown(ZEROS, ZEROS), lm.ShapeError, "say it by tf.ensure_shape(y_true, (None,))"),
        (lambda: rewritten(np.zeros(4)), lm.ShapeError, "y_true has shape (3,) and y_pred (4,)"),
        (lambda: rewritten(ZEROS.astype(int)), lm.KindError, "y_pred must hold floats"),
        (
            lambda: lk.Huber()(tf.ragged.constant([[1.0], []]), ZEROS),
            lm.KindError,
            "y_true is a RaggedTensor; pass .to_",
        ),
        (
            lambda: lk.Huber()(ZEROS, tf.sparse.eye(3)),
            lm.KindError,
            "y_pred is a SparseTensor; pass tf.sparse.to_dense",
        ),
    ]


@pytest.mark.parametrize("case", BAD, ids=lambda case: case[2])
def test_mistakes_are_named(case: Mistake) -> None:
    is_named(*case)

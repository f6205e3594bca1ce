"""Losses on tensors of TensorFlow, as Keras on this backend has them computed."""

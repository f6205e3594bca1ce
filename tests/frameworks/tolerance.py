"""How far computing in a library may be from the reference."""

ULPS = {"torch": 16, "jax": 32, "tensorflow": 32}
"""In units in the last place of the largest result of its kind; XLA's and TensorFlow's logarithms keep fewer digits."""

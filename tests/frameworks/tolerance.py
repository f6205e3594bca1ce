"""How far computing in a library may be from the reference."""

ULPS = {"torch": 16, "jax": 32, "tensorflow": 32}
"""In units in the last place of the largest result of its kind; the logarithms of XLA and TensorFlow keep fewer digits."""

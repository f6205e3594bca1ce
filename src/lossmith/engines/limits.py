"""What rows of probabilities and amounts may hold, for whoever checks them."""

SUM_TOLERANCE = 1e-3
"""How far a row of probabilities may sum from 1; in float16 they miss it by up to half of that."""

LARGEST_LOG = 709.0
"""What the logarithm of an amount stays below, so that the amount is a number."""

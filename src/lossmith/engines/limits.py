"""What rows of probabilities and amounts may hold, for whoever checks them."""

SUM_TOLERANCE = 2.0**-6
"""How far a row of probabilities may sum from 1; softmaxes that are computed in bfloat16 miss it by nearly as much."""

LOG_SUM_TOLERANCE = 2.0**-5
"""The same of exponentials of log-probabilities, whose roundings grow with them: up to -16 they are off by that."""

SUM_TOLERANCES = {"probabilities": SUM_TOLERANCE, "log_probabilities": LOG_SUM_TOLERANCE}
"""Both, by the kind of a row."""

LARGEST_LOG = 709.0
"""What the logarithm of an amount stays below, so that the amount is a number."""

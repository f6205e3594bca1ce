"""Learning, to watch: gradient descent of a small model, with every number of every step.

Training is a loop: predict, measure the loss, take its gradient, adjust the parameters. ``learn`` runs it on a model
small enough to follow by hand and keeps all that each step knew, so that a table, a chart or an animation can show
what a loss asks of a model. It is there to understand losses, not to train on large data.
"""

from lossmith.learning.record import Learning, Step
from lossmith.learning.teaching import learn

__all__ = ["Learning", "Step", "learn"]

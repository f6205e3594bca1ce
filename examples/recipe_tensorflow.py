"""A loss of your own in six steps, with TensorFlow and Keras: a formula, and a network that learns by it.

    python examples/recipe_tensorflow.py

The data are the wages of 5,000 football players. A club that offers too little loses the player, which costs it more
than to offer too much.
"""

import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf

import lossmith as lm
import lossmith.keras as lk

table = np.genfromtxt(Path(__file__).parent / "data" / "player_wages.csv", delimiter=",", skip_header=1)
wages = table[:, 3] / 1000  # in thousand euro a week
features = np.delete(table, [0, 3], axis=1)  # all numbers but the wage
features = (features - features.mean(axis=0)) / features.std(axis=0)
order = np.random.default_rng(0).permutation(len(wages))
X, y = features[order].astype("float32"), wages[order].astype("float32")
X_train, X_test, y_train, y_test = X[:4000], X[4000:], y[:4000], y[4000:]


# 1. Choose. Errors of a few thousand are to count as squares, larger ones by their size, since a few wages are huge:
#    that is Huber or log-cosh. But too low is to cost more than too high.
# 2. Define. A class with a formula; first and second derivatives are made from it.
class Offer(lm.Pointwise):
    """Log-cosh of the error in units of ``scale``, times ``factor`` where the offer is too low."""

    scale = lm.Parameter(5.0, domain="(0, inf)", symbol="s", typical=(1, 50), doc="the error at which squares end")
    factor = lm.Parameter(4.0, domain="[1, inf)", symbol="a", typical=(1, 10), doc="how much worse too low is")

    def formula(self, ops, y, f):
        """Return the loss of offering f for y."""
        error = (f - y) / self.scale
        return ops.where(error < 0, self.factor, 1) * ops.logcosh(error)


# 3. Compute the loss of each example. It can be tried on arrays before any training.
own = Offer(factor=4.0)
print("the losses of offering 20 and 40 for 30:", own.losses([30.0, 30.0], [20.0, 40.0]).round(3))

# 4. Return the value: one number, which tapes can differentiate, twice if they like. 5. Integrate: a loss as any other.
losses = {"Huber": lk.Huber(delta=5.0), "Offer": lk.loss(own)}
offers = tf.Variable([20.0, 40.0])
with tf.GradientTape() as tape:
    cost = losses["Offer"]([30.0, 30.0], offers)
assert np.allclose(tape.gradient(cost, offers), own.gradient([30.0, 30.0], [20.0, 40.0]) / 2)


# 6. Train.
for name, loss in losses.items():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input(X.shape[1:]), keras.layers.Dense(32, activation="relu"), keras.layers.Dense(1)]
    )
    model.compile(optimizer=keras.optimizers.Adam(0.003), loss=loss)
    print(f"\ntraining with {name}")
    costs = model.fit(X_train, y_train, batch_size=100, epochs=20, verbose=0).history["loss"]
    for epoch in (1, 2, 5, 10, 20):
        print(f"  epoch {epoch:2}  cost {costs[epoch - 1]:.4f}")
    predictions = model(X_test).numpy()[:, 0]
    print(f"  unseen players: cost {model.evaluate(X_test, y_test, verbose=0):.4f}; ", end="")
    print(f"offered too little to {(predictions < y_test).mean():.0%}")

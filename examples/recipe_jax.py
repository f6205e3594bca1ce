"""A loss of your own in six steps, with JAX and optax: a formula, and a network that learns by it.

    python examples/recipe_jax.py

The data are the wages of 5,000 football players. A club that offers too little loses the player, which costs it more
than to offer too much.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

import lossmith as lm
import lossmith.jax as lj

table = np.genfromtxt(Path(__file__).parent / "data" / "player_wages.csv", delimiter=",", skip_header=1)
wages = table[:, 3] / 1000  # in thousand euro a week
features = np.delete(table, [0, 3], axis=1)  # all numbers but the wage
features = (features - features.mean(axis=0)) / features.std(axis=0)
order = np.random.default_rng(0).permutation(len(wages))
X, y = jnp.asarray(features[order], jnp.float32), jnp.asarray(wages[order], jnp.float32)
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

# 4. Return the value: one number, which JAX can differentiate, twice if you like.
bends = jax.hessian(lambda offers: lj.cost(own, offers, jnp.full(2, 30.0), reduction="sum"))(jnp.array([20.0, 40.0]))
assert np.allclose(np.diag(bends), own.hessian([30.0, 30.0], [20.0, 40.0]), rtol=1e-5)


def offered(params, x):
    """Return what a network of one hidden layer offers."""
    hidden = jax.nn.relu(x @ params["W"] + params["a"])
    return hidden @ params["v"] + params["b"]


def train(loss, epochs=20, size=100):
    """Train a network, print how its cost falls, and return it."""
    optimizer, key = optax.adam(0.003), jax.random.key(0)
    shape = (X.shape[1], 32)
    params = {
        "W": jax.random.normal(key, shape) / np.sqrt(shape[0]),
        "a": jnp.zeros(32),
        "v": jax.random.normal(key, shape[1:]) / np.sqrt(32),
        "b": jnp.zeros(()),
    }

    # 5. Integrate: a function as any other, in a step that is compiled.
    @jax.jit
    def step(params, state, rows):
        x, y = X_train[rows], y_train[rows]
        cost, slopes = jax.value_and_grad(lambda params: lj.cost(loss, offered(params, x), y))(params)
        updates, state = optimizer.update(slopes, state, params)
        return optax.apply_updates(params, updates), state, cost

    state = optimizer.init(params)
    for epoch in range(1, epochs + 1):
        batches = jax.random.permutation(jax.random.fold_in(key, epoch), len(X_train)).reshape(-1, size)
        costs = []
        for batch in batches:
            params, state, cost = step(params, state, batch)
            costs.append(cost)
        if epoch in (1, 2, 5, 10, 20):
            print(f"  epoch {epoch:2}  cost {np.mean(costs):.4f}")
    return params


# 6. Train.
for name, loss in {"Huber": lm.Huber(delta=5.0), "Offer": own}.items():
    print(f"\ntraining with {name}")
    predictions = offered(train(loss), X_test)
    print(f"  unseen players: cost {lj.cost(loss, predictions, y_test):.4f}; ", end="")
    print(f"offered too little to {(predictions < y_test).mean():.0%}")

"""A loss of your own in six steps, with PyTorch: a formula, and a network that learns by it.

    python examples/recipe_torch.py

The data are the wages of 5,000 football players. A club that offers too little loses the player, which costs it more
than to offer too much.
"""

from pathlib import Path

import numpy as np
import torch

import lossmith as lm
import lossmith.torch as lt

table = np.genfromtxt(Path(__file__).parent / "data" / "player_wages.csv", delimiter=",", skip_header=1)
wages = table[:, 3] / 1000  # in thousand euro a week
features = np.delete(table, [0, 3], axis=1)  # all numbers but the wage
features = (features - features.mean(axis=0)) / features.std(axis=0)
order = np.random.default_rng(0).permutation(len(wages))
X, y = torch.tensor(features[order], dtype=torch.float32), torch.tensor(wages[order], dtype=torch.float32)
X_train, X_test, y_train, y_test = X[:4000], X[4000:], y[:4000], y[4000:]


# 1. Choose. Errors of a few thousand are to count as squares, larger ones by their size, since a few wages are huge:
#    that is Huber or log-cosh. But too low is to cost more than too high.
# 2. Define. A class with a formula; first and second derivatives, and kernels for the CPU, are made from it.
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

# 4. Return the value: one number, which PyTorch can differentiate. 5. Integrate: a criterion as any other.
criteria = {"Huber": lt.Huber(delta=5.0), "Offer": lt.module(own)}
offers = torch.tensor([20.0, 40.0], dtype=torch.float64, requires_grad=True)
assert torch.autograd.gradcheck(lambda f: criteria["Offer"](f, torch.tensor([30.0, 30.0], dtype=torch.float64)), offers)

# 6. Train.
for name, criterion in criteria.items():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(X.shape[1], 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.003)
    print(f"\ntraining with {name}")
    for epoch in range(1, 21):
        total = 0.0
        for batch in torch.randperm(len(X_train)).split(100):
            optimizer.zero_grad()
            cost = criterion(model(X_train[batch]).squeeze(-1), y_train[batch])
            cost.backward()
            optimizer.step()
            total += cost.item() * len(batch)
        if epoch in (1, 2, 5, 10, 20):
            print(f"  epoch {epoch:2}  cost {total / len(X_train):.4f}")
    with torch.no_grad():
        predictions = model(X_test).squeeze(-1)
        print(f"  unseen players: cost {criterion(predictions, y_test):.4f}; ", end="")
        print(f"offered too little to {(predictions < y_test).double().mean():.0%}")

"""A loss of your own in six steps, with NumPy alone: a weighted sum of losses of the catalogue.

    python examples/recipe_numpy.py

The data is scikit-learn's diabetes table: ten measurements of 442 patients, and how far their disease has got a year
later, a number from 25 to 346.
"""

import numpy as np
from sklearn.datasets import load_diabetes

import lossmith as lm

X, y = load_diabetes(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
y = y / 100
X_train, X_test, y_train, y_test = X[:342], X[342:], y[:342], y[342:]

# 1. Choose what matters. Half of it is the usual error; a third asks that odd patients do not drag the model; a fifth
#    that too little is expected less often than too much, as a high quantile does.
# 2. Define. A weighted sum of losses is a loss like any other.
own = 0.5 * lm.SquaredError() + 0.3 * lm.AbsoluteError() + 0.2 * lm.Quantile(level=0.9)

# 3. Compute the loss of each example, and 4. the value, their mean: the cost.
start = np.full(y_train.shape, own.optimal_constant(y_train))
print(own)
print("  losses of three patients  ", own.losses(y_train[:3], start[:3]).round(3))
print(f"  cost of the best constant  {own(y_train, start):.4f}")
for term, cost in own.terms(y_train, start).items():
    print(f"    of which {term:<25} {cost:.4f}")

# A gradient that is wrong trains wrong, without an error. So compare it with differences before you train by it.
h = 1e-6
differences = (own.losses(y_train, start + h) - own.losses(y_train, start - h)) / (2 * h)
assert np.allclose(own.gradient(y_train, start), differences, atol=1e-6)

# 5. Integrate: cost and gradient come in one pass, and the chain rule brings the gradient to the parameters.
# 6. Train.
for loss in (lm.SquaredError(), own):
    intercept, slopes = loss.optimal_constant(y_train), np.zeros(X.shape[1])
    print(f"\ntraining with {loss}")
    for step in range(101):
        cost, gradient = loss.cost_and_gradient(y_train, intercept + X_train @ slopes)
        if step in (0, 5, 20, 100):
            print(f"  step {step:3}  cost {cost:.4f}")
        intercept -= 0.1 * gradient.sum()
        slopes -= 0.1 * (gradient @ X_train)
    predictions = intercept + X_test @ slopes
    too_little = np.mean(predictions < y_test)
    print(f"  unseen patients: cost {loss(y_test, predictions):.4f}; expected too little for {too_little:.0%}")

"""How a loss guides learning: one step of training by hand, then three losses on data with an outlier.

    python examples/how_loss_guides_learning.py

Training is a loop of four things: predict, measure the loss, take its gradient, adjust. The loss is all that the model
ever hears about right and wrong, so what it punishes decides what is learned.
"""

import numpy as np

import lossmith as lm

# Hours of study and marks of eight students. Marks rise by about 2 for each hour, but the student with 3.5 hours was
# ill and got 0.5: an outlier.
hours = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0])
marks = np.array([1.9, 3.1, 3.8, 5.2, 5.9, 7.1, 0.5, 8.9])

# The model is a line, mark = intercept + slope * hours, and knows nothing yet.
intercept, slope = 0.0, 0.0
rate = 0.1  # how far to go against the gradient
loss = lm.SquaredError()

print("One step by hand, with squared error")

# 1. Predict.
predictions = intercept + slope * hours
print("  predictions   ", predictions)

# 2. Measure. A loss is the error of one example, (prediction - mark) ** 2 here; the cost is the mean of the losses.
losses = loss.losses(marks, predictions)
cost = losses.mean()
print("  losses        ", losses.round(2))
print("  cost          ", round(cost, 3))

# 3. Take the gradient: how fast each loss grows with its prediction, 2 * (prediction - mark). Below zero it says
#    "predict more". Each parameter gets the mean of what the examples say, times how much it moves their predictions:
#    by 1 for the intercept, by the hours for the slope. That is the chain rule.
gradient = loss.gradient(marks, predictions)
by_intercept, by_slope = gradient.mean(), (gradient * hours).mean()
print("  gradient      ", gradient)
print("  by intercept  ", round(by_intercept, 3))
print("  by slope      ", round(by_slope, 3))

# 4. Adjust: a step against the gradient.
intercept, slope = intercept - rate * by_intercept, slope - rate * by_slope
print(f"  new line       {intercept:.2f} + {slope:.2f} * hours")
print(f"  new cost       {loss(marks, intercept + slope * hours):.3f}")

# `lm.learn` repeats these four things, and keeps all the numbers of every step. The first one is the one above.
first = lm.learn(loss, hours, marks, rate=rate).steps[0]
assert np.allclose(first.new_parameters, [intercept, slope])

# Now three losses on the same data. At the line 1 + 2 * hours, which suits all the others, squared error hears almost
# nothing but the outlier, since its gradient grows with the error; absolute error hears every example alike; Huber is
# squared up to its delta, and absolute beyond.
print("\nThree losses, 400 steps each")
for loss in (lm.SquaredError(), lm.Huber(delta=1.0), lm.AbsoluteError()):
    pull = np.abs(loss.gradient(marks, 1 + 2 * hours))
    learning = lm.learn(loss, hours, marks, steps=400)
    intercept, slope = learning.parameters
    print(f"\n  {loss}")
    print(f"    at 1 + 2 * hours the outlier has {pull[6] / pull.sum():.1%} of the pull")
    print(f"    cost      {learning.costs[0]:.2f} at the start, {learning.costs[-1]:.3f} at the end")
    print(f"    it learns {intercept:.2f} + {slope:.2f} * hours, which gives the outlier {intercept + slope * 3.5:.1f}")

print("\nSquared error bends the line towards the outlier; the others let it lie. Which is right depends on whether")
print("the outlier is a mistake, or the very case that you care about. `lossmith learn --loss huber` shows the steps.")

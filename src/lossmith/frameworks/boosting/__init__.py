"""What the faces toward boosters share: any loss as an objective, its start score, link, metric and Hessian.

A booster takes a custom objective as gradient and Hessian and nothing more: it starts such a model at zero, ignores
the weights, and does not know the link. ``Objective`` carries all of it in one object, made from the loss alone, and
examines itself on the user's data before the first tree. Faces derive from it and add what their library calls
things: its sign, its layout of several outputs, its own training functions and files. No face names a loss.
"""

from lossmith.frameworks.boosting.curvature import KINDS
from lossmith.frameworks.boosting.examine import examine, places, some_rows
from lossmith.frameworks.boosting.forms import Form, Kind
from lossmith.frameworks.boosting.head import Head, Metric
from lossmith.frameworks.boosting.objective import Objective

__all__ = ["KINDS", "Form", "Head", "Kind", "Metric", "Objective", "examine", "places", "some_rows"]

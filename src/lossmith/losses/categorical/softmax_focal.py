"""Softmax focal loss: categorical cross-entropy that turns down what is already right."""

from lossmith.core.card import Card, Example, Myth, Reference, Traits
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures.softmax import Softmax


class SoftmaxFocal(Softmax):
    """Cross-entropy times ``(1 - probability of the true class) ** gamma``; weigh classes by ``class_weight``."""

    aliases = ("categorical_focal", "categorical_focal_crossentropy", "multiclass_focal")

    gamma = Parameter(
        2.0, domain="[0, inf)", symbol=r"\gamma", typical=(0.5, 5.0), doc="how strongly easy examples are turned down"
    )

    card = Card(
        title="Focal loss (softmax)",
        task="categorical",
        summary="Cross-entropy that counts an example less, the surer and righter the model is of its class.",
        picture="Cross-entropy where the true class is ruled out; as it gains, the loss drops to zero much sooner.",
        estimates="distorted probability",
        activation="softmax",
        pros=("many easy examples no longer drown the few that are hard", "gamma 0 is cross-entropy"),
        cons=(
            "its optimum is not the probabilities but flatter ones: calibrate before reading them as such",
            "not convex, so its Hessian can be negative",
            "ports divide by the number of classes, or scale all classes by an alpha of 0.25",
        ),
        use_when=("a few hard classes are buried under many easy examples",),
        avoid_when=(
            "labels are often wrong: the loss dwells on exactly those",
            "calibrated probabilities are needed and no recalibration follows",
        ),
        traits=Traits(convex=False, differentiable=True, smooth=True, lipschitz=True, symmetric=False),
        examples=(
            Example(
                text="Probability 0.9 for the true class counts a hundredth of its cross-entropy, 0.1 still 81%.",
                y_true=(0, 0),
                y_pred=((0.9, 0.05, 0.05), (0.1, 0.6, 0.3)),
                losses=(0.001053605, 1.865094),
                options={"prediction": "probabilities"},
            ),
            Example(
                text="Three equal logits: (2/3) squared of log 3.",
                y_true=(2,),
                y_pred=((1.0, 1.0, 1.0),),
                losses=(0.4882721,),
            ),
        ),
        myths=(
            Myth(
                "Softmax focal loss is sigmoid focal loss with more classes.",
                "With two classes it is the sigmoid form without alpha; with more, one-vs-rest sigmoids "
                "are another loss with other numbers.",
            ),
        ),
        references=(
            Reference(
                authors="T.-Y. Lin, P. Goyal, R. Girshick, K. He and P. Dollár",
                year=2017,
                title="Focal loss for dense object detection",
                venue="IEEE International Conference on Computer Vision, 2999-3007",
                doi="10.1109/ICCV.2017.324",
            ),
        ),
    )

    def of_true_class(self, ops: Ops, u: Value, p: Value, q: Value) -> Value:
        """Return the loss, given u = -log p, p and q = 1 - p of the true class."""
        # Held at 1 where p is 0, or its derivatives would set infinity against infinity.
        return ops.mul0(ops.alike(p > 0, ops.pow(q, self.gamma), 1), u)

"""Distillation: a student learns the softened answers of a teacher."""

from lossmith.core.card import Card, Example, Formula, Myth, Reference, Traits
from lossmith.core.inputs import Input
from lossmith.core.parameter import Parameter
from lossmith.program import Ops, Value
from lossmith.structures import log_ratio
from lossmith.structures.divergence import Divergence


class Distillation(Divergence):
    """Distillation: T² KL(softmax(teacher/T), softmax(student/T)) of logits, differentiated by the student's."""

    aliases = ("knowledge_distillation", "kd", "logit_distillation", "hinton_distillation")
    inputs = (Input("p", "teacher", predicted=False, doc="its logits"), Input("q", "student", doc="its logits"))
    wrt = ("q",)
    entropic = True
    p_kind = None
    q_kind = None

    temperature = Parameter(
        1.0, domain="[1e-100, 1e100]", symbol="T", typical=(0.5, 10.0), doc="divides both logits; above 1 softens"
    )

    card = Card(
        title="Distillation",
        task="distributions",
        summary="How far a student's softened probabilities are from its teacher's, in the logits' own scale.",
        picture="A smooth bowl with its floor where the student's logits are the teacher's up to a constant.",
        estimates="a distribution",
        activation="linear (logits)",
        pros=(
            "hands on how wrong each wrong class is, which labels do not tell",
            "T² keeps the gradients' size when the temperature changes",
            "convex in the student's logits, with a bounded gradient",
        ),
        cons=("needs a teacher and its logits", "copies the teacher's mistakes", "one more number to set"),
        use_when=("a small model shall do what a large one does", "labels are few and a teacher's answers are many"),
        avoid_when=("student and teacher know different classes",),
        traits=Traits(convex=True, differentiable=True, smooth=True, lipschitz=True, symmetric=False),
        formula=Formula(
            value=(r"T^2 \sum_k p_k \log \frac{p_k}{q_k}", "T² sum over k of p[k] log(p[k] / q[k])"),
            gradient=(r"T \left(q_k - p_k\right)", "T (q[k] - p[k])"),
            hessian=(r"q_k \left(1 - q_k\right)", "q[k] (1 - q[k])"),
        ),
        examples=(
            Example(
                text="The teacher prefers cat to dog by 2, the student by 0: at temperature 1 that costs 0.328.",
                inputs={"teacher": ((2.0, 0.0),), "student": ((0.0, 0.0),)},
                losses=(0.3278133,),
            ),
            Example(
                text="At temperature 4 the T² is included: 0.485, near the 0.5 that it tends to as T grows.",
                inputs={"teacher": ((2.0, 0.0),), "student": ((0.0, 0.0),)},
                losses=(0.4847978,),
                options={"temperature": 4.0},
            ),
        ),
        myths=(
            Myth(
                "The factor T² is optional.",
                "Without it a higher temperature silently weakens the loss by T², and its weight beside other terms.",
            ),
        ),
        references=(
            Reference(
                authors="G. Hinton, O. Vinyals and J. Dean",
                year=2015,
                title="Distilling the knowledge in a neural network",
                venue="arXiv 1503.02531",
                doi="10.48550/arXiv.1503.02531",
            ),
        ),
    )

    @property
    def kinds(self) -> tuple[str, str]:
        """Both hold logits."""
        return "logits", "logits"

    @property
    def scale(self) -> float:
        """What logits are multiplied by first."""
        return 1 / float(self.temperature)

    def formula(self, ops: Ops, p: Value, q: Value) -> Value:
        """Return the loss of a class from the softened probabilities."""
        return self.temperature**2 * ops.mul0(p, ops.log(p) - ops.log(q))

    def terms(self, ops: Ops, p: Value, q: Value, d: Value) -> Value:
        """Return the same in its general form; see ``Divergence``."""
        return self.temperature**2 * log_ratio.entropy_terms(ops, p, q, d)

    def pulls(self, ops: Ops, p: Value, q: Value, d: Value) -> tuple[Value, Value]:
        """Return its derivatives by log p and log q."""
        by_p, by_q = log_ratio.entropy_pulls(ops, p, q, d)
        return self.temperature**2 * by_p, self.temperature**2 * by_q

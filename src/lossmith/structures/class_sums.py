"""Formulas of divergences as people write them: a sum over classes, and its derivatives by what q holds."""

from __future__ import annotations

from lossmith.core.card import Formula

Pair = tuple[str, str]
"""LaTeX and text."""


def class_sum(value: Pair, slope: Pair, bend: Pair, by_logits: tuple[Pair, Pair] | None = None) -> Formula:
    """Return the formula of a sum over classes.

    Args:
        value: the loss of class k.
        slope, bend: its first and second derivative by the probability q of class k.
        by_logits: first and second derivative by a logit, where they come out short.
    """
    whole = (rf"\sum_k {value[0]}", f"sum over k of {value[1]}")
    if by_logits is None:
        by_logits = (
            (
                rf"q_k \left(g_k - \sum_j q_j g_j\right), \quad g_k = {slope[0]}",
                f"q[k] (g[k] - sum over j of q[j] g[j]), with g[k] = {slope[1]}",
            ),
            (
                r"c_k \left(1 - 2 q_k\right) + q_k^2 \sum_j c_j - q_k \left(1 - q_k\right) \sum_j q_j g_j, "
                rf"\quad c_k = q_k g_k + q_k^2 h_k, \quad g_k = {slope[0]}, \quad h_k = {bend[0]}",
                "c[k] (1 - 2 q[k]) + q[k]² sum over j of c[j] - q[k] (1 - q[k]) sum over j of q[j] g[j], with "
                f"c[k] = q[k] g[k] + q[k]² h[k], g[k] = {slope[1]} and h[k] = {bend[1]}",
            ),
        )
    by_logarithms = (
        (rf"q_k g_k, \quad g_k = {slope[0]}", f"q[k] g[k], with g[k] = {slope[1]}"),
        (
            rf"q_k g_k + q_k^2 h_k, \quad g_k = {slope[0]}, \quad h_k = {bend[0]}",
            f"q[k] g[k] + q[k]² h[k], with g[k] = {slope[1]} and h[k] = {bend[1]}",
        ),
    )
    kinds = {"logits": by_logits, "log_probabilities": by_logarithms, "log_values": by_logarithms}
    return Formula(
        value=whole,
        gradient=slope,
        hessian=bend,
        kinds={kind: Formula(value=whole, gradient=first, hessian=second) for kind, (first, second) in kinds.items()},
    )

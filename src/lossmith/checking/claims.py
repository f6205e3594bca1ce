"""What a card claims, held against what was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lossmith.checking.ground import Ground
from lossmith.checking.report import Finding, number
from lossmith.checking.shape import symmetric
from lossmith.core.card import Card

Found = Mapping[str, Finding]

_STRICT = {
    "mean": ("mean",),
    "median": ("median",),
    "quantile": ("quantile", "median"),
    "expectile": ("expectile", "mean"),
    "probability": ("probability",),
    "2p - 1": ("2p - 1",),
    "half the log-odds": ("half the log-odds",),
    "nothing": ("nothing",),
}
"""What the search must come to where a card names a statistic that has one meaning."""


def claims(ground: Ground, findings: Sequence[Finding]) -> Iterator[Finding]:
    """Yield an error for each claim of the card that what was found speaks against, or that all of them hold.

    A card speaks of raw predictions and default options; of another form of the loss nothing is said.
    """
    loss, card = ground.loss, ground.loss.card
    options = loss.options()
    if not card.references or any(loss.values[name] != option.default for name, option in options.items()):
        return
    found = {finding.topic: finding for finding in reversed(findings)}
    broken = [said for claim, against in _AGAINST.items() if getattr(card.traits, claim) and (said := against(found))]
    if card.traits.symmetric and not symmetric(ground):
        broken.append("symmetric, and residuals of opposite sign cost differently")
    wanted = _STRICT.get(card.estimates)
    what = found["estimates"].facts.get("what") if "estimates" in found else None
    if wanted and what and what not in wanted:
        broken.append(f"that it estimates the {card.estimates}, and found was: {found['estimates'].title}")
    for said in broken:
        text = f"The card claims {said}."
        yield Finding("claims", "error", "The card claims what is not so", text, "Correct the card, or the formula.")
    if not broken:
        held = [name for name in (*_AGAINST, "symmetric") if getattr(card.traits, name)]
        said = ", ".join(held) or "none"
        text = f"Nothing was found against its traits ({said}) and what it estimates ({card.estimates})."
        yield Finding("claims", "ok", "What its card claims holds", text, facts={"traits": held})


def _not_convex(found: Found) -> str:
    finding = found["convex"]
    if finding.facts.get("convex", True):
        return ""
    facts = finding.facts
    places, losses = (", ".join(map(number, facts[name])) for name in ("f", "losses"))
    return f"convex, but for y = {number(facts['y'])} at f = {places} it is {losses}: a counter-example"


def _jumps(names: Sequence[str], claim: str) -> Callable[[Found], str]:
    def against(found: Found) -> str:
        for topic in ("jumps", "kinks"):
            if topic in found and found[topic].facts.get("what") in names:
                return f"{claim}, but: {found[topic].evidence.rstrip('.')}"
        return ""

    return against


def _not_lipschitz(found: Found) -> str:
    return "" if found["robust"].facts["lipschitz"] else "a bounded gradient, and it grows without bound"


def _negative(found: Found) -> str:
    floor = found.get("floor")
    return f"never negative, but: {floor.evidence.rstrip('.')}" if floor and floor.facts["negative"] else ""


_AGAINST: dict[str, Callable[[Found], str]] = {
    "convex": _not_convex,
    "differentiable": _jumps(("value", "gradient"), "differentiable"),
    "smooth": _jumps(("value", "gradient", "hessian"), "smooth"),
    "lipschitz": _not_lipschitz,
    "nonnegative": _negative,
}


def owned(card: Card, finding: Finding) -> Finding:
    """Return a finding as a warning where it is an error that the loss's own card owns up to."""
    known: dict[str, Callable[[Card, Mapping[str, Any]], bool]] = {
        "minimum": lambda card, facts: card.estimates == "nothing",
        "estimates": lambda card, facts: card.estimates == "nothing",
        "boosting": lambda card, facts: any(kink.jumps == "value" for kink in card.kinks),
    }
    says = known.get(finding.topic)
    if finding.severity != "error" or says is None or not says(card, finding.facts):
        return finding
    return replace(finding, severity="warning", evidence=f"{finding.evidence} Its card says so.", advice="")

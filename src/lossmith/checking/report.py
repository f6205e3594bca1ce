"""What a check finds: findings, and all of them together as a report."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from lossmith.errors import did_you_mean, plural

Severity = Literal["error", "warning", "note", "ok"]

_RANKS: tuple[Severity, ...] = ("error", "warning", "note", "ok")

SCHEMA = 1
"""Grows when the meaning of a field of ``Report.to_dict`` changes."""

_SAME = 1e-7
_WIDEST = 100
_INDENT = " " * 11


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Attributes:
        topic: what was looked at, such as ``convex``.
        severity: ``error`` where the loss is broken or its card is wrong, ``warning`` where it may hurt, ``note`` where
            it is good to know, ``ok`` where nothing is to be said against it.
        title: what was found, in a few words.
        evidence: the numbers that show it.
        advice: what to do; empty where nothing is to be done.
        facts: the same for programs.
    """

    topic: str
    severity: Severity
    title: str
    evidence: str
    advice: str = ""
    facts: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def to_dict(self) -> dict[str, Any]:
        """Return the finding in JSON's own types, with ``None`` for numbers that are not finite."""
        names = ("topic", "severity", "title", "evidence", "advice", "facts")
        return {name: _plain(getattr(self, name)) for name in names}


@dataclass(frozen=True)
class Report:
    """What a check found out about a loss.

    Attributes:
        loss: the loss, as text.
        about: what it takes, in a line.
        findings: what was found, in the order in which a reviewer would tell it.
    """

    loss: str
    about: str
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that say that the loss is broken, or that its card is wrong."""
        return self._of("error")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The findings that may hurt."""
        return self._of("warning")

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.errors

    def _of(self, severity: Severity) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity == severity)

    def __getitem__(self, topic: str) -> Finding:
        """Return the first finding about a topic.

        Raises:
            KeyError: when it was not looked at, with what was.
        """
        for finding in self.findings:
            if finding.topic == topic:
                return finding
        looked_at = list(dict.fromkeys(finding.topic for finding in self.findings))
        raise KeyError(f"{topic!r} was not looked at, but {', '.join(looked_at)}.{did_you_mean(str(topic), looked_at)}")

    def to_dict(self) -> dict[str, Any]:
        """Return the report in JSON's own types; ``schema`` grows when the meaning of a field changes."""
        return {
            "schema": SCHEMA,
            "loss": self.loss,
            "about": self.about,
            "ok": self.ok,
            "counts": {severity: len(self._of(severity)) for severity in _RANKS},
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def to_json(self) -> str:
        """Return the report as a JSON document."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def __str__(self) -> str:
        return self.text()

    def text(self, columns: int = _WIDEST, paint: Callable[[str, str], str] = lambda text, style: text) -> str:
        """Return the report for people, what is wrong first.

        Args:
            columns: to fill at most.
            paint: ``(text, style) -> text`` that colours; styles are the severities, ``title`` and ``faint``.
        """
        lines = [*_wrapped(self.loss, columns), *_wrapped(self.about, columns), ""]
        lines[0] = paint(lines[0], "title")
        for finding in sorted(self.findings, key=lambda finding: _RANKS.index(finding.severity)):
            mark = finding.severity.ljust(len(_INDENT) - 2)
            title = _wrapped(f"{mark}{finding.title}", columns, "  ", _INDENT)
            lines.append("  " + paint(mark, finding.severity) + paint(title[0][2 + len(mark) :], "title"))
            lines += [_INDENT + paint(line.strip(), "title") for line in title[1:]]
            lines += _wrapped(finding.evidence, columns, _INDENT, _INDENT)
            if finding.advice:
                arrow = _wrapped(finding.advice, columns, _INDENT + "→ ", _INDENT + "  ")
                lines += [paint(line, "advice") for line in arrow]
        return "\n".join([*lines, "", *_wrapped(self._verdict(), columns)])

    def _verdict(self) -> str:
        counts = [(len(self._of(word)), word) for word in _RANKS[:3]]
        return ", ".join(plural(count, word) if count else f"no {word}s" for count, word in counts)


def _wrapped(text: str, columns: int, first: str = "", rest: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        columns,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=True,
    ) or [""]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return value


def share(part: float) -> str:
    """Return a share in percent, which is 0% and 100% only where it is none and all."""
    return "under 1%" if 0 < part < 0.01 else "over 99%" if 0.99 < part < 1 else f"{part:.0%}"


def relation(places: Mapping[float, Sequence[float]], y: float, f: float) -> str:
    """Return how a prediction depends on its target, as ``f = y + 1``; empty where other targets do not have it so.

    Args:
        places: predictions by target.
        y, f: one of them.
    """

    def everywhere(law: Callable[[float], float]) -> bool:
        return len(places) > 1 and all(
            any(abs(other - law(target)) <= _SAME * max(1, abs(other)) for other in found)
            for target, found in places.items()
        )

    away = f - y
    if everywhere(lambda target: target + away):
        return "f = y" if abs(away) < _SAME else f"f = y {'+' if away > 0 else '-'} {number(abs(away))}"
    if everywhere(lambda target: f):
        return f"f = {number(f)}"
    if y and everywhere(lambda target: target * f / y):
        return f"f = {number(f / y)}*y"
    other = next((target for target in places if target != y), y)
    for there in places[other] if len(places) > 2 else ():  # two targets lie on a line in any case
        slope = (there - f) / (other - y)
        if everywhere(lambda target, slope=slope: f + slope * (target - y)):  # type: ignore[misc]  # a default
            rest = f - slope * y
            return f"f = {number(slope)}*y {'+' if rest > 0 else '-'} {number(abs(rest))}"
    return ""


def number(x: float) -> str:
    """Return a number as people read it, with four digits."""
    return f"{x:.4g}" if abs(x) >= 5e-324 else "0"

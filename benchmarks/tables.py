"""A run as Markdown: the table of ratios, the targets, and where a peer is ahead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.peers import ALLOCATING, OURS, OWN, PEERS
from benchmarks.ratios import Record, behind, line, middle, ratio, seconds
from benchmarks.targets import targets

COLUMNS = ("floor", ALLOCATING, OWN, *PEERS)
HEADS = {"floor": "memory", ALLOCATING: "new arrays", OWN: "user's own"}


def markdown(result: dict[str, Any]) -> str:
    """Return the tables of a run."""
    measured = [record for record in result["cases"] if record["times"]]
    parts = [_head(result), _table(measured), _targets(measured), _behind(measured)]
    return "\n".join(part for part in parts if part)


def _head(result: dict[str, Any]) -> str:
    machine, settings = result["machine"], result["settings"]
    versions = ", ".join(f"{name} {number}" for name, number in machine.get("versions", {}).items())
    quick = " A quick run: only six of the pointwise losses, and few rounds." if settings["quick"] else ""
    return (
        f"Time as a multiple of Lossmith's, above 1 where Lossmith is faster; over several losses the geometric mean, "
        f"with the least and the most. Medians of at most {settings['rounds']} interleaved rounds, "
        f"{machine.get('threads')} threads for everybody, {machine.get('processor')}, "
        f"Python {machine.get('python')}, {versions}. `memory` is the best loop that reads and writes the same arrays "
        f"and computes next to nothing; `new arrays` is Lossmith without `out=`.{quick}\n"
    )


def _table(records: Sequence[Record]) -> str:
    lines: dict[str, list[Record]] = {}
    for record in records:
        lines.setdefault(line(record), []).append(record)
    columns = [name for name in COLUMNS if any(ratio(record, name) is not None for record in records)]
    head = ["case", "losses", OURS, *(HEADS.get(name, name) for name in columns)]
    rows = [f"| {' | '.join(head)} |", f"| --- |{' ---: |' * (len(head) - 1)}"]
    for label, cases in lines.items():
        mine = middle(found for case in cases if (found := seconds(case, OURS)) is not None)
        cells = [label, str(len(cases)), _time(mine), *(_cell(cases, name) for name in columns)]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _time(seconds: float) -> str:
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"


def _cell(cases: Sequence[Record], name: str) -> str:
    found = [value for case in cases if (value := ratio(case, name)) is not None]
    if not found:
        return ""
    if len(found) == 1:
        return _number(found[0])
    return f"{_number(middle(found))} ({_number(min(found))}–{_number(max(found))})"


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 1.95 else f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def _targets(records: Sequence[Record]) -> str:
    words = {True: "met", False: "missed", None: ""}
    rows = ["| target | measured | |", "| --- | --- | --- |"]
    rows += [f"| {target.text} | {target.measured} | {words[target.met]} |" for target in targets(records)]
    return "\n".join(rows) + "\n"


def _behind(records: Sequence[Record]) -> str:
    found = list(_lost(records))
    return (
        "\n".join(["Where a peer is ahead (≈ where the middle halves of the times overlap):\n", *found, ""])
        if found
        else ""
    )


def _lost(records: Sequence[Record]) -> Iterator[str]:
    by_case: dict[tuple[str, str], list[str]] = {}
    for record, name, value, close in behind(records):
        key = record["group"], record["label"]
        by_case.setdefault(key, []).append(f"{name} {'≈' if close else ''}{value:.2f}")
    for (group, label), peers in by_case.items():
        yield f"- {group}: {label}: {', '.join(peers)}"

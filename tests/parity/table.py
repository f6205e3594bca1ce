"""The table of peers as objects: one relation a row, as `src/lossmith/peers/README.md` says."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import lossmith as lm

FOLDER = Path(lm.__file__).parent / "peers"
FILES = sorted(FOLDER.glob("*.toml"))
SHARED = ("arguments", "reductions", "returns", "weights", "within")
CONSTANTS = ("", "least", "of the target")
GRADIENTS = ("", "along the simplex")
KINDS = ("defect", "convention")


@dataclass(frozen=True)
class Difference:
    """Where a peer gives another number than ours: inputs at which it shows, and both numbers."""

    text: str
    kind: str
    at: Mapping[str, Any]
    theirs: Any
    ours: Any
    names: tuple[str, ...]
    loss: str
    options: Mapping[str, Any]
    arguments: tuple[str, ...]
    takes: Mapping[str, str]
    returns: str | None
    dtype: str = "float64"
    reduction: str = "none"
    warns: str = ""
    theirs_gradient: Mapping[str, Any] = field(default_factory=dict)
    ours_gradient: Mapping[str, Any] = field(default_factory=dict)
    theirs_hessian: Mapping[str, Any] = field(default_factory=dict)
    ours_hessian: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """How losses of a peer, names of one thing, relate to one of ours."""

    peer: str
    names: tuple[str, ...]
    ours: str
    inputs: Mapping[str, str]
    arguments: tuple[str, ...]
    reductions: Mapping[str, str] = field(default_factory=dict)
    returns: str | None = None
    weights: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    takes: Mapping[str, str] = field(default_factory=dict)
    factor: float | str = 1
    constant: str = ""
    averages: bool = False
    gradient: str = ""
    derivatives: tuple[str, ...] = ("gradient", "hessian")
    within: float = 1e-12
    warns: str = ""
    note: str = ""
    differs: tuple[Difference, ...] = ()

    @cached_property
    def loss(self) -> Any:
        """Our loss."""
        return lm.parse(self.ours)

    def __str__(self) -> str:
        short = ".".join(self.names[0].rsplit(".", 1)[-1:])
        options = ",".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.peer}-{short}({options})-{self.ours}"


@dataclass(frozen=True)
class Peer:
    """A file of the table."""

    name: str
    package: str
    version: str
    absent: Mapping[str, str]
    rows: tuple[Row, ...]


def row(peer: str, head: Mapping[str, Any], given: Mapping[str, Any]) -> Row:
    """Return a row, with what the head of its file says where it says nothing itself."""
    fields = {**{key: head[key] for key in SHARED if key in head}, **given}
    differs = fields.pop("differs", [])
    for key in ("names", "arguments", "derivatives"):
        if key in fields:
            fields[key] = tuple(fields[key])
    made = Row(peer=peer, **fields)
    inherited = {
        "names": made.names,
        "loss": made.ours,
        "options": made.options,
        "arguments": made.arguments,
        "takes": made.takes,
        "returns": made.returns,
    }
    return Row(peer=peer, **fields, differs=tuple(Difference(**{**inherited, **item}) for item in differs))


@lru_cache(maxsize=1)
def peers() -> tuple[Peer, ...]:
    """Return the table; an unknown field is an error."""
    found = []
    for path in FILES:
        head = tomllib.loads(path.read_text(encoding="utf-8"))
        assert set(head) <= {"peer", "package", "version", "absent", "loss", "note", *SHARED}, path
        rows = tuple(row(head["peer"], head, given) for given in head["loss"])
        found.append(Peer(head["peer"], head["package"], head["version"], head["absent"], rows))
    return tuple(found)


ROWS = [row for peer in peers() for row in peer.rows]
DIFFERENCES = [(row, item) for row in ROWS for item in row.differs]

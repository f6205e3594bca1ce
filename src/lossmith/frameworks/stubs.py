"""The package's type stub, made from the registry.

Losses resolve lazily by name, which type checkers and editors cannot follow. The stub tells
them each class and the signature that its declared parameters and options give it.
"""

from __future__ import annotations

from pathlib import Path

from lossmith import _HOMES
from lossmith.core.configured import Declared
from lossmith.core.parameter import Integer, Parameter, Vector
from lossmith.core.registry import loss_class, names

STUB = "__init__.pyi"


def stub() -> str:
    """Return the text of the stub."""
    lines = [
        "# Made from the registry of losses; not to be edited.",
        "from collections.abc import Sequence",
        "from typing import Any, Literal",
        "",
    ]
    for module, public in sorted(_HOMES.items()):
        lines += [f"from {module} import {name} as {name}" for name in public]
    lines += ["", "__version__: str", "_HOMES: dict[str, tuple[str, ...]]", ""]
    for name in names():
        cls = loss_class(name)
        # The stub's class adds the signature; all else it takes from the real one.
        lines.append(f"from {cls.__module__} import {cls.__name__} as _{cls.__name__}")
        arguments = "".join(f", {key}: {_type(item)} = ..." for key, item in cls.declared().items())
        lines += [f"class {cls.__name__}(_{cls.__name__}):", f'    """{(cls.__doc__ or "").strip()}"""']
        lines += [f"    def __init__(self{arguments}) -> None: ...", ""]
    return "\n".join(lines)


def _type(item: Declared) -> str:
    if isinstance(item, Integer):
        return "int" if item.default is not None else "int | None"
    if isinstance(item, Vector):
        return "Sequence[float] | None" if item.default is None else "Sequence[float]"
    if isinstance(item, Parameter):
        return "float | None" if item.optional else "float"
    if all(isinstance(choice, bool) for choice in item.choices):
        return "bool"
    return f"Literal[{', '.join(repr(choice) for choice in item.choices)}]"


def write_stub(package: Path) -> Path:
    """Write the stub into the package's folder, unless it is there already, and return its path."""
    path = package / STUB
    text = stub()
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return path


def main() -> None:
    """Write the stub beside the package that is running."""
    write_stub(Path(__file__).resolve().parent.parent)


if __name__ == "__main__":
    main()

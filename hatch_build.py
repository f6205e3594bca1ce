"""Build hook: writes the type stub of the package, so that editors know every loss.

The stub is made from the registry and never edited or committed: a new loss file is enough.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class StubHook(BuildHookInterface):  # type: ignore[type-arg,misc]
    """Write ``lossmith/__init__.pyi`` before a wheel or an editable install is made."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the stub and put it into the wheel although git ignores it."""
        source = Path(self.root) / "src"
        sys.path.insert(0, str(source))
        try:
            from lossmith.frameworks.stubs import write_stub

            stub = write_stub(source / "lossmith")
        finally:
            sys.path.remove(str(source))
        build_data["artifacts"].append(str(stub.relative_to(self.root)))

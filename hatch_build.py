"""Build hook: writes the type stubs of the package, so that editors know every loss.

They are made from the registry and never edited or committed: a new loss file is enough.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class StubHook(BuildHookInterface):  # type: ignore[type-arg,misc]
    """Write the stubs before a wheel or an editable install is made."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the stubs and put them into the wheel although git ignores them."""
        source = Path(self.root) / "src"
        sys.path.insert(0, str(source))
        try:
            from lossmith.frameworks.stubs import write_stubs

            stubs = write_stubs(source / "lossmith")
        finally:
            sys.path.remove(str(source))
        build_data["artifacts"] += [str(stub.relative_to(self.root)) for stub in stubs]

"""Settings of a library, which has several names for one: they are read by one of them, and some are refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lossmith.errors import ParameterError

WEIGHED = "weights of labels go into weight=, a number for each row"
"""What to say of settings that weigh labels: libraries heed them in objectives of their own alone."""

ANEW = "train does not continue models"
"""What to say of models to begin with."""


@dataclass(frozen=True)
class Names:
    """What a library calls its settings.

    A default, or a setting of an estimator, gives way to what ``params`` hold, by whichever name.

    Attributes:
        others: further names of a setting, by the one that is read here.
        refused: settings that are decided elsewhere, and where.
    """

    others: Mapping[str, tuple[str, ...]]
    refused: Mapping[str, str]

    def read(self, params: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return settings of a user by the names that are read here.

        Raises:
            ParameterError: for a setting that is decided elsewhere, or is given by two names, and for no mapping.
        """
        if params is not None and not isinstance(params, Mapping):
            raise ParameterError(f"params must be a mapping of settings by name, got {type(params).__name__}")
        mine = {other: name for name, others in self.others.items() for other in others}
        found: dict[str, Any] = {}
        came: dict[str, str] = {}
        for given, value in (params or {}).items():
            name = mine.get(given, given)
            if name in self.refused:
                raise ParameterError(f"params hold {given}, but {self.refused[name]}; leave it out")
            if name in found:
                raise ParameterError(f"params hold {came[name]} and {given}, which are one setting; leave one out")
            found[name], came[name] = value, given
        return found

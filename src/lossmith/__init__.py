"""Lossmith: every loss function written once, the same everywhere.

Losses are attributes of this module, by class name::

    import lossmith as lm

    loss = lm.Huber(delta=1.35)
    loss(y_true, y_pred)

``lm.names()`` lists them, ``lm.get("huber")`` finds one by name or alias. Names resolve when
they are first used, so importing the package imports nothing else.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "lossmith.core.registry": ("family", "from_config", "get", "loss_class", "names", "parse"),
    "lossmith.core.loss": ("Loss",),
    "lossmith.core.parameter": ("Option", "Parameter"),
    "lossmith.core.domain": ("Domain",),
    "lossmith.core.card": ("Card", "Example", "Kink", "Myth", "Reference", "Traits"),
    "lossmith.core.mistakes": ("LossmithWarning",),
    "lossmith.core.state": ("CostState",),
    "lossmith.core.constant": ("Context",),
    "lossmith.structures.pointwise": ("Binary", "Pointwise"),
    "lossmith.structures.divergence": ("Divergence",),
    "lossmith.structures.entropy": ("entropy",),
    "lossmith.structures.composite": ("Sum",),
    "lossmith.custom.text": ("formula",),
    "lossmith.custom.export": ("export",),
    "lossmith.custom.function": ("loss",),
    "lossmith.regularizers": ("L1", "L2", "ElasticNet"),
    "lossmith.program": ("Program",),
    "lossmith.choosing": ("choose",),
    "lossmith.learning": ("learn",),
    "lossmith.checking": ("check",),
    "lossmith.engines.llvm.threads": ("get_num_threads", "set_num_threads"),
    "lossmith.errors": (
        "DomainError",
        "EmptyError",
        "FormulaError",
        "KindError",
        "LossNotFoundError",
        "LossmithError",
        "MergeError",
        "MissingDependencyError",
        "NoConstantError",
        "ParameterError",
        "ProgramError",
        "ShapeError",
        "TableError",
    ),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        found = getattr(import_module(_HOME[name]), name)
    elif name[:1].isupper() or name == "__all__":
        found = _every_name() if name == "__all__" else _loss_class(name)
    else:
        raise AttributeError(f"module 'lossmith' has no attribute {name!r}{_instead(name)}")
    globals()[name] = found  # the next look-up does not come here
    return found


def _loss_class(name: str) -> Any:
    from lossmith.core.registry import loss_class
    from lossmith.errors import LossNotFoundError

    try:
        found = loss_class(name)
    except LossNotFoundError as error:
        raise AttributeError(f"module 'lossmith' has no attribute {name!r}: {error}") from None
    if found.__name__ != name:
        raise AttributeError(f"module 'lossmith' has no attribute {name!r}. Did you mean {found.__name__!r}?")
    return found


def _instead(name: str) -> str:
    """Return what to write in the place of a name in small letters: a face that is not imported, or a loss."""
    from importlib.util import find_spec

    if name.startswith("_"):
        return ""
    if find_spec(f"lossmith.{name}") is not None:
        return f"; write import lossmith.{name} first"
    from lossmith.core.registry import loss_class, what_instead
    from lossmith.errors import LossNotFoundError

    try:
        return f"; the loss is lossmith.{loss_class(name).__name__}"
    except LossNotFoundError:
        told = what_instead(name)
        return told and f": {told}"


def _every_name() -> list[str]:
    from lossmith.core.registry import loss_class, names

    return sorted([*_HOME, *(loss_class(name).__name__ for name in names())])


def __dir__() -> list[str]:
    return sorted([*_every_name(), "__version__"])

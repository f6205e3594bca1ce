"""Type stubs of the package and of its modules for PyTorch, JAX and Keras, made from the registry.

Losses resolve lazily by name, which type checkers and editors cannot follow. The stubs tell
them each class and the signature that its declared parameters and options give it.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from lossmith import _HOMES
from lossmith.core.configured import Declared
from lossmith.core.inputs import compares
from lossmith.core.loss import Loss
from lossmith.core.parameter import Integer, Parameter, Vector
from lossmith.core.reduction import POLICIES, Reduction
from lossmith.core.registry import loss_class, names
from lossmith.frameworks.calls import JAX, in_words, order, takes_where


def stub() -> str:
    """Return the text of the package's stub."""
    lines = ["from typing import Any, Literal", "", *_ARRAYS]
    for module, public in sorted(_HOMES.items()):
        lines += [f"from {module} import {name} as {name}" for name in public]
    lines += ["", "__version__: str", "_HOMES: dict[str, tuple[str, ...]]", ""]
    for name in names():
        cls = loss_class(name)
        # The stub's class adds the signature; all else it takes from the real one.
        lines.append(f"from {cls.__module__} import {cls.__name__} as _{cls.__name__}")
        lines += _class(cls, f"_{cls.__name__}")
    return "\n".join([_HEAD, *lines])


def torch_stub() -> str:
    """Return the text of the stub of the modules of PyTorch."""
    lines = [
        "from typing import Any, Literal",
        "",
        *_ARRAYS,
        "from lossmith.frameworks.torch.inside import check as check",
        "from lossmith.frameworks.torch.modules import LossModule as LossModule",
        "",
        f"def module(loss: Any, *, {_reduced(_BATCH_MEAN)}) -> LossModule: ...",
        "",
    ]
    for name in names():
        cls = loss_class(name)
        lines += _class(cls, "LossModule", f", *, {_reduced(*([_BATCH_MEAN] if compares(cls()) else []))}")
    return "\n".join([_HEAD, *lines])


def keras_stub() -> str:
    """Return the text of the stub of the objects of Keras."""
    lines = [
        "from typing import Any, Literal",
        "",
        *_ARRAYS,
        "from lossmith.frameworks.keras.configs import register as register",
        "from lossmith.frameworks.keras.counting import Check as Check, Invalid as Invalid",
        "from lossmith.frameworks.keras.objects import LossObject as LossObject",
        "",
        f"def loss(loss: Any, *, {_KERAS}) -> LossObject: ...",
        "",
    ]
    for name in names():
        lines += _class(loss_class(name), "LossObject", f", *, {_KERAS}")
    return "\n".join([_HEAD, *lines])


def jax_stub() -> str:
    """Return the text of the stub of the functions for JAX."""
    home = "lossmith.frameworks.jax"
    lines = [
        "from typing import Literal",
        "",
        *_ARRAYS,
        "from jax import Array",
        "from jax.typing import ArrayLike",
        "",
        f"from {home}.costs import State as State",
        *(f"from {home}.functions import {name} as {name}" for name in ("cost", "losses", "state")),
        "",
    ]
    for name in names():
        cls = loss_class(name)
        by_place = order(cls())
        inputs = [f"{name}: ArrayLike" for name in in_words(cls(), JAX)]
        where = ["*, where: ArrayLike | None = ..."] if takes_where(cls()) else []
        given = ", ".join([*(inputs if by_place else ["*", *inputs]), *_values(cls), *where])
        lines += [f"def {name}({given}) -> Array:", f'    """{(cls.__doc__ or "").strip()}"""', ""]
    return "\n".join([_HEAD, *lines])


_HEAD = "# Made from the registry of losses; not to be edited."
_BATCH_MEAN = "batchmean"  # as in the modules, which cannot be imported where PyTorch is missing
_ARRAYS = ["import numpy.typing as npt", ""]
_KERAS = (
    'reduction: Literal["sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none"] | None = ..., '
    "name: str | None = ..., dtype: Any = ..."
)
STUBS = {
    "__init__.pyi": stub,
    "torch/__init__.pyi": torch_stub,
    "jax/__init__.pyi": jax_stub,
    "keras/__init__.pyi": keras_stub,
}
"""The stubs by their place in the package."""


def _reduced(*more: str) -> str:
    """Return the keywords of a module that say how losses become a cost."""
    names = ", ".join(repr(name) for name in (*get_args(Reduction), *more))
    policies = ", ".join(map(repr, POLICIES))
    return f"reduction: Literal[{names}] = ..., empty: Literal[{policies}] = ..."


def _class(cls: type[Loss], base: str, more: str = "") -> list[str]:
    arguments = "".join(f", {value}" for value in _values(cls))
    head = [f"class {cls.__name__}({base}):", f'    """{(cls.__doc__ or "").strip()}"""']
    return [*head, f"    def __init__(self{arguments}{more}) -> None: ...", ""]


def _values(cls: type[Loss]) -> list[str]:
    """Return the parameters and options of a loss as a signature has them."""
    return [f"{key}: {_type(item)} = ..." for key, item in cls.declared().items()]


def _type(item: Declared) -> str:
    if isinstance(item, Integer):
        return "int" if item.default is not None else "int | None"
    if isinstance(item, Vector):
        return "npt.ArrayLike | None" if item.default is None else "npt.ArrayLike"
    if isinstance(item, Parameter):
        return "float | None" if item.optional else "float"
    if all(isinstance(choice, bool) for choice in item.choices):
        return "bool"
    return f"Literal[{', '.join(repr(choice) for choice in item.choices)}]"


def write_stubs(package: Path) -> list[Path]:
    """Write the stubs into the package's folder, unless they are there already, and return their paths."""
    paths = []
    for place, make in STUBS.items():
        path, text = package / place, make()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def main() -> None:
    """Write the stubs beside the package that is running."""
    write_stubs(Path(__file__).resolve().parent.parent)


if __name__ == "__main__":
    main()

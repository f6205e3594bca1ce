"""What a user does wrong, and the error that names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Mistake = tuple[Callable[[], Any], type[Exception], str]
"""The call, its error, and a part of what that says."""


def is_named(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    """Hold that a call raises an error that says this text."""
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value), str(caught.value)

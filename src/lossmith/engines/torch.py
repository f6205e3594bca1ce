"""The engine of PyTorch: programs over tensors, in operations that autograd, ``torch.compile`` and ``vmap`` know."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from lossmith.engines.arrays import Arrays

Tensor = Any


class Tensors(Arrays):
    """Plain arithmetic on tensors of one type, on one device.

    Args:
        like: a tensor of that type, float32 or float64, on that device.
    """

    xp: ClassVar[Any] = torch

    def __init__(self, like: Tensor) -> None:
        super().__init__(double=like.dtype == torch.float64)
        self._device, self._dtype = like.device, like.dtype

    def scalar(self, value: float | bool) -> Tensor:
        """Return a number, or a truth value, as a tensor without axes."""
        return torch.full((), value, device=self._device, dtype=torch.bool if isinstance(value, bool) else self._dtype)

    def power(self, a: Tensor, b: Tensor) -> Tensor:
        """Return a ** b."""
        return torch.pow(a, b)

    def erf(self, a: Tensor) -> Tensor:
        """Return the error function."""
        return torch.erf(a)

    def lgamma(self, a: Tensor) -> Tensor:
        """Return the logarithm of the gamma function."""
        return torch.lgamma(a)

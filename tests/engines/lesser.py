"""The machine at hand, as if it were an older one: kernels in shorter vectors, which it can run as well."""

from __future__ import annotations

import llvmlite.binding as llvm

MACHINES = {"nehalem": (128, ()), "haswell": (256, ("avx", "avx2", "f16c", "fma"))}
"""Bits of a vector, and what the engine asks for by name, of older processors of x86."""


def pretend(machine: str) -> None:
    """Make kernels for an older machine from now on; nothing may have been compiled before."""
    _, features = MACHINES[machine]
    known = llvm.FeatureMap(dict.fromkeys(features, True))
    llvm.get_host_cpu_name = lambda: machine
    llvm.get_host_cpu_features = lambda: known

"""From LLVM's text to functions that can be called.

LLVM is used by one thread at a time, under one lock: llvmlite locks each call into it, but a fork during such a call
would leave its lock held in the child.
"""

from __future__ import annotations

import atexit
import ctypes
import itertools
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Generic, ParamSpec, TypeVar

import llvmlite
import llvmlite.binding as llvm

from lossmith.engines.choice import NoKernel
from lossmith.engines.forks import ForkLock
from lossmith.engines.llvm import cache

P = ParamSpec("P")
T = TypeVar("T")
F = TypeVar("F", bound=Any)

VERSION = f"passes 4, llvmlite {llvmlite.__version__}, LLVM {'.'.join(map(str, llvm.llvm_version_info))}"
"""What compiles, and how; object code is kept apart by it."""


@dataclass(frozen=True)
class Host:
    """The machine that kernels are made for.

    Attributes:
        triple, cpu, features: as LLVM names them.
        bits: of a vector register.
        halves: whether it converts numbers of 16 bits.
    """

    triple: str
    cpu: str
    features: str
    bits: int
    halves: bool

    @property
    def on_x86(self) -> bool:
        """Whether instructions of x86 are there."""
        return self.triple.startswith(("x86", "i686"))


@lru_cache
def host() -> Host:
    """Return this machine."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    known = llvm.get_host_cpu_features()
    bits = 512 if known.get("avx512f") else 256 if known.get("avx2") and known.get("fma") else 128
    triple = llvm.get_process_triple()
    halves = bool(known.get("f16c")) or triple.startswith(("aarch64", "arm64"))
    return Host(triple, llvm.get_host_cpu_name(), known.flatten(), bits, halves)


RARELY = "; rarely run\n"
"""What a text begins with whose code is compiled as quickly as can be, and runs slower."""

LONG = "; long\n"
"""What a text begins with whose code is compiled more quickly, by a twelfth, and runs hardly slower, if at all."""

_LEVELS = {RARELY: 0, LONG: 1}


def _machine(level: int = 3) -> Any:
    here = host()
    target = llvm.Target.from_triple(here.triple)
    # Without this, LLVM halves the vectors of processors that once slowed down for wide ones.
    features = f"{here.features},-prefer-256-bit" if here.bits == 512 else here.features
    return target.create_target_machine(cpu=here.cpu, features=features, opt=level, jit=True, codemodel="jitdefault")


def build(text: str) -> bytes:
    """Return the object code of a module; it is verified first.

    Raises:
        RuntimeError: when the text is no valid module.
    """
    module = llvm.parse_assembly(text)
    module.verify()
    level = next((level for head, level in _LEVELS.items() if text.startswith(head)), 3)
    # What is written is vectors in straight lines already, each value once: no pass before code generation pays.
    return bytes(_builder(host(), level).emit_object(module))


@lru_cache(maxsize=1 + len(_LEVELS))
def _builder(here: Host, level: int) -> Any:
    """Return the machine that object code is made for, which takes as long to describe as a small module to compile."""
    return _machine(level)


def check() -> None:
    """Compile and run the least there is.

    Raises:
        OSError, RuntimeError: where kernels cannot run, as where executable memory is forbidden.
    """
    with _making:
        llvm.check_jit_execution()  # where this is forbidden, LLVM would not raise, and a call would crash
        loaded = Loaded(build("define i64 @one() {\n  ret i64 1\n}"), ["one"])
    if ctypes.CFUNCTYPE(ctypes.c_int64)(loaded.address("one"))() != 1:
        raise RuntimeError("a compiled function gave a wrong result")


SHARED: dict[str, Loaded] = {}
"""The functions that modules share: compiled for the first of them, and kept for good."""

_unused: list[Any] = []
"""Code that nobody can call any more. Whoever makes the next kernel frees it, since that is to use LLVM as well."""

_making = ForkLock()
atexit.register(_making.__enter__)  # for good: LLVM is taken down at the very end, and no thread may be in it then


class Kept(Generic[P, T]):
    """A function that makes kernels: each is made once, by one thread, and the newest are kept.

    It raises ``NoKernel`` where a kernel cannot be made, whatever the reason, and does not try again.
    """

    def __init__(self, make: Callable[P, T], most: int) -> None:
        self._make, self._most = make, most
        self._made: dict[Hashable, tuple[T | None, str]] = {}

    def __call__(self, *args: P.args, **named: P.kwargs) -> T:
        """Return what was made with these arguments, or make it."""
        key = (args, tuple(named.items()))
        kernel, why = self._made.get(key) or self._once(key, *args, **named)
        if kernel is None:
            raise NoKernel(why)
        return kernel

    def _once(self, key: Hashable, *args: P.args, **named: P.kwargs) -> tuple[T | None, str]:
        with _making:
            _unused.clear()
            found = self._made.get(key)  # another thread may have been faster
            if found is None:
                try:
                    found = self._make(*args, **named), ""
                except Exception as error:
                    found = None, f"{type(error).__name__}: {error}"
                self._made[key] = found
                if len(self._made) > self._most:
                    del self._made[next(iter(self._made))]
            return found

    def clear(self) -> None:
        """Keep nothing of what was made."""
        self._made.clear()


def kept(most: int) -> Callable[[Callable[P, T]], Kept[P, T]]:
    """Return a decorator for what makes kernels, of which so many are kept; see ``Kept``."""
    return lambda make: Kept(make, most)


@lru_cache(maxsize=1)
def _linker() -> Any:
    """Return what brings object code into memory: one for all, which takes a fifth of the time that one each takes."""
    return llvm.create_lljit_compiler(_machine(), suppress_errors=True)


_numbers = itertools.count()


class Loaded:
    """Object code in memory, which lives as long as this.

    Args:
        code: of a module.
        names: of its functions.
        others: where functions begin that it calls, beside those of this process.

    Raises:
        RuntimeError: where it has no such function, or calls one that nobody knows.
    """

    def __init__(self, code: bytes, names: Iterable[str], others: Mapping[str, int] = MappingProxyType({})) -> None:
        library = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
        for name, address in others.items():
            library.import_symbol(name, address)
        for name in names:
            library.export_symbol(name)
        self._library = library.link(_linker(), f"library {next(_numbers)}")

    def __del__(self, unused: list[Any] = _unused) -> None:  # which at the very end has no name any more
        unused.append(self.__dict__)

    def address(self, name: str) -> int:
        """Return where a function begins."""
        return int(self._library[name])


def function(text: str, name: str, signature: Callable[[int], F], shared: Mapping[str, str] | None = None) -> F:
    """Return a function of a module, to be called from Python; what was compiled before comes from the disk.

    Args:
        text: the module.
        name: what it calls the function.
        signature: its type, as ``ctypes`` makes it; it is called with the address.
        shared: the modules of functions that it calls by name, which it shares with others.
    """
    shared = shared or {}
    made: dict[str, Loaded] = {}  # of modules that several of the functions are in
    for other, module in shared.items():
        if other not in SHARED:
            SHARED[other] = made[module] = made.get(module) or loaded(module)
    code = loaded(text, shared)
    found = signature(code.address(name))
    found.code = code  # which lives as long as the function
    return found


def loaded(text: str, shared: Mapping[str, str] = MappingProxyType({})) -> Loaded:
    """Return a module in memory, which may call functions of others; what was compiled before comes from the disk."""
    key = "\n".join((f"{host()} {VERSION}", text, *shared.values()))
    others = {name: SHARED[name].address(name) for name in shared}
    return Loaded(cache.fetch(key, lambda: build(text)), _DEFINED.findall(text), others)


_DEFINED = re.compile(r"^define .* @(\w+)\(", re.MULTILINE)

"""Object code on disk: what one process has compiled, the next one loads.

A file is named by all that its code depends on, holds a checksum of itself, and appears whole or not
at all. A folder that cannot be read or written, or is full, costs a compilation and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

LIMIT = 64 * 2**20
"""Bytes that the folder may hold; the files that were used least recently go first."""

_MAGIC = b"lossmith kernel 1\n"


def folder() -> Path | None:
    """Return where object code is kept: ``LOSSMITH_CACHE_DIR``, else the user's cache; ``None`` where that is off."""
    given = os.environ.get("LOSSMITH_CACHE_DIR")
    if given is not None:
        return Path(given) if given else None
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "lossmith" if base else None


def fetch(key: str, make: Callable[[], bytes]) -> bytes:
    """Return the code that is kept under a key, or make it and keep it.

    Args:
        key: all that the code depends on.
        make: compiles it.
    """
    home = folder()
    if home is None:
        return make()
    path = home / f"{hashlib.sha256(key.encode()).hexdigest()}.kernel"
    found = _read(path)
    if found is None:
        found = make()
        with contextlib.suppress(OSError):
            _write(path, found)
    return found


def _read(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
        code = content[len(_MAGIC) + 32 :]
        if content != _sealed(code):
            return None  # broken, or of another release: it is made anew and written over
        os.utime(path)
    except OSError:
        return None
    return code


def _write(path: Path, code: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_sealed(code))
        os.replace(name, path)  # whole or not at all, whoever else writes it
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    _tidy(path.parent)


def _sealed(code: bytes) -> bytes:
    return _MAGIC + hashlib.sha256(code).digest() + code


def _tidy(home: Path) -> None:
    files = []
    for path in home.glob("*.kernel"):
        with contextlib.suppress(OSError):  # another process tidies too
            status = path.stat()
            files.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files, key=lambda item: item[0]):
        if total <= LIMIT:
            break
        with contextlib.suppress(OSError):
            path.unlink()
        total -= size

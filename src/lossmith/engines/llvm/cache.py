"""Object code on disk: what one process has compiled, the next one loads.

A file is named by all that its code depends on, holds a checksum of that and of itself, and appears whole
or not at all. A folder that cannot be read or written, or is full, costs a compilation and nothing else.
Since the code is run, none is taken from a folder into which others may have put it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lossmith.engines.choice import say_once
from lossmith.files import replace

LIMIT = 64 * 2**20
"""Bytes that the folder may hold, or little more; the files that were used least recently go first."""

OFTEN = 64
"""How many files are written for one after which the folder is gone through; that takes longer the fuller it is."""

_MAGIC = b"lossmith kernel 2\n"
_ABANDONED = 3600.0
"""Seconds after which the unfinished file of a process that died is in the way."""


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
    if home is None or not _is_private(home):
        return make()
    path = home / f"{hashlib.sha256(key.encode()).hexdigest()}.kernel"
    found = _read(path, key)
    if found is None:
        found = make()
        with contextlib.suppress(OSError):
            replace(path, _sealed(key, found), 0o600)
            if int(path.stem, 16) % OFTEN == 0:  # whoever writes, and in however short a process
                _tidy(home)
    return found


def _is_private(home: Path) -> bool:
    """Return whether nobody else can put files into a folder, which is made if need be; say once when someone can."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = home.stat()
    except OSError:
        return False
    if not hasattr(os, "geteuid"):
        return True  # such systems keep a user's folders apart by other means
    theirs, open_to_others = found.st_uid != os.geteuid(), bool(stat.S_IMODE(found.st_mode) & 0o022)
    if theirs or open_to_others:
        why = "belongs to another user" if theirs else "can be written by others"
        mend = "set LOSSMITH_CACHE_DIR to one of your own" if theirs else f"run chmod 700 {home}"
        say_once(f"compiled code is not kept: the folder {home} {why}; {mend}", about=str(home))
        return False
    return True


def _read(path: Path, key: str) -> bytes | None:
    try:
        content = path.read_bytes()
        code = content[len(_MAGIC) + 32 :]
        if content != _sealed(key, code):
            return None  # broken, or of another key or release: it is made anew and written over
    except OSError:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)
    return code


def _sealed(key: str, code: bytes) -> bytes:
    return _MAGIC + hashlib.sha256(key.encode() + b"\0" + code).digest() + code


def _tidy(home: Path) -> None:
    files = []
    for path in home.iterdir():
        with contextlib.suppress(OSError):  # another process tidies too
            status = path.stat()
            if path.suffix == ".kernel":
                files.append((status.st_mtime, status.st_size, path))
            elif path.suffix == ".part" and abs(time.time() - status.st_mtime) > _ABANDONED:
                path.unlink()
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files, key=lambda item: item[0]):
        if total <= LIMIT:
            break
        with contextlib.suppress(OSError):
            path.unlink()
        total -= size

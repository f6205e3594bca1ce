"""Writing results: as a whole or not at all, with an error that says why not."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from lossmith.errors import TableError


def check_writable(path: str | os.PathLike[str]) -> None:
    """Find out whether a file can be written, before any work is done for it.

    Raises:
        TableError: The folder is not there or cannot be written to, or the path is a folder.
    """
    target = Path(path)
    folder = target.parent
    if target.is_dir():
        raise TableError(f"cannot write '{target}': it is a folder; give the name of a file in it")
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise TableError(f"cannot write '{target}': the folder '{folder}' {what}")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise TableError(f"cannot write '{target}': {error.strerror or error}") from None


def write(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write a file in one step: what is there stays whole until the new file is complete.

    Raises:
        TableError: The file cannot be written.
    """
    target = Path(path)
    check_writable(target)
    try:
        replace(target, content.encode("utf-8") if isinstance(content, str) else content)
    except OSError as error:
        raise TableError(f"cannot write '{target}': {error.strerror or error}") from None


def replace(target: Path, content: bytes, mode: int = 0o666) -> None:
    """Put a new file in the place of an old one, whole or not at all, and leave nothing else whenever it is stopped.

    Args:
        target: the file.
        content: what it shall hold.
        mode: who may do what with it, less what the process leaves out of all its files.

    Raises:
        OSError: the file cannot be written.
    """
    scrap = target.with_name(f".{target.name[:64]}.{secrets.token_hex(8)}.part")  # known before it is there
    try:
        with open(scrap, "xb", opener=lambda path, flags: os.open(path, flags, mode)) as file:
            file.write(content)
        os.replace(scrap, target)
    finally:
        scrap.unlink(missing_ok=True)

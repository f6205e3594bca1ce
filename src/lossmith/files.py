"""Writing results: as a whole or not at all, with an error that says why not."""

from __future__ import annotations

import os
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
    scrap = ""
    try:
        handle, scrap = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
        # A scrap file is private; a result has the mode that any new file would get.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(scrap, 0o666 & ~mask)
        os.replace(scrap, target)
        scrap = ""
    except OSError as error:
        raise TableError(f"cannot write '{target}': {error.strerror or error}") from None
    finally:
        if scrap:
            Path(scrap).unlink(missing_ok=True)

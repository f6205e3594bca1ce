"""The command line, ``lossmith``: one file a command, each loaded when it runs.

Exit codes: 0 success, 1 a threshold that failed, 2 wrong usage or bad input, 70 a bug in Lossmith, 130 Ctrl-C,
141 a pipe whose reader went away. Data goes to standard output, talk to standard error.
"""

from __future__ import annotations

import sys
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line with the arguments of the process and leave with its exit code."""
    try:
        from lossmith.cli._root import root

        root.main(prog_name="lossmith")
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        sys.stderr.write("error: the command line needs click. Install it with: pip install 'lossmith[lab]'\n")
        sys.exit(2)
    except KeyboardInterrupt:  # before the group was there to catch it
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    raise AssertionError("the group leaves by itself")

"""The command ``python -m lossmith.certify``: a table of the worst results on this machine.

Exit codes: 0 when all are near enough, 1 when one is not, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from lossmith.cli.terminal import print_plain, say, write, write_json
from lossmith.errors import LossNotFoundError, did_you_mean

_TOLD = """
Value, gradient and second derivative of every loss of a target and a prediction, with all combinations of its options,
against 60-digit arithmetic at ordinary points, far tails and kinks. Losses over rows of classes, and of other inputs,
are not among them. A result may be off by its tolerance, in units in the last place (ulp), and by what one unit in the
last place of its inputs would change. bfloat16 is computed in float32.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser("python -m lossmith.certify", description=_TOLD)
    parser.add_argument("--loss", action="append", metavar="NAME", help="only this loss; repeatable")
    parser.add_argument("--host", action="append", metavar="NAME", help="only this host; repeatable")
    parser.add_argument("--compiled", action="store_true", help="torch.compile too, which takes seconds a loss")
    parser.add_argument("--json", action="store_true", help="print one document instead of a table")
    options = parser.parse_args(arguments)
    try:
        import ml_dtypes  # noqa: F401
        import mpmath  # noqa: F401
    except ModuleNotFoundError as error:
        parser.error(f"the truth needs {error.name}: pip install 'lossmith[certify]'")
    from lossmith.certify.hosts import HOSTS, KINDS
    from lossmith.certify.measure import Key, Worst, forms, measure, worse
    from lossmith.certify.points import kinds

    known = {kind.name: kind for kind in kinds()}
    for name in options.host or ():
        if name not in HOSTS:
            parser.error(f"there is no host {name!r}.{did_you_mean(name, HOSTS)} There are: {', '.join(HOSTS)}")
        if not HOSTS[name].installed:
            parser.error(f"the host {name!r} needs {HOSTS[name].needs}, which is not installed here")
    chosen = [_loss(parser, known, name) for name in options.loss or known]
    asked = set(options.host or (name for name, host in HOSTS.items() if options.compiled or not host.asked))
    hosts = {name: host for name, host in HOSTS.items() if host.installed and name in asked}
    found: dict[Key, Worst] = {}
    for number, name in enumerate(chosen, 1):
        if sys.stderr.isatty():
            say(f"{number}/{len(chosen)} {name}")
        for loss in forms(known[name]):
            worse(found, measure(loss, hosts, KINDS))
    beyond = [worst for worst in found.values() if not worst.within]
    if options.json:
        write_json({"losses": chosen, "hosts": list(hosts), "within": not beyond, "worst": _document(found)})
    else:
        print_plain(_HEADERS, _rows(found), right=(3, 4))
        missing = [name for name, host in HOSTS.items() if not host.installed]
        write(f"\n{len(chosen)} losses; {len(beyond) or 'no'} result{'s' * (len(beyond) != 1)} beyond the tolerance")
        if missing:
            write(f"not installed here: {', '.join(missing)}")
    return 1 if beyond else 0


def _loss(parser: argparse.ArgumentParser, known: Mapping[str, Any], name: str) -> str:
    from lossmith.core.registry import loss_class

    try:
        found = loss_class(name).name
    except LossNotFoundError as error:
        parser.error(str(error))
    if found not in known:
        parser.error(f"{found} is no loss of a target and a prediction; only those are certified")
    return found


_HEADERS = ("host", "inputs", "output", "worst ulp", "may be", "", "loss", "where")


def _rows(found: Mapping[Any, Any]) -> list[list[str]]:
    return [
        [*key, f"{worst.ulps:.2g}", f"{worst.tolerance:g}", "ok" if worst.within else "BEYOND", str(worst.loss),
         f"y={worst.y:.9g} f={worst.f:.9g}"]
        for key, worst in found.items()
    ]  # fmt: skip


def _document(found: Mapping[Any, Any]) -> list[dict[str, Any]]:
    keys = ("ulps", "tolerance", "within", "y", "f", "got", "truth")
    return [
        dict(zip(("host", "inputs", "output"), key, strict=True))
        | {"loss": str(worst.loss)}
        | {name: getattr(worst, name) for name in keys}
        for key, worst in found.items()
    ]

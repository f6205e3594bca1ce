"""The command ``python -m lossmith.certify``: a table of the worst results on this machine.

Exit codes: 0 when all are near enough, 1 when one is not, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lossmith.cli.terminal import print_table, say, write, write_json
from lossmith.errors import LossmithError, LossNotFoundError, MissingDependencyError, did_you_mean, plural

_TOLD = """
Value, gradient and second derivative of losses, as the libraries installed here compute them, against 60-digit
arithmetic: at ordinary numbers, and for losses of a target and a prediction also in far tails and at kinks. A result
may be off by its tolerance, in units in the last place (ulp), and by what one unit in the last place of its inputs
would change. bfloat16 is computed in float32.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser("python -m lossmith.certify", description=_TOLD)
    parser.add_argument("--loss", action="append", metavar="NAME", help="only this loss, in all types; repeatable")
    parser.add_argument("--host", action="append", metavar="NAME", help="only this host; repeatable")
    parser.add_argument("--dtype", action="append", metavar="NAME", help="only this type of inputs; repeatable")
    parser.add_argument(
        "--full",
        action="store_true",
        help="every loss with every combination of its options, on every host in every type: a quarter of an hour. "
        "Without it, hosts that take long get losses with their defaults, in types that take turns",
    )
    parser.add_argument("--json", action="store_true", help="print one document instead of a table")
    options = parser.parse_args(arguments)
    try:
        import ml_dtypes  # noqa: F401
        import mpmath  # noqa: F401
    except ModuleNotFoundError as error:
        parser.error(f"the truth needs {error.name}: pip install 'lossmith[certify]'")
    from lossmith.certify.hosts import HOSTS, KINDS
    from lossmith.certify.measure import Key, Worst, losses, measure, turns, worse

    known = losses(full=options.full)
    chosen = list(dict.fromkeys(_loss(parser, name) for name in options.loss or known))
    hosts = {name: HOSTS[name] for name in _hosts(parser, options.host, HOSTS)}
    for name in options.dtype or ():
        if name not in KINDS:
            parser.error(f"there is no type {name!r}.{did_you_mean(name, KINDS)} There are: {', '.join(KINDS)}")
    if not (options.full or options.host):
        hosts = {name: host for name, host in hosts.items() if host.pace != "never"}
    wanted = [loss for name in chosen for loss in known[name]]
    found: dict[Key, Worst] = {}
    beyond: list[tuple[Key, Worst]] = []
    before = None
    for loss, name, kinds in turns(wanted, hosts, sampled=not (options.full or options.loss)):
        if sys.stderr.isatty() and loss.name != before:
            say(f"{chosen.index(loss.name) + 1}/{len(chosen)} {loss.name}")
            before = loss.name
        results = measure(loss, name, hosts[name], [kind for kind in kinds if kind in (options.dtype or KINDS)])
        worse(found, results)
        beyond += [(key, worst) for key, worst in results.items() if not worst.within]
    missing = {name: host.missing for name, host in HOSTS.items() if host.missing and name in (options.host or HOSTS)}
    if options.json:
        write_json(
            {
                "losses": chosen,
                "hosts": list(hosts),
                "missing": missing,
                "within": not beyond,
                "worst": _document(found),
            }
        )
        return 1 if beyond else 0
    print_table(_HEADERS, _rows(found, hosts, KINDS), right=(2, 3, 4))
    missed = plural(len(beyond), "result") if beyond else "no results"
    write(f"\n{plural(len(chosen), 'loss', 'losses')}; {missed} beyond the tolerance")
    for (name, kind, output), worst in beyond:
        write(
            f"BEYOND: {worst.loss} on {name} in {kind}: {output} is {worst.got:.9g}, should be {worst.truth:.9g}, "
            f"{worst.ulps:.3g} ulp off, may be {worst.tolerance:g}; at {_place(worst.example)}"
        )
    for name, modules in missing.items():
        write(f"not tried: {name}, which needs {', '.join(modules)}")
    return 1 if beyond else 0


def _loss(parser: argparse.ArgumentParser, name: str) -> str:
    from lossmith.core.registry import loss_class, parse

    try:
        return loss_class(name).name
    except (LossNotFoundError, MissingDependencyError):
        try:
            parse(name)
        except LossmithError as error:
            parser.error(str(error))
    parser.error(
        f"--loss takes the name of a loss in the catalogue, and {name!r} says more: values are chosen here, and with "
        "--full every combination of options"
    )


def _hosts(parser: argparse.ArgumentParser, asked: Sequence[str] | None, known: Mapping[str, Any]) -> list[str]:
    for name in asked or ():
        if name not in known:
            parser.error(f"there is no host {name!r}.{did_you_mean(name, known)} There are: {', '.join(known)}")
        if known[name].missing:
            parser.error(f"the host {name!r} needs {', '.join(known[name].missing)}, not installed here")
    return [name for name in known if name in (asked or known) and not known[name].missing]


_HEADERS = ("host", "inputs", "value", "gradient", "second", "", "worst of all")


def _rows(found: Mapping[Any, Any], hosts: Iterable[str], kinds: Iterable[str]) -> list[list[str]]:
    """Return a line for each host and type: the worst of each output in ulps, and which loss is nearest to too far."""
    rows = []
    for name in hosts:
        for kind in kinds:
            each = [found.get((name, kind, output)) for output in ("losses", "gradient", "hessian")]
            there = [worst for worst in each if worst is not None]
            if there:
                last = max(there, key=lambda worst: worst.rank)
                cells = ["-" if worst is None else f"{worst.ulps:.2g}/{worst.tolerance:g}" for worst in each]
                within = "ok" if all(worst.within for worst in there) else "BEYOND"
                rows.append([name, kind, *cells, within, f"{last.loss}, {last.output.partition(':')[0]}"])
    return rows


def _place(example: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in example.items())


def _document(found: Mapping[Any, Any]) -> list[dict[str, Any]]:
    keys = ("ulps", "tolerance", "within", "example", "got", "truth")
    return [
        dict(zip(("host", "inputs", "output"), key, strict=True))
        | {"loss": str(worst.loss)}
        | {name: getattr(worst, name) for name in keys}
        for key, worst in found.items()
    ]

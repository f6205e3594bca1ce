"""``lossmith check``: the review of a loss or a formula."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from lossmith.cli import terminal
from lossmith.cli._group import FAILED
from lossmith.cli._losses import LossCommand, LossName, in_options, parse_loss, takes_a_formula

_STYLES: dict[str, dict[str, Any]] = {
    "error": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow", "bold": True},
    "note": {"fg": "cyan"},
    "ok": {"fg": "green"},
    "title": {"bold": True},
}


@click.command("check", cls=LossCommand, short_help="Review a loss or a formula: is it right, what does it do?")
@click.argument("loss", type=LossName(), metavar="FORMULA")
@takes_a_formula
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(loss: str, declaration: dict[str, Any], as_json: bool) -> int:
    """Review a loss, as a careful reader of its formula would.

    FORMULA is a formula of the target y and the raw prediction f, or the name of a loss. The review says whether
    derivatives are right and results finite, where kinks are, whether it is convex and least where the prediction is
    perfect, what it estimates, and whether it can be trained with. Exit code 1 says that there is an error.

    \b
    lossmith check "where(f < y, 4*(y - f)**2, (y - f)**2)"
    lossmith check "k*abs(f - y)" --parameter "k=4 in (0, inf)" --json
    lossmith check "exp(f) - y*f" --task counts
    """
    from lossmith.checking import check
    from lossmith.core.registry import is_formula

    report = check(parse_loss(loss, declaration))
    if is_formula(loss):
        told = (replace(finding, advice=in_options(finding.advice)) for finding in report.findings)
        report = replace(report, findings=tuple(told))
    if as_json:
        terminal.write_json(report.to_dict())
    else:
        terminal.write(report.text(min(terminal.width(), terminal.WIDEST), terminal.painted(_STYLES)))
    return 0 if report.ok else FAILED

"""``miniagent-store doctor``: what is wrong with a store, from its URL to its disk, and what to do."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from miniagent_store.cli.output import console, counted, emit_json, printable
from miniagent_store.cli.settings import current, json_option, store_options

if TYPE_CHECKING:
    from miniagent_store.values import Finding, Health

MARKS = {"info": "ok", "warning": "warning", "error": "ERROR"}
STYLES = {"ok": "green", "note": "cyan", "warning": "yellow", "ERROR": "bold red"}
MARK_WIDTH, CHECK_WIDTH = 7, 11


@click.command(
    short_help="Check a store, from its URL to its disk.",
    epilog="""\b
Examples:
  miniagent-store doctor redis://localhost:6379/0
  miniagent-store doctor --strict            for a deployment: warnings fail, too
  miniagent-store doctor --all               look at everything that is stored
  miniagent-store doctor --json | jq '.findings[] | select(.level == "error")'

\b
ok is as it should be, a note is worth knowing, a warning may lose data or stop work, an ERROR does.
Behind an arrow stands what to do. Nothing that is stored is changed.

Exit codes: 0 fine, 1 something is wrong, 2 misused, 130 interrupted.""",
)
@click.argument("target", metavar="[URL]", required=False)
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings, too.")
@click.option("--all", "whole", is_flag=True, help="Look at all sessions, not at a sample; may take long.")
@json_option
@store_options()
def command(target: str | None, strict: bool, whole: bool, as_json: bool) -> None:
    """Check the store at URL, or that of --store, from its URL to its disk.

    Looks at name, connection, TLS, credentials, rights, version, role, replicas, persistence, eviction,
    memory, latency, scripts, key ring, clock, free space, permissions, schema and indexes, as far as the
    backend has them. Where an error stands in the way, what comes behind it is not looked at.
    """
    from miniagent_store.doctor import SAMPLE, examine
    from miniagent_store.factory import default_url
    from miniagent_store.url import redact_text

    asked = target or current().url or default_url()
    shown = _Checklist(redact_text(asked), quiet=as_json)
    with shown.waiting():
        health = asyncio.run(examine(asked, sample=None if whole else SAMPLE, progress=shown.add))
    errors, warnings = (_count(health, level) for level in ("error", "warning"))
    if as_json:
        emit_json({"url": redact_text(asked), "errors": errors, "warnings": warnings, **health.to_dict()})
    shown.end(errors, warnings)
    if errors or (strict and warnings):
        first = next(each for each in health.findings if each.level == ("error" if errors else "warning"))
        click.echo(f"error: {first.check}: {printable(str(first))}", err=True)
        click.get_current_context().exit(1)


def _count(health: Health, level: str) -> int:
    return sum(each.level == level for each in health.findings)


class _Checklist:
    """Shows findings as they come.

    Args:
        title: the URL, without secrets.
        quiet: show nothing.
    """

    def __init__(self, title: str, *, quiet: bool) -> None:
        self._quiet, self._screen = quiet, None if quiet else console(wide=True)
        # What every line would begin with.
        self._prefix = f"{title.partition('?')[0]}: "
        if self._screen is not None:
            self._screen.print(printable(title), style="bold")

    def waiting(self) -> AbstractContextManager[Any]:
        """Says, on a terminal, that something is under way."""
        if self._screen is None or not sys.stdout.isatty():
            return nullcontext()
        return self._screen.status("looking")

    def add(self, finding: Finding) -> None:
        """Show a finding, and what to do about it."""
        if self._screen is None:
            return
        from rich.table import Table
        from rich.text import Text

        from miniagent_store.values import NO_CURE

        mark = "note" if finding.level == "info" and finding.cure != NO_CURE else MARKS[finding.level]
        row = Table.grid(padding=(0, 1))
        row.add_column(width=MARK_WIDTH)
        row.add_column(width=CHECK_WIDTH)
        row.add_column(overflow="fold")
        what = printable(finding.what.removeprefix(self._prefix))
        row.add_row(Text(mark, STYLES[mark]), finding.check, Text(what))
        if finding.cure != NO_CURE:
            pale = "dim" if mark == "note" else ""
            row.add_row("", "", Text(f"→ {printable(finding.cure)}", pale))
        if sys.stdout.isatty():
            self._screen.print(row)
            return
        with self._screen.capture() as captured:
            self._screen.print(row)
        for line in captured.get().splitlines():
            click.echo(line.rstrip())

    def end(self, errors: int, warnings: int) -> None:
        """Show what it comes to."""
        if not self._quiet:
            click.echo(f"{counted(errors, 'error')}, {counted(warnings, 'warning')}")

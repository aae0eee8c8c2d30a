"""What people and programs read: safe text, times, sizes, tables, JSON."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from miniagent_store.readable_json import plain as plain

if TYPE_CHECKING:
    from rich.console import Console

# Whoever wrote a message must not move the reader's cursor, set a window title or turn text around.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def printable(text: str) -> str:
    """`text` with control characters, but for newline and tab, written as escapes.

    Example:
        >>> printable("a\\x1b[2Jb")
        'a\\\\x1b[2Jb'
    """
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def age(then: datetime | None, now: datetime | None = None) -> str:
    """A time as people say it: "3 min ago", "in 2 h", "never" for None.

    Example:
        >>> noon = datetime(2030, 1, 1, 12, tzinfo=UTC)
        >>> age(noon, noon + timedelta(minutes=3)), age(noon + timedelta(hours=2), noon)
        ('3 min ago', 'in 2 h')
    """
    if then is None:
        return "never"
    # To the nearest second, then down: what was given 2 h a moment ago has 2 h, what has 119 s not 2 min.
    seconds = round((then - (now or datetime.now(UTC))) / timedelta(seconds=1))
    for size, unit in _UNITS:
        if abs(seconds) >= size:
            count = abs(seconds) // size
            return f"in {count} {unit}" if seconds > 0 else f"{count} {unit} ago"
    return "now"


def bytes_text(size: int) -> str:
    """Bytes as people say them: "99 B", "1.2 KiB".

    Example:
        >>> bytes_text(99), bytes_text(1234)
        ('99 B', '1.2 KiB')
    """
    if size < 1024:
        return f"{size} B"
    power = min(int(math.log(size, 1024)), 4)
    return f"{size / 1024**power:.1f} {('KiB', 'MiB', 'GiB', 'TiB')[power - 1]}"


def counted(count: int, noun: str) -> str:
    """ "1 message", "2 messages"."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun[:-1]}ies" if noun.endswith("y") else f"{count} {noun}s"


def emit_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    text = json.dumps(plain(document), ensure_ascii=False, indent=2)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(plain(document), indent=2)
    click.echo(text)


def console(*, wide: bool = False) -> Console:
    """A console on stdout: colours only on a terminal and without NO_COLOR.

    Args:
        wide: where stdout is no terminal, never wrap or cut a line.
    """
    from rich.console import Console

    terminal = sys.stdout.isatty()
    # Rich takes a pipe for a terminal of 80 columns, which would cut ids that a script wants whole.
    width = 100_000 if wide and not terminal else None
    return Console(
        file=sys.stdout,
        force_terminal=terminal,
        width=width,
        soft_wrap=False,
        markup=False,
        highlight=False,
        emoji=False,
    )


def show_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: Iterable[str] = (),
    keep: Iterable[str] = (),
    styles: Sequence[str] = (),
) -> None:
    """Print a table.

    Args:
        columns: their names.
        rows: a text a column.
        right: columns to be aligned to the right.
        keep: columns that are never cut or wrapped on a narrow terminal; the others may be.
        styles: a rich style a row, for as many rows as there are styles.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(
            name,
            justify="right" if name in right else "left",
            no_wrap=name in keep or not sys.stdout.isatty(),
            overflow="fold",
        )
    for number, row in enumerate(rows):
        style = styles[number] if number < len(styles) else ""
        table.add_row(*(Text(_cell(text)) for text in row), style=style or None)
    show_stripped(table)


def show_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print names and values below each other."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields:
        table.add_row(name, Text(_cell(value)))
    show_stripped(table)


def _cell(text: str) -> str:
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def show_stripped(table: Any) -> None:
    """Print, without the blanks with which rich fills up lines where nobody sees a colour end."""
    screen = console(wide=True)
    if sys.stdout.isatty():
        screen.print(table)
        return
    with screen.capture() as captured:
        screen.print(table)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())

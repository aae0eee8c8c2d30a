"""A frame as a terminal shows it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from miniagent_store.cli.output import age, bytes_text, printable
from miniagent_store.measuring.watcher import Frame, quantiles, rate

_SPARKS = "▁▂▃▄▅▆▇█"


def drawn(frame: Frame) -> RenderableType:
    """The whole of a frame."""
    parts: list[RenderableType] = [_title(frame), _numbers(frame)]
    if frame.problem is not None:
        parts.append(Text(printable(f"problem: {frame.problem}"), style="bold red"))
    elif frame.health is not None:
        parts += [Text(printable(f"problem: {each}"), style="bold red") for each in frame.health.problems]
    parts += [Text(""), _sessions(frame)]
    return Group(*parts)


def _title(frame: Frame) -> Text:
    state = "not reached" if frame.health is None else "well" if frame.health.ok else "NOT WELL"
    title = Text(printable(f"{frame.url}  {frame.now.astimezone():%H:%M:%S}  "), style="bold")
    title.append(state, style="green" if state == "well" else "bold red")
    memory = frame.health.details.get("used_memory_human") if frame.health else None
    if memory:
        title.append(printable(f"  memory {memory}"), style="dim")
    return title


def _numbers(frame: Frame) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    if frame.stats is not None:
        sessions = frame.stats.sessions.get("session", 0)
        held = f"{sessions:,} of {frame.stats.users:,} users, {frame.stats.messages:,} messages"
        table.add_row("sessions", f"{held}, {bytes_text(frame.stats.size)}")
    peak = max(frame.commits, default=0)
    commits = Text(f"{rate(frame.commits):,.1f} a second, at most {peak:,}  ")
    table.add_row("commits", commits.append(spark(frame.commits), style="cyan"))
    if frame.messages is not None:
        table.add_row("messages", f"{frame.messages:+,.1f} a second")
    for name, samples in (("reading", frame.reads), ("listing", frame.listings)):
        if found := quantiles(samples):
            times = ", ".join(f"{label} {seconds * 1000:.1f} ms" for label, seconds in found.items())
            table.add_row(name, times)
    if frame.expiring:
        terms = ", ".join(f"{count:,} within {term}" for term, count in frame.expiring.items())
        table.add_row("expiring", terms)
    return table


def _sessions(frame: Frame) -> RenderableType:
    if not frame.busiest:
        return Text("no session changed in the last minute", style="dim")
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("busiest session", overflow="ellipsis", no_wrap=True)
    for name in ("user", "agent"):
        table.add_column(name, overflow="ellipsis", no_wrap=True)
    for name in ("commits/min", "messages", "size", "expires"):
        table.add_column(name, justify="right", no_wrap=True)
    for session_id, commits, session in frame.busiest:
        about = ("-", "-", f"{commits:,}", "gone", "", "")
        if session is not None:
            about = (
                session.user_id or "-",
                session.agent or "-",
                f"{commits:,}",
                f"{session.message_count:,}",
                bytes_text(session.size),
                age(session.expires_at, frame.now),
            )
        table.add_row(*(Text(printable(part)) for part in (session_id, *about)))
    return table


def spark(values: Sequence[int]) -> str:
    """A line of small bars, the highest value the highest bar.

    Example:
        >>> spark([0, 1, 4, 8])
        '▁▁▄█'
    """
    most = max(values, default=0)
    if not most:
        return _SPARKS[0] * len(values)
    return "".join(_SPARKS[value * (len(_SPARKS) - 1) // most] for value in values)

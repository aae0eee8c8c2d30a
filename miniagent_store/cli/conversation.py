"""A conversation as people read it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from miniagent_store.cli.output import console, plain, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from miniagent_store.values import Entry

_STYLES = {"user": "bold cyan", "assistant": "bold green", "system": "bold magenta", "tool": "bold yellow"}
ROLE_WIDTH = 9
_BRIEF = 200


class Printer:
    """Prints entries on stdout, one after the other.

    Args:
        times: put the time before each entry.
    """

    def __init__(self, *, times: bool = False) -> None:
        self._console: Console = console(wide=True)
        self._times = times

    def entry(self, entry: Entry) -> None:
        """Print an entry: sequence, time, role, and what was said below each other."""
        head = f"{entry.seq:>4}  "
        if self._times:
            head += f"{entry.time.astimezone():%Y-%m-%d %H:%M:%S}  "
        if entry.redacted:
            self._print(head, "redacted", [_redacted(entry.value)], style="dim")
        else:
            role = str(entry.value.get("role") or entry.log)
            self._print(head, role, list(message_lines(entry.value)), style=_STYLES.get(role, "bold"))

    def message(self, message: Mapping[str, Any], *, indent: str = "") -> None:
        """Print a message: role, and what was said."""
        role = str(message.get("role", ""))
        self._print(indent, role, list(message_lines(message)), style=_STYLES.get(role, "bold"))

    def _print(self, head: str, role: str, lines: list[str], *, style: str) -> None:
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        name = printable(role).replace("\n", " ")
        body: Text = Text("\n".join(lines), style="dim" if style == "dim" else "")
        if not self._console.is_terminal:
            # Lines that a pipe can take: nothing is wrapped, and later lines stand under the first.
            left = f"{head}{name:<{ROLE_WIDTH}}  "
            self._console.print(Text(left) + Text(f"\n{' ' * len(left)}".join(body.plain.split("\n"))))
            return
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, style="dim")
        table.add_column(no_wrap=True, min_width=ROLE_WIDTH)
        table.add_column(overflow="fold")
        table.add_row(head.strip(), Text(name, style=style), body)
        indent = len(head) - len(head.lstrip(" ")) if not head.strip() else 0
        self._console.print(Padding(table, (0, 0, 0, indent)))


def message_lines(message: Mapping[str, Any]) -> Iterable[str]:
    """What a message says, in lines: its content, then its tool calls in short."""
    known = {"role", "content", "name", "tool_calls", "tool_call_id", "metadata", "id", "time"}
    content = message.get("content")
    calls = message.get("tool_calls") or ()
    if message.get("tool_call_id"):
        yield f"[answers {printable(str(message['tool_call_id']))}]"
    if content not in (None, ""):
        yield from printable(_text(content)).split("\n")
    for call in calls if isinstance(calls, list | tuple) else (calls,):
        yield printable(_call(call))
    if "role" not in message or (content is None and not calls):
        # An event, or a message of somebody's own making: its fields say what it is.
        rest = {
            name: value for name, value in message.items() if name not in known or "role" not in message
        }
        if rest:
            yield printable(_brief(rest))


def _text(content: Any) -> str:
    """Content as text: a text, or parts of which the texts are shown and the others named."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list | tuple):
        return _brief(content)
    return "\n".join(_part(part) for part in content)


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping):
        if isinstance(part.get("text"), str):
            return str(part["text"])
        if "type" in part:
            return f"[{part['type']}]"
    return _brief(part)


def _call(call: Any) -> str:
    """A tool call in one line: ``→ search(query="cats")``."""
    if not isinstance(call, Mapping):
        return f"→ {_brief(call)}"
    function = call.get("function")
    source = function if isinstance(function, Mapping) else call
    arguments = source.get("arguments", source.get("args", source.get("input", "")))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except ValueError:
            pass
    if isinstance(arguments, Mapping):
        inside = ", ".join(f"{name}={_brief(value)}" for name, value in arguments.items())
    else:
        inside = _brief(arguments)
    return f"→ {source.get('name', '?')}({inside})" + (f"  [{call['id']}]" if call.get("id") else "")


def _redacted(value: Mapping[str, Any]) -> str:
    about = value.get("metadata")
    about = about if isinstance(about, Mapping) else {}
    when = str(about.get("redacted_at", ""))[:19].replace("T", " ")
    return printable(f"[redacted{f' {when}' if when else ''}: {about.get('reason', 'no reason given')}]")


def _brief(value: Any) -> str:
    text = json.dumps(plain(value), ensure_ascii=False)
    return text if len(text) <= _BRIEF else f"{text[:_BRIEF]}…"

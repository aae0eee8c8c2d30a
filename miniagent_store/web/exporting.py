"""A session as a file, a piece at a time."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from miniagent_store.errors import SessionNotFoundError
from miniagent_store.moving.archive import Counted, Header, Totals
from miniagent_store.moving.lines import digest_of, end_of, lines_of
from miniagent_store.moving.plain_values import PlainValues
from miniagent_store.moving.whole import core_of, read_whole
from miniagent_store.readable_json import plain
from miniagent_store.store.inspection import InspectedValue, Inspection
from miniagent_store.store.protocol import SessionStore
from miniagent_store.web.plain import json_of, reason_of, said
from miniagent_store.web.reading import Said, pages

# Lines that go out at a time.
_AT_ONCE = 500


async def archive(store: SessionStore, session_id: str, *, plain: bool) -> AsyncIterator[bytes]:
    """What ``miniagent-store export`` would write of one session; ``import`` takes it.

    Args:
        store: whose.
        session_id: which.
        plain: values as JSON, opened with the store's keys; otherwise as they are stored.

    Raises:
        SessionNotFoundError: it is not there.
        SerializationError: a value cannot be opened.
    """
    core = core_of(store)
    await core.ready()
    whole = await read_whole(core, session_id)
    if whole is None:
        raise SessionNotFoundError(session_id)
    if plain:
        whole = PlainValues(core).opened(whole)
    header = Header(plain, core.options.namespace, core.backend.now_ms())
    lines = list(lines_of(whole))
    digest = digest_of(lines)
    totals = Totals()
    totals.add(Counted.of(whole, digest))
    return _joined([header.line(), *lines, end_of(whole, digest), totals.line()])


async def _joined(lines: list[bytes]) -> AsyncIterator[bytes]:
    for start in range(0, len(lines), _AT_ONCE):
        yield b"".join(lines[start : start + _AT_ONCE])


async def as_json(store: SessionStore, seen: Inspection) -> AsyncIterator[bytes]:
    """One document: the record, logs, state. What cannot be read says why, in its place."""
    record = {**seen.session.to_dict(), "token": None}
    yield f'{{"session": {json_of(record)},\n"state": {json_of(_state(seen))},\n"logs": {{'.encode()
    for number, (log, (first, last)) in enumerate(sorted(seen.logs.items())):
        yield f"{',' if number else ''}\n{json_of(log)}: [".encode()
        between = "\n"
        async for page in pages(store, seen.session.id, log, first, last):
            yield (between + ",\n".join(json_of(_entry(each)) for each in page)).encode()
            between = ",\n"
        yield b"]"
    yield b"\n}}\n"


async def as_markdown(store: SessionStore, seen: Inspection) -> AsyncIterator[bytes]:
    """What was said, for people: a heading a message; other logs and the state behind it, as JSON."""
    session = seen.session
    facts = [
        ("User", session.user_id),
        ("Agent", session.agent),
        ("Tags", ", ".join(session.tags)),
        ("Created", f"{session.created_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("Last activity", f"{session.last_activity:%Y-%m-%d %H:%M:%S} UTC"),
    ]
    head = "".join(f"- {name}: {_inline(value)}\n" for name, value in facts if value)
    yield f"# {_inline(session.id)}\n\n{head}".encode()
    for log, (first, last) in sorted(seen.logs.items(), key=lambda each: (each[0] != "messages", each[0])):
        if log != "messages" and last >= first:
            yield f"\n# Log {_inline(log)}\n".encode()
        async for page in pages(store, session.id, log, first, last):
            yield "".join(_message(each) for each in page).encode()
    if seen.values:
        yield f"\n# State\n\n{_fenced(json_of(_state(seen), indent=2))}".encode()


def _entry(each: Said) -> dict[str, object]:
    found: dict[str, object] = {"seq": each.seq, "id": each.id, "time": each.time}
    if each.redacted:
        found["redacted"] = True
    return found | ({"error": each.problem} if each.value is None else {"value": plain(each.value)})


def _state(seen: Inspection) -> dict[str, object]:
    return {value.name: _value(value) for value in seen.values}


def _value(value: InspectedValue) -> object:
    return {"error": str(value.error)} if value.error is not None else value.value


def _message(each: Said) -> str:
    time = "" if each.time is None else f" · {each.time:%Y-%m-%d %H:%M:%S} UTC"
    head = f"\n## {each.seq} {_inline(each.role)}{time}\n\n"
    if each.value is None:
        return f"{head}_cannot be read: {_inline(each.problem)}_\n"
    if each.redacted:
        return f"{head}_redacted: {_inline(reason_of(each.value))}_\n"
    text = said(each.value)
    is_text = isinstance(each.value.get("content"), str) and not each.value.get("tool_calls")
    # A heading within a message would look like a message.
    return head + (
        re.sub(r"^(#+ )", r"\\\1", text, flags=re.MULTILINE) + "\n" if is_text else _fenced(text)
    )


def _inline(text: object) -> str:
    """Text that starts no markup, in one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|!])", r"\\\1", " ".join(str(text).split()))


def _fenced(text: str) -> str:
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}\n"

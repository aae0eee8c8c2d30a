"""Texts that want to be more than text, in every field that a store lets somebody fill."""

from __future__ import annotations

from typing import Any

from miniagent_store import Message, SessionStore

# A name may hold these: printable, no braces.
NAME = (
    "\"><img src=x onerror=window.ran=1>'><svg/onload=window.ran=2><script>window.ran=3</script>"
    "</textarea></title><a href=javascript:window.ran=4>x</a>&lt;b&gt;"
)
# And a text anything. Nobody has a host of this name (RFC 6761, 6.4).
TEXT = (
    NAME
    + "\n\njavascript:window.ran=5\n\n[link](javascript:window.ran=6) ![image](http://evil.invalid/a.png) "
    "<http://evil.invalid/auto> [data](data:text/html,<script>window.ran=7</script>)\n\n"
    "<iframe src=//evil.invalid></iframe><base href=//evil.invalid>"
    "<link rel=stylesheet href=//evil.invalid>"
    "<meta http-equiv=refresh content='0;url=//evil.invalid'><form action=//evil.invalid><input autofocus "
    "onfocus=window.ran=8></form><style>*{display:none}</style><object data=//evil.invalid></object>\n\n"
    "```<script>window.ran=9</script>\n</code></pre><img src=x onerror=window.ran=10>\n```\n\n"
    "{{ 7 * 7 }} {% raw %} ${window.ran=11} \x00\x1b[31m \u202egnp.exe\u202c \ufeff ]]> --> <!-- <![CDATA["
)
LINKS = (
    "javascript:window.ran=12",
    "http://evil.invalid/x.png",
    "//evil.invalid/x.png",
    "data:text/html,<script>1",
)


async def fill(store: SessionStore, session_id: str = NAME) -> None:
    """A session of which every field is hostile.

    Args:
        store: where.
        session_id: itself one of them.
    """
    await store.create(
        session_id,
        user_id=NAME,
        agent=NAME,
        tags=[NAME[:60], "<b>tag</b>"],
        metadata={NAME: TEXT, "nested": [{NAME: [TEXT]}]},
    )
    async with store.batch(session_id) as batch:
        batch.state.set(NAME, TEXT)
        batch.state.set("nested", {NAME: [TEXT, {TEXT: None}]})
    await say(store, session_id)
    await store.append(session_id, {"type": TEXT, NAME: TEXT}, log="events")
    await store.append(session_id, {"role": TEXT, "content": TEXT}, log=NAME[:60])
    # As if the viewer had written them, but by whoever writes sessions.
    for junk in (
        {},
        {"until": NAME, "kept": NAME},
        {"until": "9999-01-01", "kept": [TEXT]},
        {"until": 1, "kept": 1},
    ):
        act = {"by": "viewer", "what": NAME, "session": NAME, "who": NAME, "where": TEXT, "told": TEXT}
        await store.append(session_id, {**act, **junk}, log="audit")
    await store.append(session_id, Message.user("to be redacted"))
    await store.redact(session_id, await store.count(session_id), reason=NAME)


async def say(store: SessionStore, session_id: str, mark: str = "") -> None:
    """A message of each kind.

    Args:
        store: where.
        session_id: the session.
        mark: by which one is found.
    """
    call = {"id": NAME, "type": "function", "function": {"name": NAME, "arguments": TEXT}}
    parts: list[dict[str, Any]] = [{"type": "text", "text": TEXT}, {"type": NAME, NAME: TEXT}]
    parts += [{"type": "image_url", "image_url": {"url": url}} for url in LINKS]
    parts += [{"type": "file", "file": {"filename": NAME, "file_data": url}} for url in LINKS]
    await store.append(
        session_id,
        Message.system(TEXT),
        Message.user(TEXT, name=NAME, **{NAME: TEXT}),
        Message.user(parts),
        Message.assistant(TEXT, refusal=TEXT),
        Message.assistant(None, tool_calls=[call, TEXT, {TEXT: TEXT}, None, {"function": TEXT}]),
        Message.tool(TEXT, tool_call_id=NAME, name=NAME),
        Message.tool('{"a": "<script>window.ran=13</script>"}', tool_call_id="none"),
        {"role": NAME, "content": {"parts": [TEXT, {"text": TEXT}]}},
        {"role": {"not": ["a text"]}, "content": [[TEXT], None, 1]},
        {NAME: TEXT},
        Message.user(mark),
    )

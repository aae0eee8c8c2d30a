"""A store that looks lived in, and the addresses of the viewer's pages over it."""

from __future__ import annotations

import base64
import struct
import zlib

from miniagent_store import Message, SessionStore
from miniagent_store.web.acting.audit import Act, note, record

# The session that the pages of one session show.
TALK = "ada-trip-to-lisbon"
# What became of it, another way.
FORK = "ada-trip-to-porto"

# Every page, by a name for its picture.
PAGES = {
    "sessions": "/",
    "sessions-none": "/?user=nobody",
    "sessions-found": "/?q=support&tag=travel&since=30d&order=oldest",
    "tenants": "/tenants",
    "session": f"/session?id={TALK}",
    "session-raw": f"/session-entry?id={TALK}&seq=6",
    "session-replay": f"/session?id={TALK}&at=6",
    "session-events": f"/session?id={TALK}&log=events",
    "session-state": f"/session?id={TALK}&view=state",
    "session-record": f"/session?id={TALK}&view=record",
    "performance": "/performance",
    "performance-deep": "/performance?deep=1",
    "compare": f"/compare?id={TALK}&with={FORK}",
    "compare-none": f"/compare?id={TALK}",
    "audit": f"/audit?id={FORK}",
    "audit-all": "/audit",
    "act-touch": f"/act/touch?id={TALK}",
    "act-ttl": f"/act/ttl?id={TALK}",
    "act-fork": f"/act/fork?id={TALK}",
    "act-rewind": f"/act/rewind?id={TALK}&to=7",
    "act-redact": f"/act/redact?id={TALK}",
    "act-clear": f"/act/clear?id={TALK}",
    "act-delete": f"/act/delete?id={TALK}",
    "failure": "/session?id=not-there",
}

ANSWER = """\
Two days are enough for the old town. I would do it like this:

| Day | Morning | Afternoon |
|---|---|---|
| 1 | **Alfama**, on foot | the castle, then tram 28 |
| 2 | Belém: tower, monastery | *Museu do Azulejo* |

1. Buy a `24h` ticket at any station.
2. Start before nine: the tram fills up.

> Wear good shoes; the stones are smooth.
"""

CODE = """\
Here is how to read the forecast yourself:

```python
async def rain(city: str) -> float:
    answer = await client.get(f"/forecast/{city}")
    return answer.json()["rain_mm"]
```
"""

PEOPLE = {
    "ada": ("concierge", "trip-to-lisbon"),
    "grace": ("support", "invoice-4711"),
    "alan": ("tutor", "number-theory"),
    "katherine": ("research", "orbits-and-windows"),
    "edsger": ("support", "shortest-path-home"),
    "barbara": ("tutor", "abstraction-in-three-lessons"),
    "donald": (
        "research",
        "the-art-of-a-very-long-title-that-goes-on-to-see-what-a-table-does-with-it",
    ),
    "radia": ("support", "loops-in-the-network"),
}
TENANTS = ["acme", "globex", "initech"]
TTLS = ["never", "30d", "7d", "1d", "2h", "20m"]


async def furnish(store: SessionStore) -> None:
    """Sessions of a few people with three agents, and one talk with something of every kind."""
    for number, (user_id, (agent, about)) in enumerate(PEOPLE.items()):
        for part in range(1, 5):
            await store.create(
                f"{user_id}-{about}-{part}",
                user_id=user_id,
                agent=agent,
                tags=[["billing", "urgent"], ["travel"], []][number % 3],
                ttl=TTLS[(number + part) % len(TTLS)],
            )
            said = [Message.user("Where did we stop?"), Message.assistant("At the second step. " * part)]
            await store.append(f"{user_id}-{about}-{part}", *said * (1 + 3 * number * part % 11))
    await _talk(store)
    for number, name in enumerate(TENANTS, 1):
        for part in range(number):
            await store.tenant(name).append(f"welcome-{part}", Message.user("Hello"), create=True)


async def _talk(store: SessionStore) -> None:
    await store.create(
        TALK,
        user_id="ada",
        agent="concierge",
        ttl="30d",
        tags=["travel"],
        metadata={"channel": "web", "beta": True},
    )
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "forecast", "arguments": '{"city": "Lisbon", "days": 2}'},
    }
    async with store.batch(TALK) as batch:
        batch.append(
            Message.system("You plan short trips. Be brief, and never make up opening hours."),
            Message.user("Two days in Lisbon, what should I see? I like tiles <b>and</b> old trams."),
            Message.assistant(ANSWER),
            Message.user("Will it rain?"),
            Message.assistant(None, tool_calls=[call]),
            Message.tool('{"rain_mm": [0.2, 4.1], "wind": "NW"}', tool_call_id="call_1", name="forecast"),
            Message.assistant("Hardly on the first day; take an umbrella on the second."),
        )
        batch.state.set("city", "Lisbon")
        batch.state.set("budget", {"currency": "EUR", "per_day": 120})
    await store.append(TALK, {"type": "model.called", "tokens": 412, "took_ms": 930}, log="events")
    await store.append(
        TALK,
        Message.user(
            [
                {"type": "text", "text": "Which pattern is this?"},
                {"type": "image_url", "image_url": {"url": tile()}},
            ]
        ),
        Message.assistant("A tile of two colours, from the 1960s."),
        Message.user("And in code?"),
        Message.assistant(CODE),
        Message.user("Obrigada! <script>alert('hello')</script>"),
    )
    await store.fork(TALK, upto=7, new_id=FORK)
    await store.append(FORK, Message.user("And what about Porto?"), Message.assistant("Take the train."))
    for act in (
        Act("fork", FORK, "grace@example.com", "10.0.0.7", f"7 messages of {TALK}"),
        Act("touch", FORK, "grace@example.com", "10.0.0.7", "its TTL begins anew"),
    ):
        await record(store, act)
        await note(store, FORK, act)


def tile() -> str:
    """A picture of blue diamonds on white, as a data URL: images travel so in messages."""
    side, blue, white = 96, b"\x2b\x5f\xa8", b"\xf4\xf1\xe8"
    rows = (
        b"\0"
        + b"".join(blue if 8 < abs(x % 48 - 24) + abs(y % 48 - 24) < 20 else white for x in range(side))
        for y in range(side)
    )
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows))), (b"IEND", b""))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return "data:image/png;base64," + base64.b64encode(png).decode()

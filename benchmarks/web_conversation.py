"""The viewer's page of one session: how long the server takes, and what memory it holds.

    python -m benchmarks.web_conversation [--place SQLite|Redis|Cluster] [--messages 100000] [--rounds 15]

Fills a session with messages as assistants write them (Markdown, calls of tools and their answers), serves
it by the command in a process of its own, and asks for pages over HTTP as a browser does. Printed are
milliseconds until the last byte, the median and the longest, the first of all apart; KiB of the page; and
the resident memory of the serving process in MiB, before and after reading all of it part by part.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import statistics
import time
from contextlib import ExitStack

from benchmarks.web_pages import LIMIT_MS, PLACES, place, resident, served, timed
from miniagent_store import Message, open_store

# Appended at once.
CROWD = 1_000
ANSWER = """Here is what I found about **number {number}**:

1. It stands in `list.{number}`, which was changed *yesterday*.
2. Nobody asked for it since.

| Name | Value |
|---|---|
| size | {number} |

See [the page](https://example.org/{number}) for more.
"""


def message(number: int) -> Message:
    """One of four: a question, a call of a tool, its answer, an answer in Markdown."""
    turn = number % 4
    if turn == 0:
        return Message.user(f"What do you know about number {number}? I need it for the report.")
    if turn == 1:
        call = {"id": f"call_{number}", "name": "look_up", "arguments": json.dumps({"number": number})}
        return Message.assistant(
            None, tool_calls=[{"id": call["id"], "type": "function", "function": call}]
        )
    if turn == 2:
        return Message.tool(
            json.dumps({"number": number, "seen": [1, 2]}), tool_call_id=f"call_{number - 1}"
        )
    return Message.assistant(ANSWER.format(number=number))


async def fill(url: str, messages: int) -> None:
    """A session "long", and one "short" with a page of messages."""
    async with open_store(url, max_session_size="1GiB", deadline=60) as store:
        for session_id, count in (("short", 60), ("long", messages)):
            for first in range(0, count, CROWD):
                some = range(first, min(first + CROWD, count))
                await store.append(session_id, *map(message, some), create=True)


def measure(name: str, url: str, messages: int, rounds: int) -> None:
    """One line for each sort of page, and one for memory."""
    with served(url) as (client, pid):
        cold, _ = timed(client, "/session?id=long")
        print(f"{name}: the first page of all {cold:.0f} ms")
        paths = {
            "newest": "/session?id=long",
            "oldest": "/session?id=long&after=0",
            "in the middle": f"/session?id=long&around={messages // 2}",
            "replay": f"/session?id=long&at={messages // 2}",
            "more, scrolling": f"/session-entries?id=long&before={messages // 2}",
            "one entry, raw": f"/session-entry?id=long&seq={messages // 2}",
            "of a short one": "/session?id=short",
        }
        for sort, path in paths.items():
            took, size = [], 0
            for _ in range(rounds):
                one, html = timed(client, path)
                took.append(one)
                size = len(html.encode())
            middle, most = statistics.median(took), max(took)
            over = f"  more than {LIMIT_MS} ms" if middle > LIMIT_MS else ""
            print(
                f"  {sort:16} median {middle:6.1f} ms, longest {most:6.1f} ms, {size / 1024:5.0f} KiB{over}"
            )
        before, at, parts = resident(pid), 0, 0
        began = time.perf_counter()
        while at < messages and time.perf_counter() - began < 30:
            html = timed(client, f"/session-entries?id=long&after={at}")[1]
            found = re.search(r'data-last="(\d+)"', html)
            at, parts = int(found[1]) if found else messages, parts + 1
        after = resident(pid)
        print(f"  memory {before:.0f} MiB, after {parts} parts ({at:,} messages) {after:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--place", choices=PLACES, action="append", help="only there")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    for name in arguments.place or PLACES:
        with ExitStack() as stack:
            url = place(stack, name)
            began = time.perf_counter()
            asyncio.run(fill(url, arguments.messages))
            print(f"{name}: {arguments.messages:,} messages made in {time.perf_counter() - began:.0f} s")
            measure(name, url, arguments.messages, arguments.rounds)


if __name__ == "__main__":
    main()

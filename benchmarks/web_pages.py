"""The viewer's list of sessions: how long the server takes for a page, and what memory it holds.

    python benchmarks/web_pages.py [--place SQLite|Redis|Cluster] [--sessions 100000] [--rounds 15]

Fills a place with sessions, serves it by the command in a process of its own, and asks for pages over HTTP
as a browser does. Printed are milliseconds until the last byte, the median and the longest, the first of
all apart; the serving process's processor time for one page, which others on the machine lengthen less; and
its resident memory in MiB, before and after a walk over many pages. It starts servers of its own (see
`miniagent_store.testing.servers`).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from html import unescape
from pathlib import Path

import httpx

from miniagent_store import open_store
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.servers import Server

TOKEN = "benchmark"
PLACES = ("SQLite", "Redis", "Cluster")
# Sessions that are made at once.
CROWD = 250
# Pages of the walk, whose memory is looked at.
WALK = 200
LIMIT_MS = 300


async def fill(url: str, sessions: int) -> None:
    """Sessions of 1,000 users and 5 agents, each with two tags; one in ten expires within the hour."""
    async with open_store(url) as store:
        for first in range(0, sessions, CROWD):
            await asyncio.gather(
                *(
                    store.create(
                        f"conversation-{number:06}",
                        user_id=f"user-{number % 1000}",
                        agent=f"agent-{number % 5}",
                        tags=["measured", f"team-{number % 20}"],
                        ttl="50m" if number % 10 == 0 else "30d",
                    )
                    for number in range(first, min(first + CROWD, sessions))
                )
            )


@contextmanager
def served(url: str) -> Iterator[tuple[httpx.Client, int]]:
    """A client that was let in, and the id of the serving process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "miniagent_store", "--store", url, "web", "--port", "0"],
        env={**os.environ, "MINIAGENT_VIEWER_TOKEN": TOKEN},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        link = process.stdout.readline().strip()
        with httpx.Client(base_url=link.partition("/enter")[0], timeout=60) as client:
            client.get("/enter", params={"token": TOKEN})
            yield client, process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)


def resident(pid: int) -> float:
    """Memory of a process, MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def busy(pid: int) -> float:
    """Milliseconds of processor time that a process has taken."""
    # proc(5): what follows the name in parentheses begins with field 3; utime and stime are 14 and 15.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def timed(client: httpx.Client, path: str) -> tuple[float, str]:
    """Milliseconds until a page is there as a whole, and the page."""
    began = time.perf_counter()
    answer = client.get(path)
    took = (time.perf_counter() - began) * 1000
    answer.raise_for_status()
    return took, answer.text


def next_page(html: str) -> str | None:
    """Where the page after leads."""
    found = re.search(r'<a[^>]*\brel="next"[^>]*>', html)
    href = found and re.search(r'href="([^"]+)"', found[0])
    return unescape(href[1]) if href else None


def measure(name: str, url: str, rounds: int) -> None:
    """One line for each sort of page, and one for memory."""
    with served(url) as (client, pid):
        cold, html = timed(client, "/")
        print(f"{name}: the first page of all {cold:.0f} ms")
        second = next_page(html)
        paths = {
            "first page": "/",
            "second page": second or "/",
            "oldest first": "/?order=oldest",
            "one user": "/?user=user-7",
            "user and agent": "/?user=user-7&agent=agent-2",
            "one tag": "/?tag=team-3",
            "expiring soon": "/?within=1h",
            "search, found": "/?q=team-3",
            "search, not found": "/?q=nobody",
        }
        for sort, path in paths.items():
            before = busy(pid)
            took = [timed(client, path)[0] for _ in range(rounds)]
            worked = (busy(pid) - before) / rounds
            middle, most = statistics.median(took), max(took)
            print(
                f"  {sort:18} median {middle:6.1f} ms, longest {most:6.1f} ms, processor {worked:5.1f} ms"
            )
            if sort == "first page" and middle > LIMIT_MS:
                print(f"  more than {LIMIT_MS} ms")
        held, at, walked = resident(pid), "/", 0
        while at and walked < WALK:
            at, walked = next_page(timed(client, at)[1]) or "", walked + 1
        print(f"  memory {held:.0f} MiB, after {walked} more pages {resident(pid):.0f} MiB")


def place(stack: ExitStack, name: str) -> str:
    """The URL of an empty place, one of `PLACES`, which ends with the stack."""
    if name == "SQLite":
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        return f"sqlite:///{Path(folder) / 'viewed.db'}"
    return stack.enter_context(Server() if name == "Redis" else ClusterGroup()).url


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--place", choices=PLACES, action="append", help="only there")
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    for name in arguments.place or PLACES:
        with ExitStack() as stack:
            url = place(stack, name)
            began = time.perf_counter()
            asyncio.run(fill(url, arguments.sessions))
            print(f"{name}: {arguments.sessions:,} sessions made in {time.perf_counter() - began:.0f} s")
            measure(name, url, arguments.rounds)


if __name__ == "__main__":
    main()

"""Addresses that nobody types: each is answered by a page that says what is wrong, none by a failure."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from urllib.parse import quote

import httpx
import pytest

from miniagent_store import SessionStore
from miniagent_store.web import viewer
from tests.web.crawling import pages_of
from tests.web.hostile import NAME, TEXT, fill
from tests.web.served import TOKEN, listening

NAMES = (
    *(
        "id",
        "log",
        "seq",
        "before",
        "after",
        "around",
        "at",
        "with",
        "with_at",
        "skip",
        "view",
        "from",
        "format",
    ),
    *(
        "q",
        "user",
        "agent",
        "tag",
        "kind",
        "since",
        "expiring",
        "order",
        "cursor",
        "page",
        "tenant",
        "done",
    ),
    *("upto", "to", "ttl", "new_id", "reason", "copy", "limit", "last", "state", "record"),
)
VALUES = (
    *(
        "",
        "-1",
        "0",
        "1",
        "3",
        "999999999999999",
        "9" * 40,
        "1.5",
        "1e9",
        "NaN",
        "inf",
        "0x1",
        "١",
        "²",
        "1_0",
        " 1",
    ),
    *(
        "x",
        "log",
        "stored",
        "plain",
        "oldest",
        "never",
        "1m",
        "-1h",
        "99999999d",
        "2030-01-01",
        "0001-01-01T00:00",
    ),
    *("\0", "a\nb", "\ud800", "\u202e", "{", "%", "..", "[]", "a" * 3000, "bm90LWEtY3Vyc29y", NAME, TEXT),
)
KINDS = (
    "text/html",
    "text/event-stream",
    "application/json",
    "application/jsonl",
    "text/markdown",
    "text/plain",
)
PAIRS = tuple(itertools.product(NAMES, VALUES))

Questions = Callable[[], Sequence[tuple[tuple[str, str], ...]]]


async def test_some(one: SessionStore) -> None:
    chosen = random.Random(17)
    await _ask(one, lambda: [tuple(chosen.sample(PAIRS, 3)) for _ in range(3)])


@pytest.mark.slow
async def test_many(store: SessionStore) -> None:
    chosen = random.Random(4711)
    await _ask(store, lambda: [tuple(chosen.sample(PAIRS, 3)) for _ in range(40)])


async def _ask(store: SessionStore, questions: Questions) -> None:
    """Ask each page each of some questions, of a session and of none."""
    await fill(store)
    app = viewer(store, token=TOKEN, allow_write=True)
    async with listening(app) as at, httpx.AsyncClient(base_url=at.origin, timeout=60) as client:
        await client.get(at.link)
        for path, route in pages_of(app).items():
            if path != "/enter" and "GET" in (route.methods or ()):
                for question in questions():
                    query = "&".join(f"{name}={_quoted(value)}" for name, value in question)
                    await _is_answered(client, f"{path}?{query}")
                    await _is_answered(client, f"{path}?id={quote(NAME, safe='')}&{query}")


async def _is_answered(client: httpx.AsyncClient, address: str) -> None:
    async with client.stream("GET", address, headers={"Last-Event-ID": "x"}) as answer:
        assert answer.status_code < 500, address
        assert answer.headers["content-type"].partition(";")[0] in KINDS, address


def _quoted(value: str) -> str:
    return quote(value.encode("utf-8", "surrogatepass"), safe="")

"""Ids for a shell that completes them: quickly, quietly, and without making anything."""

from __future__ import annotations

import asyncio
import warnings
from pathlib import Path

import click

from miniagent_store.cli.settings import Settings
from miniagent_store.errors import StoreError

# Somebody waits at a prompt.
MOST_SECONDS = 1.5
PAGE, MOST_PAGES, MOST_SHOWN = 500, 4, 50


def ids_like(ctx: click.Context, start: str, kind: str = "session") -> list[str]:
    """Ids of recently active records that start with `start`; none where the store does not answer."""
    url = ctx.ensure_object(Settings).url
    try:
        if not _is_there(url):
            return []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return asyncio.run(_look(url, start, kind))
    except (StoreError, TimeoutError, OSError):
        return []


async def _look(url: str | None, start: str, kind: str) -> list[str]:
    from miniagent_store.factory import open_store

    found: list[str] = []
    async with (
        asyncio.timeout(MOST_SECONDS),
        open_store(url, deadline=MOST_SECONDS, connect_timeout=MOST_SECONDS / 2) as store,
    ):
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            page = await store.list(kind=kind, cursor=cursor, limit=PAGE)
            found += [each.id for each in page if each.id.startswith(start)]
            cursor = page.next_cursor
            if cursor is None or len(found) >= MOST_SHOWN:
                break
    return found[:MOST_SHOWN]


def _is_there(url: str | None) -> bool:
    """Whether there is a store, as far as can be seen without opening it, which would make a file."""
    from miniagent_store.factory import default_url
    from miniagent_store.url import StoreURL

    parsed = StoreURL.parse(url or default_url())
    return parsed.scheme != "sqlite" or Path(parsed.path.removeprefix("/")).expanduser().exists()

"""What peers make of the place that they are given."""

from __future__ import annotations

# Seconds; given to every peer that can let sessions expire, as to the store beside it.
TTL = 3600


def sqlite_path(url: str) -> str:
    """The file of a ``sqlite:///`` URL."""
    return url.removeprefix("sqlite:///")


def aiosqlite_url(url: str) -> str:
    """The same file, as SQLAlchemy is given it for asyncio."""
    return f"sqlite+aiosqlite:///{sqlite_path(url)}"

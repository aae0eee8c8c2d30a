"""Makes stores for the test that later versions read them: ``python tests/release/make_stored.py``.

Run it once for a version that changes how something lies in a store, and commit what it wrote: a folder
``stored/VERSION`` with a SQLite file as statements, the keys of a Redis, and the documents of a
`DocumentBackend`, each beside what was read from it. It never overwrites: what a released version wrote is
read for ever, so folders are added and not changed.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    root = Path(__file__).parents[2]
    sys.path.append(str(root))

from miniagent_store import __version__, open_store
from miniagent_store.testing.servers import Server
from tests.release.stored_support import KEYRING, OPEN, SEALED, Documents, dump_file, dump_server, fill, say

STORED = Path(__file__).parent / "stored"


async def make(folder: Path) -> None:
    """Write all files of this version."""
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "sessions.db"
        await fill_both(folder, "sqlite", f"sqlite:///{path}")
        write(folder / "sqlite.sql", dump_file(path))
    with Server() as server:
        await fill_both(folder, "redis", f"{server.url}/0")
        write(folder / "redis.json", await dump_server(f"{server.url}/0"))
    documents = Documents({})
    await fill_both(folder, "documents", "dict://", plugins=[documents])
    write(folder / "documents.json", documents.dump())


async def fill_both(folder: Path, name: str, url: str, **given: Any) -> None:
    """Fill an open and an encrypted store in one place, and write what they say."""
    for how, options in (("open", OPEN), ("sealed", SEALED)):
        async with open_store(f"{url}?{options}", keyring=KEYRING, **given) as store:
            await fill(store)
            write(folder / f"{name}-{how}.json", await say(store))


def write(path: Path, content: Any) -> None:
    text = content if isinstance(content, str) else json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x") as file:
        file.write(text)


if __name__ == "__main__":
    asyncio.run(make(STORED / __version__))

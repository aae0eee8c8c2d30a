"""A process that sweeps again and again, and writes down each session that it tells of."""

from __future__ import annotations

import asyncio
import json
import os
import sys

from miniagent_store import Session, Snapshot, hookimpl, open_store
from miniagent_store.store import sweeping


class Teller:
    """Writes a line for each session, which is there whatever becomes of the process."""

    def __init__(self, path: str, pause: float) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._pause = pause

    @hookimpl
    def session_expired(self, session_id: str) -> None:
        os.write(self._file, f"{session_id}\n".encode())


class Archiver(Teller):
    """Looks at each session before, as an archive does."""

    @hookimpl
    async def session_archive(self, session: Session, snapshot: Snapshot) -> None:
        assert len(snapshot.logs["messages"]) in {3, 4}, session
        assert "plan" in snapshot.state
        await asyncio.sleep(self._pause)


async def main(url: str, path: str, given: str) -> None:
    settings = json.loads(given)
    sweeping.CLAIM_SECONDS = settings["claim"]
    if "kept_changes_ms" in settings:
        from miniagent_backends.redis import places

        places.KEPT_CHANGES_MS = settings["kept_changes_ms"]
    kind = Archiver if settings["grace"] else Teller
    teller = kind(path, settings["pause"])
    options = {"grace": settings["grace"], "serializer": "msgpack", "deadline": 60}
    async with open_store(url, plugins=[teller], **options) as store:
        while True:
            await store.sweep()
            await asyncio.sleep(0.1)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

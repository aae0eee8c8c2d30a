"""Where expired sessions may go: files, or another store. Plugins for ``open_store(plugins=[…])``.

    archive = FileArchive("archive")
    async with open_store(url, plugins=[archive], ttl="30d") as store, store.sweeper():
        …

Both are given what the session held, decrypted; whoever archives an encrypted store sees to it that the
archive is as safe: a folder that others cannot read, or a store that encrypts as well.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from miniagent_store.backend import Create
from miniagent_store.codec.types import TypeRegistry
from miniagent_store.codec.value_model import ValueModel
from miniagent_store.errors import DecodeError, InvalidArgumentError, SessionExistsError
from miniagent_store.hookspecs import hookimpl
from miniagent_store.ids import join_id
from miniagent_store.options import TTL, parse_ttl_ms
from miniagent_store.serializer import Limits
from miniagent_store.store.batch import Batch
from miniagent_store.store.protocol import SessionStore
from miniagent_store.store.store import Store
from miniagent_store.values import Session, Snapshot

FORMAT = 1
# The state value by which an archived session tells whose copy it is.
ORIGIN = "archive.incarnation"
# A snapshot nests what a session holds a little deeper.
LIMITS = Limits(depth=Limits().depth + 8)
# Of a session's id in the name of its file.
MOST_OF_ID = 100


class FileArchive:
    """A JSON file for each session, named by its id and incarnation, and written whole or not at all.

    Args:
        folder: made where it is missing, for its owner only.
        types: classes of the application that sessions hold, as for `open_store`.
    """

    def __init__(self, folder: str | os.PathLike[str], *, types: TypeRegistry | None = None) -> None:
        self._folder = Path(folder)
        self._model = ValueModel(types if types is not None else TypeRegistry(), LIMITS)

    def __repr__(self) -> str:
        return f"FileArchive({str(self._folder)!r})"

    @hookimpl
    async def session_archive(self, session: Session, snapshot: Snapshot) -> None:
        """Write a session's file; again if it is there."""
        plain, _ = self._model.flatten(snapshot.to_dict(), native_bytes=False)
        content = json.dumps({"format": FORMAT, "snapshot": plain}, ensure_ascii=False, allow_nan=False)
        await asyncio.to_thread(self._write, self.path_of(session), content.encode())

    def path_of(self, session: Session) -> Path:
        """The file of a session."""
        return self._folder / f"{quote(session.id, safe='')[:MOST_OF_ID]}.{session.incarnation}.json"

    def paths(self) -> Iterator[Path]:
        """The files of all archived sessions, in order of their names."""
        yield from sorted(self._folder.glob("*.json"))

    def read(self, path: str | os.PathLike[str]) -> Snapshot:
        """What a file holds.

        Raises:
            DecodeError: it is not a file of an archive.
        """
        try:
            content = json.loads(Path(path).read_bytes())
            if content["format"] != FORMAT:
                raise DecodeError(f"{path} has a format that is not known here; upgrade miniagent-store")
            plain = self._model.restore(content["snapshot"], tagged=True, native_bytes=False)
            return Snapshot.from_dict(plain)
        except (ValueError, TypeError, KeyError) as error:
            raise DecodeError(f"{path} is not a file of an archive") from error

    def _write(self, path: Path, content: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f".{secrets.token_hex(8)}.draft")
        try:
            with open(draft, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                draft.unlink()
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class StoreArchive:
    """A session in another store for each session, under its id; or under one with its incarnation, where
    that is taken.

    Args:
        store: any other store; its owner opens and closes it.
        ttl: of the sessions there: seconds, "365d", or "never".
    """

    def __init__(self, store: SessionStore, *, ttl: TTL = "never") -> None:
        self._store, self._ttl = store, ttl

    def __repr__(self) -> str:
        return f"StoreArchive({self._store!r})"

    @hookimpl
    async def session_archive(self, session: Session, snapshot: Snapshot) -> None:
        """Write a session into the other store, unless it is there."""
        try:
            await restore(self._store, snapshot, ttl=self._ttl)
        except SessionExistsError:
            if await self._store.state(session.id).get(ORIGIN) == session.incarnation:
                return
            other = join_id(session.id, session.incarnation)
            with contextlib.suppress(SessionExistsError):
                await restore(self._store, snapshot, session_id=other, ttl=self._ttl)


async def restore(
    store: SessionStore, snapshot: Snapshot, *, session_id: str | None = None, ttl: TTL = "never"
) -> Session:
    """Make a session of what an archive holds, in one commit.

    Entries keep their times and the ids that callers gave; tombstones become entries that say when and why.

    Args:
        store: where to.
        snapshot: all logs and all state of a session.
        session_id: instead of its old one.
        ttl: of the new one: seconds, "30d", or "never".

    Raises:
        SessionExistsError: the id is taken.
    """
    if not isinstance(store, Store):
        raise InvalidArgumentError(
            f"a session is restored into a store that open_store() made, not {store!r}"
        )
    session = snapshot.session
    create = Create(
        kind=session.kind,
        user_id=session.user_id,
        agent=session.agent,
        ttl_ms=parse_ttl_ms(ttl),
        sliding=store._core.options.ttl_mode == "sliding",
    )
    await store.open()
    batch = Batch(store._core, session.id if session_id is None else session_id, create=create)
    for log, entries in snapshot.logs.items():
        for entry in entries:
            batch.append(entry.value, log=log, time=entry.time)
    state: dict[str, Any] = {**snapshot.state, ORIGIN: session.incarnation}
    for name, value in state.items():
        batch.state.set(name, value)
    batch.metadata, batch.tags = session.metadata, session.tags
    batch.last_activity = session.last_activity
    return (await batch.commit("restore")).session

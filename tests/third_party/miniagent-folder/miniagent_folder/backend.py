"""A folder of files: one a document, changed under flock, replaced atomically, on disk on return."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from miniagent_store.backend import Backend, BackendOptions, Capabilities
from miniagent_store.document_backend import DocumentBackend
from miniagent_store.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    CapacityError,
    ConfigurationError,
    StoreError,
)
from miniagent_store.url import StoreURL

T = TypeVar("T")
Change = Callable[[bytes | None], tuple[bytes | None, T]]


def open_folder(url: StoreURL, options: BackendOptions) -> Backend:
    """The factory of ``folder:///absolute/path``."""
    if url.hosts or not url.path.strip("/"):
        raise ConfigurationError(f"{url} names no folder; write folder:///absolute/path")
    return FolderBackend(Path(url.path), options)


class FolderBackend(DocumentBackend):
    """Documents as files: ``folder/kind/name``."""

    name = "folder"
    capabilities = Capabilities(durable=True, shared=True)

    def __init__(self, folder: Path, options: BackendOptions) -> None:
        super().__init__(options)
        self._folder = folder
        # Tasks of this process line up here, so that no thread of the pool waits for another.
        self._lines: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def open(self) -> None:
        try:
            await asyncio.to_thread((self._folder / "locks").mkdir, parents=True, exist_ok=True)
        except OSError as error:
            raise _problem(error) from error

    async def transact(self, key: str, change: Change[T]) -> T:
        # The file itself cannot be locked, for it is replaced. A few lock files serve all of them.
        lock = key[-2:]
        async with self._lines[lock]:
            return await asyncio.to_thread(self._transact_now, lock, self._folder / key, change)

    async def fetch(self, key: str) -> bytes | None:
        # A file is replaced as a whole: whoever reads needs no lock.
        return await asyncio.to_thread(_read, self._folder / key)

    async def keys(self, prefix: str) -> list[str]:
        kind, _, start = prefix.partition("/")
        try:
            names = await asyncio.to_thread(os.listdir, self._folder / kind)
        except FileNotFoundError:
            return []
        return [f"{kind}/{name}" for name in names if name.startswith(start)]

    def _transact_now(self, lock: str, path: Path, change: Change[T]) -> T:
        with self._locked(self._folder / "locks" / lock):
            before = _read(path)
            after, result = change(before)
            if after is None and before is not None:
                path.unlink()
                _sync(path.parent)
            elif after is not None and after is not before:
                _write(path, after)
            return result

    @contextlib.contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        deadline = time.monotonic() + self.options.deadline
        file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
        try:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise BackendUnavailableError(
                            f"another process has held {path} for {self.options.deadline:g} s"
                        ) from None
                    time.sleep(0.001)
            yield
        finally:
            os.close(file)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _write(path: Path, data: bytes) -> None:
    # Under the lock, so one name for the draft is enough; one left by a crash is written over.
    draft = path.parent / f".{path.name}"
    try:
        path.parent.mkdir(exist_ok=True)
        with open(draft, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _problem(error) from error
    draft.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    """Bring to disk which files there are."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _problem(error: OSError) -> StoreError:
    """What kept a file from being written; nothing was changed."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return CapacityError(f"{error}; make room, or raise the quota")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return AccessDeniedError(f"{error}; give this user the right to write there")
    return BackendUnavailableError(str(error))

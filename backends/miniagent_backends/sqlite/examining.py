"""A thorough look at the file, over a connection of its own that only reads."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import quote

from miniagent_backends.sqlite.errors import translate
from miniagent_backends.sqlite.location import Location
from miniagent_backends.sqlite.schema import SCHEMA_VERSION, is_ours
from miniagent_store.errors import StoreError
from miniagent_store.values import Finding

# Bytes: of a file that is checked as a whole without being asked to, of a log that somebody keeps from
# shrinking, and of room that is little.
WHOLE, LONG_LOG, LITTLE = 256 << 20, 512 << 20, 256 << 20
WAIT = 2.0
SHOWN = 3


def approach(location: Location) -> list[Finding]:
    """What stands in the way of opening the file; to be called in a thread."""
    found = [*_permissions(location)]
    if os.path.exists(location.path) and not any(each.level == "error" for each in found):
        found += _schema(location)
    return found


def examine(location: Location, namespace: str, sample: int | None) -> list[Finding]:
    """What threatens the file, and whether its indexes and counts are right; to be called in a thread."""
    return [*_space(location), *_durability(location), *_whole(location, namespace, sample)]


def _permissions(location: Location) -> Iterator[Finding]:
    path, folder = location.path, location.folder
    if not os.path.exists(path):
        cure = "see whether the path is right: a file is made there now"
        yield Finding("info", f"{path} is not there yet", cure, "permissions")
        return
    if os.path.isdir(path):
        yield Finding("error", f"{path} is a folder", "name a file in it", "permissions")
    elif not os.access(path, os.R_OK | os.W_OK):
        what, cure = f"{path} is read-only for this process", f"chmod u+rw {path}, or run as its owner"
        yield Finding("error", what, cure, "permissions")
    elif not os.access(folder, os.W_OK | os.X_OK):
        what = f"the folder {folder} is read-only for this process"
        cure = f"chmod u+wx {folder}, or run as its owner: SQLite writes a log beside the file"
        yield Finding("error", what, cure, "permissions")
    elif (mode := stat.S_IMODE(os.stat(path).st_mode)) & 0o006:
        may = "write" if mode & 0o002 else "read"
        what = f"every user of this machine may {may} {path} ({mode:o})"
        yield Finding("warning" if may == "write" else "info", what, f"chmod 600 {path}", "permissions")
    else:
        yield Finding("info", f"{path} can be read and written ({mode:o})", check="permissions")


def _reading(location: Location) -> closing[sqlite3.Connection]:
    connection = sqlite3.connect(f"file:{quote(location.path)}?mode=ro", uri=True, timeout=WAIT)
    return closing(connection)


def _schema(location: Location) -> Iterator[Finding]:
    try:
        with _reading(location) as connection:
            ours = is_ours(connection, location.path)
            (version,) = connection.execute("PRAGMA user_version").fetchone()
    except StoreError as error:
        yield Finding.of(error, "schema")
    except sqlite3.Error as error:
        yield _told(error, location, "schema")
    else:
        older = f", and is brought to {SCHEMA_VERSION} now" if ours and version < SCHEMA_VERSION else ""
        what = f"has schema {version}{older}" if ours else "is empty"
        yield Finding("info", f"{location.path} {what}", check="schema")


def _told(error: sqlite3.Error, location: Location, check: str) -> Finding:
    told = translate(error, location.path)
    if isinstance(told, StoreError):
        return Finding.of(told, check)
    return Finding(
        "error", f"{location.path} cannot be read: {error}", "bring it back from a backup", check
    )


def _space(location: Location) -> Iterator[Finding]:
    disk = os.statvfs(location.path)
    free, total = disk.f_bavail * disk.f_frsize, max(disk.f_blocks * disk.f_frsize, 1)
    what = f"{free / (1 << 20):,.0f} MiB of the disk are free ({free / total:.0%})"
    if free < LITTLE:
        yield Finding("warning", what, "make room: a full disk refuses commits, and loses nothing", "space")
    else:
        yield Finding("info", what, check="space")
    wal = os.path.getsize(location.wal) if os.path.exists(location.wal) else 0
    if wal > LONG_LOG:
        what = f"the write-ahead log {location.wal} has grown to {wal / (1 << 20):,.0f} MiB"
        cure = "end the process that keeps a transaction open on the file, such as a shell or a backup"
        yield Finding("warning", what, cure, "space")


def _durability(location: Location) -> Iterator[Finding]:
    what = f"synchronous={location.synchronous}"
    match location.synchronous:
        case "FULL" | "EXTRA":
            yield Finding(
                "info", f"{what}: what was acknowledged survives a power cut", check="persistence"
            )
        case "NORMAL":
            cure = "use synchronous=FULL if that is too much"
            yield Finding("info", f"{what}: a power cut loses the last commits", cure, "persistence")
        case _:
            cure = "use synchronous=FULL"
            yield Finding("warning", f"{what}: a power cut may damage the file", cure, "persistence")


def _whole(location: Location, namespace: str, sample: int | None) -> Iterator[Finding]:
    size = os.path.getsize(location.path)
    try:
        with _reading(location) as connection:
            connection.execute("BEGIN")
            found = [*_checked(connection, size if sample is not None else 0)]
            # Counted by an index, which must be right for that.
            if all(each.level == "info" for each in found):
                found += [*_miscounted(connection, namespace)]
    except sqlite3.Error as error:
        yield _told(error, location, "index")
        return
    yield from found or [Finding("info", "tables, indexes and counts agree", check="index")]


def _checked(connection: sqlite3.Connection, size: int) -> Iterator[Finding]:
    """What SQLite finds wrong with the file, unless it is too large to be read as a whole."""
    if size > WHOLE:
        what = f"the file has {size / (1 << 20):,.0f} MiB, and was not checked as a whole"
        yield Finding("info", what, "look at all of it: miniagent-store doctor --all", "index")
        return
    for (text,) in connection.execute(f"PRAGMA integrity_check({SHOWN})").fetchall():
        if text != "ok":
            cure = (
                "stop all who use the file, then run: sqlite3 FILE REINDEX; what stays wrong is in a backup"
            )
            yield Finding("error", str(text), cure, "index")


def _miscounted(connection: sqlite3.Connection, namespace: str) -> Iterator[Finding]:
    counts = "SELECT kind, sessions FROM counts WHERE namespace = ? AND scope = 'all'"
    rows = "SELECT kind, count(*) FROM sessions WHERE namespace = ? GROUP BY kind"
    told, held = (dict(connection.execute(each, (namespace,)).fetchall()) for each in (counts, rows))
    for kind in sorted(told.keys() | held.keys()):
        if told.get(kind, 0) != held.get(kind, 0):
            what = f"counts {told.get(kind, 0)} of kind {kind!r}, and holds {held.get(kind, 0)}"
            yield Finding("error", what, "run 'miniagent-store repair'; no session is lost", "index")

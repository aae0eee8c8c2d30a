"""Several keys, of which one writes: what makes rotation possible without downtime."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterable
from pathlib import Path

from miniagent_store.errors import ConfigurationError, KeyNotFoundError
from miniagent_store.keys.key import Key
from miniagent_store.serializer import Context

DEFAULT_VARIABLE = "MINIAGENT_STORE_KEYS"
# A changed file is noticed so many seconds later at most; at once where a key is missing.
LOOK_AGAIN = 1.0


class Keyring:
    """Keys by their ids. The primary one writes, all of them read.

    Args:
        keys: the keys.
        primary: label of the one that writes; the first one unless given.

    Raises:
        ConfigurationError: no key, a label or an id twice, or no key of the primary's label.

    Example:
        >>> ring = Keyring([Key(bytes(range(32)), label="2026-11")])
        >>> ring.primary
        Key('2026-11', id=f7239d75)
    """

    def __init__(self, keys: Iterable[Key], primary: str | None = None) -> None:
        self._path: Path | None = None
        self._seen: tuple[int, ...] | None = None
        self._looked = 0.0
        self._set(tuple(keys), primary)

    @classmethod
    def from_env(cls, name: str = DEFAULT_VARIABLE) -> Keyring:
        """Read ``label:base64url[,label:base64url…]`` from an environment variable; the first one writes.

        Raises:
            ConfigurationError: it is not set, or not of this form; never shows what it holds.
        """
        text = os.environ.get(name, "")
        if not text.strip():
            raise ConfigurationError(
                f"the environment variable {name} holds no keys; make one with: "
                f'export {name}="$(miniagent-store keys generate)"'
            )
        return cls(_parse(text.replace(",", "\n"), f"the environment variable {name}"))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Keyring:
        """Read a file of one ``label:base64url`` a line; the first one writes, ``#`` begins a comment.

        The file must be readable by its owner only (mode 0600). It is read again when it changes, so that
        running stores follow a rotation; a file that has become unreadable is not followed.

        Raises:
            ConfigurationError: it cannot be read, others may read it, or it is not of this form.
        """
        ring = cls.__new__(cls)
        ring._path = Path(path)
        ring._looked = time.monotonic()
        ring._seen, keys = _read(ring._path)
        ring._set(keys, None)
        return ring

    def _set(self, keys: tuple[Key, ...], primary: str | None) -> None:
        if not keys:
            raise ConfigurationError("a keyring holds at least one key")
        by_id = {key.id: key for key in keys}
        by_label = {key.label: key for key in keys}
        if len(by_id) != len(keys) or len(by_label) != len(keys):
            raise ConfigurationError("a keyring holds each key and each label once")
        if primary is not None and primary not in by_label:
            raise ConfigurationError(
                f"no key of the keyring is labelled {primary!r}; there are {', '.join(by_label)}"
            )
        self._by_id = by_id
        self._primary = keys[0] if primary is None else by_label[primary]

    @property
    def primary(self) -> Key:
        """The key that writes."""
        if self._path is not None and time.monotonic() - self._looked > LOOK_AGAIN:
            self.reload()
        return self._primary

    @property
    def keys(self) -> tuple[Key, ...]:
        """All keys."""
        return tuple(self._by_id.values())

    def reload(self) -> bool:
        """Read the file again if it changed; whether there are other keys now."""
        if self._path is None:
            return False
        self._looked = time.monotonic()
        try:
            if _stamp(os.stat(self._path)) == self._seen:
                return False
            seen, keys = _read(self._path)
            before = (self._primary, self.keys)
            self._set(keys, None)
        except (OSError, ConfigurationError):
            # Half-written, or taken away: what was read stays good, and the next look may find more.
            return False
        self._seen = seen
        return (self._primary, self.keys) != before

    def find(self, key_id: bytes) -> Key:
        """The key with this id.

        Raises:
            KeyNotFoundError: it is not in the keyring; names those that are.
        """
        key = self._by_id.get(key_id)
        if key is None and self.reload():
            key = self._by_id.get(key_id)
        if key is None:
            raise KeyNotFoundError(key_id=key_id.hex(), known=[known.hex() for known in self._by_id])
        return key

    def sealing_key(self, context: Context) -> Key:
        """The primary key, for any place."""
        return self.primary

    def opening_key(self, key_id: bytes, context: Context) -> Key:
        """As `find`."""
        return self._by_id.get(key_id) or self.find(key_id)

    def __contains__(self, key_id: object) -> bool:
        return key_id in self._by_id

    def __len__(self) -> int:
        return len(self._by_id)

    def __repr__(self) -> str:
        others = [key.label for key in self.keys if key is not self._primary]
        return f"Keyring(primary={self._primary.label!r}, others={others})"


def _parse(text: str, place: str) -> tuple[Key, ...]:
    keys: list[Key] = []
    problem = ""
    for number, line in enumerate(text.splitlines(), 1):
        line = line.partition("#")[0].strip()
        if not line:
            continue
        try:
            keys.append(Key.from_text(line))
        except ConfigurationError as error:
            problem = f"{place}, key {number}: {error}"
            break
    if problem:
        raise ConfigurationError(problem)
    if not keys:
        raise ConfigurationError(f"{place} holds no keys; make one with: miniagent-store keys generate")
    return tuple(keys)


def _read(path: Path) -> tuple[tuple[int, ...], tuple[Key, ...]]:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            text = file.read(1_000_000).decode("ascii", "replace")
    except OSError as error:
        problem = f"the key file {path} cannot be read ({error.strerror}); check keys=file:…"
    else:
        if not stat.S_IMODE(status.st_mode) & 0o077:
            return _stamp(status), _parse(text, f"the key file {path}")
        problem = f"others may read the key file {path}; run: chmod 600 {path}"
    raise ConfigurationError(problem)


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    # Of the times, st_mtime may be set to what it was (cp -p), st_ctime may not.
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size

"""Changing a file of keys: whoever reads it meanwhile sees the old file or the new one, never half."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from miniagent_store.errors import ConfigurationError
from miniagent_store.keys.key import Key
from miniagent_store.keys.keyring import Keyring


def add_key(path: Path, key: Key) -> Keyring:
    """Add a key at the end, so that it reads only; a file that is missing is made (mode 0600).

    Raises:
        ConfigurationError: the file cannot be read or written, others may read it, or it holds a key of
            this label.
    """
    lines = _lines(path) if path.exists() else []
    return _write(path, [*lines, key.to_text()])


def make_primary(path: Path, label: str) -> Keyring:
    """Put the key with this label first, so that it writes.

    Raises:
        ConfigurationError: as `add_key`, or there is no such key.
    """
    lines = _lines(path)
    for number, line in enumerate(lines):
        if line.partition("#")[0].strip().rpartition(":")[0] == label:
            return _write(path, [line, *lines[:number], *lines[number + 1 :]])
    labels = ", ".join(key.label for key in Keyring.from_file(path).keys)
    raise ConfigurationError(f"no key in {path} is labelled {label!r}; there are {labels}")


def _lines(path: Path) -> list[str]:
    Keyring.from_file(path)  # refuses what is no file of keys before it is changed
    return path.read_text("ascii", "replace").splitlines()


def _write(path: Path, lines: list[str]) -> Keyring:
    try:
        # Made with mode 0600, in the same folder: renaming is atomic within a file system only.
        with tempfile.NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        problem = f"the key file {path} cannot be written ({error.strerror})"
    else:
        return _renamed(file.name, path)
    raise ConfigurationError(problem)


def _renamed(written: str, path: Path) -> Keyring:
    try:
        ring = Keyring.from_file(written)
        os.replace(written, path)
    except BaseException:
        os.unlink(written)
        raise
    return ring

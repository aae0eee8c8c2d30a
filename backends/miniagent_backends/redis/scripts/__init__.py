"""The scripts, and how they are called: by digest, and in full where the server does not know them."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files


@cache
def source_of(name: str) -> bytes:
    """The text of a script."""
    return files(__name__).joinpath(f"{name}.lua").read_bytes()


@cache
def digest_of(name: str) -> str:
    """What EVALSHA calls a script by."""
    # Not for security: it is the server's own name for the script.
    return hashlib.sha1(source_of(name), usedforsecurity=False).hexdigest()


@cache
def source_of_digest(digest: str) -> bytes:
    """The text of the script that EVALSHA calls by `digest`."""
    names = (
        each.name.removesuffix(".lua") for each in files(__name__).iterdir() if each.name.endswith(".lua")
    )
    return next(source_of(name) for name in names if digest_of(name) == digest)

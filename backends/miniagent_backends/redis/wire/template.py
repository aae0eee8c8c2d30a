"""Commands that are sent often with some of their words changed: the others stand packed already."""

from __future__ import annotations

from collections.abc import Sequence

import hiredis

from miniagent_backends.redis.wire.connection import Arg, Command


def template_of(words: Sequence[Arg | None]) -> bytes:
    """A command as the format of ``%``, to which each word that is None gives its length and its bytes.

    It takes half the time of packing all words
    (https://redis.io/docs/latest/develop/reference/protocol-spec/).
    """
    packed = [b"*%d\r\n" % len(words)]
    for word in words:
        if word is None:
            packed.append(b"$%d\r\n%b\r\n")
        else:
            data = word if isinstance(word, bytes) else str(word).encode()
            packed.append(b"$%d\r\n%b\r\n" % (len(data), data.replace(b"%", b"%%")))
    return b"".join(packed)


def words_of(packed: bytes) -> Command:
    """The words of a packed command."""
    reader = hiredis.Reader()
    reader.feed(packed)
    name, *words = reader.gets()
    # The name of the command, and of a script its digest, are texts everywhere.
    return (name.decode(), words[0].decode(), *words[1:])

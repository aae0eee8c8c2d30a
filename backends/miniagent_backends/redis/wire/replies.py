"""What can come of a command, and what each error of a server means (tested in this order)."""

from __future__ import annotations

from enum import Enum


class ConnectionProblem(Exception):
    """Base of what a connection itself raises; never leaves the backend."""


class NotSent(ConnectionProblem):
    """The command was never given to the transport: it was not done, and may be sent again."""


class SentUnknown(ConnectionProblem):
    """The command was given to the transport and has no reply: it may have been done."""


class Busy(NotSent):
    """The queue is full: the server does not keep up."""


class ReplyError(Exception):
    """An error reply of the server.

    Attributes:
        word: its first word, such as "NOSCRIPT".
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text
        self.word: str = text.partition(" ")[0].rstrip(":")


class Meaning(Enum):
    """What an error reply says of the command."""

    DENIED = "wrong password or missing right: fix the configuration"
    WRONG_TYPE = "something else stands under the key"
    FATAL = "a mistake of ours or of the configuration"
    CAPACITY = "not applied: the server has no room, or may not write to its disk"
    AGAIN_AT_ONCE = "not applied: send it again, as the reply says"
    AGAIN_LATER = "not applied: try again in a while"
    AMBIGUOUS = "it may have been applied: send it again with the same identity"


_BY_WORD = {
    "NOAUTH": Meaning.DENIED,
    "WRONGPASS": Meaning.DENIED,
    "NOPERM": Meaning.DENIED,
    "DENIED": Meaning.DENIED,
    "WRONGTYPE": Meaning.WRONG_TYPE,
    "OOM": Meaning.CAPACITY,
    "MISCONF": Meaning.CAPACITY,
    "NOSCRIPT": Meaning.AGAIN_AT_ONCE,
    "MOVED": Meaning.AGAIN_AT_ONCE,
    "ASK": Meaning.AGAIN_AT_ONCE,
    "TRYAGAIN": Meaning.AGAIN_AT_ONCE,
    "LOADING": Meaning.AGAIN_LATER,
    "MASTERDOWN": Meaning.AGAIN_LATER,
    "CLUSTERDOWN": Meaning.AGAIN_LATER,
    "READONLY": Meaning.AGAIN_LATER,
    "NOREPLICAS": Meaning.AGAIN_LATER,
    "BUSY": Meaning.AGAIN_LATER,
    "UNBLOCKED": Meaning.AMBIGUOUS,
}


# Beginnings of texts whose first word, ERR, says nothing: of a script's inner errors among them.
_BY_BEGINNING = {
    "ERR max number of clients": Meaning.AGAIN_LATER,
    "ERR Script killed by user": Meaning.AGAIN_LATER,
    "ERR Script attempted to access a non local key": Meaning.AGAIN_AT_ONCE,
    # Valkey 9
    "ERR Attempted to access a non local key": Meaning.AGAIN_AT_ONCE,
    "ERR ACL failure in script": Meaning.DENIED,
    "ERR The user executing the script can't": Meaning.DENIED,
    "ERR AUTH <password> called without": Meaning.DENIED,
}


def meaning_of(error: ReplyError) -> Meaning:
    """What an error reply means. Texts differ between servers; first words do not, nor do beginnings.

    Only beginnings are looked at: what a caller wrote stands further behind, and must not decide.
    """
    meaning = _BY_WORD.get(error.word)
    if meaning is not None:
        return meaning
    found = (each for begin, each in _BY_BEGINNING.items() if error.text.startswith(begin))
    return next(found, Meaning.FATAL)

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
        self.word = text.partition(" ")[0].rstrip(":")


class Meaning(Enum):
    """What an error reply says of the command."""

    DENIED = "wrong password or missing right: fix the configuration"
    WRONG_TYPE = "something else stands under the key"
    FATAL = "a mistake of ours or of the configuration"
    CAPACITY = "not applied: the server has no room, or may not write to its disk"
    AGAIN_AT_ONCE = "not applied: send it again, as the reply says"
    AGAIN_LATER = "not applied: try again in a while"


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
    "UNBLOCKED": Meaning.AGAIN_LATER,
}


def meaning_of(error: ReplyError) -> Meaning:
    """What an error reply means. Texts differ between servers; first words do not.

    A script's own errors come as ``ERR …`` with the inner error's text: its rights and its memory are
    looked for there.
    """
    meaning = _BY_WORD.get(error.word)
    if meaning is not None:
        return meaning
    text = error.text
    if "max number of clients" in text:
        return Meaning.AGAIN_LATER
    if "ACL failure" in text or "NOPERM" in text:
        return Meaning.DENIED
    if "OOM command not allowed" in text:
        return Meaning.CAPACITY
    if "WRONGTYPE" in text:
        return Meaning.WRONG_TYPE
    return Meaning.FATAL

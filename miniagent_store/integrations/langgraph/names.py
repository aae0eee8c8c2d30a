"""Where the parts of a thread stand: one session a thread, and names of values in its state.

    c/<namespace>/<checkpoint>               a checkpoint without the values of its channels
    b/<namespace>/<channel>/<version>        the value that a channel had at a version
    w/<namespace>/<checkpoint>/<task>/<idx>  a write of a task that ran on a checkpoint
    r/<run>/<namespace>/<checkpoint>         which checkpoints a run has made, where it has an id

The log "removals" has an entry for each time that checkpoints were removed: what is remembered of a thread
elsewhere holds as long as its end stands.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import unquote

from miniagent_store.ids import join_id

KIND = "langgraph"
REMOVALS = "removals"
_PREFIX = "langgraph/"
_ESCAPED = re.compile(r"[%/]|[^ -~]")
_LONGEST = 200

Version = str | int | float


def session_of(thread_id: object) -> str:
    """The id of the session that holds a thread.

    Raises:
        InvalidArgumentError: the thread's id is longer than an id may be.
    """
    return join_id("langgraph", str(thread_id))


def thread_of(session_id: str) -> str:
    """The thread that a session holds."""
    part = session_id.removeprefix(_PREFIX)
    return "" if part == "%" else unquote(part)


def checkpoints(namespace: str | None = None) -> str:
    """The prefix of all checkpoints of a thread, or of one namespace."""
    return "c/" if namespace is None else f"c/{_part(namespace)}/"


def checkpoint(namespace: str, checkpoint_id: str) -> str:
    return f"c/{_part(namespace)}/{_part(checkpoint_id)}"


def blob(namespace: str, channel: str, version: Version) -> str:
    return f"b/{_part(namespace)}/{_part(channel)}/{_part(str(version))}"


def writes(namespace: str, checkpoint_id: str | None = None) -> str:
    """The prefix of all writes on a checkpoint, or in a namespace."""
    prefix = f"w/{_part(namespace)}/"
    return prefix if checkpoint_id is None else f"{prefix}{_part(checkpoint_id)}/"


def write(namespace: str, checkpoint_id: str, task_id: str, index: int) -> str:
    return f"{writes(namespace, checkpoint_id)}{_part(task_id)}/{index}"


def run(run_id: str) -> str:
    """The prefix of what a run has made."""
    return f"r/{_part(run_id)}/"


def made_by(run_id: str, namespace: str, checkpoint_id: str) -> str:
    return f"{run(run_id)}{_part(namespace)}/{_part(checkpoint_id)}"


def _part(text: str) -> str:
    """A part of a name: no two texts meet, and ids keep their order."""
    escaped = _ESCAPED.sub(_escape, text) or "%"
    if len(escaped) <= _LONGEST:
        return escaped
    # "%~" is nothing that is escaped.
    return "%~" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _escape(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))

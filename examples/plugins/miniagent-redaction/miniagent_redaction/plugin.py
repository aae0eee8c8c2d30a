"""Redacts in every store of the process, once the package is installed.

``MINIAGENT_REDACT`` says what: names of rules, such as ``email,card``; all of them unless it is set. With
``none`` only stores that are given a `Redaction` in code redact.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from miniagent_redaction.redaction import Redaction
from miniagent_store import hookimpl

if TYPE_CHECKING:
    from miniagent_store.store.draft import CommitDraft

VARIABLE = "MINIAGENT_REDACT"


@hookimpl
def before_commit(draft: CommitDraft) -> None:
    """See `Redaction.before_commit`."""
    _redaction(os.environ.get(VARIABLE)).before_commit(draft)


@cache
def _redaction(wanted: str | None) -> Redaction:
    if wanted is None:
        return Redaction()
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    return Redaction([] if names == ["none"] else names)

"""What an act is: what it asks, what it says will go, and how it is done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import ClassVar

from starlette.exceptions import HTTPException

from miniagent_store.errors import (
    FencedError,
    InvalidArgumentError,
    SerializationError,
    SessionDamagedError,
    SessionExistsError,
    SessionNotFoundError,
    SessionTooLargeError,
    StoreError,
    VersionConflictError,
    VetoedError,
)
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Entry, Session
from miniagent_store.web.acting import audit, keeping
from miniagent_store.web.acting.audit import Act
from miniagent_store.web.plain import reason_of, said


@dataclass(frozen=True, slots=True)
class Asking:
    """Somebody asks for an act.

    Attributes:
        store: whose session.
        session_id: which.
        session: as it is now; None if it is gone, or:
        problem: why its record cannot be read.
        fields: of the form, or of the address that leads to it.
        who, where: asks.
        content: whether they may read what was said.
    """

    store: SessionStore
    session_id: str
    session: Session | None
    problem: StoreError | None
    fields: Mapping[str, str]
    who: str
    where: str
    content: bool

    def act(self, what: str, told: str) -> Act:
        """What is written down of it."""
        return Act(what, self.session_id, self.who, self.where, told)

    def there(self) -> Session:
        """The session.

        Raises:
            StoreError: it is gone, or cannot be read.
        """
        if self.session is None:
            raise self.problem or SessionNotFoundError(self.session_id)
        return self.session


@dataclass(frozen=True, slots=True)
class Told:
    """What a page says before an act is done.

    Attributes:
        goes: what will be gone, or be otherwise, a line each.
        stays: what will not.
        said: a part of it, to be recognised by: who and what; empty where content is hidden.
        hidden: fields that the form holds besides.
        ready: whether all is known that the act needs; else the page asks for the rest.
    """

    goes: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    said: tuple[tuple[str, str], ...] = ()
    hidden: Mapping[str, str] = field(default_factory=dict)
    ready: bool = True


# After these nothing was changed for sure; after others it may have been, and its copy may be needed.
NOTHING_DONE = (
    FencedError,
    InvalidArgumentError,
    SessionExistsError,
    SessionNotFoundError,
    SessionTooLargeError,
    VersionConflictError,
    VetoedError,
)


class AskAgainError(Exception):
    """Something has to be known before an act is done; nothing was changed.

    Attributes:
        allow: the field by which it is done all the same; "" if it has to be asked for otherwise.
    """

    def __init__(self, problem: str, allow: str = "") -> None:
        super().__init__(problem)
        self.allow = allow


class Kind(ABC):
    """A kind of act.

    Attributes:
        name: in addresses and logs.
        verb: on its button.
        question: over its page.
        danger: whether something goes.
        keeps: whether a copy can be kept by which it is undone.
        undo: what there is to be said of undoing.
    """

    name: ClassVar[str]
    verb: ClassVar[str]
    question: ClassVar[str]
    danger: ClassVar[bool] = False
    keeps: ClassVar[bool] = False
    undo: ClassVar[str] = ""
    # Whether it is for sessions that are gone or cannot be read, too.
    anyhow: ClassVar[bool] = False

    @abstractmethod
    async def told(self, asking: Asking) -> Told:
        """What it would do. Raises what the store raises."""

    @abstractmethod
    async def do(self, asking: Asking) -> None:
        """Do it, and write it down.

        Raises:
            AskAgainError: somebody has to decide something first.
            StoreError: as of the store.
        """


async def asking(
    kind: Kind, store: SessionStore, fields: Mapping[str, str], *, who: str, where: str, content: bool
) -> Asking:
    """Put together what is asked for.

    Raises:
        HTTPException: of what is the viewer's own (403).
        StoreError: there is no such session.
    """
    session_id = fields.get("id", "")
    session: Session | None = None
    problem: StoreError | None = None
    try:
        session = await store.get(session_id)
    except (SessionNotFoundError, SerializationError, SessionDamagedError) as error:
        problem = error
        if not kind.anyhow:
            raise
    if session is not None and session.kind in (audit.KIND, keeping.KIND):
        raise HTTPException(403, "The viewer's own records are not changed from here.")
    return Asking(store, session_id, session, problem, fields, who, where, content)


async def written_down(store: SessionStore, act: Act, work: Callable[[], Awaitable[None]]) -> None:
    """Do some work that is in the viewer's log before, and told there as failed where it is."""
    await audit.record(store, act)
    try:
        await work()
    except StoreError as error:
        why = taken(error) if isinstance(error, SessionExistsError) else str(error)
        failed = replace(act, failed=why)
        if isinstance(error, NOTHING_DONE):
            failed = replace(failed, kept=None, until=None)
        # Where the store is away it cannot be told either; the error itself matters more.
        with suppress(StoreError):
            await audit.record(store, failed)
        raise


async def noted(store: SessionStore, session_id: str, *acts: Act) -> None:
    """Write to a session's own log what was done; the viewer's log has it where this one is full."""
    try:
        await audit.note(store, session_id, *acts)
    except StoreError as error:
        if error.retryable:
            raise


def taken(error: SessionExistsError) -> str:
    """What it says, without advice for programs."""
    return f"There is a session {error.session_id!r} already; choose another id."


def counted(count: int, one: str, several: str = "") -> str:
    """ "1 message", "2 messages"."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


# So much of an entry is shown.
SHOWN = 240


def recognised(entry: Entry) -> tuple[str, str]:
    """Who said an entry, and how it begins."""
    if entry.redacted:
        return f"redacted {entry.seq}", reason_of(entry.value)
    who = str(entry.value.get("role") or entry.value.get("type") or "entry")
    text = said(entry.value)
    return f"{who} {entry.seq}", text[:SHOWN] + ("…" if len(text) > SHOWN else "")

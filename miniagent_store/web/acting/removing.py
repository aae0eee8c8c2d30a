"""What takes something away, and keeps a copy of it for some minutes: clear, rewind, delete."""

from __future__ import annotations

from abc import abstractmethod

from miniagent_store.errors import (
    CapacityError,
    InvalidArgumentError,
    SerializationError,
    SessionDamagedError,
    SessionNotFoundError,
    SessionTooLargeError,
    StoreError,
    VersionConflictError,
)
from miniagent_store.store.batch import Batch
from miniagent_store.values import MESSAGES, Session
from miniagent_store.web.acting import audit, keeping
from miniagent_store.web.acting.audit import LOG, Act
from miniagent_store.web.acting.forking import number_of
from miniagent_store.web.acting.kind import (
    NOTHING_DONE,
    AskAgainError,
    Asking,
    Kind,
    Told,
    counted,
    recognised,
    written_down,
)

# A copy cannot be made of these, nor where there is no room for it.
NO_COPY = (CapacityError, SerializationError, SessionDamagedError, SessionTooLargeError)
# So many entries of other logs are looked at to say how many go.
LOOKED_AT = 1000


class Removing(Kind):
    """Takes something away."""

    danger = True
    keeps = True

    @abstractmethod
    async def remove(self, asking: Asking, act: Act, expected: Session | None) -> None:
        """Take it away, if the session is as `expected` still; None for however it is."""

    @abstractmethod
    async def words(self, asking: Asking) -> str:
        """What goes, for the log."""

    async def do(self, asking: Asking) -> None:
        store, session = asking.store, asking.session
        anyway = "anyway" in asking.fields
        if session is not None and not anyway and asking.fields.get("version") != str(session.version):
            raise _changed(session)
        act = asking.act(self.name, await self.words(asking))
        if "keep" in asking.fields:
            try:
                copy = await keeping.keep(store, act)
            except NO_COPY as error:
                raise AskAgainError(
                    f"No copy can be kept to undo it by: {error}. If you go on, it is gone for good.",
                    "unkept",
                ) from error
            act = copy.act
            if session is not None and copy.version != session.version and not anyway:
                await store.delete(copy.name)
                raise _changed(session)

        async def work() -> None:
            await self.remove(asking, act, None if anyway else session)

        try:
            await written_down(store, act, work)
        except StoreError as error:
            if act.kept is not None and isinstance(error, NOTHING_DONE):
                await store.delete(act.kept)
            if isinstance(error, VersionConflictError) and session is not None:
                raise _changed(session) from error
            raise


def _changed(session: Session) -> AskAgainError:
    return AskAgainError(
        f"Session {session.id} was written to while you looked; see what goes now. If it is written to all "
        "the time, go on all the same: what comes in that very moment may be in no copy.",
        "anyway",
    )


class Clear(Removing):
    """Empties all logs."""

    name = "clear"
    verb = "Clear"
    question = "Clear this session?"

    async def told(self, asking: Asking) -> Told:
        session = asking.there()
        goes = [counted_in(log, count) for log, count in (await _held(asking)).items() if count]
        return Told(
            tuple(goes) or ("Nothing: it holds no message and no event.",),
            ("State, metadata and tags, and its log of acts.",),
            await _last_said(asking, session),
            {"version": str(session.version)},
        )

    async def words(self, asking: Asking) -> str:
        return (
            ", ".join(counted_in(log, count) for log, count in (await _held(asking)).items()) or "nothing"
        )

    async def remove(self, asking: Asking, act: Act, expected: Session | None) -> None:
        batch = asking.store.batch(asking.session_id, expected_version=expected)
        batch.clear()
        await _commit(asking, batch, act)


class Rewind(Removing):
    """Goes back to a message."""

    name = "rewind"
    verb = "Rewind"
    question = "Rewind this session?"

    async def told(self, asking: Asking) -> Told:
        session, to = asking.there(), _to(asking)
        if to is None:
            return Told(ready=False)
        goes = await self._going(asking, to)
        last = "before the first message" if to == 0 else f"message {to}, which is the last that stays"
        return Told(
            tuple(goes),
            (f"Everything up to {last}. State, metadata and tags, and its log of acts.",),
            await _last_said(asking, session, after=to),
            {"version": str(session.version), "to": str(to)},
        )

    async def words(self, asking: Asking) -> str:
        to = _to(asking)
        if to is None:
            raise InvalidArgumentError("say to which message; 0 is before the first")
        return f"to message {to}: " + ", ".join(await self._going(asking, to))

    async def remove(self, asking: Asking, act: Act, expected: Session | None) -> None:
        batch = asking.store.batch(asking.session_id, expected_version=expected)
        batch.rewind(to=_to(asking) or 0)
        await _commit(asking, batch, act)

    async def _going(self, asking: Asking, to: int) -> list[str]:
        store, session = asking.store, asking.there()
        goes = [counted_in(MESSAGES, await store.count(session.id, after=to))]
        if to:
            stays = await store.entries(session.id, after=to - 1, before=to + 1)
            if not stays:
                raise InvalidArgumentError(f"there is no message {to} to go back to")
            version = stays[0].version
        else:
            version = 0
        for log in _others(session):
            entries = await store.entries(session.id, log=log, last=LOOKED_AT)
            later = sum(entry.version > version for entry in entries)
            if later:
                goes.append(("at least " if later == LOOKED_AT else "") + counted_in(log, later))
        return goes


class Delete(Removing):
    """Removes all of it."""

    name = "delete"
    verb = "Delete"
    question = "Delete this session?"
    anyhow = True

    async def told(self, asking: Asking) -> Told:
        if asking.session is None:
            if isinstance(asking.problem, SessionNotFoundError):
                raise asking.problem
            return Told((f"All that is left of it, which cannot be read: {asking.problem}",))
        session = asking.session
        goes = [counted_in(log, count) for log, count in (await _held(asking)).items() if count]
        values = await asking.store.state(session.id).scan(limit=LOOKED_AT)
        if values:
            goes.append(counted(len(values), "value") + " of its state")
        goes.append("its metadata, tags and log of acts")
        said = await _last_said(asking, session)
        return Told(tuple(goes), (), said, {"version": str(session.version)})

    async def words(self, asking: Asking) -> str:
        if asking.session is None:
            return "what was left of it"
        return (
            ", ".join(counted_in(log, count) for log, count in (await _held(asking)).items()) or "nothing"
        )

    async def remove(self, asking: Asking, act: Act, expected: Session | None) -> None:
        store, session = asking.store, asking.session
        if expected is not None:
            now = await store.get(expected.id)
            if now.version != expected.version:
                raise VersionConflictError(
                    now.id, expected=f"version {expected.version}", actual=f"version {now.version}"
                )
        if act.kept is None:
            # Deleted for good: copies of it are it, too.
            await keeping.drop(store, asking.session_id)
        incarnation = None if session is None else session.incarnation
        if not await store.delete(asking.session_id, incarnation=incarnation):
            raise SessionNotFoundError(asking.session_id)


async def _commit(asking: Asking, batch: Batch, act: Act) -> None:
    """Commit what empties logs; acts that stood there stand there again, and this one behind them."""
    acts = await audit.acts_of(asking.store, asking.session_id)
    batch.trim(before=1 << 53, log=LOG)
    audit.add_to(batch, *acts, act)
    await batch.commit(act.what)


def _to(asking: Asking) -> int | None:
    return number_of(asking.fields.get("to", ""), "the last message that stays")


def _others(session: Session) -> list[str]:
    """Logs but for messages, and for acts, which stay."""
    return [log for log, _ in session.position.sequences if log not in (MESSAGES, LOG)]


async def _held(asking: Asking) -> dict[str, int]:
    session = asking.there()
    logs = (MESSAGES, *_others(session))
    return {log: await asking.store.count(session.id, log=log) for log in logs}


def counted_in(log: str, count: int) -> str:
    """ "3 messages", "1 entry of the log notes"."""
    if log == MESSAGES:
        return counted(count, "message")
    return counted(count, "event") if log == "events" else f"{counted(count, 'entry', 'entries')} of {log}"


async def _last_said(
    asking: Asking, session: Session, *, after: int | None = None
) -> tuple[tuple[str, str], ...]:
    """The last messages that go, where they may be shown and can be read."""
    if not asking.content:
        return ()
    try:
        entries = await asking.store.entries(session.id, last=3, after=after)
    except StoreError:
        return ()
    return tuple(map(recognised, entries))

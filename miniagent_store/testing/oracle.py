"""What must be true of the sessions after a fault, whatever the fault was.

What was acknowledged is stored, nothing twice; sequences are contiguous; the version is the count of
commits; counters are the sums of what was added; all keys of a session expire at the same moment.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from miniagent_store.errors import SessionDamagedError, SessionNotFoundError, StoreError
from miniagent_store.store.protocol import SessionStore
from miniagent_store.testing.servers import Server
from miniagent_store.values import Entry

COUNTER = "total"
# Milliseconds by which the expiry of a session's keys may differ.
TTL_SPREAD_MS = 50


class Outcome(Enum):
    """What a writer was told in the end."""

    ACKNOWLEDGED = "done"
    WEAK = "done, but on fewer replicas than asked"
    UNKNOWN = "cannot be known"
    REFUSED = "not done"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One commit that a writer tried.

    Attributes:
        writer: which writer.
        session_id: on which session.
        kind: "append", "turn", "state", "counter", "first" or "pop".
        number: of the writer's attempts, from 1.
        texts: of the messages that it appends, or has popped.
        outcome: what came of it.
        at: time.monotonic() when it was known.
        error: what was raised last, if it was not acknowledged.
    """

    writer: int
    session_id: str
    kind: str
    number: int
    texts: tuple[str, ...]
    outcome: Outcome
    at: float
    error: StoreError | None = None


@dataclass(slots=True)
class Report:
    """What a fault did.

    Attributes:
        acknowledged: commits that writers were told are done.
        lost: of these, what is not there.
        doubled: what is there more than once.
        unknown: commits of which no one could say, in the end, whether they were done.
        weak: commits that were told to be on fewer replicas than asked.
        errors: commits that were refused, and the error of each.
        longest_gap: seconds without any acknowledgement.
        gaps: the same by writer, since the fault if one was marked.
        recovery: the longest of them; None if no fault was marked.
        problems: what else is not as it must be, in words.
    """

    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    unknown: int = 0
    weak: int = 0
    errors: list[Attempt] = field(default_factory=list)
    longest_gap: float = 0.0
    gaps: dict[int, float] = field(default_factory=dict)
    recovery: float | None = None
    problems: list[str] = field(default_factory=list)

    def check(self, *, lost: int = 0) -> None:
        """Raise an AssertionError unless all is as promised.

        Args:
            lost: so many may be missing.
        """
        wrong = list(self.problems)
        if self.lost > lost:
            wrong.append(f"{self.lost} of {self.acknowledged} acknowledged commits are lost")
        if self.doubled:
            wrong.append(f"{self.doubled} commits were done twice")
        if not self.acknowledged:
            wrong.append("nothing was acknowledged")
        if wrong:
            raise AssertionError(f"{'; '.join(wrong[:10])} ({self})")

    def __str__(self) -> str:
        errors = Counter(type(each.error).__name__ for each in self.errors)
        recovery = "" if self.recovery is None else f", recovery {self.recovery:.2f} s"
        told = ", ".join(f"{count} {name}" for name, count in errors.items()) or "none"
        return (
            f"{self.acknowledged} acknowledged, {self.lost} lost, {self.doubled} doubled, "
            f"{self.unknown} unknown, {self.weak} weak, errors: {told}, "
            f"longest gap {self.longest_gap:.2f} s{recovery}"
        )


async def judge(
    store: SessionStore, attempts: Iterable[Attempt], report: Report, *, turns_kept_together: bool = True
) -> None:
    """Compare what is stored with what was told, and add it to a report.

    Args:
        store: to read with.
        attempts: of all writers.
        report: where it goes.
        turns_kept_together: whether the two messages of a turn must be neighbours (not where others pop).
    """
    by_session: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        by_session[attempt.session_id].append(attempt)
        match attempt.outcome:
            case Outcome.ACKNOWLEDGED:
                report.acknowledged += 1
            case Outcome.WEAK:
                report.weak += 1
            case Outcome.UNKNOWN:
                report.unknown += 1
            case Outcome.REFUSED:
                report.errors.append(attempt)
    for session_id, tried in by_session.items():
        try:
            await _judge_session(store, session_id, tried, report, turns_kept_together)
        except SessionNotFoundError:
            report.lost += sum(each.outcome is Outcome.ACKNOWLEDGED for each in tried)
        except SessionDamagedError as error:
            report.problems.append(str(error))


async def _judge_session(
    store: SessionStore, session_id: str, tried: Sequence[Attempt], report: Report, together: bool
) -> None:
    session = await store.get(session_id)
    entries = await store.entries(session_id)
    state = await store.state(session_id).get_many({COUNTER, *(f"last-{each.writer}" for each in tried)})

    if [entry.seq for entry in entries] != list(range(1, len(entries) + 1)):
        report.problems.append(f"{session_id}: sequences are not contiguous")
    lost, doubled = _compare_texts(session_id, entries, tried, report)
    if together:
        _check_turns(session_id, entries, tried, report)
    for kind in (None, "counter"):
        counted = [each for each in tried if kind is None or each.kind == kind]
        sure = sum(each.outcome is Outcome.ACKNOWLEDGED for each in counted)
        perhaps = sum(each.outcome in {Outcome.UNKNOWN, Outcome.WEAK} for each in counted)
        # Making the session was its first commit.
        found = session.version - 1 if kind is None else int(state.get(COUNTER, 0))
        lost, doubled = max(lost, sure - found), max(doubled, found - sure - perhaps)
    for writer in {each.writer for each in tried if each.kind == "state"}:
        sure_numbers = [
            each.number
            for each in tried
            if (each.writer, each.kind, each.outcome) == (writer, "state", Outcome.ACKNOWLEDGED)
        ]
        if state.get(f"last-{writer}", 0) < max(sure_numbers, default=0):
            lost = max(lost, 1)
    await _judge_firsts(store, session_id, [each for each in tried if each.kind == "first"], report)
    report.lost += lost
    report.doubled += doubled


async def _judge_firsts(
    store: SessionStore, session_id: str, tried: Sequence[Attempt], report: Report
) -> None:
    """What a commit has made for the first time is all there, once; or nothing, if it was not done."""
    for attempt in tried:
        name = name_of_first(attempt.writer, attempt.number)
        state = await store.state(session_id).get_many({name, f"{COUNTER}-{name}"})
        length = len(await store.entries(session_id, log=name))
        found = (length, state.get(name), state.get(f"{COUNTER}-{name}"))
        may_be_there = attempt.outcome is not Outcome.REFUSED
        may_be_missing = attempt.outcome is not Outcome.ACKNOWLEDGED
        if not (
            (may_be_there and found == (1, attempt.number, 1))
            or (may_be_missing and found == (0, None, None))
        ):
            report.problems.append(f"{session_id}: {attempt.outcome}, and of {name} there is {found}")


def name_of_first(writer: int, number: int) -> str:
    """What a writer calls the log and the state that it makes."""
    return f"first-{writer}-{number}"


def _compare_texts(
    session_id: str, entries: Sequence[Entry], tried: Sequence[Attempt], report: Report
) -> tuple[int, int]:
    """How many commits' messages are lost, and how many messages stand twice."""
    stored = Counter(text_of(entry) for entry in entries)
    pops = [each for each in tried if each.kind == "pop"]
    popped = {text for each in pops if each.outcome is Outcome.ACKNOWLEDGED for text in each.texts}
    back = popped & set(stored)
    # A pop that nobody knows of took one away, or none.
    excused = sum(each.outcome in {Outcome.UNKNOWN, Outcome.WEAK} for each in pops)
    missing, known = 0, set[str]()
    for attempt in tried:
        if attempt.kind == "pop":
            continue
        known.update(attempt.texts)
        there = [text in stored for text in attempt.texts]
        gone = any(text not in stored and text not in popped for text in attempt.texts)
        if attempt.outcome is Outcome.ACKNOWLEDGED:
            missing += gone
        elif attempt.outcome is Outcome.REFUSED and any(there):
            report.problems.append(f"{session_id}: {attempt.texts} was refused and is stored")
        elif any(there) and gone and not pops:
            report.problems.append(f"{session_id}: half of {attempt.texts} is stored")
    for text in stored.keys() - known:
        report.problems.append(f"{session_id}: {text!r} is stored, which no one wrote")
    return max(missing - excused, 0) + len(back), sum(count - 1 for count in stored.values())


def _check_turns(
    session_id: str, entries: Sequence[Entry], tried: Sequence[Attempt], report: Report
) -> None:
    """Messages of one commit stand together, in their order."""
    place = {text_of(entry): entry.seq for entry in entries}
    for attempt in tried:
        seqs = [place[text] for text in attempt.texts if text in place]
        if attempt.kind != "pop" and seqs != list(range(seqs[0], seqs[0] + len(seqs)) if seqs else []):
            report.problems.append(f"{session_id}: others stand between {attempt.texts}")


def text_of(entry: Entry) -> str:
    """What a writer wrote."""
    return str(entry.value["content"])


async def judge_expiry(
    servers: Iterable[Server], namespace: str, session_ids: Iterable[str], report: Report
) -> None:
    """Look that all keys of a session expire at the same moment.

    Args:
        servers: the masters that hold the sessions.
        namespace: of the store.
        session_ids: the sessions.
        report: where it goes.
    """
    for server in servers:
        times = await asyncio.to_thread(_expiries, server, namespace)
        for session_id in session_ids:
            record = f"{namespace}/session:{session_id}"
            found = {key: at for key, at in times.items() if key == record or f"{{{record}}}" in key}
            if found and max(found.values()) - min(found.values()) > TTL_SPREAD_MS:
                report.problems.append(f"{session_id}: its keys expire at different times: {found}")


def _expiries(server: Server, namespace: str) -> dict[str, int]:
    """When each key expires, in ms since 1970, but for those of leases and stages, which have their own."""
    cursor, found = b"0", list[bytes]()
    while True:
        cursor, page = server.command("SCAN", cursor, "MATCH", f"{namespace}/*session:*", "COUNT", 1000)
        found += page
        if cursor == b"0":
            break
    own = (f"{namespace}/turn:".encode(), f"{namespace}/stage:".encode())
    return {
        key.decode(): server.command("PEXPIRETIME", key) for key in set(found) if not key.startswith(own)
    }

"""An archive: a header, the lines of each session, and a trailer that counts and fingerprints them all."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from miniagent_store.errors import ArchiveError, SerializationError
from miniagent_store.moving.lines import ARCHIVE, FORMAT, SessionLines, parsed
from miniagent_store.moving.plain_values import dumped
from miniagent_store.moving.whole import WholeSession
from miniagent_store.values import from_ms


@dataclass(frozen=True, slots=True)
class Header:
    """The first line.

    Attributes:
        plain: values are JSON; otherwise bytes as they were stored.
        namespace: of the store; what is encrypted can be read in that one only.
        made_ms: when it was begun.
        filters: which sessions it is of, as they were given.
    """

    plain: bool
    namespace: str
    made_ms: int
    filters: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        told = {**self.filters, "plain": self.plain, "namespace": self.namespace}
        if "since" in told:
            told["since"] = from_ms(told["since"]).isoformat()
        return "with " + ", ".join(f"{name} {value!r}" for name, value in told.items())

    def line(self) -> bytes:
        values = "plain" if self.plain else "stored"
        return _line(
            archive=ARCHIVE,
            format=FORMAT,
            values=values,
            namespace=self.namespace,
            made=self.made_ms,
            filters=dict(self.filters),
        )

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Header:
        """The header that a line is.

        Raises:
            ArchiveError: it is none, or of a later format.
        """
        if fields.get("archive") != ARCHIVE:
            raise ArchiveError("this is no archive of miniagent-store: its first line is not a header")
        if fields.get("format") != FORMAT:
            raise ArchiveError(
                f"the archive has format {fields.get('format')!r}, this library reads {FORMAT}; "
                "upgrade miniagent-store"
            )
        try:
            plain = {"plain": True, "stored": False}[fields["values"]]
            return cls(plain, str(fields["namespace"]), int(fields["made"]), dict(fields["filters"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ArchiveError(f"the archive's header is damaged ({type(error).__name__})") from error


class Counted(NamedTuple):
    """What is counted of a session."""

    session_id: str
    kind: str
    entries: int
    values: int
    digest: bytes

    @classmethod
    def of(cls, session: WholeSession, digest: bytes) -> Counted:
        return cls(session.id, session.record.kind, session.entry_count, len(session.values), digest)


class Totals:
    """Counts of what an archive holds, and a fingerprint over those of its sessions, in their order."""

    sessions: int
    entries: int
    values: int

    def __init__(self) -> None:
        self.sessions = self.entries = self.values = 0
        self.kinds: Counter[str] = Counter()
        self._digest = hashlib.sha256()

    def add(self, counted: Counted) -> None:
        """Count a session."""
        self.sessions += 1
        self.entries += counted.entries
        self.values += counted.values
        self.kinds[counted.kind] += 1
        self._digest.update(counted.digest)

    def to_dict(self) -> dict[str, Any]:
        return {
            "sessions": self.sessions,
            "entries": self.entries,
            "values": self.values,
            "kinds": dict(sorted(self.kinds.items())),
            "sha256": self._digest.hexdigest(),
        }

    def line(self) -> bytes:
        """The trailer."""
        return _line(trailer=ARCHIVE, **self.to_dict())


class ArchiveReader:
    """Reads an archive once, from its beginning, and checks all that it yields.

    Args:
        lines: of the archive, as `read_lines` gives them.

    Attributes:
        totals: of the sessions so far.
        complete: the trailer was read, and agrees.
    """

    def __init__(self, lines: Iterable[tuple[bytes, int | None]]) -> None:
        self._lines, self._number = iter(lines), 0
        self.totals: Totals = Totals()
        self.complete: bool = False
        self._header: Header | None = None

    @property
    def header(self) -> Header:
        """The header; read when it is first asked for.

        Raises:
            ArchiveError: there is none.
        """
        if self._header is None:
            for raw, _ in self._lines:
                self._number += 1
                self._header = Header.of(self._parsed(raw))
                break
            else:
                raise ArchiveError("the archive is empty")
        return self._header

    def sessions(self) -> Iterator[tuple[WholeSession, bytes, int | None]]:
        """All sessions, one by one: each, its fingerprint, and where the file can be cut off behind it.

        Raises:
            ArchiveError: it is damaged, or ends before its trailer.
        """
        plain = self.header.plain
        session: SessionLines | None = None
        for raw, end in self._lines:
            self._number += 1
            fields = self._parsed(raw)
            if self.complete:
                raise ArchiveError(f"line {self._number} of the archive stands behind its trailer")
            try:
                if session is None and "session" in fields:
                    session = SessionLines(fields, raw, plain=plain)
                elif session is None and "trailer" in fields:
                    self._check(fields)
                elif session is not None and "end" in fields:
                    whole, digest = session.end(fields)
                    session = None
                    self.totals.add(Counted.of(whole, digest))
                    yield whole, digest, end
                elif session is not None:
                    session.add(fields, raw)
                else:
                    raise ValueError("not the beginning of a session")
            except (KeyError, TypeError, ValueError, AttributeError, SerializationError) as error:
                raise ArchiveError(
                    f"line {self._number} of the archive is damaged ({type(error).__name__})"
                ) from error
        if not self.complete:
            raise ArchiveError(
                f"the archive ends without its trailer, after {self.totals.sessions} whole sessions: it "
                "was cut off; finish it with export --resume"
            )

    def _check(self, fields: Mapping[str, Any]) -> None:
        wanted = self.totals.to_dict()
        if {name: fields.get(name) for name in wanted} != wanted:
            raise ArchiveError(
                f"the archive's trailer tells of {fields.get('sessions')} sessions with other contents; "
                f"{self.totals.sessions} were read: some were removed, added or changed"
            )
        self.complete = True

    def _parsed(self, raw: bytes) -> Mapping[str, Any]:
        try:
            return parsed(raw)
        except ValueError as error:
            raise ArchiveError(
                f"line {self._number} of the archive is not JSON; is this an archive of miniagent-store?"
            ) from error


def _line(**fields: Any) -> bytes:
    return dumped(fields) + b"\n"

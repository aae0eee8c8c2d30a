"""Every failure the library can foresee, in one tree.

    StoreError
    ├── ConfigurationError            a URL, option or plugin choice is wrong; fix it and start again
    │   └── MissingExtraError         an optional package is not installed; says which extra brings it
    ├── PluginError                   a plugin is broken or clashes with another
    ├── InvalidArgumentError          a call was given something it cannot take (also a ValueError)
    ├── SessionNotFoundError          there is no such session, or it expired (also a LookupError)
    ├── SessionExistsError            the id is taken
    ├── VersionConflictError          the session is not at the version, tail or value the call expected
    │   └── SessionReplacedError      it was deleted, and another was created under its id
    ├── IdempotencyConflictError      an id was given again with another payload
    ├── SessionTooLargeError          the session, or one message, would be over its limit
    ├── StateTypeError                a counter was wanted where a value stands, or would overflow
    ├── SerializationError            bytes and values do not agree
    │   ├── EncodeError               the value cannot be written
    │   ├── DecodeError               the bytes cannot be read
    │   └── CryptoError               keys and bytes do not agree
    │       ├── KeyNotFoundError      written under a key that is not in the keyring
    │       └── TamperedError         modified, moved from another place, or key mismatch
    ├── KeyProviderError              the key service is down; retryable, not a data error
    ├── LockTimeoutError              someone else holds the lock, and kept it
    ├── LockLostError                 the lock was ours and no longer is
    ├── FencedError                   a newer holder has taken over; nothing was stored
    ├── RateLimitedError              more than a rate limit allows; says when to try again
    ├── BackendUnavailableError       the server did not do it; retryable
    ├── OutcomeUnknownError           it may or may not have been done; ask again with its commit_id
    ├── DurabilityError               stored, but acknowledged by fewer replicas than asked
    ├── CapacityError                 out of memory or disk
    │   └── TenantLimitError          a tenant holds or does as much as its limits allow
    ├── TenantInUseError              a tenant is written to while it is deleted
    ├── SessionDamagedError           a part of the session was evicted or corrupted
    ├── ArchiveError                  an archive of sessions is damaged, cut off, or none
    ├── VetoedError                   a hook refused the commit
    ├── EmbeddingError                an embedder gave no vectors, or none that can be used
    │   └── EmbedderUnavailableError  it cannot be reached, or took too long; retryable
    ├── ToolLoopError                 a model calls tools again and again, and never answers
    ├── ContextTooLargeError          what a model must see is more than its context window holds
    ├── WrongLoopError                the store belongs to another event loop
    ├── AccessDeniedError             wrong password, missing right
    └── StoreClosedError              the store was closed

`retryable` says whether the same call may succeed later without any change.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar


class StoreError(Exception):
    """Base of everything this library raises on purpose."""

    retryable: ClassVar[bool] = False


class ConfigurationError(StoreError):
    """A URL, an option or a combination of them cannot be used."""


class MissingExtraError(ConfigurationError):
    """Something optional was asked for whose package is not installed.

    Attributes:
        package: the distribution that is missing.
        extra: the extra of miniagent-store that installs it.
    """

    wanted: str
    package: str
    extra: str

    def __init__(self, wanted: str, *, package: str, extra: str) -> None:
        self.wanted, self.package, self.extra = wanted, package, extra
        super().__init__(
            f"{wanted} needs the package {package!r}, which is not installed; "
            f"run: pip install 'miniagent-store[{extra}]'"
        )


class PluginError(StoreError):
    """A plugin is broken, or two plugins claim the same name, scheme or wire id."""


class InvalidArgumentError(StoreError, ValueError):
    """A call was given something it cannot take; nothing was changed."""


class SessionNotFoundError(StoreError, LookupError):
    """There is no such session: it was never created, was deleted, or expired."""

    def __init__(self, session_id: str, *, hint: str | None = None) -> None:
        self.session_id = session_id
        advice = hint or "it was never created, was deleted, or expired; create it, or pass create=True"
        super().__init__(f"no session {shorten(session_id)!r}: {advice}")


class SessionExistsError(StoreError):
    """A session with this id is there already."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        super().__init__(
            f"session {shorten(session_id)!r} exists already; use another id, or pass exist_ok=True"
        )


class VersionConflictError(StoreError):
    """The session, a tail or a value is not at what the call expected; nothing was changed.

    Attributes:
        session_id: the session.
        expected: what the call expected, in words.
        actual: what was found, in words.
    """

    session_id: str
    expected: str
    actual: str

    def __init__(self, session_id: str, *, expected: str, actual: str) -> None:
        self.session_id, self.expected, self.actual = session_id, expected, actual
        super().__init__(
            f"session {shorten(session_id)!r} was changed by someone else: expected {expected}, "
            f"found {actual}; read it again and repeat the change"
        )


class SessionReplacedError(VersionConflictError):
    """The session was deleted, and perhaps another created under its id; nothing was changed."""

    def __init__(self, session_id: str) -> None:
        super().__init__(session_id, expected="the same session", actual="one created anew under its id")


class IdempotencyConflictError(StoreError):
    """An entry's id was given again with another payload; nothing was changed.

    Attributes:
        seq: of the entry that stands with this id; None if both were given in one call.
        digest: of what that entry was given with, as the backend keeps it.
    """

    session_id: str
    entry_id: str
    log: str
    seq: int | None
    digest: bytes | None

    def __init__(
        self,
        session_id: str,
        *,
        entry_id: str,
        log: str,
        seq: int | None = None,
        digest: bytes | None = None,
    ) -> None:
        self.session_id, self.entry_id, self.log = session_id, entry_id, log
        self.seq, self.digest = seq, digest
        super().__init__(
            f"session {shorten(session_id)!r} has an entry with id {shorten(entry_id)!r} in its log "
            f"{log!r} already, with another payload; use a new id for a new entry"
        )


class SessionTooLargeError(StoreError):
    """The session, or one of its messages, would be over its limit; nothing was changed.

    Attributes:
        size: what it would have been, in bytes.
        limit: what is allowed, in bytes.
    """

    session_id: str
    size: int
    limit: int
    what: str

    def __init__(self, session_id: str, *, size: int, limit: int, what: str = "the session") -> None:
        self.session_id, self.size, self.limit, self.what = session_id, size, limit, what
        option = "max_message_size" if what != "the session" else "max_session_size"
        super().__init__(
            f"{what} in session {shorten(session_id)!r} would have {size} bytes, over the limit of "
            f"{limit}; trim the session or raise {option}"
        )


class StateTypeError(StoreError):
    """A counter was wanted where another value stands, or the counter would leave int64."""

    session_id: str
    name: str
    problem: str

    def __init__(self, session_id: str, *, name: str, problem: str) -> None:
        self.session_id, self.name, self.problem = session_id, name, problem
        super().__init__(f"state {shorten(name)!r} of session {shorten(session_id)!r}: {problem}")


class SerializationError(StoreError):
    """Bytes and values do not agree. Never carries payload or key bytes.

    Attributes:
        reason: a short fixed phrase, such as "unsupported type" or "truncated".
        codec: the codec or layer at work, if known.
        key_id: the key concerned, in hex, if any.
        path: where inside the value, such as "content[2].image", if known.
        context: the place of the value in words, such as "session 's1', message".
    """

    reason: str
    detail: str
    codec: str | None
    key_id: str | None
    path: str | None
    context: str | None

    def __init__(
        self,
        reason: str,
        *,
        detail: str = "",
        codec: str | None = None,
        key_id: str | None = None,
        path: str | None = None,
        context: str | None = None,
    ) -> None:
        self.reason, self.detail = reason, detail
        self.codec, self.key_id, self.path, self.context = codec, key_id, path, context
        super().__init__(reason)

    def __str__(self) -> str:
        where = f"value in {self.context}" if self.context else "value"
        if self.path:
            where += f" at {self.path}"
        by = f" ({self.codec})" if self.codec else ""
        return f"{where}: {self.reason}{by}" + (f"; {self.detail}" if self.detail else "")


class EncodeError(SerializationError):
    """The value cannot be written: unsupported type, out of range, too deep, too large."""


class DecodeError(SerializationError):
    """The bytes cannot be read: not an envelope, unknown codec, truncated, corrupt, and the like."""


class CryptoError(SerializationError):
    """Keys and bytes do not agree."""


class KeyNotFoundError(CryptoError):
    """The value was encrypted with a key that is not in the keyring."""

    def __init__(
        self,
        *,
        key_id: str,
        known: Iterable[str] = (),
        context: str | None = None,
        codec: str | None = None,
    ) -> None:
        self.known: tuple[str, ...] = tuple(known)
        have = ", ".join(self.known) or "no keys"
        super().__init__(
            "key not found",
            detail=f"encrypted with key {key_id}, not in the keyring (have {have}); "
            "add the old key as decrypt-only",
            codec=codec,
            key_id=key_id,
            context=context,
        )

    def __str__(self) -> str:
        where = f"value in {self.context}" if self.context else "value"
        return f"{where} was {self.detail}"


class TamperedError(CryptoError):
    """The value was modified, moved from another place, or the key does not match."""


class KeyProviderError(StoreError):
    """The key service cannot be reached or refused; not a statement about the data."""

    retryable = True


class LockTimeoutError(StoreError):
    """The lock or turn was held by someone else for as long as the call would wait.

    Attributes:
        name: the lock, or the session whose turn was wanted.
        holder: who holds it.
        remaining: for how many seconds more, unless renewed.
    """

    retryable = True
    name: str
    holder: str
    remaining: float
    waited: float

    def __init__(self, name: str, *, holder: str, remaining: float, waited: float) -> None:
        self.name, self.holder, self.remaining, self.waited = name, holder, remaining, waited
        super().__init__(
            f"{shorten(name)!r} is held by {holder} for another {remaining:.1f} s unless renewed "
            f"(waited {waited:.1f} s); try again, or raise wait="
        )


class LockLostError(StoreError):
    """The lock or turn was ours and expired or was taken; what was under way was not stored."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"the lock on {shorten(name)!r} was lost before the work was done; do it again")


class FencedError(StoreError):
    """A newer holder has the lock or turn; nothing was stored."""

    session_id: str
    fence: int
    current: int | None

    def __init__(self, session_id: str, *, fence: int, current: int | None = None) -> None:
        self.session_id, self.fence, self.current = session_id, fence, current
        newer = f" (now {current})" if current is not None else ""
        super().__init__(
            f"session {shorten(session_id)!r} was taken over by a newer holder: fence {fence} no longer "
            f"stands{newer}; nothing was stored, take a new turn"
        )


class RateLimitedError(StoreError):
    """A rate limit allows no more for now; nothing was done.

    Attributes:
        key: what is limited.
        retry_after: seconds until one more may be allowed.
    """

    retryable = True
    key: str
    retry_after: float

    def __init__(self, key: str, *, retry_after: float) -> None:
        self.key, self.retry_after = key, retry_after
        super().__init__(f"the rate limit of {shorten(key)!r} is reached; try again in {retry_after:.3g} s")


class BackendUnavailableError(StoreError):
    """The server could not be reached or refused for now; nothing was changed."""

    retryable = True


class OutcomeUnknownError(StoreError):
    """The commit may or may not have been applied.

    Asking again with `commit_id=` is safe: it is applied at most once.

    Attributes:
        commit_id: the identity to ask again with; None where the call has none.
        final: asking again will say no more than this.
    """

    session_id: str
    commit_id: str | None
    why: str
    final: bool

    def __init__(self, session_id: str, *, commit_id: str | None, why: str, final: bool = False) -> None:
        self.session_id, self.commit_id, self.why, self.final = session_id, commit_id, why, final
        advice = "read the session to see" + (
            "" if final else ", or repeat the call with this error's commit_id="
        )
        super().__init__(
            f"whether the commit on session {shorten(session_id)!r} was applied cannot be known: {why}; "
            f"{advice}"
        )


class DurabilityError(StoreError):
    """Fewer replicas acknowledged it in time than asked. A commit is stored, if it was one.

    Attributes:
        session_id: the session, or the name of the lock.
        acknowledged: by how many replicas.
        asked: how many should have.
        stored: True for a commit, which is stored; False where a turn or lock was to be taken, and what was
            to be done under it was not begun.
    """

    session_id: str
    acknowledged: int
    asked: int
    stored: bool

    def __init__(self, session_id: str, *, acknowledged: int, asked: int, stored: bool = True) -> None:
        self.session_id, self.acknowledged, self.asked = session_id, acknowledged, asked
        self.stored = stored
        which = shorten(session_id)
        what = (
            f"the commit on session {which!r} is stored, but"
            if stored
            else f"the turn or lock {which!r} was not taken as safely as asked, and nothing of yours is "
            "stored:"
        )
        super().__init__(
            f"{what} only {acknowledged} of {asked} replicas acknowledged it in time; bring the others "
            "back, or ask for fewer with replicas="
        )


class CapacityError(StoreError):
    """The backend is out of memory or disk; nothing was changed."""


class TenantLimitError(CapacityError):
    """A tenant holds or does as much as its `TenantLimits` allow; nothing was changed.

    Reading and removing go on.

    Attributes:
        tenant: its namespace.
        limit: which one: "sessions", "size" or "commits".
        allowed: how much the limit allows: sessions, bytes, or commits a period.
        used: how much of it is used.
        retry_after: seconds until the next commit is allowed; None where only removing something helps.
    """

    tenant: str
    limit: str
    allowed: int
    used: int

    def __init__(
        self, tenant: str, *, limit: str, allowed: int, used: int, retry_after: float | None = None
    ) -> None:
        self.tenant, self.limit, self.allowed, self.used = tenant, limit, allowed, used
        self.retry_after = retry_after
        what, cure = {
            "sessions": (f"holds {used} of {allowed} sessions", "delete some"),
            "size": (f"would hold {used} bytes of {allowed}", "delete sessions, or trim their logs"),
        }.get(limit, (f"has made its {allowed} commits", f"try again in {retry_after or 0:.3g} s"))
        super().__init__(
            f"tenant {shorten(tenant)!r} {what}; {cure}, or raise {limit}= of its TenantLimits"
        )


class TenantInUseError(StoreError):
    """A tenant was written to again and again while it was deleted, so that something may be left."""

    retryable = True

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        super().__init__(
            f"tenant {shorten(tenant)!r} is still written to, so that some of it may be left; stop its "
            "writers and delete it again"
        )


class SessionDamagedError(StoreError):
    """A part of the session is missing or does not fit the rest.

    Attributes:
        part: which part, such as "log 'messages'".
    """

    session_id: str
    part: str
    problem: str

    def __init__(self, session_id: str, *, part: str, problem: str) -> None:
        self.session_id, self.part, self.problem = session_id, part, problem
        super().__init__(
            f"session {shorten(session_id)!r} is damaged: {part} {problem}; "
            "restore it from a backup, see what `miniagent-store repair` can do, or delete it"
        )


class ArchiveError(StoreError):
    """An archive of sessions is damaged, cut off, or not one; says where and what to do."""


class VetoedError(StoreError):
    """A hook refused the commit; nothing was changed."""

    session_id: str
    reason: str
    plugin: str | None

    def __init__(self, session_id: str, *, reason: str, plugin: str | None = None) -> None:
        self.session_id, self.reason, self.plugin = session_id, reason, plugin
        by = f" by plugin {plugin!r}" if plugin else ""
        super().__init__(f"the commit on session {shorten(session_id)!r} was refused{by}: {reason}")


class EmbeddingError(StoreError):
    """An embedder failed, or gave vectors that cannot be used; nothing was stored.

    Attributes:
        embedder: its name.
    """

    embedder: str

    def __init__(self, embedder: str, problem: str) -> None:
        self.embedder = embedder
        super().__init__(f"embedder {shorten(embedder)!r} {problem}")


class EmbedderUnavailableError(EmbeddingError):
    """An embedder cannot be reached, refused for now, or took too long; nothing was stored."""

    retryable = True


class ToolLoopError(StoreError):
    """A model called tools in every iteration that it had, and never answered; nothing was stored."""

    session_id: str
    iterations: int

    def __init__(self, session_id: str, *, iterations: int) -> None:
        self.session_id, self.iterations = session_id, iterations
        super().__init__(
            f"the model was asked {iterations} times in session {shorten(session_id)!r} and called tools "
            "each time; raise AgentConfig.max_iterations if that was not enough"
        )


class ContextTooLargeError(StoreError):
    """What a model must see is more than its context window holds; nothing was stored."""

    needed: int
    tokens: int

    def __init__(self, *, needed: int, tokens: int) -> None:
        self.needed, self.tokens = needed, tokens
        super().__init__(
            f"prompts, pinned messages, tools and the turn itself take {needed} tokens, "
            f"and the context window holds {tokens}"
        )


class WrongLoopError(StoreError):
    """The store was opened in another event loop, or before a fork."""

    def __init__(
        self,
        what: str = "this store",
        *,
        whose: str = "another event loop",
        instead: str = "open one store per loop, or use open_store_sync() from threads without a loop",
    ) -> None:
        super().__init__(f"{what} belongs to {whose}; {instead}")


class AccessDeniedError(StoreError):
    """The backend refused the credentials, or a right is missing."""


class StoreClosedError(StoreError):
    """The store was closed; open a new one."""

    def __init__(self, what: str = "this store") -> None:
        super().__init__(f"{what} is closed; open a new one with open_store()")


def shorten(text: str, limit: int = 80) -> str:
    """Cut `text` for a message, so that a hostile id cannot fill a log."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"

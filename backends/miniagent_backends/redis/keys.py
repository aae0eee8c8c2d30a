"""How the keys in Redis are named, and which of them share a slot."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, replace
from zlib import crc32

from miniagent_backends.redis.routing.slots import same_slot
from miniagent_store.errors import ConfigurationError

BUCKETS = 16
# What keys start with whose prefixes cannot be chosen.
KEY_PREFIXES = (
    *(
        "agent:",
        "agents",
        "cached:",
        "changes:",
        "claims:",
        "count:",
        "events:",
        "expiry:",
        "ids:",
        "index:",
    ),
    *("kind:", "kinds", "log:", "names:", "places:", "rate:", "stage:", "state:", "tag:", "totals:"),
    *("turn:", "user:", "users:"),
)
_NAMESPACE_SIGNS = frozenset(f"{string.ascii_letters}{string.digits}_-.")


@dataclass(frozen=True, slots=True)
class Keys:
    """The names of keys.

    Args:
        namespace: "" for none; stands before every key and so inside of hash tags.
        session, thread, cache, lock: the prefixes of the seed's settings.
    """

    namespace: str = ""
    session: str = "session:"
    thread: str = "thread:"
    cache: str = "cache:"
    lock: str = "lock:"

    def within(self, namespace: str) -> Keys:
        """The names of keys in another namespace.

        Raises:
            ConfigurationError: a key of no namespace could be taken for one of it.
        """
        if not self.namespace:
            for prefix in (self.session, self.thread, self.cache, self.lock):
                if not set(prefix.partition("/")[0]) - _NAMESPACE_SIGNS:
                    raise ConfigurationError(
                        f"the prefix {prefix!r} could begin the namespace of a tenant; for tenants, use "
                        "prefixes with a ':' such as 'session:', or a namespace= for this store"
                    )
        return replace(self, namespace=namespace)

    @property
    def start(self) -> str:
        return f"{self.namespace}/" if self.namespace else ""

    def record(self, session_id: str) -> str:
        return f"{self.start}{self.session}{session_id}"

    def parts(self, session_id: str) -> dict[str, str]:
        """The other keys of a session, in the record's slot."""
        start, tag = self.start, same_slot(self.record(session_id))
        return {
            "thread": f"{start}{self.thread}{tag}",
            "events": f"{start}events:{tag}",
            "log": f"{start}log:{tag}:",
            "state": f"{start}state:{tag}",
            "names": f"{start}names:{tag}",
            "count": f"{start}count:{tag}",
            "ids": f"{start}ids:{tag}",
            "turn": f"{start}turn:{tag}",
            "notify": f"{start}notify:{tag}",
        }

    def vectors(self, session_id: str) -> list[str]:
        """The keys of a record's vector set, in its slot: itself, how far it is, what of it expires."""
        tag = same_slot(self.record(session_id))
        return [f"{self.start}index:{tag}:{part}" for part in ("vectors", "applied", "expiries")]

    @staticmethod
    def log(parts: Mapping[str, str], log: str) -> str:
        """The key of a log, from the parts of its session."""
        return {"messages": parts["thread"], "events": parts["events"]}.get(log, parts["log"] + log)

    def stage(self, session_id: str, stage: str) -> str:
        """What all keys of a stage start with."""
        return f"{self.start}stage:{same_slot(self.record(session_id))}:{stage}:"

    def lease(self, name: str) -> str:
        return f"{self.start}{self.lock}{{{name}}}"

    def lease_channel(self, name: str) -> str:
        return f"{self.start}notify:{self.lock}{{{name}}}"

    def cached(self, key: str) -> str:
        return f"{self.start}{self.cache}{key}"

    def cache_index(self, bucket: int) -> str:
        """What all keys start with that know what is cached in a bucket, and what of it has to go."""
        return f"{self.start}cached:{{{bucket}}}:"

    def rate(self, key: str) -> str:
        return f"{self.start}rate:{key}"

    def index(self, kind: str, name: str) -> str:
        """An index of sessions by last activity: "user:ada", "agent:helper", "tag:x", "index:{0}"."""
        return f"{self.start}{name}" if kind == "session" else f"{self.start}kind:{kind}/{name}"

    def kinds(self) -> str:
        return f"{self.start}kinds"

    def bucket(self, kind: str, bucket: int) -> dict[str, str]:
        """What is known of the sessions of a bucket beside their index, in its slot."""
        names = {
            name: self.index(kind, f"{name}:{{{bucket}}}")
            for name in ("expiry", "places", "totals", "claims")
        }
        return {**names, "changes": self.changes(bucket)}

    def users(self, kind: str, user_id: str) -> str:
        """The bucket of the users who have sessions that a user is in."""
        return self.users_bucket(kind, bucket_of(user_id))

    def users_bucket(self, kind: str, bucket: int) -> str:
        return self.index(kind, f"users:{{{bucket}}}")

    def agents(self, kind: str) -> str:
        """The agents that have sessions."""
        return self.index(kind, "agents")

    def changes(self, bucket: int) -> str:
        return f"{self.start}changes:{{{bucket}}}"

    def canary(self, number: int) -> str:
        """What health writes and deletes; each number is another slot."""
        return f"{self.start}stage:{{health/{number}}}:"

    def store_channel(self, bucket: int) -> str:
        return f"{self.start}notify:changes:{{{bucket}}}"


def escape_glob(text: str) -> str:
    """`text` for patterns of MATCH and ACL, which know ? * [ ] and the backslash."""
    return "".join(f"\\{char}" if char in "?*[]\\" else char for char in text)


def bucket_of(session_id: str) -> int:
    """In which of the index's buckets a session is; the same for ever."""
    return crc32(session_id.encode()) % BUCKETS

"""The rights that a user needs: the ACL line that gives them, and what a user lacks of them.

They are asked for by a script (`redis.acl_check_cmd`), which needs no right but to run scripts; ACL DRYRUN
would need those of an administrator.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from miniagent_backends.redis.keys import KEY_PREFIXES, Keys, escape_glob
from miniagent_backends.redis.schema import pack
from miniagent_backends.redis.scripts import source_of
from miniagent_backends.redis.wire.node import Node
from miniagent_store.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    OutcomeUnknownError,
    StoreError,
)
from miniagent_store.rules.namespaces import start_of_tenants

_KEY, _CHANNEL = "\0k", "\0c"
Template = tuple[str | int, ...]

_READS: tuple[Template, ...] = (
    ("exists", _KEY),
    ("get", _KEY),
    ("hget", _KEY, "f"),
    ("hgetall", _KEY),
    ("hkeys", _KEY),
    ("hlen", _KEY),
    ("hmget", _KEY, "f"),
    ("lindex", _KEY, 0),
    ("llen", _KEY),
    ("lrange", _KEY, 0, 0),
    ("mget", _KEY),
    ("scard", _KEY),
    ("smembers", _KEY),
    ("zcard", _KEY),
    ("zrange", _KEY, 0, 0),
    ("zrangebylex", _KEY, "-", "+"),
    ("zrangebyscore", _KEY, 0, 0),
    ("zrevrangebylex", _KEY, "+", "-"),
    ("zrevrangebyscore", _KEY, 0, 0),
    ("zscan", _KEY, 0),
    ("zscore", _KEY, "m"),
)
_WRITES: tuple[Template, ...] = (
    ("del", _KEY),
    ("hdel", _KEY, "f"),
    ("hincrby", _KEY, "f", 1),
    ("hset", _KEY, "f", "v"),
    ("hsetnx", _KEY, "f", "v"),
    ("lset", _KEY, 0, "v"),
    ("ltrim", _KEY, 0, 0),
    ("persist", _KEY),
    ("pexpire", _KEY, 1),
    ("pexpireat", _KEY, 1),
    ("rename", _KEY, _KEY),
    ("rpush", _KEY, "v"),
    ("sadd", _KEY, "m"),
    ("set", _KEY, "v"),
    ("srem", _KEY, "m"),
    ("unlink", _KEY),
    ("zadd", _KEY, 0, "m"),
    ("zrem", _KEY, "m"),
    ("zremrangebyscore", _KEY, 0, 0),
)
_CHANNELS: tuple[Template, ...] = (("spublish", _CHANNEL, "m"), ("ssubscribe", _CHANNEL))
_OTHERS: tuple[Template, ...] = (
    ("eval", "return 1", 0),
    ("evalsha", "0" * 40, 0),
    ("ping",),
    ("scan", 0),
    ("time",),
    ("sunsubscribe",),
)
_CLUSTER: tuple[Template, ...] = (("asking",), ("cluster", "slots"))
_REPLICAS: tuple[Template, ...] = (("wait", 0, 0),)
_DATABASE: tuple[Template, ...] = (("select", 1),)
# What health tells more with; nothing else needs them, but for Sentinel, which asks for the role itself.
_HEALTH: tuple[Template, ...] = (("info",), ("role",))
# What operators' commands need, and no application.
_OPERATING: tuple[Template, ...] = (
    ("pexpiretime", _KEY),
    ("sismember", _KEY, "m"),
    ("zcount", _KEY, 0, 0),
)
# What an index of memories on the server needs. Apart, since an older server takes no line that names them.
_VECTOR_SETS: tuple[Template, ...] = (
    ("vadd", _KEY),
    ("vcard", _KEY),
    ("vrem", _KEY, "m"),
    ("vsim", _KEY),
)


def _needed(cluster: bool, replicas: bool, database: bool) -> tuple[Template, ...]:
    more = (_CLUSTER if cluster else ()) + (_REPLICAS if replicas else ()) + (_DATABASE if database else ())
    return _READS + _WRITES + _CHANNELS + _OTHERS + more


def acl_rules(
    keys: Keys,
    *,
    cluster: bool = False,
    replicas: bool = False,
    database: bool = False,
    tenants: bool = False,
    vector_sets: bool = False,
) -> str:
    """The smallest rules for ACL SETUSER under which everything works.

    Args:
        keys: names of the store's keys.
        cluster: it is a Cluster.
        replicas: ``replicas=`` is not 0.
        database: another database than 0 is used.
        tenants: the store's tenants too, whichever they are.
        vector_sets: memories are looked for on the server, which has vector sets.
    """
    needed = _needed(cluster, replicas, database) + _HEALTH + _OPERATING
    commands = sorted(_name(each) for each in needed + (_VECTOR_SETS if vector_sets else ()))
    patterns = [f"~{pattern}" for pattern in key_patterns(keys)]
    if tenants:
        start = escape_glob(start_of_tenants(keys.namespace))
        patterns += [f"~{start}*/*", f"&{start}*/notify:*"]
    return " ".join([*patterns, f"&{channel_pattern(keys)}", *(f"+{name}" for name in commands)])


def key_patterns(keys: Keys) -> Sequence[str]:
    """Globs that all keys of a store match, and as few others as can be."""
    if keys.namespace:
        return [f"{escape_glob(keys.start)}*"]
    prefixes = {keys.session, keys.thread, keys.cache, keys.lock, *KEY_PREFIXES}
    return sorted(f"{escape_glob(prefix)}*" for prefix in prefixes)


def channel_pattern(keys: Keys) -> str:
    """A glob that all channels of a store match."""
    return f"{escape_glob(keys.start)}notify:*"


class Rights:
    """What a user must be allowed to do.

    Args:
        keys, cluster, replicas, database: as `acl_rules` takes them.
        user: the user's name, for messages.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        user: str = "default",
        cluster: bool = False,
        replicas: bool = False,
        database: bool = False,
    ) -> None:
        self._user = user
        self._place = {"cluster": cluster, "replicas": replicas, "database": database}
        self._needed = _needed(cluster, replicas, database)
        self._patterns = key_patterns(keys)
        self._channel = channel_pattern(keys)
        self._rules = acl_rules(keys, cluster=cluster, replicas=replicas, database=database)

    def within(self, keys: Keys) -> Rights:
        """The rights of the same user to other keys."""
        return Rights(keys, user=self._user, **self._place)

    async def missing(self, node: Node) -> Sequence[str]:
        """The ACL rules that the user lacks.

        Raises:
            AccessDeniedError: scripts may not be run, so that it cannot be asked.
            StoreError: the server does not answer.
        """
        samples, channel = [_sample(pattern) for pattern in self._patterns], _sample(self._channel)
        asked = {"commands": self._needed, "samples": samples, "channels": [channel]}
        told: list[bytes] = await node.execute("EVAL", source_of("rights"), 0, pack(asked))
        answers = dict(zip(self._needed, (each.decode() for each in told), strict=True))
        lacks = [
            f"~{pattern}"
            for at, pattern in enumerate(self._patterns)
            if not all(_any(answers[each][at] for each in group) for group in (_READS, _WRITES))
        ]
        if not _any(answers[each] for each in _CHANNELS):
            lacks.append(f"&{self._channel}")
        # Where no key is allowed at all, nothing can be said of the commands that take one.
        lacks += sorted(
            f"+{_name(each)}"
            for each in self._needed
            if "1" not in answers[each] and _is_told(each, answers)
        )
        return lacks

    async def check(self, node: Node) -> None:
        """See whether anything is missing; a server that does not serve for now is let pass.

        Raises:
            AccessDeniedError: something is; names all of it.
            StoreError: the connection cannot be used.
        """
        try:
            lacks = await self.missing(node)
        except BackendUnavailableError:
            return
        except OutcomeUnknownError as error:
            raise BackendUnavailableError(error.why) from None
        if lacks:
            raise self.denied(node.name, lacks)

    def refusal(self, error: AccessDeniedError) -> AccessDeniedError:
        """What to tell whose user lacks a right without which no other can be asked for."""
        met = re.match(r"(.*) denied it: NOPERM .* the '([^']+)' command", str(error))
        return self.denied(met[1], [f"+{met[2]}"]) if met else error

    def denied(self, name: str, lacks: Sequence[str]) -> AccessDeniedError:
        """What to tell whose user lacks rights."""
        return AccessDeniedError(
            f"{name}: user {self._user!r} lacks rights: {' '.join(lacks)}; as an administrator run: "
            f"ACL SETUSER {self._user} {self._rules}"
        )

    async def explain(self, node: Node, problem: StoreError) -> StoreError:
        """After a NOPERM: all that is missing, not only what was met first."""
        try:
            lacks = await self.missing(node)
        except AccessDeniedError as error:
            return self.refusal(error)
        except StoreError:
            return problem
        return self.denied(node.name, lacks) if lacks else problem


def _name(template: Template) -> str:
    return "cluster|slots" if template[0] == "cluster" else str(template[0])


def vector_set_rules() -> str:
    """What `acl_rules` has more with `vector_sets`."""
    return " ".join(sorted(f"+{_name(each)}" for each in _VECTOR_SETS))


def _any(answers: Iterable[str]) -> bool:
    return any("1" in answer for answer in answers)


def _is_told(template: Template, answers: dict[Template, str]) -> bool:
    """Whether a command that is denied everywhere is so by itself, not for its keys or channels."""
    for group in (_READS, _WRITES, _CHANNELS):
        if template in group:
            return _any(answers[each] for each in group)
    return True


def _sample(pattern: str) -> str:
    """A name that matches a pattern of ours."""
    return pattern.removesuffix("*").replace("\\", "") + "rights"

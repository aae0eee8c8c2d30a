"""The index ``vector-set``: the vectors of a scope as a vector set beside its record, in its slot.

The set, how far it is, and when which of its elements expire are three keys, which scripts change together.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from miniagent_backends.redis.backend import RedisBackend
from miniagent_backends.redis.rights import vector_set_rules
from miniagent_backends.redis.routing.executor import call
from miniagent_backends.redis.schema import pack
from miniagent_backends.redis.vector_filters import attributes, filter_of
from miniagent_backends.redis.wire.connection import Arg, Command
from miniagent_store.errors import (
    AccessDeniedError,
    ConfigurationError,
)
from miniagent_store.vector_index import (
    IndexCapabilities,
    IndexedVector,
    IndexFactory,
    IndexGone,
    IndexPlace,
    IndexQuery,
)

logger: logging.Logger = logging.getLogger("miniagent_store")
CAPABILITIES = IndexCapabilities(exact=False, shared=True, plain=True, gradual=True)
# Vectors of one script: each takes the server about a millisecond, and nobody else is served meanwhile.
AT_ONCE = 8
# Whoever fills a set and is not heard of for so long is taken for dead.
PATIENCE_MS = 5_000
# Expired elements that a change takes along.
DUE = 32
# Of a search (benchmarks/memory_search.py): candidates beside those asked for, and how many nodes are kept
# in view (EF); with a filter only those that pass are counted, and at most so many are looked at.
MORE, EFFORT, FILTER_EFFORT = 20, 150, 20_000
# Where filters leave fewer than one in so many, the server does better to compare with each.
FEW = 50


@dataclass(frozen=True, slots=True)
class Look:
    """How a vector set was seen.

    Attributes:
        at: as `VectorIndex.applied`; "" where it is not whole, or of another model.
        wait_ms: how long whoever fills it is still waited for; 0 for nobody.
        count: of elements.
        some_expire: whether any of them does.
        born: of which filling it is.
    """

    at: str = ""
    wait_ms: int = 0
    count: int = 0
    some_expire: bool = False
    born: bytes = b""

    @classmethod
    def of(cls, reply: list[Any], model: str) -> Look:
        """What `vectors_look` told; `model` is the one that is wanted."""
        at, its_model, wait_ms, count, expire, born = reply
        whose = its_model.decode()
        # What is another model's is not lost.
        count = count if whose in ("", model) else 0
        return cls(at.decode() if whose == model else "", wait_ms, count, expire > 0, born)

    @property
    def incarnation(self) -> str:
        return self.at.partition(":")[0]

    @property
    def number(self) -> int:
        return number_of(self.at)


def number_of(upto: str) -> int:
    """Of the last change that is applied; below 0 for none."""
    return int(upto.partition(":")[2] or -1)


class VectorSet:
    """A scope's vectors in a vector set.

    Args:
        place: where; its backend is a `RedisBackend`.
    """

    capabilities: IndexCapabilities = CAPABILITIES

    def __init__(self, place: IndexPlace) -> None:
        backend = _backend_of(place)
        self._executor = backend.executor
        self._record = backend.keys.record(place.scope)
        self._keys = backend.keys.vectors(place.scope)
        self._scope, self._model = place.scope, f"{place.model}/{place.dimensions}"
        # How it was seen; what this client fills it under; whether it was ever whole here.
        self._seen, self._fill, self._was_whole = Look(), b"", False

    async def applied(self) -> str | None:
        """As `VectorIndex.applied`."""
        seen = self._seen = Look.of(await self._executor.script("vectors_look", self._keys), self._model)
        if seen.at:
            self._was_whole = True
        elif (self._was_whole or seen.count) and not seen.wait_ms:
            self._was_whole = False
            logger.warning(
                "the vector set of %r is lost in part or as a whole (deleted, evicted, or never finished); "
                "it is filled anew",
                self._scope,
            )
        return seen.at or None

    async def apply(
        self,
        added: Sequence[IndexedVector],
        removed: Sequence[str],
        upto: str | None,
        *,
        anew: bool = False,
    ) -> None:
        """As `VectorIndex.apply`."""
        if anew:
            self._fill = os.urandom(8)
        # Those of a change that is not all there yet do no harm: whoever finds them looks at the record.
        starts = range(0, max(len(added), 1), AT_ONCE)
        for start in starts:
            is_last = start == starts[-1]
            reply = await self._executor.script(
                "vectors",
                [self._record, *self._keys],
                pack(
                    {
                        "from": self._seen.number,
                        "to": number_of(upto) if upto is not None else -1,
                        "born": self._seen.born,
                        "fill": self._fill or False,
                        "begin": anew and start == 0,
                        "upto": upto if is_last and upto is not None else False,
                        "incarnation": False if upto is None else upto.partition(":")[0],
                        "model": self._model,
                        "patience": PATIENCE_MS,
                        "removed": list(removed) if start == 0 else [],
                        "due": DUE,
                    }
                ),
                *chain.from_iterable(map(_element, added[start : start + AT_ONCE])),
            )
            if reply != b"OK":
                self._fill = b""
                raise IndexGone
        if upto is not None:
            born = self._fill or self._seen.born
            self._seen = replace(self._seen, at=upto, born=born, some_expire=True)
            self._fill, self._was_whole = b"", True

    async def search(self, query: IndexQuery) -> Sequence[tuple[str, float]]:
        """As `VectorIndex.search`."""
        seen, count = self._seen, query.k + MORE
        condition = filter_of(query, some_expire=seen.some_expire)
        found, after = await self._found(seen, self._asked(query, count, condition))
        if after.some_expire and not seen.some_expire:
            raise IndexGone
        if condition and len(found) < count and FEW * len(found) < after.count:
            # The way from neighbour to neighbour leads past the few that pass.
            found, _ = await self._found(seen, self._asked(query, count, condition, "TRUTH"))
        return found

    async def _found(self, seen: Look, asked: Command) -> tuple[list[tuple[str, float]], Look]:
        """What a search finds, and how the set was after it.

        Raises:
            IndexGone: it is not the set that was seen.
        """
        reply, told = await self._executor.run(asked, call("vectors_look", self._keys))
        after = Look.of(told, self._model)
        if after.born != seen.born or after.incarnation != seen.incarnation or after.number < seen.number:
            raise IndexGone
        return _ranking(reply), after

    def _asked(self, query: IndexQuery, count: int, condition: str, *more: Arg) -> Command:
        filters: tuple[Arg, ...] = ("FILTER", condition, "FILTER-EF", FILTER_EFFORT) if condition else ()
        efforts: tuple[Arg, ...] = ("EF", count if condition else max(EFFORT, count))
        return (
            "VSIM",
            self._keys[0],
            *("FP32", query.vector, "WITHSCORES", "COUNT", count),
            *efforts,
            *filters,
            *more,
        )

    async def drop(self) -> None:
        """As `VectorIndex.drop`."""
        await self._executor.execute("UNLINK", *self._keys)
        self._seen, self._fill, self._was_whole = Look(), b"", False


def _element(one: IndexedVector) -> tuple[Arg, ...]:
    return one.id, one.vector, attributes(one), "" if one.expires_ms is None else str(one.expires_ms)


def _ranking(found: Any) -> list[tuple[str, float]]:
    """Ids and cosines of a reply: a mapping in RESP3, in turn in RESP2."""
    pairs = found.items() if isinstance(found, dict) else zip(found[::2], found[1::2], strict=True)
    # The server tells (1 + cosine) / 2.
    return [(element.decode(), 2.0 * float(score) - 1.0) for element, score in pairs]


# Where it can stand


def _backend_of(place: IndexPlace) -> RedisBackend:
    if not isinstance(place.backend, RedisBackend):
        raise ConfigurationError(
            f"index 'vector-set' needs a Redis with vector sets, not {place.backend.name!r}; "
            "use index='exact', which works everywhere"
        )
    return place.backend


async def check(place: IndexPlace) -> None:
    """See that there are vector sets, and that they may be used.

    Raises:
        ConfigurationError: the server has none, or the backend is another.
        AccessDeniedError: the user may not use them.
        StoreError: the server does not answer.
    """
    backend = _backend_of(place)
    try:
        # What the server knows is asked for by a script that uses it: a user may not be allowed to ask.
        await backend.executor.script("vectors_look", backend.keys.vectors(place.scope))
    except AccessDeniedError as error:
        raise AccessDeniedError(f"{error}; for vector sets the user needs {vector_set_rules()}") from error
    except ConfigurationError as error:
        raise ConfigurationError(
            f"the server has no vector sets, which came with Redis 8 ({error}); use index='exact', which "
            "works everywhere"
        ) from error


async def suits(place: IndexPlace) -> bool:
    """Whether `check` has nothing to say."""
    if not isinstance(place.backend, RedisBackend):
        return False
    try:
        await check(place)
    except AccessDeniedError as error:
        logger.warning("no vector set for memories, since the user may not use them: %s", error)
        return False
    except ConfigurationError:
        return False
    return True


FACTORY = IndexFactory(VectorSet, CAPABILITIES, check=check, suits=suits)

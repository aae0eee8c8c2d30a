"""Behind Sentinel: all keys are on the master that most sentinels name."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from miniagent_backends.redis.routing.addresses import Address, Remap
from miniagent_backends.redis.routing.topology import SearchingTopology
from miniagent_backends.redis.wire.events import Events
from miniagent_backends.redis.wire.node import Node
from miniagent_store.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    ConfigurationError,
    StoreError,
)
from miniagent_store.values import Finding

# Seconds that a sentinel may take to answer.
ASK_TIMEOUT = 0.5
# The same before any master is known: no failover is waited for, and a slow network is no wrong address.
FIRST_TIMEOUT = 2.0
# Seconds that a server that is named may take to say that it is the master.
PROBE_TIMEOUT = 1.0
# The fewest sentinels of which one may be away.
MAJORITY_OF = 3


class _Answer:
    """What one sentinel says.

    Attributes:
        master: where it says the master is.
        reachable: replicas of that one that it calls reachable.
        linked: those of them that have told it that they follow that one.
        sentinels: the others that it knows.
    """

    def __init__(self, reply: list[Any], replicas: Any, sentinels: Any) -> None:
        self.master: Address = (reply[0].decode(), int(reply[1]))
        rows = [row for row in map(_fields, replicas) if not _is_away(row.get(b"flags", b""))]
        self.reachable = {_address(row) for row in rows}
        self.linked = {_address(row) for row in rows if row.get(b"master-link-status") == b"ok"}
        self.sentinels = {_address(row) for row in map(_fields, sentinels)}


class Sentinel(SearchingTopology):
    """The topology of ``redis+sentinel://``.

    Args:
        service: the master's name, as the sentinels know it.
        sentinels: where some of them are; the others are learned from them.
        make_sentinel, make_node: a node at an address.
        remap: from announced addresses to those that can be reached.
        replicas: how many replicas are to acknowledge a durable commit; None for all that are reachable.
        events: is told of failovers.
    """

    def __init__(
        self,
        service: str,
        sentinels: Sequence[Address],
        *,
        make_sentinel: Callable[[Address], Node],
        make_node: Callable[[Address], Node],
        remap: Remap,
        replicas: int | None,
        events: Events,
    ) -> None:
        super().__init__()
        self._service, self._remap, self._replicas, self._events = service, remap, replicas, events
        self._make_sentinel, self._make_node = make_sentinel, make_node
        self._sentinels = {address: make_sentinel(address) for address in sentinels}
        self._address: Address | None = None
        self._master: Node | None = None
        # The master before this one, until it follows it.
        self._replaced: Address | None = None
        self._reachable = 0

    async def close(self) -> None:
        await super().close()
        await asyncio.gather(*(node.close() for node in self._nodes()))

    def _nodes(self) -> Sequence[Node]:
        return [*self._sentinels.values(), *self.masters()]

    def starts(self) -> Sequence[Node]:
        return [*self._sentinels.values()]

    async def findings(self) -> Sequence[Finding]:
        nodes = [*self._sentinels.values()]
        told = await asyncio.gather(*(self._said_by(node) for node in nodes))
        rows = [row for row in told if row is not None]
        away = [node.name for node, row in zip(nodes, told, strict=True) if row is None]
        count = f"{len(rows)} of {len(nodes)} sentinels answer"
        if away:
            count += f"; silent: {', '.join(away)}"
            most = len(rows) * 2 > len(nodes)
            cure = "start it again: where most are away, no replica is made the master when it fails"
            return [Finding("warning" if most else "error", count, cure, "sentinels")]
        if len({_address(row) for row in rows if row}) > 1:
            cure = "wait until a failover is over; if it stays so, see their logs"
            return [Finding("warning", "the sentinels name different masters", cure, "sentinels")]
        if len(nodes) < MAJORITY_OF:
            cure = "run three, on three machines: one that is down then leaves a majority"
            return [Finding("warning", count, cure, "sentinels")]
        quorum = rows[0].get(b"quorum", b"unknown").decode()
        return [Finding("info", f"{count}; quorum {quorum}", check="sentinels")]

    async def _said_by(self, node: Node) -> dict[bytes, bytes] | None:
        try:
            return _fields(await node.probe("SENTINEL", "MASTER", self._service, timeout=ASK_TIMEOUT))
        except AccessDeniedError:
            # It answers, though not this.
            return {}
        except StoreError:
            return None

    def route(self, key: str | bytes) -> Node | None:
        master = self._master
        return None if master in self._suspects else master

    def masters(self) -> Sequence[Node]:
        return [self._master] if self._master is not None else []

    def replicas_wanted(self, node: Node) -> int:
        return max(self._reachable, 1) if self._replicas is None else self._replicas

    def _missing(self, key: str | bytes) -> str:
        return f"the master {self._service!r} cannot be reached; see what the sentinels say of it"

    async def _look(self) -> None:
        answers = await self._ask()
        named = Counter(answer.master for answer in answers)
        problem: StoreError | None = None
        for address, _ in named.most_common():
            try:
                await self._follow(address)
            except StoreError as error:
                problem = error
                continue
            self._reachable = self._count(address, answers)
            return
        assert problem is not None
        raise problem

    def _count(self, address: Address, answers: Sequence[_Answer]) -> int:
        """How many replicas any of the sentinels calls reachable: rather one acknowledgement too many."""
        answers = [answer for answer in answers if answer.master == address]
        reachable = {each for answer in answers for each in answer.reachable}
        if self._replaced is not None and any(self._replaced in answer.linked for answer in answers):
            self._replaced = None
        # They take the master that was replaced as up at first, dead as it may be; and who leads the
        # failover names the new one while it still has it among the replicas.
        return len(reachable - {self._replaced, address})

    async def _follow(self, address: Address) -> None:
        """Make the server at `address` the master, if it says that it is."""
        old = self._master
        if address == self._address and old is not None and old not in self._suspects:
            return
        node = (
            old if address == self._address and old is not None else self._make_node(self._remap(address))
        )
        try:
            role = (await node.probe("ROLE", timeout=PROBE_TIMEOUT))[0].decode()
            if role != "master":
                raise BackendUnavailableError(f"{node.name} is a {role} for now; the failover is not over")
        except StoreError:
            if node is not old:
                await node.close()
            raise
        if node is old:
            self._suspects.discard(node)
            return
        self._replaced, self._address, self._master = self._address, address, node
        if old is not None:
            self._events.tell("failover", node.name, f"is master {self._service!r} now, after {old.name}")
            self._dismiss(old, f"is not the master {self._service!r} any more")

    async def _ask(self) -> list[_Answer]:
        """What the sentinels say, as soon as most of them agree.

        Raises:
            StoreError: none of them knows the master.
        """
        tasks = [asyncio.ensure_future(self._ask_one(node)) for node in self._sentinels.values()]
        answers: list[_Answer] = []
        problems: list[StoreError] = []
        try:
            for next_one in asyncio.as_completed(tasks):
                try:
                    answers.append(await next_one)
                except StoreError as error:
                    problems.append(error)
                votes = Counter(answer.master for answer in answers)
                agreed = [address for address, count in votes.items() if count > len(tasks) // 2]
                # Who leads a failover is the first to name another one than most still do.
                if agreed and not (agreed == [self._address] and self._master in self._suspects):
                    break
        finally:
            for task in tasks:
                task.cancel()
            # What comes in the same moment is looked at, so that nobody warns that it was not.
            await asyncio.gather(*tasks, return_exceptions=True)
        if not answers:
            # What tells a mistake is of more use than that another one is away.
            fatal = (each for each in problems if isinstance(each, ConfigurationError | AccessDeniedError))
            raise next(fatal, problems[0] if len(problems) == 1 else _none_answers(problems))
        for answer in answers:
            for address in answer.sentinels:
                reachable = self._remap(address)
                if reachable not in self._sentinels:
                    self._sentinels[reachable] = self._make_sentinel(reachable)
        return answers

    async def _ask_one(self, node: Node) -> _Answer:
        timeout = ASK_TIMEOUT if self._master is not None else FIRST_TIMEOUT
        try:
            where = await node.probe("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service, timeout=timeout)
            if where is None:
                known = await node.probe("SENTINEL", "MASTERS", timeout=timeout)
                names = ", ".join(sorted(_fields(row)[b"name"].decode() for row in known)) or "none"
                raise ConfigurationError(
                    f"{node.name} knows no master {self._service!r} (it knows: {names}); "
                    "name it behind the hosts, as in redis+sentinel://host:26379/mymaster/0"
                )
            replicas = await node.probe("SENTINEL", "REPLICAS", self._service, timeout=timeout)
            others = await node.probe("SENTINEL", "SENTINELS", self._service, timeout=timeout)
        except ConfigurationError as error:
            if "unknown command" in str(error).lower():
                raise ConfigurationError(
                    f"{node.name} is no sentinel but a server; give the sentinels' addresses (their port "
                    "is 26379 by default), or write redis:// for one server"
                ) from None
            raise
        return _Answer(where, replicas, others)


def _none_answers(problems: Sequence[StoreError]) -> BackendUnavailableError:
    return BackendUnavailableError(
        f"none of the {len(problems)} sentinels can be asked: " + "; ".join(map(str, problems))
    )


def _fields(row: Any) -> dict[bytes, bytes]:
    """A row of SENTINEL REPLICAS: a map in RESP3, names and values in turn in RESP2."""
    return row if isinstance(row, dict) else dict(zip(row[::2], row[1::2], strict=True))


def _address(row: dict[bytes, bytes]) -> Address:
    return row[b"ip"].decode(), int(row[b"port"])


def _is_away(flags: bytes) -> bool:
    return bool({b"s_down", b"o_down", b"disconnected"} & set(flags.split(b",")))

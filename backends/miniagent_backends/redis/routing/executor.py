"""The one path of all commands: route, send, follow where the server points, and say what came of it.

Whether to try again is for the caller to decide, who knows the deadline and the identity; what was not
applied is a `BackendUnavailableError`, what may have been an `OutcomeUnknownError`.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from miniagent_backends.redis.keys import Keys
from miniagent_backends.redis.rights import Rights
from miniagent_backends.redis.routing.addresses import Address, parse_address
from miniagent_backends.redis.routing.approaching import approach, has_error, lacking, milder
from miniagent_backends.redis.routing.keeper import Keeper
from miniagent_backends.redis.routing.telling import Telling
from miniagent_backends.redis.routing.topology import Topology
from miniagent_backends.redis.scripts import digest_of, source_of_digest
from miniagent_backends.redis.wire.clock import ServerClock
from miniagent_backends.redis.wire.connection import Arg, Command
from miniagent_backends.redis.wire.events import Events
from miniagent_backends.redis.wire.node import Node
from miniagent_backends.redis.wire.replies import Meaning, NotSent, ReplyError, SentUnknown, meaning_of
from miniagent_backends.redis.wire.template import words_of
from miniagent_backends.redis.wire.waiting import settled
from miniagent_store.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    OutcomeUnknownError,
    StoreError,
)
from miniagent_store.values import Finding

DURABLE = "durable"
# Redirections of one command that are followed before its caller is told.
MOST_HOPS = 5


@dataclass(slots=True)
class Answer:
    """What came of a script.

    Attributes:
        reply: its reply.
        problem: what went wrong with the commands before it.
        acknowledged, asked: replicas; the first is below the second where a commit is not as safe as asked.
    """

    reply: Any
    problem: StoreError | None = None
    acknowledged: int = 0
    asked: int = 0


class Executor:
    """Commands to wherever their keys are.

    Args:
        topology: knows the nodes.
        rights: what the user must be allowed to do.
        clock: of the servers.
        events: as its parts tell them.
        durable: whether replicas are to acknowledge commits.
        counts_replicas: whether how many those are changes with who is reachable.
        heartbeat: seconds after which an idle connection is looked after.
    """

    events: Events

    def __init__(
        self,
        topology: Topology,
        rights: Rights,
        *,
        clock: ServerClock,
        events: Events,
        durable: bool = False,
        counts_replicas: bool = False,
        heartbeat: float = 10.0,
    ) -> None:
        self._topology, self._rights = topology, rights
        self._clock, self.events = clock, events
        self.is_durable = durable
        self._keeper = Keeper(topology, counts_replicas=counts_replicas, heartbeat=heartbeat)
        self._telling = Telling(lambda command: topology.route(_key_of(command)), self._exchange_one)

    async def open(self) -> None:
        """Connect.

        Raises:
            StoreError: it is not possible; says what to do.
        """
        try:
            await self._topology.open()
            for node in self.masters():
                await self._rights.check(node)
        except BaseException as error:
            # Nobody closes what could not be opened, and somebody may try again.
            await self._topology.disconnect()
            if isinstance(error, AccessDeniedError):
                raise self._rights.refusal(error) from None
            raise
        self._keeper.start()

    async def approach(self) -> list[Finding]:
        """What is found on the way to the servers; leaves connections behind for `open` or `close`."""
        topology, rights = self._topology, self._rights
        starts = topology.starts()
        looks = await asyncio.gather(*(approach(node, rights) for node in starts))
        reached = [node for node, found in zip(starts, looks, strict=True) if not has_error(found)]
        # One of several that name the masters may be away.
        found = [each for look in looks for each in (milder(look) if reached else look)]
        if not reached:
            return found
        try:
            await topology.open()
        except StoreError as error:
            return [*found, Finding.of(error, "masters")]
        for node in topology.masters():
            if node not in starts:
                found += await approach(node, rights)
            if node.circuit.problem is None:
                found += await lacking(rights, node)
        return found

    async def findings(self) -> Sequence[Finding]:
        """What the topology says of the servers."""
        return await self._topology.findings()

    async def close(self) -> None:
        """Close all connections; may be called twice."""
        await self._telling.close()
        await self._keeper.close()
        await self._topology.close()

    def within(self, keys: Keys) -> Executor:
        """The same connections for other keys, which it tells of where they are denied."""
        other = copy.copy(self)
        other._rights = self._rights.within(keys)
        return other

    def now_ms(self) -> int:
        """The servers' clock."""
        return self._clock.now_ms()

    def masters(self) -> Sequence[Node]:
        """All nodes that keys are on, in a fixed order."""
        return self._topology.masters()

    async def node_of(self, key: str | bytes) -> Node:
        """The node of a key.

        Raises:
            StoreError: none serves it for now.
        """
        return self._topology.route(key) or await self._topology.find(key)

    def is_on(self, node: Node, key: str) -> bool:
        """Whether a key is on a node, as far as is known."""
        return self._topology.route(key) is node

    def replicas_wanted(self, node: Node) -> int:
        """How many replicas of a node are to acknowledge a durable commit."""
        return self._topology.replicas_wanted(node) if self.is_durable else 0

    # Commands

    async def run(self, *commands: Command) -> list[Any]:
        """Commands, and their replies in their order; back to back where one node has their keys.

        Raises:
            BackendUnavailableError: one was not applied.
            OutcomeUnknownError: one may have been applied.
            StoreError: what the first error reply means; all have been answered.
        """
        replies = await self._exchange(commands)
        for reply in replies:
            if isinstance(reply, StoreError):
                raise reply
        return replies

    async def execute(self, *command: Arg) -> Any:
        """One command and its reply.

        Raises:
            StoreError: as `run`.
        """
        (reply,) = await self.run(command)
        return reply

    async def script(self, name: str, keys: Sequence[str], *args: Arg, large: bool = False) -> Any:
        """Run a script.

        Args:
            name, keys, args: of the script; all keys are in one slot.
            large: the reply may be large: read it over a connection where no commit waits behind it.

        Raises:
            StoreError: as `run`.
        """
        command = call(name, keys, *args)
        node = await self.node_of(keys[0])
        if not large:
            return _value((await self._exchange_on(node, [command]))[0])
        async with node.readers.one() as purpose:
            return _value((await self._exchange_on(node, [command], purpose))[0])

    async def look(self, key: str, packed: bytes, count: int, *, large: bool = False) -> list[Any]:
        """Commands of one slot that only read, back to back.

        Their replies, with error replies among them: what has to be sent elsewhere is not, since then they
        would not be back to back any more.

        Args:
            key: of their slot.
            packed: the commands, as they go over the wire.
            count: how many there are.
            large: their replies may be large: read them over a connection where no commit waits behind.

        Raises:
            StoreError: there was no answer.
        """
        node = self._topology.route(key) or await self._topology.find(key)
        try:
            if not large:
                return await node.look(packed, count)
            async with node.readers.one() as purpose:
                return await node.look(packed, count, purpose)
        except (BackendUnavailableError, OutcomeUnknownError):
            self._topology.suspect(node)
            raise

    async def write(
        self, name: str, keys: Sequence[str], *args: Arg, before: Sequence[Command] = ()
    ) -> Answer:
        """Run a script that changes a session, behind other commands; with ``replicas=``, durably.

        Raises:
            StoreError: as `run`, of the script.
        """
        return await self._write(call(name, keys, *args), before)

    async def _write(self, command: Command, before: Sequence[Command] = ()) -> Answer:
        node = await self.node_of(_key_of(command))
        if not self.is_durable and all(self._topology.route(_key_of(each)) is node for each in before):
            *first, reply = await self._exchange_on(node, [*before, command])
            return Answer(_value(reply), _problem(first))
        # Before it in time, since they go another way.
        first = await self._exchange(before)
        purpose = DURABLE if self.is_durable else "commands"
        answer = await self._send(node, [command], purpose)
        answer = await self._follow(node, command, replace(answer, reply=answer.reply[0]), purpose)
        return replace(answer, reply=_value(answer.reply), problem=_problem(first))

    async def write_alone(self, key: str, packed: bytes) -> Answer:
        """As `write`, for one call of a script that is packed: the shortest way to its reply.

        A caller that is cancelled before the command is written withdraws it.

        Raises:
            StoreError: as `run`.
        """
        node = None if self.is_durable else self._topology.route(key)
        posted = None if node is None else node.post(packed)
        if node is None or posted is None:
            return await self._write(words_of(packed))
        connection, reply = posted
        try:
            return Answer(await reply)
        except asyncio.CancelledError:
            # What was begun ends, and its outcome is known before the cancellation goes on.
            if reply.cancelled() and (again := connection.outlast(reply)) is not None:
                await settled([again])
                again.exception()  # looked at, so that nobody warns that it was not
            raise
        except ReplyError as error:
            answer = await self._follow(node, words_of(packed), Answer(error), "commands")
            return replace(answer, reply=_value(answer.reply))
        except (NotSent, SentUnknown) as error:
            self._topology.suspect(node)
            raise node.problem_of(error) from None

    async def scan(
        self, cursor: str | None, pattern: str, count: int
    ) -> tuple[Sequence[bytes], str | None]:
        """Some keys that match, node by node; and where to go on, None at the end.

        Raises:
            StoreError: as `run`.
        """
        name, _, position = (cursor or "").rpartition("|")
        # A node that is gone meanwhile has left its keys to others: on with the next name.
        nodes = [node for node in self.masters() if node.name >= name]
        if not nodes:
            return [], None
        node = nodes[0]
        start = position if node.name == name else "0"
        following, found = await node.execute("SCAN", start, "MATCH", pattern, "COUNT", count)
        if int(following):
            return found, f"{node.name}|{int(following)}"
        return found, f"{nodes[1].name}|0" if len(nodes) > 1 else None

    async def _exchange_one(self, command: Command) -> Any:
        return (await self._exchange([command]))[0]

    async def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        """Replies in the order of the commands, errors of the store among them."""
        if not commands:
            return []
        nodes = [await self.node_of(_key_of(command)) for command in commands]
        if all(node is nodes[0] for node in nodes):
            return await self._exchange_on(nodes[0], commands)
        places: dict[Node, list[int]] = {}
        for at, node in enumerate(nodes):
            places.setdefault(node, []).append(at)
        groups = await asyncio.gather(
            *(self._exchange_on(node, [commands[at] for at in found]) for node, found in places.items()),
            return_exceptions=True,
        )
        replies: list[Any] = [None] * len(commands)
        for found, group in zip(places.values(), groups, strict=True):
            if isinstance(group, BaseException):
                raise group
            for at, reply in zip(found, group, strict=True):
                replies[at] = reply
        return replies

    async def _exchange_on(
        self, node: Node, commands: Sequence[Command], purpose: str = "commands"
    ) -> list[Any]:
        replies: list[Any] = (await self._send(node, commands, purpose)).reply
        for at, reply in enumerate(replies):
            # One after the other: what comes later may stand on what came before.
            if isinstance(reply, ReplyError):
                replies[at] = (await self._follow(node, commands[at], Answer(reply), purpose)).reply
        return replies

    async def _send(
        self, node: Node, commands: Sequence[Command], purpose: str, *, asking: bool = False
    ) -> Answer:
        try:
            if purpose == DURABLE:
                replies, acknowledged, asked = await node.exchange_durably(commands, asking=asking)
                return Answer(replies, None, acknowledged, asked)
            return Answer(await node.exchange(commands, purpose, asking=asking))
        except (BackendUnavailableError, OutcomeUnknownError):
            self._topology.suspect(node)
            raise

    async def _follow(self, node: Node, command: Command, answer: Answer, purpose: str) -> Answer:
        """Send a command to where its error reply points, until there is an answer, or an error to tell."""
        asking = False
        for _ in range(MOST_HOPS):
            error = answer.reply
            if not isinstance(error, ReplyError):
                if answer.acknowledged < answer.asked:
                    # The master may be one that has been replaced and does not know.
                    self._topology.suspect(node)
                return answer
            if error.word == "NOSCRIPT" and command[0] == "EVALSHA":
                command = ("EVAL", source_of_digest(str(command[1])), *command[2:])
            elif (there := self._redirected(node, error)) is not None:
                node, asking = there, error.word == "ASK"
            else:
                break
            sent = await self._send(node, [command], purpose, asking=asking)
            answer = replace(sent, reply=sent.reply[0])
            if asking and _misses_a_part(answer.reply):
                answer = replace(answer, reply=ReplyError("TRYAGAIN its parts are still on their way"))
        if isinstance(answer.reply, ReplyError):
            if meaning_of(answer.reply) is Meaning.AGAIN_LATER:
                self._topology.suspect(node)
            problem = node.translate(answer.reply)
            if isinstance(problem, AccessDeniedError):
                # Where one right is missing, others mostly are.
                problem = await self._rights.explain(node, problem)
            return replace(answer, reply=problem)
        return answer

    def learn(self, node: Node, error: ReplyError) -> bool:
        """Take in what an error reply says of where keys are; whether it says so."""
        return self._redirected(node, error) is not None

    def _redirected(self, node: Node, error: ReplyError) -> Node | None:
        """The node that MOVED or ASK names (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/)."""
        if error.word not in {"MOVED", "ASK"}:
            return None
        _, slot, where = error.text.split()
        # Without a host it is the one that was asked.
        address: Address = parse_address(where if not where.startswith(":") else f"{node.host}{where}")
        if error.word == "ASK":
            return self._topology.node_at(address)
        return self._topology.moved(int(slot), address)

    # Without waiting

    def notify(self, *commands: Command, then: Callable[[Any], None] | None = None) -> None:
        """Send commands and do not wait; what becomes of them changes nothing that is promised.

        Args:
            commands: go back to back where one node has their keys.
            then: is given each reply that comes.
        """
        self._telling.tell(*commands, then=then)

    async def settle(self) -> None:
        """Wait until all that `notify` has sent has been answered."""
        await self._telling.settle()


def call(name: str, keys: Sequence[str], *args: Arg) -> Command:
    """A script, as one of the commands of `Executor.run`."""
    return ("EVALSHA", digest_of(name), len(keys), *keys, *args)


def _key_of(command: Command) -> str | bytes:
    """The key that says where a command goes: a script's first, else the word behind the command's name."""
    key = command[3] if command[0] == "EVALSHA" else command[1]
    assert isinstance(key, str | bytes)
    return key


def _misses_a_part(reply: Any) -> bool:
    """Whether a script says so, or that a turn is lost, which is a part as well.

    A node that a slot is on its way to takes a key that has not come for one that is not there.
    """
    return isinstance(reply, list) and bool(reply) and reply[0] in {b"DAMAGED", b"LOST"}


def _value(reply: Any) -> Any:
    if isinstance(reply, StoreError):
        raise reply
    return reply


def _problem(replies: Sequence[Any]) -> StoreError | None:
    return next((reply for reply in replies if isinstance(reply, StoreError)), None)

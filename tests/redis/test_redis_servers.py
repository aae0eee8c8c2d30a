"""The same promises on each server, each transport and each protocol."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from miniagent_store import ConfigurationError, Message, open_store
from miniagent_store.testing import StoreConformance
from miniagent_store.testing.conformance.commits import CommitPromises
from miniagent_store.testing.conformance.counters import CounterPromises
from miniagent_store.testing.conformance.identity import IdentityPromises
from miniagent_store.testing.conformance.logs import LogPromises
from miniagent_store.testing.random_program import run_random_program
from miniagent_store.testing.servers import Server, find_servers

SERVERS = find_servers()
OTHERS = sorted(SERVERS)[1:]
_programs = itertools.count()


@pytest.fixture(scope="module", params=OTHERS)
def other_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(SERVERS[request.param]) as server:
        yield server


@pytest.mark.asyncio(loop_scope="function")
class TestOtherServers(CommitPromises, CounterPromises, IdentityPromises, LogPromises):
    """What depends on the scripts; the rest of the suite runs on one server, and on all with -m slow."""

    @pytest.fixture
    def store_url(self, other_server: Server) -> str:
        return f"{other_server.url}?namespace={uuid.uuid4().hex}"


@pytest.mark.slow
class TestOtherServersInFull(StoreConformance):
    """All of it."""

    @pytest.fixture
    def store_url(self, other_server: Server) -> str:
        return f"{other_server.url}?namespace={uuid.uuid4().hex}"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", sorted(SERVERS))
def test_a_program_of_two_thousand_calls_is_answered_alike(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hypothesis.internal.conjecture.engine.BUFFER_SIZE", 256 * 1024)
    with Server(SERVERS[name]) as server:

        def urls() -> list[str]:
            number = next(_programs)
            return [
                "memory://",
                f"sqlite:///{tmp_path}/{number}.db?synchronous=OFF",
                f"{server.url}?namespace=p{number}",
            ]

        lengths = run_random_program(urls, steps=2000, least=2000, examples=3)

    print(f"{name}: {len(lengths)} programs, {sum(lengths)} calls, the longest {max(lengths)}")
    assert max(lengths) >= 2000


async def hold_a_conversation(url: str, **options: Any) -> None:
    async with open_store(url, **options) as store:
        await store.append("s", Message.user("hello", id="m1"), create=True)
        async with store.turn("s") as turn:
            turn.append(Message.assistant("hi"))
            turn.state.set("mood", b"\x00\xff")
        assert [message.content for message in await store.history("s")] == ["hello", "hi"]
        assert await store.state("s").get("mood") == b"\x00\xff"
        assert [session.id for session in await store.list()] == ["s"]
        watching = aiter(store.watch("s", after=turn.session and turn.session.position))
        assert (await anext(watching)).type == "appended"
        assert await store.delete("s")


@pytest.mark.parametrize("protocol", [2, 3])
async def test_both_protocols_over_a_unix_socket(protocol: int) -> None:
    with Server(unix=True) as server:
        await hold_a_conversation(f"{server.url}?db=1", protocol=protocol)


@pytest.mark.parametrize("protocol", [2, 3])
async def test_both_protocols_over_tcp(protocol: int) -> None:
    with Server(password="p@ss:word/") as server:
        await hold_a_conversation(f"{server.url}/2", protocol=protocol)


@pytest.mark.skipif("redis" not in SERVERS, reason="the servers that pip brings have no TLS")
@pytest.mark.parametrize("protocol", [2, 3])
async def test_both_protocols_over_tls(protocol: int) -> None:
    with Server(SERVERS["redis"], tls=True) as server:
        assert server.certificates is not None

        await hold_a_conversation(
            server.url, protocol=protocol, ssl_ca_certs=str(server.certificates.authority)
        )
        # An authority that we do not know: no conversation.
        with pytest.raises(ConfigurationError, match="ssl_ca_certs"):
            await hold_a_conversation(server.url)

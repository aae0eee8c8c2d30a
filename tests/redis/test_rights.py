"""Rights: the smallest ACL line runs the library; what is missing of it is named, all at once."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import miniagent_backends.redis
from miniagent_backends.redis import scripts
from miniagent_backends.redis.keys import Keys
from miniagent_backends.redis.rights import acl_rules, vector_set_rules
from miniagent_store import AccessDeniedError, Message, SessionStore, open_store
from miniagent_store.testing import StoreConformance, eventually
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.conformance.base import OpenHere
from miniagent_store.testing.conformance.cache_bounds import CacheBoundPromises
from miniagent_store.testing.conformance.caching import CachePromises
from miniagent_store.testing.conformance.cleaning import CleaningPromises
from miniagent_store.testing.conformance.commits import CommitPromises
from miniagent_store.testing.conformance.counters import CounterPromises
from miniagent_store.testing.conformance.expiry import ExpiryPromises
from miniagent_store.testing.conformance.forking import ForkPromises
from miniagent_store.testing.conformance.kv import KeyValuePromises
from miniagent_store.testing.conformance.listing import ListingPromises
from miniagent_store.testing.conformance.locks import LockPromises
from miniagent_store.testing.conformance.logs import LogPromises
from miniagent_store.testing.conformance.rewriting import RewritingPromises
from miniagent_store.testing.conformance.running import RunningPromises
from miniagent_store.testing.conformance.staging import StagingPromises
from miniagent_store.testing.conformance.state import StatePromises
from miniagent_store.testing.conformance.tenants import TenantPromises
from miniagent_store.testing.conformance.turns import TurnPromises
from miniagent_store.testing.conformance.walking import WalkPromises
from miniagent_store.testing.conformance.watching import WatchPromises
from miniagent_store.testing.proxy import Proxy
from miniagent_store.testing.sentinel import SentinelGroup
from miniagent_store.testing.servers import Server, find_servers
from tests.redis.conftest import EACH_SERVER
from tests.redis.refused import refusal_of

SERVERS = find_servers()
PASSWORD = "agent-pa55word"
RULES = acl_rules(Keys())


@pytest.fixture(scope="module", params=EACH_SERVER)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(SERVERS[request.param]) as server:
        yield server


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    assert server.port is not None
    with Proxy("127.0.0.1", server.port) as proxy:
        yield proxy


def give(server: Server, rules: str, user: str = "agent") -> None:
    """Make `user` one who has these rights only."""
    server.command("ACL", "SETUSER", user, "reset", "on", f">{PASSWORD}", *rules.split())


class WithTheSmallestRights:
    """Each test in a namespace of its own, as a user who has the rights for that only."""

    @pytest.fixture
    def store_options(self) -> dict[str, Any]:
        return {"namespace": uuid.uuid4().hex}

    @pytest.fixture
    def store_url(self, server: Server, store_options: dict[str, Any]) -> str:
        namespace = store_options["namespace"]
        give(server, acl_rules(Keys(namespace)), user=namespace)
        return f"redis://{namespace}:{PASSWORD}@127.0.0.1:{server.port}"


@pytest.mark.asyncio(loop_scope="function")
class TestWithTheSmallestRights(
    WithTheSmallestRights,
    CachePromises,
    CacheBoundPromises,
    CleaningPromises,
    CommitPromises,
    CounterPromises,
    ExpiryPromises,
    ForkPromises,
    KeyValuePromises,
    ListingPromises,
    LockPromises,
    LogPromises,
    RewritingPromises,
    RunningPromises,
    StagingPromises,
    StatePromises,
    TurnPromises,
    WalkPromises,
    WatchPromises,
):
    """A good part of the suite under the ACL line that the documentation gives."""


class WithRightsToTenants(WithTheSmallestRights):
    """The same, and to the tenants of that namespace."""

    @pytest.fixture
    def store_url(self, server: Server, store_options: dict[str, Any]) -> str:
        namespace = store_options["namespace"]
        give(server, acl_rules(Keys(namespace), tenants=True), user=namespace)
        return f"redis://{namespace}:{PASSWORD}@127.0.0.1:{server.port}"


@pytest.mark.asyncio(loop_scope="function")
class TestTenantsWithTheSmallestRights(WithRightsToTenants, TenantPromises):
    """Tenants need patterns of their own."""


async def test_what_is_missing_for_a_tenant_is_named(server: Server) -> None:
    give(server, RULES)
    async with open_store(f"redis://agent:{PASSWORD}@127.0.0.1:{server.port}") as store:
        await store.append("s", Message.user("hello"), create=True)
        tenant = store.tenant("acme")
        with pytest.raises(AccessDeniedError, match=r"lacks rights: ~acme/\* &acme/notify:\*; as"):
            await tenant.append("s", Message.user("hello"), create=True)
        give(server, acl_rules(Keys(), tenants=True))
        # A password that was given anew ends no connection.
        await tenant.append("s", Message.user("hello"), create=True)
        assert "acme" in await store.tenants()
        assert (await store.delete_tenant("acme")).sessions == 1
        assert await store.delete("s")


@pytest.mark.slow
class TestWithTheSmallestRightsInFull(WithRightsToTenants, StoreConformance):
    """All of it; but that the rights of one namespace open no other."""

    async def test_namespaces_keep_stores_apart(self, store: SessionStore, open_here: OpenHere) -> None:
        await store.create("s")
        with pytest.raises(AccessDeniedError, match=r"lacks rights: ~elsewhere/\*"):
            await open_here(namespace="elsewhere")


async def test_the_line_without_a_namespace_is_enough_too(server: Server) -> None:
    give(server, RULES)
    async with open_store(f"redis://agent:{PASSWORD}@127.0.0.1:{server.port}") as store:
        await store.append("s", Message.user("hello", id="m1"), create=True)
        async with store.turn("s") as turn:
            turn.append(Message.assistant("hi"))
            turn.state.set("mood", "good")
            turn.state.add("turns", 1)
        async with store.lock("anything"):
            await store.fork("s", new_id="other")
        assert len(await store.history("other")) == 2
        assert len(await store.list()) == 2
        assert await store.sweep() == 0
        assert await store.delete("s")
        assert (await store.health()).ok


def test_the_line_names_each_command_that_is_used_and_no_other() -> None:
    more = vector_set_rules()
    named = {rule[1:] for rule in f"{RULES} {more}".split() if rule.startswith("+")}
    lua = [each.read_text() for each in files(scripts).iterdir() if each.name.endswith(".lua")]
    folder = Path(str(files(miniagent_backends.redis)))
    python = "".join(
        path.read_text()
        for path in folder.rglob("*.py")
        if path.stem not in {"replies", "cluster", "sentinel", "topology"}
    )
    in_scripts = {word.lower() for text in lua for word in re.findall(r"redis\.p?call\('(\w+)'", text)}

    assert in_scripts <= named
    assert {name for name in named - in_scripts if f'"{name.upper()}"' not in python} == set()


async def refused(caplog: pytest.LogCaptureFixture, url: str, **options: Any) -> AccessDeniedError:
    """The error of a store that is denied something."""
    error = await refusal_of(caplog, url, secrets=(PASSWORD, "n0t-this-one"), **options)
    assert isinstance(error, AccessDeniedError)
    return error


@pytest.mark.parametrize(
    "credentials", [f":{PASSWORD}", "agent:n0t-this-one", f"nobody:{PASSWORD}", "agent:"]
)
async def test_wrong_credentials(
    server: Server, proxy: Proxy, credentials: str, caplog: pytest.LogCaptureFixture
) -> None:
    give(server, RULES)
    server.command("CONFIG", "SET", "requirepass", "something-else")
    try:
        error = await refused(caplog, f"redis://{credentials}@127.0.0.1:{proxy.port}")
    finally:
        server.password = "something-else"
        server.command("CONFIG", "SET", "requirepass", "")
        server.password = None

    assert "refused the user name or password; check them in the URL" in str(error)
    assert proxy.accepted == 1


MISSING = {
    "a command of a script": ("+rpush", ["+rpush"]),
    "several commands": ("+hset +zadd +ssubscribe", ["+hset", "+ssubscribe", "+zadd"]),
    "a command of connecting": ("+time", ["+time"]),
    "scripts": ("+eval", ["+eval"]),
    "a key pattern": ("~thread:*", ["~thread:*"]),
    "several key patterns": ("~state:* ~index:*", ["~index:*", "~state:*"]),
    "the channel": ("&notify:*", ["&notify:*"]),
    "one of each": ("+hget ~ids:* &notify:*", ["~ids:*", "&notify:*", "+hget"]),
}


@pytest.mark.parametrize("what", MISSING)
async def test_what_is_missing_is_named_with_the_line_to_set(
    server: Server, proxy: Proxy, what: str, caplog: pytest.LogCaptureFixture
) -> None:
    taken, named = MISSING[what]
    give(server, " ".join(rule for rule in RULES.split() if rule not in taken.split()))

    error = await refused(caplog, f"redis://agent:{PASSWORD}@127.0.0.1:{proxy.port}")

    assert f"user 'agent' lacks rights: {' '.join(named)}; as an administrator run:" in str(error)
    assert str(error).endswith(f"ACL SETUSER agent {RULES}")
    assert proxy.accepted == 1

    # What it says is the cure.
    _, _, line = str(error).partition("as an administrator run: ")
    server.command(*line.split())
    async with open_store(f"redis://agent:{PASSWORD}@127.0.0.1:{proxy.port}") as store:
        await store.append("s", Message.user("hello"), create=True)


async def test_keys_that_may_only_be_read_are_missing(
    server: Server, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    give(server, RULES.replace("~thread:*", "%R~thread:*"))

    error = await refused(caplog, f"redis://agent:{PASSWORD}@127.0.0.1:{proxy.port}")

    assert "lacks rights: ~thread:*; as" in str(error)


async def test_rights_that_are_taken_away_later_are_named_too(server: Server, proxy: Proxy) -> None:
    give(server, RULES)
    async with open_store(f"redis://agent:{PASSWORD}@127.0.0.1:{proxy.port}") as store:
        await store.append("s", Message.user("hello"), create=True)
        server.command("ACL", "SETUSER", "agent", "-rpush", "-hget", "-zadd")

        with pytest.raises(AccessDeniedError, match=r"lacks rights: \+hget \+rpush \+zadd; as"):
            await store.append("s", Message.user("hello"))
    assert proxy.accepted == 1


async def test_a_store_that_was_refused_holds_no_connection_and_may_try_again(
    server: Server, proxy: Proxy
) -> None:
    give(server, RULES.replace("+rpush", ""))
    store = open_store(f"redis://agent:{PASSWORD}@127.0.0.1:{proxy.port}")
    for _ in range(2):
        with pytest.raises(AccessDeniedError):
            await store.append("s", Message.user("hello"), create=True)
        await eventually(lambda: proxy.connections == 0)

    give(server, RULES)
    await store.append("s", Message.user("hello"), create=True)
    assert proxy.accepted == 3
    await store.close()


async def test_a_password_that_is_changed_under_way_is_told_and_not_tried_again(
    server: Server, proxy: Proxy
) -> None:
    give(server, RULES)
    async with open_store(f"redis://agent:{PASSWORD}@127.0.0.1:{proxy.port}") as store:
        await store.append("s", Message.user("hello"), create=True)
        server.command("ACL", "SETUSER", "agent", "resetpass", ">n0t-this-one")
        proxy.cut()
        await eventually(lambda: proxy.connections == 0)

        started = time.monotonic()
        with pytest.raises(AccessDeniedError, match="refused the user name or password"):
            await store.append("s", Message.user("hello"))
        assert time.monotonic() - started < 2
        assert proxy.accepted <= 3


async def test_another_database_needs_one_right_more(
    server: Server, proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    give(server, RULES)
    url = f"redis://agent:{PASSWORD}@127.0.0.1:{proxy.port}/2"

    error = await refused(caplog, url)
    assert "lacks rights: +select; as" in str(error)

    give(server, acl_rules(Keys(), database=True))
    async with open_store(url) as store:
        await store.append("s", Message.user("hello"), create=True)


def test_prefixes_with_signs_of_patterns_are_meant_literally() -> None:
    assert acl_rules(Keys("ns")).startswith("~ns/* &ns/notify:* +")
    assert r"~a\*b:* " in acl_rules(Keys(session="a*b:"))


async def talk(url: str, **options: str) -> None:
    async with open_store(url, replicas="all", **options) as store:
        for number in range(20):
            await store.append(f"s{number}", Message.user("hello"), create=True)
        async with store.turn("s1") as turn:
            turn.append(Message.assistant("hi"))
        assert len(await store.list()) == 20
        assert (await store.health()).ok
        assert await store.delete("s0")


async def test_the_line_is_enough_on_a_cluster() -> None:
    with ClusterGroup(masters=3, replicas=1) as group:
        for server in group.servers:
            give(server, acl_rules(Keys(), cluster=True, replicas=True))
        await talk(group.url.replace("://", f"://agent:{PASSWORD}@"))

        give(group.servers[0], RULES)
        with pytest.raises(AccessDeniedError, match=r"lacks rights: \+(asking|cluster\|slots|wait)"):
            await talk(group.url.replace("://", f"://agent:{PASSWORD}@"))


async def test_the_line_is_enough_behind_sentinel() -> None:
    with SentinelGroup() as group:
        for server in group.servers:
            give(server, acl_rules(Keys(), replicas=True))
        asks = ("get-master-addr-by-name", "masters", "replicas", "sentinels")
        for sentinel in group.sentinels:
            give(sentinel, " ".join(f"+sentinel|{name}" for name in asks), user="watcher")
            sentinel.command("ACL", "SETUSER", "default", "off")
        url = group.url.replace("://", f"://agent:{PASSWORD}@")
        await talk(url, sentinel_username="watcher", sentinel_password=PASSWORD)

"""TLS: who is let in, and what is said to whom who is not; on a server with TLS, and through a proxy."""

from __future__ import annotations

import asyncio
import ssl
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from miniagent_store import (
    AccessDeniedError,
    BackendUnavailableError,
    ConfigurationError,
    Message,
    StoreError,
    open_store,
)
from miniagent_store.testing import eventually
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.conformance.commits import CommitPromises
from miniagent_store.testing.conformance.turns import TurnPromises
from miniagent_store.testing.proxy import Proxy
from miniagent_store.testing.sentinel import SentinelGroup
from miniagent_store.testing.servers import Certificates, Server, find_servers, make_certificates
from miniagent_store.testing.tls_proxy import TLSProxy
from tests.redis.refused import refusal_of

# A handshake that is cut off leaves asyncio's transport to the garbage collector now and then.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SERVERS = find_servers()
# The servers that pip brings have no TLS; where none has, the proxies are enough.
PLACES = sorted(SERVERS)
PASSWORD = "s3cr3t-pass/word"
SECRETS = (PASSWORD, quote(PASSWORD, safe=""))


class Place:
    """Where clients connect to by TLS, and how many did."""

    def __init__(self, name: str, stack: ExitStack) -> None:
        self._name, self._stack = name, stack
        self._proxy: Proxy | TLSProxy | None = None

    def serve(self, certificates: Certificates, *, clients: Certificates | None = None) -> str:
        """Start with these certificates; the URL."""
        if self._name == "redis":
            trusted = (
                certificates if clients is None else replace(certificates, authority=clients.authority)
            )
            config = {"tls-auth-clients": "no" if clients is None else "yes"}
            server = _NativeServer(SERVERS["redis"], tls=trusted, password=PASSWORD, config=config)
            # In front, to count.
            self._proxy = self._stack.enter_context(Proxy("127.0.0.1", self._port_of(server)))
        else:
            server = Server(SERVERS[self._name], password=PASSWORD)
            port, authority = self._port_of(server), str(clients.authority) if clients else None
            proxy = TLSProxy("127.0.0.1", port, certificates, clients=authority)
            self._proxy = self._stack.enter_context(proxy)
        return self.url()

    def _port_of(self, server: Server) -> int:
        port = self._stack.enter_context(server).port
        assert port is not None
        return port

    def url(self, host: str = "127.0.0.1") -> str:
        assert self._proxy is not None
        return f"rediss://:{quote(PASSWORD, safe='')}@{host}:{self._proxy.port}"

    @property
    def connections(self) -> int:
        assert self._proxy is not None
        return self._proxy.accepted if isinstance(self._proxy, Proxy) else self._proxy.connections


class _NativeServer(Server):
    """Waits for the port only: a test's own certificates may be such that no client is let in."""

    def command(self, *args: bytes | str | int, timeout: float = 10.0) -> Any:
        try:
            return super().command(*args, timeout=timeout)
        except ssl.SSLError:
            return b"PONG"


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(request.param, stack)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Of an authority that nobody knows."""
    return make_certificates(tmp_path_factory.mktemp("others"))


def trusting(certificates: Certificates) -> dict[str, str]:
    return {"ssl_ca_certs": str(certificates.authority)}


def showing(certificates: Certificates) -> dict[str, str]:
    return {
        "ssl_certfile": str(certificates.client_certificate),
        "ssl_keyfile": str(certificates.client_key),
    }


async def talk(url: str, **options: Any) -> None:
    async with open_store(url, namespace=uuid.uuid4().hex, **options) as store:
        session = await store.append("s", Message.user("hello"), create=True)
        async with aclosing(store.watch("s", after=session.position)) as events:  # type: ignore[type-var]
            await store.append("s", Message.assistant("hi"))
            assert (await anext(events)).type == "appended"
        assert [message.content for message in await store.history("s")] == ["hello", "hi"]


async def refused(caplog: pytest.LogCaptureFixture, url: str, **options: Any) -> StoreError:
    """The error of a store that cannot be opened."""
    return await refusal_of(caplog, url, secrets=SECRETS, **options)


async def test_who_trusts_the_authority_talks(place: Place, certificates: Certificates) -> None:
    place.serve(certificates)

    await talk(place.url(), **trusting(certificates))
    await talk(place.url("localhost"), **trusting(certificates))


async def test_an_unknown_authority(
    place: Place, certificates: Certificates, others: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    url = place.serve(certificates)

    for options in (trusting(others), {}):
        before = place.connections
        error = await refused(caplog, url, **options)

        assert isinstance(error, ConfigurationError)
        assert "no authority that is trusted here has signed its certificate" in str(error)
        assert "check ssl_ca_certs" in str(error)
        assert place.connections - before == 1


async def test_another_host_name(place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    certificates = make_certificates(tmp_path, hosts=["redis.example.org"])
    place.serve(certificates)

    for host in ("127.0.0.1", "localhost"):
        before = place.connections
        error = await refused(caplog, place.url(host), **trusting(certificates))

        assert isinstance(error, ConfigurationError)
        assert f"not for the host '{host}'" in str(error)
        assert "ssl_check_hostname=false is the last resort" in str(error)
        assert place.connections - before == 1

    await talk(place.url(), ssl_check_hostname="false", **trusting(certificates))


async def test_an_expired_certificate(
    place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificates = make_certificates(tmp_path, expired=True)
    url = place.serve(certificates)
    before = place.connections

    error = await refused(caplog, url, **trusting(certificates))

    assert isinstance(error, ConfigurationError)
    assert "its certificate has expired" in str(error)
    assert place.connections - before == 1


@pytest.mark.parametrize("protocol", [2, 3])
async def test_a_client_certificate(
    place: Place,
    certificates: Certificates,
    others: Certificates,
    protocol: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = place.serve(certificates, clients=certificates)
    options: dict[str, Any] = {**trusting(certificates), "protocol": protocol}

    await talk(url, **options, **showing(certificates))

    # Which way the refusal comes is a matter of luck: an alert, or the end before it.
    for _ in range(5):
        before = place.connections
        missing = await refused(caplog, url, **options)
        assert isinstance(missing, AccessDeniedError)
        assert "wants a client certificate" in str(missing)
        assert "ssl_certfile= and ssl_keyfile=" in str(missing)
        assert place.connections - before <= 2

        before = place.connections
        wrong = await refused(caplog, url, **options, **showing(others))
        assert isinstance(wrong, AccessDeniedError)
        assert "refused our client certificate" in str(wrong)
        assert place.connections - before <= 2


async def test_a_wrong_password(
    place: Place, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    url = place.serve(certificates).replace(quote(PASSWORD, safe=""), "n0t-this-one")
    before = place.connections

    error = await refused(caplog, url, **trusting(certificates))

    assert isinstance(error, AccessDeniedError)
    assert "n0t-this-one" not in caplog.text + str(error)
    assert place.connections - before == 1


async def test_a_plain_client_is_told_of_tls(
    place: Place, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    url = place.serve(certificates).replace("rediss://", "redis://")
    before = place.connections

    error = await refused(caplog, url)

    assert "write rediss:// instead of redis://" in str(error)
    assert place.connections - before == 1


@pytest.mark.parametrize("name", PLACES)
async def test_a_tls_client_is_told_of_a_plain_server(
    name: str, certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    with Server(SERVERS[name], password=PASSWORD) as server, Proxy("127.0.0.1", server.port or 0) as proxy:
        url = f"rediss://:{quote(PASSWORD, safe='')}@127.0.0.1:{proxy.port}"

        error = await refused(caplog, url, connect_timeout="1s", **trusting(certificates))

        assert "write redis:// instead of rediss://" in str(error)
        assert proxy.accepted == 1


async def test_a_server_that_is_down_is_said_to_be_down(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    with TLSProxy("127.0.0.1", 1, certificates) as proxy:
        url = f"rediss://127.0.0.1:{proxy.port}"
        # The proxy is there, the server behind it is not.
        error = await refused(caplog, url, **trusting(certificates))
        assert isinstance(error, BackendUnavailableError)

    error = await refused(caplog, url, **trusting(certificates))
    assert isinstance(error, BackendUnavailableError)
    assert "is the server running?" in str(error)


async def test_a_server_that_says_nothing_after_the_handshake_is_let_go(
    certificates: Certificates, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        Server() as server,
        TLSProxy("127.0.0.1", server.port or 0, certificates) as tls,
        Proxy("127.0.0.1", tls.port) as proxy,
    ):
        server.pause()
        try:
            url = f"rediss://127.0.0.1:{proxy.port}"
            error = await refused(caplog, url, connect_timeout="0.5s", **trusting(certificates))
            assert isinstance(error, BackendUnavailableError)
            await eventually(lambda: proxy.connections == 0)
        finally:
            server.resume()


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile"])
def test_a_file_that_is_missing_is_named_at_once(
    option: str, certificates: Certificates, tmp_path: Path
) -> None:
    options = {**trusting(certificates), **showing(certificates), option: str(tmp_path / "none.pem")}

    with pytest.raises(ConfigurationError, match=f"'{option}'.*none.pem.*No such file"):
        open_store("rediss://localhost", **options)


def test_a_key_without_its_certificate_is_refused_at_once(certificates: Certificates) -> None:
    with pytest.raises(ConfigurationError, match=r"'ssl_keyfile'.*ssl_certfile="):
        open_store("rediss://localhost", ssl_keyfile=str(certificates.client_key))


async def test_files_that_hold_something_else_are_named(
    certificates: Certificates, others: Certificates, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = tmp_path / "text.pem"
    text.write_text("not a certificate")
    locked = tmp_path / "locked.key"
    locked.write_bytes(_encrypted(certificates.client_key.read_bytes()))
    good = {**trusting(certificates), **showing(certificates)}
    cases = [
        ("ssl_ca_certs", text, "no certificate"),
        ("ssl_certfile", text, "no"),
        ("ssl_keyfile", text, "key"),
        ("ssl_keyfile", others.client_key, "does not belong to the certificate"),
        ("ssl_keyfile", locked, "unencrypted"),
    ]

    for option, path, problem in cases:
        error = await refused(caplog, "rediss://127.0.0.1:1", **{**good, option: str(path)})

        assert isinstance(error, ConfigurationError)
        assert problem in str(error)
        assert str(path) in str(error)


def _encrypted(key: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization

    form = serialization.PrivateFormat.PKCS8
    encryption = serialization.BestAvailableEncryption(b"secret")
    loaded = serialization.load_pem_private_key(key, None)
    return loaded.private_bytes(serialization.Encoding.PEM, form, encryption)


async def test_a_renewed_certificate_is_taken_by_the_next_connection(tmp_path: Path) -> None:
    first, second = make_certificates(tmp_path / "1"), make_certificates(tmp_path / "2")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(first.authority.read_bytes())
    with Server() as server, TLSProxy("127.0.0.1", server.port or 0, first) as proxy:
        url = f"rediss://localhost:{proxy.port}"
        async with open_store(url, ssl_ca_certs=str(trusted)) as store:
            await store.append("s", Message.user("hello"), create=True)
            proxy.stop()
            trusted.write_bytes(second.authority.read_bytes())
            renewed = TLSProxy("127.0.0.1", server.port or 0, second)
            renewed.port = proxy.port
            with renewed:
                await store.append("s", Message.user("hello again"))
                assert len(await store.history("s")) == 2


def behind_proxies(servers: list[Server], certificates: Certificates, stack: ExitStack) -> dict[str, str]:
    """A TLS proxy in front of each server: where they are for whom they say where they are."""
    addresses = {}
    for server in servers:
        assert server.port is not None
        proxy = stack.enter_context(TLSProxy("127.0.0.1", server.port, certificates))
        addresses[f"127.0.0.1:{server.port}"] = f"127.0.0.1:{proxy.port}"
    return addresses


async def test_a_cluster_by_tls(certificates: Certificates) -> None:
    with ExitStack() as stack:
        group = stack.enter_context(ClusterGroup(replicas=0))
        addresses = behind_proxies(group.servers, certificates, stack)
        url = f"rediss+cluster://{next(iter(addresses.values()))}"

        await talk(url, address_remap=addresses, **trusting(certificates))
        with pytest.raises(ConfigurationError, match="check ssl_ca_certs"):
            await talk(url, address_remap=addresses)


async def test_sentinels_and_their_servers_by_tls(certificates: Certificates) -> None:
    with ExitStack() as stack:
        group = stack.enter_context(SentinelGroup(replicas=1))
        addresses = behind_proxies(group.servers, certificates, stack)
        sentinels = behind_proxies(group.sentinels, certificates, stack)
        url = f"rediss+sentinel://{','.join(sentinels.values())}/{group.name}"

        await talk(url, address_remap={**addresses, **sentinels}, **trusting(certificates))
        with pytest.raises(ConfigurationError, match="check ssl_ca_certs"):
            await talk(url, address_remap={**addresses, **sentinels})


async def test_a_server_that_is_not_trusted_any_more_is_not_hammered(
    certificates: Certificates, others: Certificates
) -> None:
    with Server() as server, TLSProxy("127.0.0.1", server.port or 0, certificates) as proxy:
        url = f"rediss://localhost:{proxy.port}"
        async with open_store(url, **trusting(certificates)) as store:
            session = await store.append("s", Message.user("hello"), create=True)
            watching = asyncio.ensure_future(anext(aiter(store.watch("s", after=session.position))))
            await asyncio.sleep(0.2)
            proxy.stop()
            changed = TLSProxy("127.0.0.1", server.port or 0, others)
            changed.port = proxy.port
            with changed:
                started = time.monotonic()
                with pytest.raises(ConfigurationError, match="is not trusted"):
                    await store.append("s", Message.user("again"))
                assert time.monotonic() - started < 2

                # Who watches is told too, and nobody goes on trying.
                with pytest.raises(ConfigurationError, match="is not trusted"):
                    await watching
                before = changed.connections
                assert before <= 4
                await asyncio.sleep(2)
                assert changed.connections - before <= 4


@pytest.fixture(scope="module", params=PLACES)
def tls_url(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[str]:
    with ExitStack() as stack:
        place = Place(request.param, stack)
        place.serve(certificates)
        yield f"{place.url('localhost')}?ssl_ca_certs={certificates.authority}"


@pytest.mark.asyncio(loop_scope="function")
class TestOverTLS(CommitPromises, TurnPromises):
    """The same promises over TLS."""

    @pytest.fixture
    def store_url(self, tls_url: str) -> str:
        return f"{tls_url}&namespace={uuid.uuid4().hex}"

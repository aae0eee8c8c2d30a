"""Where the integrations are tested: each place, empty, and a server in which a word is looked for."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from miniagent_store import Key
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.servers import Server

# The folder of each integration, and the module without which it is not collected. `noxfile.py` runs all
# of them where their frameworks are installed, and says so: there one that lacks is a failure.
DEMANDED = os.environ.get("INTEGRATIONS", "").split(",")
NEEDS = {
    "ag2": "ag2",
    "agent_framework": "agent_framework",
    "google_adk": "google.adk",
    "key_value": "key_value",
    "langchain": "langchain_core",
    "langgraph": "langgraph",
    "llama_index": "llama_index.core",
    "openai_agents": "agents",
    "pydantic_ai": "pydantic_ai",
    "serving": "fastapi",
    "strands": "strands",
}


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    needed = NEEDS.get(collection_path.name)
    if needed is None or collection_path.parent != Path(__file__).parent:
        return None
    if collection_path.name in DEMANDED or "all" in DEMANDED:
        return None
    return True if not _is_installed(needed) else None


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    with Server() as server:
        yield server


@pytest.fixture(scope="session")
def cluster() -> Iterator[ClusterGroup]:
    with ClusterGroup() as group:
        yield group


@pytest.fixture(params=["memory", "sqlite", "redis", "cluster"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store, with the beginning of a query; memory is shared by its stores."""
    return _url(request.param, request, tmp_path)


@pytest.fixture(
    params=[
        pytest.param("sqlite", marks=pytest.mark.slow),
        "redis",
        pytest.param("cluster", marks=pytest.mark.slow),
    ]
)
def durable_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """As `url`, for several processes; each of which loads a framework, so that all places take long."""
    return _url(request.param, request, tmp_path)


def _url(place: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    name = uuid.uuid4().hex
    if place == "memory":
        return f"memory://{name}?deadline=20s"
    if place == "sqlite":
        return f"sqlite:///{tmp_path}/{name}.db?deadline=20s"
    if place == "redis":
        return f"{request.getfixturevalue('redis_server').url}/0?namespace={name}&deadline=20s"
    found: str = request.getfixturevalue("cluster").url
    return f"{found}{'&' if '?' in found else '?'}namespace={name}&deadline=20s"


@dataclass(frozen=True)
class Encrypted:
    """An empty store on a Redis of its own whose values are encrypted.

    Attributes:
        url: of the store.
        server: where its values are.
    """

    url: str
    server: Server

    def everything(self) -> bytes:
        """All keys and values of the server, as they are in its memory."""
        keys: list[bytes] = self.server.command("KEYS", "*")
        return b"\n".join(part for key in keys for part in (key, self.server.command("DUMP", key) or b""))

    def assert_absent(self, word: bytes) -> None:
        """Fail where `word` stands in a key or a value, or nothing was stored at all."""
        found = self.everything()
        assert found
        assert word not in found


@pytest.fixture
def encrypted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Encrypted]:
    monkeypatch.setenv("INTEGRATION_KEYS", Key.generate().to_text())
    with Server() as server:
        # Else a word could be hidden by the compression of DUMP.
        server.command("CONFIG", "SET", "rdbcompression", "no")
        yield Encrypted(f"{server.url}/0?serializer=msgpack+encrypted&keys=env:INTEGRATION_KEYS", server)

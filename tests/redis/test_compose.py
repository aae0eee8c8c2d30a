"""compose.yaml: the very commands of its services, run by hand, give the URLs that it names.

There is no Docker here: images, volumes and networks are not tested, only what is started in them.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from miniagent_store import BackendUnavailableError, Message, open_store
from miniagent_store.testing import eventually
from miniagent_store.testing.servers import find_servers, free_port
from miniagent_store.testing.waiting import wait_until

COMPOSE = Path(__file__).parents[2] / "compose.yaml"
# All ports that a service listens on inside, as words.
PORT = re.compile(r"\b(6379|638[123]|6390|700[1-6]|26379|2638[01])\b")


class Composed:
    """The services of one profile, as processes of this machine."""

    def __init__(self, folder: Path, server: Path) -> None:
        self._folder = folder
        self._ports: dict[str, str] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        (folder / "bin").mkdir()
        (folder / "bin" / "redis-server").symlink_to(server)
        self.services = yaml.safe_load(COMPOSE.read_text())["services"]

    def here(self, text: str, folder: Path | None = None) -> str:
        """What stands in the file, with ports and folders of this test."""
        text = PORT.sub(lambda found: self._ports.setdefault(found[0], str(free_port())), text)
        if folder is not None:
            text = text.replace("/data/", f"{folder}/")
        return text.replace("/certificate/", f"{self._folder}/certificate/").replace("$$", "$")

    def start(self, profile: str | None) -> None:
        """All services of a profile, each once what it depends on is healthy or done."""
        ours = {
            name: service
            for name, service in self.services.items()
            if service.get("profiles", [None]) == [profile] and name != "viewer"
        }
        while ours:
            ready = [name for name in ours if not set(ours[name].get("depends_on", ())) & set(ours)]
            for name in ready:
                self._start(name, ours.pop(name))

    def stop(self) -> None:
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.wait(30)

    def restart(self) -> None:
        """All that were started, as after a reboot."""
        names = list(self._processes)
        self.stop()
        for name in names:
            self._start(name, self.services[name])

    def _start(self, name: str, service: dict[str, Any]) -> None:
        command = service["command"]
        if command == "sleep infinity":
            return
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        (self._folder / "certificate").mkdir(exist_ok=True)
        words = command.split() if isinstance(command, str) else [*service.get("entrypoint", ()), *command]
        environment = {key: self.here(value) for key, value in service.get("environment", {}).items()}
        environment["PATH"] = f"{self._folder}/bin:{os.environ['PATH']}"
        if name == "redis":
            # It listens on the standard port, inside.
            words += ["--port", "6379"]
            environment["PORT"] = self.here("6379")
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                [self.here(word, folder) for word in words],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if "healthcheck" not in service:
            assert process.wait(60) == 0, (folder / "log").read_text()
            return
        self._processes[name] = process
        kind, check = service["healthcheck"]["test"]
        assert kind == "CMD-SHELL"

        def unhealthy() -> str | None:
            assert process.poll() is None, (folder / "log").read_text()
            asked = subprocess.run(["sh", "-c", self.here(check)], env=environment, capture_output=True)
            return None if asked.returncode == 0 and asked.stdout == b"PONG\n" else str(asked)

        wait_until(unhealthy, 60)


@pytest.fixture
def composed(tmp_path: Path) -> Iterator[Composed]:
    servers = find_servers()
    # The image is a Redis 8, where there is one; only Debian's has TLS.
    composed = Composed(tmp_path, servers.get("falkordb", servers["redis"]))
    yield composed
    composed.stop()


def url_of(composed: Composed, profile: str | None) -> str:
    """What the file's head says for a profile."""
    scheme = {None: "redis", "sentinel": "redis+sentinel", "cluster": "redis+cluster", "tls": "rediss"}[
        profile
    ]
    found = re.search(rf"^#\s+({re.escape(scheme)}://\S+)", COMPOSE.read_text(), re.MULTILINE)
    assert found
    return composed.here(found[1])


async def reads(url: str, expected: list[str]) -> bool:
    try:
        return await used(url) == expected
    except BackendUnavailableError:
        # A cluster's nodes answer before they have found each other.
        return False


async def used(url: str) -> list[Any]:
    async with open_store(url) as store:
        await store.append("s", Message.user("Hello"), create=True)
        return [message.content for message in await store.history("s")]


@pytest.mark.parametrize("profile", [None, "sentinel", "cluster"])
async def test_its_url_works_also_after_a_restart(composed: Composed, profile: str | None) -> None:
    composed.start(profile)
    url = url_of(composed, profile)

    await eventually(partial(reads, url, ["Hello"]), within=60)
    composed.restart()
    await eventually(partial(reads, url, ["Hello", "Hello"]), within=60)


async def test_the_url_with_tls_works(composed: Composed, tmp_path: Path) -> None:
    (tmp_path / "bin" / "redis-server").unlink()
    (tmp_path / "bin" / "redis-server").symlink_to(find_servers()["redis"])
    composed.start("tls")

    url = url_of(composed, "tls").replace("redis.crt", f"{tmp_path}/certificate/redis.crt")
    assert await used(url) == ["Hello"]


def test_nothing_is_evicted_and_what_is_acknowledged_is_on_disk() -> None:
    text = COMPOSE.read_text()

    for name, service in yaml.safe_load(text)["services"].items():
        command = str(service.get("command", ""))
        if "redis-server" in command and "sentinel monitor" not in command:
            assert re.search("maxmemory-policy noeviction", command), name
            assert re.search("appendonly yes", command), name
        assert all(each.startswith("127.0.0.1:") for each in service.get("ports", ())), name


def test_each_volume_that_is_used_is_declared() -> None:
    composed = yaml.safe_load(COMPOSE.read_text())
    volumes = [each for service in composed["services"].values() for each in service.get("volumes", ())]

    assert {each.partition(":")[0] for each in volumes} == set(composed["volumes"])

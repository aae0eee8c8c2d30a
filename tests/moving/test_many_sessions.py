"""A store's way through all of it: exported, imported, migrated under load, and killed on each step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from moving_support import Ran, Writers, command_beside, contents_at, fill

from miniagent_store import open_store
from miniagent_store.testing.cluster import ClusterGroup
from miniagent_store.testing.servers import Server

# Of a process that imports the command and holds sixteen sessions at once.
MOST_MIB = 160.0


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        yield running


def told(step: str, ran: Ran) -> None:
    print(f"{step}: {ran.seconds:.1f} s, {ran.peak_mib:.0f} MiB; {ran.stdout.strip()}", flush=True)


def size_of(folder: Path, pattern: str) -> int:
    return sum(each.stat().st_size for each in folder.glob(pattern))


def after(seconds: float) -> Callable[[], bool]:
    until = time.monotonic() + seconds
    return lambda: time.monotonic() > until


async def moved_under_load(source: str, target: str, tmp_path: Path, sessions: int) -> None:
    """Migrate while others write; kill it about half-way; finish with the writers stopped."""
    journals = tmp_path / "miniagent-store" / "migrations"
    before = size_of(journals, "*")

    def half_way() -> bool:
        return size_of(journals, "*") - before > 50_000 + 40 * sessions

    async with Writers(source) as writers:
        arguments = ("migrate", source, target)
        killed = await command_beside(*arguments, data_home=tmp_path, kill_when=half_way)
        told(f"migrate, ended with {killed.code}", killed)
        copied = await command_beside(*arguments, data_home=tmp_path)
        assert copied.code == 0, copied.stderr
        told("migrate again", copied)
    frozen = await command_beside("migrate", source, target, "--freeze", data_home=tmp_path)
    assert frozen.code == 0, frozen.stderr
    told("migrate --freeze", frozen)
    assert frozen.stdout.splitlines()[1].startswith("equal: ")
    assert max(copied.peak_mib, frozen.peak_mib) < MOST_MIB
    await writers.check(target)


async def exported_and_imported(source: str, target: str, tmp_path: Path, sessions: int) -> None:
    """Export and import, each killed on the way and run again."""
    archive = tmp_path / "all.jsonl.gz"
    arguments = ("--store", source, "export", str(archive))
    killed = await command_beside(
        *arguments, data_home=tmp_path, kill_when=lambda: size_of(tmp_path, archive.name) > 200 * sessions
    )
    told(f"export, ended with {killed.code}", killed)
    exported = await command_beside(*arguments, "--resume", data_home=tmp_path)
    assert exported.code == 0, exported.stderr
    told("export --resume", exported)

    arguments = ("--store", target, "import", str(archive))
    killed = await command_beside(*arguments, data_home=tmp_path, kill_when=after(1 + sessions / 4_000))
    told(f"import, ended with {killed.code}", killed)
    imported = await command_beside(*arguments, data_home=tmp_path)
    assert imported.code == 0, imported.stderr
    told("import again", imported)
    assert max(exported.peak_mib, imported.peak_mib) < MOST_MIB
    assert await contents_at(target) == await contents_at(source)


@pytest.fixture(params=[1_000, 100_000])
async def sessions(request: pytest.FixtureRequest, tmp_path: Path) -> int:
    count: int = request.param
    async with open_store(f"sqlite:///{tmp_path}/one.db") as store:
        await fill(store, count)
    return count


@pytest.mark.slow
@pytest.mark.timeout(7_200)
async def test_many_sessions_are_exported_and_imported(
    sessions: int, tmp_path: Path, server: Server
) -> None:
    first = f"sqlite:///{tmp_path}/one.db"
    await exported_and_imported(first, f"{server.url}/0", tmp_path, sessions)


@pytest.mark.slow
@pytest.mark.timeout(7_200)
async def test_many_sessions_are_migrated_from_place_to_place(
    sessions: int, tmp_path: Path, server: Server
) -> None:
    first, redis, last = (
        f"sqlite:///{tmp_path}/one.db",
        f"{server.url}/0",
        f"sqlite:///{tmp_path}/last.db",
    )
    await moved_under_load(first, redis, tmp_path, sessions)
    with ClusterGroup() as cluster:
        await moved_under_load(redis, cluster.url, tmp_path, sessions)
        await moved_under_load(cluster.url, last, tmp_path, sessions)
        # As the command has said, and seen from here.
        assert await contents_at(last) == await contents_at(cluster.url)

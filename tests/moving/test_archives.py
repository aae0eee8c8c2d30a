"""Archives: what is exported and imported is the same to the last entry, or it is an error."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from moving_support import contents_of, fill, one_of_everything, whole

from miniagent_store import (
    ArchiveError,
    InvalidArgumentError,
    Key,
    Keyring,
    Message,
    SessionStore,
    open_store,
)
from miniagent_store.errors import SerializationError, SessionNotFoundError
from miniagent_store.moving.archive import ArchiveReader
from miniagent_store.moving.exporting import Export
from miniagent_store.moving.frames import read_lines
from miniagent_store.moving.importing import ConflictError, Import, Imported, archived
from miniagent_store.moving.walking import Filters

EVERYTHING = Filters()


def quietly(done: int) -> None:
    return None


@pytest.fixture
async def source() -> AsyncIterator[SessionStore]:
    async with open_store("memory://") as store:
        yield store


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[SessionStore]:
    async with open_store(f"sqlite:///{tmp_path}/target.db") as store:
        yield store


async def export(
    store: SessionStore,
    path: Path,
    filters: Filters = EVERYTHING,
    *,
    plain: bool = False,
    resume: bool = False,
) -> Export:
    job = Export(store, filters, plain=plain)
    await job.to_file(path, quietly, resume=resume)
    return job


async def take(store: SessionStore, path: Path, filters: Filters = EVERYTHING, **how: Any) -> Imported:
    with open(path, "rb") as file:
        reader = ArchiveReader(read_lines(file))
        job = Import(store, reader.header.namespace, **how)
        return await job.run(archived(reader), filters, quietly)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.gz", "all.jsonl.zst"])
async def test_what_is_imported_is_what_was_exported(
    source: SessionStore, target: SessionStore, tmp_path: Path, name: str, plain: bool
) -> None:
    await one_of_everything(source)
    exported = await export(source, tmp_path / name, plain=plain)

    imported = await take(target, tmp_path / name, verify=True)

    assert (imported.written, imported.problems, exported.problems) == (exported.totals.sessions, [], [])
    assert await contents_of(target) == await contents_of(source)
    for session_id in ("full", "empty", "cleared"):
        before, after = await source.get(session_id), await target.get(session_id)
        of_this_life = {"incarnation": "", "position": "", "token": ""}
        assert after.to_dict() | of_this_life == before.to_dict() | of_this_life
        assert after.incarnation != before.incarnation
    assert await target.entries("full") == await source.entries("full")
    assert await target.kv("things").get("key") == {"value": 1}
    assert await target.user("ada").get("theme") == "dark"
    # It goes on as it would have: sequences, counters, and ids that were given stand once.
    for store in (source, target):
        await store.append("full", Message.user("three again", id="new"), Message.user("four"))
        await store.append("cleared", Message.user("second"))
    assert [each.seq for each in await target.entries("cleared")] == [2]
    assert await target.history("full") == await source.history("full")
    assert await target.state("full").add("count", 1) == 42


async def test_times_to_live_are_kept_as_times(
    source: SessionStore, target: SessionStore, tmp_path: Path
) -> None:
    await source.create("short", ttl=0.3)
    await source.create("long", ttl="1h")
    await source.state("long").set("soon", 1, ttl=0.3)
    await source.state("long").set("later", 2, ttl="2h")
    await export(source, tmp_path / "all.jsonl")
    expires = (await source.get("long")).expires_at
    await asyncio.sleep(0.35)

    imported = await take(target, tmp_path / "all.jsonl")

    assert (imported.written, imported.expired) == (1, 1)
    session = await target.get("long")
    assert (session.expires_at, session.ttl) == (expires, 3600)
    with pytest.raises(SessionNotFoundError):
        await target.get("short")
    assert await target.state("long").get("soon") is None
    assert await target.state("long").get("later") == 2


async def test_only_what_the_filters_fit(
    source: SessionStore, target: SessionStore, tmp_path: Path
) -> None:
    await source.create("a", user_id="ada", tags=["x", "y"])
    await source.create("b", user_id="bob", tags=["x"], agent="helper")
    await source.kv("things").set("key", 1)
    by = {
        "user": (Filters.of(user_id="ada"), 1),
        "agent": (Filters.of(agent="helper"), 1),
        "kind": (Filters.of(kind="kv"), 1),
        "tag": (Filters.of(tags=["x"]), 2),
        "tags": (Filters.of(tags=["x", "y"]), 1),
        "since": (Filters.of(since=(await source.get("b")).last_activity.replace(year=2999)), 0),
    }
    for name, (filters, count) in by.items():
        assert (await export(source, tmp_path / name, filters)).totals.sessions == count, name
    await export(source, tmp_path / "all")
    assert (await take(target, tmp_path / "all", Filters.of(user_id="ada"))).written == 1


@pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.gz", "all.jsonl.zst"])
async def test_an_archive_that_was_cut_off_is_gone_on_with(
    source: SessionStore, target: SessionStore, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("miniagent_store.moving.frames._FRAME", 2_000)
    await fill(source, 20, 3)
    await one_of_everything(source)
    path = tmp_path / name
    wanted = (await export(source, path)).totals.to_dict()
    whole_file = path.read_bytes()
    for cut in (0, len(whole_file) // 3, len(whole_file) * 2 // 3, len(whole_file) - 1, len(whole_file)):
        path.write_bytes(whole_file[:cut])

        resumed = await export(source, path, resume=True)

        assert resumed.totals.sessions == wanted["sessions"]
        with open(path, "rb") as file:
            reader = ArchiveReader(read_lines(file))
            assert sum(1 for _ in reader.sessions()) == wanted["sessions"]
        assert reader.complete
    await take(target, path)
    assert await contents_of(target) == await contents_of(source)


async def test_an_archive_goes_on_as_it_was_begun(source: SessionStore, tmp_path: Path) -> None:
    await fill(source, 2)
    await export(source, tmp_path / "all")

    with pytest.raises(FileExistsError):
        await export(source, tmp_path / "all")
    with pytest.raises(ArchiveError, match=r"with plain False, .* not with plain True"):
        await export(source, tmp_path / "all", plain=True, resume=True)
    (tmp_path / "other").write_text("my diary\n")
    with pytest.raises(ArchiveError, match="not JSON"):
        await export(source, tmp_path / "other", resume=True)
    assert (tmp_path / "other").read_text() == "my diary\n"


async def test_what_is_damaged_is_an_error_and_never_another_value(
    source: SessionStore, tmp_path: Path
) -> None:
    await fill(source, 3, 2)
    await export(source, tmp_path / "good")
    lines = (tmp_path / "good").read_bytes().splitlines(keepends=True)
    head, first, rest = lines[0], lines[1:5], lines[5:]
    changed = json.loads(first[1]) | {"seq": 2}
    damaged = {
        "an entry is missing": [head, first[0], *first[2:], *rest],
        "a session is missing": [head, *rest],
        "a session stands twice": [head, *first, *first, *rest],
        "no trailer": lines[:-1],
        "something behind it": [*lines, first[0]],
        "half a line": [*lines[:-1], lines[-1][:20]],
        "another time": [head, first[0].replace(b'"created":1', b'"created":2'), *lines[2:]],
        "another sequence": [head, first[0], json.dumps(changed).encode() + b"\n", *lines[3:]],
        "a later format": [head.replace(b'"format":1', b'"format":2'), *lines[1:]],
        "a brace in an id": [line.replace(b'"s0"', b'"s{0}"') for line in lines],
        "nothing": [],
        "not ours": [b"{}\n"],
    }
    for what, content in damaged.items():
        (tmp_path / "bad").write_bytes(b"".join(content))
        async with open_store("memory://") as store:
            with pytest.raises(ArchiveError):
                await take(store, tmp_path / "bad")
            # Whatever came in before is whole.
            for session in await store.list():
                assert session.message_count == 2, what
    for size in (10, 100, len(gzip.compress(b"".join(lines))) - 5):
        (tmp_path / "bad").write_bytes(gzip.compress(b"".join(lines))[:size])
        async with open_store("memory://") as store:
            with pytest.raises(ArchiveError):
                await take(store, tmp_path / "bad")


async def test_importing_again_does_the_rest_and_harms_nothing(
    source: SessionStore, target: SessionStore, tmp_path: Path
) -> None:
    await fill(source, 5)
    await export(source, tmp_path / "all")
    await take(target, tmp_path / "all")
    await target.delete("s1")
    await target.touch("s2")
    await target.append("s3", Message.user("of my own"))

    with pytest.raises(ConflictError, match="'s3'"):
        await take(target, tmp_path / "all")
    skipped = await take(target, tmp_path / "all", on_conflict="skip")
    assert (skipped.skipped, skipped.written + skipped.unchanged) == (1, 4)
    assert (await target.history("s3", last=1))[0].content == "of my own"
    replaced = await take(target, tmp_path / "all", on_conflict="replace", verify=True)

    assert (replaced.written, replaced.replaced) == (1, 1)
    assert await contents_of(target) == await contents_of(source)


@pytest.mark.parametrize("more", ["", "&shred=true"])
async def test_what_is_encrypted_stays_so_or_is_opened_on_request(tmp_path: Path, more: str) -> None:
    ring = Keyring([Key.generate("one")])
    url = "?serializer=encrypted&namespace=prod" + more
    async with open_store(f"sqlite:///{tmp_path}/one.db{url}", keyring=ring) as store:
        await one_of_everything(store)
        await store.append("full", Message.user("a secret text"))
        await export(store, tmp_path / "plain", plain=True)
        before = await contents_of(store)
    async with open_store(f"sqlite:///{tmp_path}/one.db?namespace=prod") as without_keys:
        sealed = await export(without_keys, tmp_path / "sealed")
        refused = await export(without_keys, tmp_path / "refused", plain=True)
    assert sealed.problems == []
    assert refused.problems
    assert b"a secret text" in (tmp_path / "plain").read_bytes()
    assert b"a secret text" not in b"".join(
        line for line in _payloads((tmp_path / "sealed").read_bytes().splitlines())
    )

    async with open_store(f"sqlite:///{tmp_path}/two.db{url}", keyring=ring) as store:
        await take(store, tmp_path / "sealed", verify=True)
        assert await contents_of(store) == before
        assert (await store.history("full", last=1))[0].content == "a secret text"
    async with open_store(f"sqlite:///{tmp_path}/three.db?namespace=prod") as store:
        done = await take(store, tmp_path / "sealed")
        assert "--sealed" in done.problems[0]
        assert (await take(store, tmp_path / "sealed", sealed=True)).problems == []
        with pytest.raises(SerializationError, match="not allowed"):
            await store.history("full")
    async with open_store(f"sqlite:///{tmp_path}/three.db{url}", keyring=ring) as store:
        assert await contents_of(store) == before
    async with open_store("memory://" + url.replace("prod", "test"), keyring=ring) as store:
        done = await take(store, tmp_path / "sealed")
        assert "namespace 'prod'" in done.problems[0]
        # Opened, it goes anywhere, and is encrypted again there.
        assert (await take(store, tmp_path / "plain", verify=True)).problems == []
        assert await contents_of(store) == before
        assert b"a secret text" not in (await whole(store, "full")).logs["messages"][-1].payload


def _payloads(lines: list[bytes]) -> list[bytes]:
    import base64

    return [base64.b64decode(fields["data"]) for fields in map(json.loads, lines) if "data" in fields]


async def test_a_long_history_is_taken_in_pages(
    source: SessionStore, target: SessionStore, tmp_path: Path
) -> None:
    await source.create("long")
    await source.append("long", *(Message.user(str(number)) for number in range(700)))
    await source.append("long", *({"n": number} for number in range(510)), log="other")
    await source.trim("long", before=100)
    await export(source, tmp_path / "all")

    await take(target, tmp_path / "all", verify=True)

    assert await contents_of(target) == await contents_of(source)


async def test_a_session_over_the_limit_is_told_and_the_others_come_in(
    source: SessionStore, tmp_path: Path
) -> None:
    await fill(source, 3)
    await source.append("s1", Message.user("x" * 10_000))
    await export(source, tmp_path / "all")
    async with open_store("memory://?max_session_size=5KiB") as store:
        done = await take(store, tmp_path / "all")

    assert done.written == 2
    assert "'s1'" in done.problems[0]


def test_a_time_without_a_zone_is_no_filter() -> None:
    from datetime import datetime

    with pytest.raises(InvalidArgumentError):
        Filters.of(since=datetime(2030, 1, 1))

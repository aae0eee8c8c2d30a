"""What a tenant may hold and do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from miniagent_store import (
    CapacityError,
    InvalidArgumentError,
    Message,
    SessionExistsError,
    SessionStore,
    StoreError,
    TenantLimitError,
    TenantLimits,
)
from miniagent_store.testing import backend_of
from tests.tenants.conftest import KEYRING, Place


async def refused(call: Any) -> TenantLimitError:
    with pytest.raises(TenantLimitError) as raised:
        await call
    assert isinstance(raised.value, CapacityError)
    assert raised.value.tenant == "acme"
    return raised.value


async def removing_and_reading_work(view: SessionStore, name: str) -> None:
    await view.get(name)
    await view.history(name)
    await view.list()
    await view.touch(name)
    await view.cache.set("k", "v")
    await view.cache.get("k")
    async with view.lock("l"):
        pass
    await view.pop(name)
    await view.trim(name, before=1)
    await view.rewind(name, to=0)
    await view.clear(name)
    await view.state(name).delete("nothing")
    await view.update(name, tags=["over"])


async def test_sessions(place: Place) -> None:
    async with place.store() as store:
        acme = store.tenant("acme", limits=TenantLimits(sessions=2))
        await acme.create("s1")
        await acme.append("s2", Message.user("x"), create=True)

        for call in (
            acme.create("s3"),
            acme.append("s3", Message.user("x"), create=True),
            acme.fork("s2", new_id="s3"),
        ):
            error = await refused(call)
            assert (error.limit, error.allowed, error.used) == ("sessions", 2, 2)
            assert "tenant 'acme' holds 2 of 2 sessions; delete some, or raise sessions=" in str(error)
        # What is there goes on, also where it would have been made.
        await acme.append("s2", Message.user("y"), create=True)
        assert (await acme.create("s1", exist_ok=True)).id == "s1"
        with pytest.raises(SessionExistsError):
            await acme.create("s1")
        await acme.kv("settings").set("n", 1)
        await removing_and_reading_work(acme, "s2")

        assert await acme.delete("s1")
        await acme.create("s3")
        await refused(acme.create("s4"))
        # Others have their own.
        await store.tenant("globex").create("s3")
        await store.create("s3")
        assert (await acme.stats()).sessions["session"] == 2
        # Views that were not given limits hold none.
        await store.tenant("acme").create("s4")


async def test_size(place: Place) -> None:
    async with place.store() as store:
        acme = store.tenant("acme", limits=TenantLimits(size="1kB"))
        for number in range(3):
            await acme.append("s", Message.user("x" * 200, id=f"m{number}"), create=True)

        calls = (
            acme.append("s", Message.user("x" * 500)),
            acme.state("s").set("v", "x" * 500),
            acme.kv("settings").set("v", "x" * 500),
            acme.update("s", metadata={"m": "x" * 500}),
            acme.create("t", metadata={"m": "x" * 500}),
        )
        for call in calls:
            error = await refused(call)
            assert (error.limit, error.allowed) == ("size", 1000)
            assert error.used > 1000
        await removing_and_reading_work(acme, "s")
        await acme.append("s", Message.user("x" * 500))
        assert (await acme.stats()).size <= 1000


async def test_commits(place: Place) -> None:
    async with place.store() as store:
        acme = store.tenant("acme", limits=TenantLimits(commits=(5, 600)))
        for number in range(5):
            await acme.append("s", Message.user(str(number)), create=True)

        error = await refused(acme.append("s", Message.user("x")))
        assert (error.limit, error.allowed) == ("commits", 5)
        assert error.retry_after is not None
        assert 0 < error.retry_after <= 1200
        await refused(acme.create("t"))
        await refused(acme.fork("s"))
        await removing_and_reading_work(acme, "s")
        # One counter for all views of the tenant, whatever their callers count.
        assert (await acme.rate_limit("commits", 1, 600)).allowed
        await refused(store.tenant("acme", ttl="1h", limits=TenantLimits(commits=(5, 600))).create("t"))


async def test_many_at_once_do_not_go_over_by_more_than_is_under_way(place: Place) -> None:
    async with place.store() as store:
        acme = store.tenant("acme", limits=TenantLimits(sessions=10))
        await acme.create("s0")
        done = await asyncio.gather(
            *(acme.create(f"s{number}") for number in range(1, 60)), return_exceptions=True
        )
        for problem in done:
            assert not isinstance(problem, BaseException) or isinstance(problem, TenantLimitError)
        await refused(acme.create("late"))


async def test_encrypted_with_data_keys_reading_goes_on(place: Place) -> None:
    options = {"serializer": "msgpack+encrypted", "keyring": KEYRING, "shred": True}
    async with place.store(**options) as store:
        plain = store.tenant("acme")
        await plain.append("s", Message.user("x"), create=True)
        acme = store.tenant("acme", limits=TenantLimits(sessions=1, size=1, commits=(1, 600)))
        await refused(acme.create("t"))
        await refused(acme.append("s", Message.user("x")))
        assert await acme.cache.get("k") is None
        await acme.cache.set("k", "v")
        assert await acme.cache.get("k") == "v"
        assert len(await acme.history("s")) == 1
        await acme.clear("s")
        assert await acme.delete("s")


async def test_what_was_counted_is_asked_for_once_a_second() -> None:
    from miniagent_store import open_store

    async with open_store("memory://") as store:
        acme = store.tenant("acme", limits=TenantLimits(sessions=100, size="1MiB"))
        backend = backend_of(acme)
        asked, stats = 0, backend.stats

        async def counted() -> Any:
            nonlocal asked
            asked += 1
            return await stats()

        backend.stats = counted  # type: ignore[method-assign]
        for number in range(50):
            await acme.append(f"s{number}", Message.user("x"), create=True)
        assert asked <= 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"sessions": 0},
        {"sessions": True},
        {"sessions": "3"},
        {"size": "much"},
        {"size": 0},
        {"commits": 5},
        {"commits": (0, "1m")},
        {"commits": (5, "soon")},
        {"commits": (5, 0)},
        {"commits": (5,)},
    ],
)
def test_what_is_no_limit_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError):
        TenantLimits(**wrong)


def test_limits_are_values() -> None:
    assert TenantLimits(size="1KiB") == TenantLimits(size=1024)
    assert issubclass(TenantLimitError, StoreError)
    assert not TenantLimitError.retryable

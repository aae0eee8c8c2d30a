"""A data key for each session: made, kept, shared, rotated and destroyed with it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from miniagent_store import (
    ConfigurationError,
    CryptoError,
    Key,
    KeyNotFoundError,
    KeyProviderError,
    Keyring,
    SessionExistsError,
    SessionStore,
    TamperedError,
    WrappedKey,
    open_store,
)


class Service:
    """A key service in this process: it wraps and unwraps, counts, and can be away."""

    def __init__(self) -> None:
        self.rings = {"v1": Keyring([Key.generate("v1")])}
        self.current = "v1"
        self.calls = {"wrap": 0, "unwrap": 0}
        self.away = 0

    def rotate(self, name: str) -> None:
        self.rings[name] = Keyring([Key.generate(name)])
        self.current = name

    def _service(self, name: str) -> Any:
        from miniagent_store.keys.keyring_provider import KeyringProvider

        return KeyringProvider(self.rings[name])

    def _be_there(self) -> None:
        if self.away:
            self.away -= 1
            raise ConnectionError("secret-token: the service is away")

    async def primary(self) -> str:
        return self.current

    async def wrap(self, data_key: bytes, context: bytes) -> WrappedKey:
        self._be_there()
        self.calls["wrap"] += 1
        wrapped = await self._service(self.current).wrap(data_key, context)
        return WrappedKey(self.current, wrapped.data)

    async def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytes:
        self._be_there()
        self.calls["unwrap"] += 1
        if wrapped.key_id not in self.rings:
            raise KeyNotFoundError(key_id=wrapped.key_id, known=self.rings)
        ring = self.rings[wrapped.key_id]
        data: bytes = await self._service(wrapped.key_id).unwrap(
            WrappedKey(ring.primary.id.hex(), wrapped.data), context
        )
        return data


@pytest.fixture(params=["shred", "service"])
def keyed(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Options of a store whose sessions have data keys."""
    if request.param == "shred":
        return {"serializer": "encrypted", "shred": True, "keyring": Keyring([Key.generate("k")])}
    return {"serializer": "encrypted", "keyring": Service()}


async def fill(store: SessionStore, session_id: str, text: str = "x") -> None:
    await store.append(session_id, {"role": "user", "content": text, "id": "m1"}, create=True)
    await store.update(session_id, metadata={"note": text})
    await store.state(session_id).set("plan", text)


async def check(store: SessionStore, session_id: str, text: str = "x") -> None:
    snapshot = await store.snapshot(session_id, state=True)
    assert [message.content for message in snapshot.history] == [text]
    assert snapshot.state == {"plan": text}
    assert snapshot.session.metadata == {"note": text}


async def test_sessions_are_written_and_read_by_several_stores(place: str, keyed: dict[str, Any]) -> None:
    async with open_store(place, **keyed) as first, open_store(place, **keyed) as second:
        await first.create("made", user_id="ada", metadata={"a": 1})
        assert (await second.get("made")).metadata == {"a": 1}
        await fill(first, "s1")
        await fill(second, "s2")
        for store in (first, second):
            await check(store, "s1")
            await check(store, "s2")
        await second.append("s1", {"role": "user", "content": "y"})
        assert [message.content for message in await first.history("s1")] == ["x", "y"]
        # A repeated message with an id is known, whoever repeats it.
        assert (await second.append("s1", {"role": "user", "content": "x", "id": "m1"})).message_count == 2
        assert [session.metadata for session in (await second.list(user_id="ada")).items] == [{"a": 1}]
        await first.fork("s1", new_id="f")
        assert [message.content for message in await second.history("f")] == ["x", "y"]
        await first.cache.set("c", "v")
        assert await second.cache.get("c") == "v"
        await first.kv("settings").set("colour", "red")
        assert await second.kv("settings").get("colour") == "red"
        async with second.turn("t", create=True) as turn:
            turn.append({"role": "user", "content": "z"})
        async with first.turn("t") as turn:
            assert [message.content for message in turn.history] == ["z"]
    async with open_store(place, **keyed) as third:
        await check(third, "s2")
        assert await third.cache.get("c") == "v"


async def test_many_stores_create_one_session_at_once(place: str, keyed: dict[str, Any]) -> None:
    stores = [open_store(place, **keyed) for _ in range(4)]
    try:
        for number in range(10):
            session_id = f"s{number}"
            await asyncio.gather(
                *(
                    store.append(session_id, {"role": "user", "content": f"{at}"}, create=True)
                    for at, store in enumerate(stores)
                ),
                *(store.create(session_id, exist_ok=True) for store in stores),
            )
            for store in stores:
                texts = [message.content for message in await store.history(session_id)]
                assert sorted(texts) == ["0", "1", "2", "3"]
    finally:
        for store in stores:
            await store.close()


async def test_a_session_that_was_made_anew_is_not_written_with_the_old_key(
    place: str, keyed: dict[str, Any]
) -> None:
    async with open_store(place, **keyed) as first, open_store(place, **keyed) as second:
        for number in range(5):
            await fill(first, "s", f"old {number}")
            await second.delete("s")
            await second.create("s")
            # The first store still remembers the key of the session that is gone.
            await first.append("s", {"role": "user", "content": f"new {number}"})
            for store in (first, second):
                assert [message.content for message in await store.history("s")] == [f"new {number}"]
            with pytest.raises(SessionExistsError):
                await first.create("s")
            await second.delete("s")


async def test_shredded_means_unreadable(place: str, keyed: dict[str, Any]) -> None:
    async with open_store(place, **keyed) as store, open_store(place, **keyed) as other:
        await fill(store, "s")
        await fill(store, "kept")
        await check(other, "s")

        assert await store.shred("s") is True
        assert await store.shred("s") is False

        for each in (store, other):
            for call in (each.history("s"), each.get("s"), each.state("s").get("plan")):
                with pytest.raises(CryptoError, match="data key was destroyed"):
                    await call
            with pytest.raises(CryptoError, match="data key was destroyed"):
                await each.append("s", {"role": "user", "content": "more"})
            await check(each, "kept")
        assert await store.delete("s") is True
        await fill(store, "s", "anew")
        await check(other, "s", "anew")
    async with open_store(place, **keyed) as later:
        await check(later, "kept")


async def test_sessions_of_before_get_a_data_key(place: str) -> None:
    ring = Keyring([Key.generate("k")])
    async with open_store(place, serializer="encrypted", keyring=ring) as plain:
        await fill(plain, "written")
        await fill(plain, "swept")
        await plain.create("bare")
    async with open_store(place, serializer="encrypted", keyring=ring, shred=True) as store:
        await check(store, "written")
        await store.append("written", {"role": "user", "content": "more"})
        await store.update("bare", metadata={"a": 1})
        result = await store.reencrypt()
        assert {each.key_id for each in result.in_use} == {"data key", ring.primary.id.hex()}
        assert {e.codecs for e in result.in_use if e.key_id != "data key"} == {"wrapped"}
        await check(store, "swept")
        await store.shred("swept")
        with pytest.raises(CryptoError):
            await store.history("swept")
    # Who does not say shred=true reads them too, and a metadata update does not lose the key.
    async with open_store(place, serializer="encrypted", keyring=ring) as plain:
        assert len(await plain.history("written")) == 2
        await plain.update("written", metadata={"b": 2})
        assert len(await plain.history("written")) == 2
    async with open_store(place, serializer="encrypted", keyring=ring, shred=True) as store:
        assert (await store.get("written")).metadata == {"b": 2}


async def test_rotation_wraps_data_keys_anew_and_leaves_values(place: str) -> None:
    old, new = Key.generate("old"), Key.generate("new")
    options: dict[str, Any] = {"serializer": "encrypted", "shred": True}
    async with open_store(place, keyring=Keyring([old]), **options) as store:
        await fill(store, "s")
    async with open_store(place, keyring=Keyring([new, old]), **options) as store:
        result = await store.reencrypt()
        assert result.rewritten == 1
        assert {each.key_id for each in result.in_use} == {"data key", new.id.hex()}
    async with open_store(place, keyring=Keyring([new]), **options) as store:
        await check(store, "s")


async def test_a_service_is_asked_once_a_session_and_rotates(place: str) -> None:
    service = Service()
    async with open_store(place, serializer="encrypted", keyring=service) as store:
        for number in range(50):
            await store.append("s", {"role": "user", "content": f"{number}"}, create=True)
        assert service.calls == {"wrap": 1, "unwrap": 0}
    service.rotate("v2")
    async with open_store(place, serializer="encrypted", keyring=service) as store:
        assert len(await store.history("s")) == 50
        await store.history("s")
        assert service.calls == {"wrap": 1, "unwrap": 1}
        result = await store.reencrypt()
        assert {each.key_id for each in result.in_use} == {"data key", "v2"}
    del service.rings["v1"]
    async with open_store(place, serializer="encrypted", keyring=service) as store:
        assert len(await store.history("s")) == 50


async def test_a_service_that_is_away_is_waited_for_and_then_told(place: str) -> None:
    service = Service()
    async with open_store(place, serializer="encrypted", keyring=service, deadline="1s") as store:
        await fill(store, "s")
        service.away = 3
        await fill(store, "later")
        await check(store, "later")
        service.away = 10**9
        with pytest.raises(KeyProviderError) as caught:
            await fill(store, "never")
        assert caught.value.retryable
        assert "secret-token" not in str(caught.value) + repr(caught.value.__context__)
        await check(store, "s")


async def test_a_wrapped_key_that_was_moved_is_refused(place: str, keyed: dict[str, Any]) -> None:
    from miniagent_store.backend import ReadPlan, Rewrite

    async with open_store(place, **keyed) as store:
        await fill(store, "s1")
        await fill(store, "s2")
        backend: Any = store._core.backend  # type: ignore[attr-defined]
        one = (await backend.read(ReadPlan("s1"))).record
        two = (await backend.read(ReadPlan("s2"))).record
        change = Rewrite("s1", one.incarnation, data_key=(one.data_key, two.data_key))
        assert (await backend.rewrite(change)).replaced == 1
        with pytest.raises(TamperedError, match="s1"):
            await store.history("s1")
        await check(store, "s2")


def test_there_must_be_something_to_shred() -> None:
    with pytest.raises(ConfigurationError, match="needs encryption"):
        open_store("memory://", shred=True)


def test_encryption_needs_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINIAGENT_STORE_KEYS", raising=False)
    with pytest.raises(ConfigurationError, match="keys generate"):
        open_store("memory://?serializer=encrypted")
    secret = Key.generate("k").to_text()
    with pytest.raises(ConfigurationError) as caught:
        open_store("memory://", serializer="encrypted", keys=secret)
    assert secret.partition(":")[2] not in str(caught.value)


async def test_shredding_is_not_undone_by_a_rotation_at_the_same_moment(place: str) -> None:
    old, new = Key.generate("old"), Key.generate("new")
    options: dict[str, Any] = {"serializer": "encrypted", "shred": True}

    class RotatesFirst:
        """Lets a rotation wrap the data key anew between what shredding has read and what it writes."""

        def __init__(self, backend: Any, rotate: Any) -> None:
            self._backend, self._rotate = backend, rotate

        def __getattr__(self, name: str) -> Any:
            return getattr(self._backend, name)

        async def rewrite(self, change: Any) -> Any:
            rotate, self._rotate = self._rotate, None
            if rotate is not None:
                assert (await rotate()).rewritten >= 1
            return await self._backend.rewrite(change)

    async with (
        open_store(place, keyring=Keyring([old]), **options) as store,
        open_store(place, keyring=Keyring([new, old]), **options) as rotating,
    ):
        await fill(store, "s")
        keys: Any = store._core.keys  # type: ignore[attr-defined]
        keys._backend = RotatesFirst(keys._backend, rotating.reencrypt)

        assert await store.shred("s") is True

        for each in (store, rotating):
            with pytest.raises(CryptoError, match="data key was destroyed"):
                await each.history("s")

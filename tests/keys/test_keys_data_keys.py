"""Data keys: made, wrapped, learnt, rotated and forgotten, and what a broken key service is answered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from miniagent_store.errors import (
    CryptoError,
    DecodeError,
    KeyNotFoundError,
    KeyProviderError,
    TamperedError,
)
from miniagent_store.keys import Key, Keyring, WrappedKey, data_keys
from miniagent_store.keys.data_keys import DESTROYED, DataKeys, wrapped_by
from miniagent_store.keys.keyring_provider import KeyringProvider
from miniagent_store.serializer import Context

OLD, NEW = Key(bytes(range(32)), "old"), Key(bytes(range(1, 33)), "new")
RING = Keyring([OLD])


def place(session_id: str) -> Context:
    return Context("app", "session", session_id, "metadata")


def with_ring(ring: Keyring = RING, namespace: str = "app", *, per_session: bool = True) -> DataKeys:
    return DataKeys(ring, namespace, per_session=per_session)


class Service:
    """A key service whose answers a test chooses."""

    def __init__(self, *, wrap: Any = None, unwrap: Any = None) -> None:
        self._ring, self._wrap, self._unwrap = KeyringProvider(RING), wrap, unwrap
        self.asked: list[str] = []

    async def primary(self) -> str:
        self.asked.append("primary")
        return await self._ring.primary()

    async def wrap(self, data_key: bytes, context: bytes) -> WrappedKey:
        self.asked.append("wrap")
        return await self._ring.wrap(data_key, context) if self._wrap is None else self._wrap(data_key)

    async def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytes:
        self.asked.append("unwrap")
        return await self._ring.unwrap(wrapped, context) if self._unwrap is None else self._unwrap(wrapped)


async def test_a_data_key_is_learnt_by_another_process_from_how_it_is_kept() -> None:
    key, packed = await with_ring().make("s1")
    other = with_ring()

    await other.learn("s1", packed, "i1")

    assert other.sealing_key(place("s1")) == key
    assert other.opening_key(key.id, place("s1")) == key
    assert key.secret not in packed
    assert wrapped_by(packed) == OLD.id.hex()


async def test_each_session_has_a_key_of_its_own_and_each_wrapping_differs() -> None:
    keys = with_ring()
    made = [await keys.make(session_id) for session_id in ("s1", "s1", "s2")]

    assert len({key.secret for key, _ in made}) == 3
    assert len({packed for _, packed in made}) == 3


async def test_a_key_that_was_not_fetched_is_said_to_be_so() -> None:
    with pytest.raises(CryptoError, match="the data key of 's1' was not fetched"):
        with_ring().sealing_key(place("s1"))
    with pytest.raises(KeyNotFoundError):
        DataKeys(Service(), "app", per_session=False).opening_key(b"1234", place("s1"))


async def test_without_data_keys_the_keyring_serves() -> None:
    keys = with_ring(per_session=False)

    assert keys.sealing_key(place("s1")) == OLD
    assert keys.opening_key(OLD.id, place("s1")) == OLD


async def test_what_was_written_before_a_session_had_a_data_key_is_still_read() -> None:
    keys = with_ring()
    _, packed = await keys.make("s1")
    await keys.learn("s1", packed, "i1")

    assert keys.opening_key(OLD.id, place("s1")) == OLD


async def test_a_session_that_lost_its_data_key_is_as_if_it_had_none() -> None:
    keys = with_ring(per_session=False)
    _, packed = await keys.make("s1")
    await keys.learn("s1", packed, "i1")

    await keys.learn("s1", b"", "i2")

    assert keys.held("s1") is None
    assert keys.sealing_key(place("s1")) == OLD


@pytest.mark.parametrize("moved", [("app", "s2"), ("other", "s1"), ("", "s1"), ("app", "")])
async def test_a_wrapped_key_is_refused_in_another_session_or_namespace(moved: tuple[str, str]) -> None:
    _, packed = await with_ring().make("s1")
    namespace, session_id = moved
    other = with_ring(namespace=namespace)

    with pytest.raises(TamperedError, match="modified, moved from another session") as caught:
        await other.learn(session_id, packed, "i1")

    assert caught.value.context == f"session {session_id!r} (data key)"
    assert other.held(session_id) is None


async def test_every_change_of_a_wrapped_key_is_refused() -> None:
    _, packed = await with_ring().make("s1")

    for bit in range(len(packed) * 8):
        changed = bytearray(packed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises((CryptoError, DecodeError)):
            await with_ring().learn("s1", bytes(changed), "i1")
    for size in range(1, len(packed)):
        with pytest.raises((CryptoError, DecodeError)):
            await with_ring().learn("s1", packed[:size], "i1")


async def test_a_key_whose_wrapping_key_is_missing_is_told_with_the_place() -> None:
    _, packed = await with_ring().make("s1")

    with pytest.raises(KeyNotFoundError) as caught:
        await with_ring(Keyring([NEW])).learn("s1", packed, "i1")

    assert str(caught.value) == (
        f"value in session 's1' (data key) was encrypted with key {OLD.id.hex()}, not in the keyring "
        f"(have {NEW.id.hex()}); add the old key as decrypt-only"
    )


async def test_a_key_that_another_service_wrapped_names_both() -> None:
    foreign = bytes((7,)) + b"kms/abc" + b"x" * 60

    with pytest.raises(KeyNotFoundError, match=f"with key kms/abc, not in .* .have {OLD.id.hex()}."):
        await with_ring().learn("s1", foreign, "i1")


async def test_rotation_wraps_the_same_key_anew_and_only_once() -> None:
    key, packed = await with_ring().make("s1")
    rotated = Keyring([NEW, OLD])

    again = await with_ring(rotated).rewrap("s1", packed)

    assert again is not None
    assert wrapped_by(again) == NEW.id.hex()
    assert await with_ring(rotated).rewrap("s1", again) is None
    assert await with_ring(rotated).rewrap("s1", DESTROYED) is None
    without_old = with_ring(Keyring([NEW]))
    await without_old.learn("s1", again, "i1")
    assert without_old.sealing_key(place("s1")) == key


async def test_a_destroyed_key_reads_and_writes_nothing() -> None:
    keys = with_ring()
    key, packed = await keys.make("s1")
    await keys.learn("s1", packed, "i1")

    await keys.learn("s1", DESTROYED, "i1")

    for use in (
        lambda: keys.sealing_key(place("s1")),
        lambda: keys.opening_key(key.id, place("s1")),
        lambda: keys.opening_key(OLD.id, place("s1")),
    ):
        with pytest.raises(CryptoError, match="data key was destroyed") as caught:
            use()
        assert caught.value.reason == "shredded"


async def test_a_forgotten_key_has_to_be_learnt_again() -> None:
    keys = with_ring()
    _, packed = await keys.make("s1")
    await keys.learn("s1", packed, "i1")
    assert keys.held("s1") is not None

    keys.forget("s1")
    keys.forget("s1")

    assert keys.held("s1") is None
    with pytest.raises(CryptoError, match="was not fetched"):
        keys.sealing_key(place("s1"))


async def test_a_service_is_asked_once_a_session() -> None:
    service = Service()
    keys = DataKeys(service, "app", per_session=False)
    assert keys.per_session
    _, packed = await keys.make("s1")

    for _ in range(3):
        await keys.learn("s1", packed, "i1")
    assert service.asked == ["wrap", "unwrap"]
    await keys.learn("s1", packed, "i2")
    assert service.asked == ["wrap", "unwrap", "unwrap"]


async def test_only_the_keys_met_lately_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_keys, "_REMEMBERED", 10)
    keys = with_ring()
    for number in range(10):
        keys.remember(f"s{number}", b"packed", "i1", Key.generate())
    assert keys.held("s0") is not None

    keys.remember("s10", b"packed", "i1", Key.generate())

    assert keys.held("s0") is not None
    assert keys.held("s1") is None
    assert len(keys._held) == 10


async def test_a_key_that_seals_inside_a_block_is_that_of_no_other_session_and_no_other_time() -> None:
    keys = with_ring()
    known, new = Key.generate(), Key.generate()
    keys.remember("s1", b"packed", "i1", known)
    keys.remember("s2", b"packed", "i1", known)

    with keys.sealing("s1", new):
        assert keys.sealing_key(place("s1")) is new
        assert keys.opening_key(new.id, place("s1")) is new
        assert keys.sealing_key(place("s2")) is known
        with keys.sealing("s2", new):
            assert keys.sealing_key(place("s1")) is known
            assert keys.sealing_key(place("s2")) is new
        with keys.sealing("s1", None):
            assert keys.sealing_key(place("s1")) is known
        assert keys.sealing_key(place("s1")) is new

    assert keys.sealing_key(place("s1")) is known
    with pytest.raises(KeyNotFoundError):
        keys.opening_key(new.id, place("s1"))


async def test_a_block_that_fails_leaves_no_key_behind() -> None:
    keys = with_ring(per_session=False)
    with pytest.raises(ZeroDivisionError), keys.sealing("s1", NEW):
        raise ZeroDivisionError
    assert keys.sealing_key(place("s1")) == OLD


def fail(error: BaseException) -> Any:
    def answer(_: Any) -> Any:
        raise error

    return answer


@pytest.mark.parametrize("error", [OSError("down"), TimeoutError(), ValueError("x"), RuntimeError("x")])
async def test_whatever_a_service_raises_is_an_outage(error: Exception) -> None:
    keys = DataKeys(Service(wrap=fail(error), unwrap=fail(error)), "app", per_session=True)
    _, packed = await with_ring().make("s1")

    for call in (keys.make("s1"), keys.learn("s1", packed, "i1")):
        with pytest.raises(
            KeyProviderError, match=f"failed .{type(error).__name__}.; is the key"
        ) as caught:
            await call
        assert caught.value.retryable


async def test_what_a_service_says_in_our_words_is_passed_on() -> None:
    keys = DataKeys(
        Service(unwrap=fail(KeyNotFoundError(key_id="kms-1", known=["kms-2"]))), "app", per_session=True
    )
    _, packed = await with_ring().make("s1")

    with pytest.raises(KeyNotFoundError, match=r"session 's1' \(data key\) was encrypted with key kms-1"):
        await keys.learn("s1", packed, "i1")


async def test_a_service_that_is_not_asynchronous_is_an_outage_too() -> None:
    class Sudden(Service):
        def primary(self) -> Any:
            raise OSError("down")

        def wrap(self, data_key: bytes, context: bytes) -> Any:
            raise OSError("down")

    _, packed = await with_ring().make("s1")
    keys = DataKeys(Sudden(), "app", per_session=True)

    for call in (keys.make("s1"), keys.rewrap("s1", packed)):
        with pytest.raises(KeyProviderError):
            await call


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"bytes",
        WrappedKey("", b"x"),
        WrappedKey("k" * 256, b"x"),
        WrappedKey("schlüssel", b"x"),
        WrappedKey("a\nb", b"x"),
        WrappedKey("k", b""),
        WrappedKey("k", b"x" * 65_537),
        WrappedKey("k", "text"),  # type: ignore[arg-type]
        WrappedKey(7, b"x"),  # type: ignore[arg-type]
    ],
)
async def test_a_service_that_wraps_in_an_impossible_way_is_named(answer: Any) -> None:
    keys = DataKeys(Service(wrap=lambda _: answer), "app", per_session=True)

    with pytest.raises(KeyProviderError, match=r"wrap\(\) must return a WrappedKey .* plugin is broken"):
        await keys.make("s1")


@pytest.mark.parametrize("answer", [None, b"", b"short", "text", bytes(32), b"x" * 33])
async def test_a_service_that_unwraps_to_no_key_is_named(answer: Any) -> None:
    keys = DataKeys(Service(unwrap=lambda _: answer), "app", per_session=True)
    _, packed = await with_ring().make("s1")

    with pytest.raises(KeyProviderError, match=r"unwrap\(\) must return the 32 bytes"):
        await keys.learn("s1", packed, "i1")
    assert keys.held("s1") is None


async def test_waiting_for_a_service_can_be_cancelled() -> None:
    class Slow(Service):
        async def wrap(self, data_key: bytes, context: bytes) -> WrappedKey:
            self.asked.append("wrap")
            await asyncio.Event().wait()
            raise AssertionError

    service = Slow()
    task = asyncio.create_task(DataKeys(service, "app", per_session=True).make("s1"))
    while not service.asked:
        await asyncio.sleep(0)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    "packed", [b"\x01", b"\x05abc", b"\xff" * 10, b"\x00abc", b"\x02\x00\x01x", b"\x01\xe9x"]
)
async def test_what_is_no_wrapped_key_is_refused(packed: bytes) -> None:
    with pytest.raises(DecodeError, match="the session's wrapped data key"):
        await with_ring().learn("s1", packed, "i1")

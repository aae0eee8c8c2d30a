"""No failure of layers with keys, of data keys and of key services tells a payload or a key."""

from __future__ import annotations

import base64
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from codec_support import CONTEXT
from keyed_support import GOLDEN_KEY, KEYED_CHAINS, OTHER_KEY, RING, keyed
from test_codec_leaks import CANARY, everything_reachable

from miniagent_store.errors import KeyProviderError, StoreError
from miniagent_store.keys import Key, Keyring, WrappedKey
from miniagent_store.keys.data_keys import DESTROYED, DataKeys
from miniagent_store.keys.keyring_provider import KeyringProvider
from miniagent_store.serializer import Context

VALUE = {"text": CANARY, CANARY: [CANARY.encode(), {CANARY}]}
THIRD = Key(bytes(range(2, 34)), "third")


def spellings(secret: bytes) -> Iterator[str]:
    """How bytes may stand in a text, in pieces."""
    for at in (0, len(secret) - 12):
        piece = secret[at : at + 12]
        yield from (piece.hex(), repr(piece)[2:-1], piece.decode("latin-1"), str(list(piece))[1:-1])
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(piece).decode()


SECRETS = [
    *spellings(CANARY.encode()),
    *(text for key in (GOLDEN_KEY, OTHER_KEY, THIRD) for text in spellings(key.secret)),
    *(text for purpose in (b"wrap", b"digest") for text in spellings(GOLDEN_KEY.derive(purpose))),
]


def assert_silent(error: BaseException, *more: bytes) -> None:
    assert error.__cause__ is None
    assert error.__context__ is None
    secrets = [*SECRETS, *(text for secret in more for text in spellings(secret))]
    for text in everything_reachable(error):
        assert not any(secret in text for secret in secrets)


@pytest.fixture(autouse=True)
def silent_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a test makes fail, nothing of it is in the log."""
    with caplog.at_level(logging.DEBUG):
        yield
        for record in caplog.get_records("call"):
            assert not any(
                secret in text for secret in SECRETS for text in (record.getMessage(), repr(vars(record)))
            )


def damaged(blob: bytes) -> Iterator[bytes]:
    for at in range(len(blob)):
        yield blob[:at] + bytes((blob[at] ^ 1,)) + blob[at + 1 :]
        yield blob[:at]
    yield blob.replace(GOLDEN_KEY.id, OTHER_KEY.id)
    yield blob + b"\x00"


@pytest.mark.parametrize("chain", KEYED_CHAINS)
def test_errors_of_damage_are_silent(chain: str) -> None:
    codec = keyed(chain)

    for blob in damaged(codec.encode(VALUE, CONTEXT)):
        with pytest.raises(StoreError) as caught:
            codec.decode(blob, CONTEXT)
        assert_silent(caught.value)


@pytest.mark.parametrize("chain", KEYED_CHAINS)
@pytest.mark.parametrize("reader", ["same", "aesgcm", "json", "no keys", "other keys", "moved"])
def test_errors_of_reading_otherwise_are_silent(chain: str, reader: str) -> None:
    place = replace(CONTEXT, entry_id=b"x") if reader == "moved" else CONTEXT
    codec = {
        "same": keyed(chain),
        "aesgcm": keyed("msgpack+aesgcm"),
        "json": keyed("json", keys=None),
        "no keys": keyed(chain, keys=None),
        "other keys": keyed(chain, keys=Keyring([THIRD])),
        "moved": keyed(chain),
    }[reader]
    blob = keyed(chain).encode(VALUE, CONTEXT)
    if reader in ("same", "aesgcm"):
        blob = blob[:-1] + bytes((blob[-1] ^ 1,))

    with pytest.raises(StoreError) as caught:
        codec.decode(blob, place)

    assert_silent(caught.value)


class FailingKeys:
    """A key source whose errors hold keys."""

    def sealing_key(self, context: Context) -> Key:
        raise RuntimeError(GOLDEN_KEY.secret, GOLDEN_KEY.to_text())

    def opening_key(self, key_id: bytes, context: Context) -> Key:
        try:
            raise LookupError(GOLDEN_KEY.secret)
        except LookupError as error:
            raise KeyProviderError("no key") from error


@pytest.mark.parametrize("chain", ["msgpack+hmac", "msgpack+aesgcm", "json+hmac+chacha"])
def test_errors_of_a_key_source_are_silent(chain: str) -> None:
    codec, blob = keyed(chain, keys=FailingKeys()), keyed(chain).encode(VALUE, CONTEXT)

    for call in (
        lambda: codec.encode(VALUE, CONTEXT),
        lambda: codec.decode(blob, CONTEXT),
        lambda: codec.digest(VALUE, CONTEXT, like=bytes(20)),
    ):
        with pytest.raises(StoreError) as caught:
            call()
        assert_silent(caught.value)


@pytest.mark.parametrize("chain", ["msgpack+hmac", "msgpack+aesgcm", "json+hmac+chacha"])
def test_errors_of_writing_are_silent(chain: str) -> None:
    for value in (object(), [CANARY, object()], CANARY + "\ud800", {float("nan"): CANARY}):
        with pytest.raises(StoreError) as caught:
            keyed(chain).encode(value, CONTEXT)
        assert_silent(caught.value)


# -- data keys and key services ------------------------------------------------------------------------


class FailingService:
    """A key service whose client tells all it knows when it fails."""

    def __init__(self, kind: type[Exception], *, chained: bool) -> None:
        self._kind, self._chained = kind, chained
        self.seen: list[bytes] = []

    def _fail(self, *told: Any) -> Any:
        error = self._kind(*told)
        error.add_note(f"was given {told} and has {GOLDEN_KEY.secret!r}")
        if not self._chained:
            raise error
        try:
            raise error
        except Exception as cause:
            raise KeyProviderError("the key service is on holiday") from cause

    async def primary(self) -> str:
        return self._fail(GOLDEN_KEY.secret)

    async def wrap(self, data_key: bytes, context: bytes) -> WrappedKey:
        self.seen.append(data_key)
        return self._fail(data_key, GOLDEN_KEY.secret)

    async def unwrap(self, wrapped: WrappedKey, context: bytes) -> bytes:
        return self._fail(GOLDEN_KEY.to_text(), GOLDEN_KEY.secret.hex())


@pytest.mark.parametrize("kind", [ValueError, OSError, KeyError, RuntimeError, StoreError])
@pytest.mark.parametrize("chained", [True, False])
async def test_errors_of_a_key_service_are_silent(kind: type[Exception], chained: bool) -> None:
    if kind is StoreError and not chained:
        return  # what it says in our own words is its own to answer for
    service = FailingService(kind, chained=chained)
    keys = DataKeys(service, "app", per_session=True)
    _, packed = await DataKeys(RING, "app", per_session=True).make("s1")

    for call in (keys.make("s1"), keys.learn("s1", packed, "i1"), keys.rewrap("s1", packed)):
        with pytest.raises(KeyProviderError) as caught:
            await call
        assert_silent(caught.value, *service.seen)
    assert len(service.seen) == 1


async def test_errors_of_wrapped_keys_are_silent() -> None:
    keys = DataKeys(RING, "app", per_session=True)
    key, packed = await keys.make("s1")

    for changed in damaged(packed):
        if changed in (b"", DESTROYED, packed):
            continue
        with pytest.raises(StoreError) as caught:
            await keys.learn("s1", changed, "i1")
        assert_silent(caught.value, key.secret)
    other = DataKeys(Keyring([THIRD]), "app", per_session=True)
    tries: list[Callable[[], Awaitable[Any]]] = [
        lambda: keys.learn("s2", packed, "i1"),
        lambda: other.learn("s1", packed, "i1"),
        lambda: other.rewrap("s1", packed),
    ]
    for attempt in tries:
        with pytest.raises(StoreError) as caught:
            await attempt()
        assert_silent(caught.value, key.secret)


async def test_errors_of_a_keyring_as_a_service_are_silent() -> None:
    provider, data_key = KeyringProvider(RING), THIRD.secret
    wrapped = await provider.wrap(data_key, b"here")

    for changed, place in (
        (wrapped, b"there"),
        (WrappedKey(OTHER_KEY.id.hex(), wrapped.data), b"here"),
        (WrappedKey(THIRD.id.hex(), wrapped.data), b"here"),
        (WrappedKey("no hex", wrapped.data), b"here"),
        (WrappedKey(wrapped.key_id, wrapped.data[:5]), b"here"),
        (WrappedKey(wrapped.key_id, b""), b"here"),
    ):
        with pytest.raises(StoreError) as caught:
            await provider.unwrap(changed, place)
        assert_silent(caught.value, data_key)


async def test_what_holds_keys_does_not_show_them() -> None:
    keys = DataKeys(RING, "app", per_session=True)
    key, packed = await keys.make("s1")
    await keys.learn("s1", packed, "i1")
    codec = keyed("msgpack+hmac+aesgcm", keys=keys)

    secrets = [*SECRETS, *spellings(key.secret)]
    for thing in (
        RING,
        keys,
        keys.held("s1"),
        codec,
        codec.chain,
        *codec.chain.layers,
        KeyringProvider(RING),
    ):
        shown = [repr(thing), str(thing), repr(getattr(thing, "__dict__", ""))]
        assert not any(secret in text for secret in secrets for text in shown)

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from codec_support import CONTEXT, PlainRegistry, ToySeal, ToyZip, make_codec

from miniagent_serializers import plugin
from miniagent_store.codec import Chain, Codec
from miniagent_store.errors import ConfigurationError, DecodeError, EncodeError, PluginError
from miniagent_store.plugins import Plugins
from miniagent_store.provider import Provider
from miniagent_store.serializer import Context, LayerKind, Limits, NamedSerializer


class Crypt(ToySeal):
    """Stands in for the default encryption."""

    name = "aesgcm"


class Hmac(ToySeal):
    name = "hmac"
    kind: LayerKind = "integrity"


PICKLE = NamedSerializer("unsafe", repr, eval, safe=False)  # type: ignore[arg-type]
REGISTRY = PlainRegistry([PICKLE], [Crypt(), Hmac()])


@pytest.mark.parametrize(
    ("text", "chain"),
    [
        ("json", "json+crc32"),
        ("msgpack+crc32", "msgpack+crc32"),
        ("msgpack+toyzip", "msgpack+toyzip+crc32"),
        ("msgpack+toyzip+crc32", "msgpack+toyzip+crc32"),
        ("msgpack toyzip toyseal", "msgpack+toyzip+toyseal"),
        ("msgpack%2Btoyzip%2btoyseal", "msgpack+toyzip+toyseal"),
        ("json+hmac", "json+hmac"),
        ("json+hmac+toyseal", "json+hmac+toyseal"),
        ("encrypted", "msgpack+aesgcm"),
        ("json+encrypted", "json+aesgcm"),
        ("unsafe+hmac", "unsafe+hmac"),
        ("unsafe+encrypted", "unsafe+aesgcm"),
    ],
)
def test_a_chain_is_read_from_a_url(text: str, chain: str) -> None:
    assert str(Chain.parse(text, REGISTRY)) == chain


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("msgpack+toyseal+toyzip", "encrypted bytes do not shrink; name toyzip before toyseal"),
        ("msgpack+toyseal+aesgcm", "toyseal and aesgcm both encrypt; once is enough"),
        ("msgpack+toyzip+toyzip", "do the same work"),
        ("msgpack+crc32+hmac", "do the same work"),
        ("msgpack+crc32+toyzip", "toyzip (compress) belongs inside crc32 (integrity)"),
        ("unsafe", "could run code here"),
        ("unsafe+crc32", "add '+hmac' or '+encrypted'"),
        ("", "is not a chain"),
        ("json+", "is not a chain"),
        ("json++crc32", "is not a chain"),
    ],
)
def test_a_chain_against_the_rules_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Chain.parse(text, REGISTRY)

    assert reason in str(caught.value)


def test_a_chain_built_in_code_keeps_the_rules_too() -> None:
    serializer = REGISTRY.serializer("json").load()

    with pytest.raises(ConfigurationError, match="nothing would notice changed bytes"):
        Chain(serializer, (ToyZip(),))


def test_plugins_serve_chains_and_an_unknown_name_gets_a_hint() -> None:
    installed = Plugins()
    registry = installed if installed.providers("serializer") else Plugins((plugin,))

    assert str(Chain.parse("msgpack", registry)) == "msgpack+crc32"
    with pytest.raises(ConfigurationError, match="msgpack"):
        Chain.parse("msgpak", registry)
    with pytest.raises(ConfigurationError, match="crc32"):
        Chain.parse("msgpack+crc", registry)


class Tagless(NamedSerializer):
    pass


@pytest.mark.parametrize("wire_id", [0x00, 0x04, 0x7F, 0xFF, 0x100, -1])
def test_a_wire_id_that_is_reserved_is_refused(wire_id: int) -> None:
    tagless = Tagless("tagless", lambda value: b"", lambda data: None)
    tagless.wire_id = wire_id

    with pytest.raises(ConfigurationError, match="use 0x80 to 0xFE, or None"):
        make_codec("tagless", registry=PlainRegistry([tagless]))


@pytest.mark.parametrize("name", ["Upper", "under_score", "é", "x" * 33])
def test_a_named_codec_needs_a_name_that_can_be_written(name: str) -> None:
    tagless = Tagless(name, lambda value: b"", lambda data: None)

    with pytest.raises(ConfigurationError, match="at most 32 lower-case letters"):
        make_codec(name, registry=PlainRegistry([tagless]))


def test_the_bytes_of_version_1_are_as_documented() -> None:
    blob = make_codec("msgpack").encode([1], CONTEXT)
    named = make_codec("json+toyseal").encode((1,), CONTEXT)

    assert blob[:4].hex() == "c122021f"
    assert blob[4:-4] == b"\x91\x01"
    assert len(blob) == 2 + 2 + 2 + 4
    assert named.startswith(b"\xc1\x32\x01\xff\x07toyseal" + bytes.fromhex("9f3a11c0") + b"nn{")


def test_compression_is_left_out_where_it_does_not_help() -> None:
    codec = make_codec("msgpack+toyzip")
    small, dense, long = "x" * 100, hashlib.shake_128(b"").digest(300), "x" * 1000

    chains = [str(codec.describe(codec.encode(value, CONTEXT))) for value in (small, dense, long)]

    assert chains == ["msgpack+crc32", "msgpack+crc32", "msgpack+toyzip+crc32"]
    for value in (small, dense, long):
        assert codec.decode(codec.encode(value, CONTEXT), CONTEXT) == value


def test_an_envelope_describes_itself_without_keys() -> None:
    writer = make_codec("msgpack+toyzip+toyseal")
    blob = writer.encode({"text": "x" * 1000, "pair": (1, 2)}, CONTEXT)

    info = make_codec("json").describe(blob)

    assert info.codecs == ("msgpack", "toyzip", "toyseal")
    assert info.key_id == "9f3a11c0"
    assert info.tagged
    assert (info.version, info.size) == (1, len(blob))
    assert info.body_size == len(blob) - len(b"\xc1\x33\x02\x90\xff\x07toyseal") - 6


def test_an_envelope_of_unknown_codecs_is_described_by_their_numbers() -> None:
    info = make_codec("json").describe(b"\xc1\x24\x02\x11\x99\xff\x03abc\x00\x00")

    assert info.codecs == ("msgpack", "zstd", "0x99", "abc")
    assert (info.key_id, info.body_size) == (None, None)


class Spy(NamedSerializer):
    """Counts how often it reads."""

    def __init__(self) -> None:
        super().__init__("spy", lambda value: b"[]", lambda data: self.reads.append(data))
        self.reads: list[bytes] = []


def test_a_store_without_encryption_reads_what_every_safe_serializer_wrote() -> None:
    for writer in ("json", "orjson", "msgpack", "msgpack+toyzip"):
        for reader in ("json", "orjson", "msgpack"):
            blob = make_codec(writer).encode({"text": "x" * 400}, CONTEXT)

            assert make_codec(reader).decode(blob, CONTEXT) == {"text": "x" * 400}


def test_an_encrypting_store_refuses_plaintext_before_it_is_parsed() -> None:
    spy = Spy()
    registry = PlainRegistry([spy])
    blob = make_codec("spy", registry=registry).encode([], CONTEXT)

    with pytest.raises(DecodeError) as caught:
        make_codec("msgpack+toyseal", registry=registry).decode(blob, CONTEXT)

    assert caught.value.reason == "codec not allowed"
    assert "add accept=spy+crc32 next to serializer=msgpack+toyseal" in str(caught.value)
    assert spy.reads == []


def test_an_encrypting_store_reads_plaintext_that_accept_lists() -> None:
    listed = make_codec("msgpack+toyseal", accept=["json"])

    assert listed.decode(make_codec("orjson+toyzip").encode(["x" * 400], CONTEXT), CONTEXT) == ["x" * 400]
    with pytest.raises(DecodeError, match="not allowed"):
        listed.decode(make_codec("msgpack").encode([1], CONTEXT), CONTEXT)


def test_an_encrypting_store_reads_other_encrypted_chains() -> None:
    blob = make_codec("json+toyseal").encode([1], CONTEXT)

    assert make_codec("msgpack+toyzip+toyseal").decode(blob, CONTEXT) == [1]


def test_a_store_without_encryption_refuses_encrypted_values_and_says_why() -> None:
    blob = make_codec("json+toyseal").encode([1], CONTEXT)

    with pytest.raises(DecodeError, match="the value is encrypted, and this store has no encryption"):
        make_codec("json").decode(blob, CONTEXT)


def test_an_authenticating_store_refuses_what_is_only_checked() -> None:
    blob = make_codec("json").encode([1], CONTEXT)

    with pytest.raises(DecodeError, match="the value is not authenticated"):
        make_codec("json+hmac", registry=REGISTRY).decode(blob, CONTEXT)


def test_an_unsafe_serializer_is_read_only_where_it_is_listed() -> None:
    blob = make_codec("unsafe+toyseal", registry=UNSAFE).encode([1], CONTEXT)

    with pytest.raises(DecodeError, match="only read where accept= lists it"):
        make_codec("msgpack+toyseal", registry=UNSAFE).decode(blob, CONTEXT)
    listed = make_codec("msgpack+toyseal", accept=["unsafe+toyseal"], registry=UNSAFE)
    assert listed.decode(blob, CONTEXT) == [1]


UNSAFE = PlainRegistry(
    [NamedSerializer("unsafe", lambda v: repr(v).encode(), lambda data: [1], safe=False)]
)


def test_a_codec_whose_package_is_missing_says_which_extra_to_install() -> None:
    def load() -> Any:
        raise ModuleNotFoundError("No module named 'toyzip'", name="toyzip")

    class Broken(PlainRegistry):
        def by_wire_id(self, wire_id: int) -> Provider[Any] | None:
            if wire_id == 0x90:
                return Provider("toyzip", load, wire_id=0x90, package="toyzip", extra="toys")
            return super().by_wire_id(wire_id)

    blob = make_codec("json+toyzip").encode("x" * 400, CONTEXT)

    with pytest.raises(DecodeError, match=r"pip install 'miniagent-store\[toys\]'") as caught:
        make_codec("json", registry=Broken()).decode(blob, CONTEXT)
    assert caught.value.reason == "codec unavailable"


def test_a_third_partys_two_functions_are_a_serializer() -> None:
    lines = NamedSerializer("lines", lambda value: json.dumps(value).encode(), json.loads)
    codec = make_codec("lines", registry=PlainRegistry([lines]))
    value = {"when": (1, 2), b"key": {3}, "text": "é"}

    blob = codec.encode(value, CONTEXT)

    assert blob.startswith(b"\xc1\x32\xff\x05lines\x1f")
    assert codec.decode(blob, CONTEXT) == value
    assert make_codec("json", registry=PlainRegistry([lines])).decode(blob, CONTEXT) == value
    with pytest.raises(DecodeError, match="install the plugin that brings the codec named 'lines'"):
        make_codec("json").decode(blob, CONTEXT)


def test_a_layer_that_breaks_its_contract_writes_nothing() -> None:
    class Liar(ToySeal):
        name = "liar"
        params_size = 3

    with pytest.raises(EncodeError, match="parameters of another size"):
        make_codec("json+liar", registry=PlainRegistry(layers=[Liar()])).encode(1, CONTEXT)


def test_layers_authenticate_the_header_and_the_parameters_inside_of_them() -> None:
    seen: list[tuple[str, bytes]] = []

    class Watch(Hmac):
        def encode(self, data: bytes, context: Context, header: bytes) -> tuple[bytes, bytes]:
            seen.append((self.name, header))
            return super().encode(data, context, header)

        def decode(
            self, params: bytes, body: bytes, context: Context, header: bytes, limits: Limits
        ) -> bytes:
            seen.append((self.name, header))
            return super().decode(params, body, context, header, limits)

    class Outer(Watch):
        name = "outer"
        kind: LayerKind = "encrypt"

    registry = PlainRegistry(layers=[Watch(), Outer()])
    codec: Codec = make_codec("json+hmac+outer", registry=registry)
    codec.decode(codec.encode(1, CONTEXT), CONTEXT)

    codecs = b"\xc1\x23\x01\xff\x04hmac\xff\x05outer"
    inner = bytes.fromhex("9f3a11c0") + b"nn"
    assert seen == [
        ("hmac", codecs),
        ("outer", codecs + inner),
        ("outer", codecs + inner),
        ("hmac", codecs),
    ]


class TwoFunctions:
    name = "two"

    def dumps(self, value: Any) -> bytes:
        return json.dumps(value).encode()

    def loads(self, data: bytes) -> Any:
        return json.loads(data)


class FromPlugin(PlainRegistry):
    """A registry with one more serializer, announced as `provider` says."""

    def __init__(self, provider: Provider[Any]) -> None:
        super().__init__()
        self._serializers.append(provider)


def test_a_class_with_a_name_and_two_functions_is_a_serializer() -> None:
    registry = FromPlugin(Provider("two", TwoFunctions))
    codec = make_codec("two+toyseal", registry=registry)

    blob = codec.encode({"pair": (1, 2)}, CONTEXT)

    assert blob.startswith(b"\xc1\x32\xff\x03two\xff\x07toyseal")
    assert codec.decode(blob, CONTEXT) == {"pair": (1, 2)}
    assert make_codec("json+toyseal", registry=registry).decode(blob, CONTEXT) == {"pair": (1, 2)}
    in_code = Codec(Chain.of(TwoFunctions(), registry), registry=registry)
    assert in_code.decode(in_code.encode({1}, CONTEXT), CONTEXT) == {1}
    assert str(in_code.chain) == "two+crc32"


def test_two_functions_that_are_announced_as_unsafe_need_authentication() -> None:
    with pytest.raises(ConfigurationError, match="could run code here"):
        Chain.parse("two", FromPlugin(Provider("two", TwoFunctions, safe=False)))


@pytest.mark.parametrize(
    ("provider", "problem"),
    [
        (Provider("two", object), "object is no serializer; it needs a name, dumps"),
        (Provider("other", TwoFunctions), "has another name ('two') than its plugin announces ('other')"),
        (Provider("two", TwoFunctions, wire_id=0x99), "has another wire_id (None)"),
    ],
)
def test_a_codec_that_is_not_what_was_announced_is_refused(provider: Provider[Any], problem: str) -> None:
    with pytest.raises(PluginError) as caught:
        Chain.parse(provider.name, FromPlugin(provider))

    assert problem in str(caught.value)


def test_what_is_no_serializer_is_refused_in_code() -> None:
    with pytest.raises(ConfigurationError, match="int is no serializer"):
        Chain.of(1, PlainRegistry())

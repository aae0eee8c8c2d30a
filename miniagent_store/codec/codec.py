"""Values to stored bytes and back: the one entrance to this package."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from miniagent_store.codec.acceptance import Reader
from miniagent_store.codec.bulk import bulk_reader
from miniagent_store.codec.chain import Chain
from miniagent_store.codec.digest import PLAIN_SIZE, digest_of, keyed_digest_of
from miniagent_store.codec.envelope import (
    MAGIC,
    VERSION,
    CodecId,
    build_header,
    parse_header,
)
from miniagent_store.codec.natives import StructureOfNatives, natives_of
from miniagent_store.codec.quick import UNREAD, quick_reader
from miniagent_store.codec.quick_write import ValueWriter, quick_writer
from miniagent_store.codec.registry import CodecRegistry
from miniagent_store.codec.types import TypeRegistry
from miniagent_store.codec.value_model import ValueModel
from miniagent_store.errors import DecodeError, EncodeError, SerializationError, StoreError
from miniagent_store.keys.key import KEY_ID_SIZE
from miniagent_store.keys.source import KeySource
from miniagent_store.serializer import Context, Layer, LegacyReader, Limits

E = TypeVar("E", bound=SerializationError)

# Shorter payloads do not shrink enough to pay for compressing them.
COMPRESS_FROM = 256


@dataclass(frozen=True, slots=True)
class EnvelopeInfo:
    """What an envelope says about itself without being opened.

    Attributes:
        version: of the layout.
        codecs: names, serializer first; the id in hex where a codec is not known here.
        key_id: of the key it is encrypted or authenticated with, in hex; None where there is none, or the
            codec is not installed.
        tagged: whether it holds types beyond those of JSON.
        size: all bytes.
        body_size: bytes without header and parameters; None where the codecs are not installed.
    """

    version: int
    codecs: tuple[str, ...]
    key_id: str | None
    tagged: bool
    size: int
    body_size: int | None

    def __str__(self) -> str:
        return "+".join(self.codecs)


class Codec:
    """Turns values into stored bytes and back; all that goes wrong is a `SerializationError`.

    Safe to use from several threads at once if its serializers and layers are.

    Args:
        chain: what is written.
        registry: finds the codecs of values that were written with another chain.
        accept: further chains to read. Always read are the own chain and safe chains that protect values
            at least as well; a store without encryption so reads what any safe serializer wrote.
        limits: of sizes and depth; both ways, so that nothing is written that cannot be read.
        types: classes of the application that may be stored.
        keys: what layers that need keys take them from.
        legacy: readers of values that have no envelope; without any, such values are refused.
    """

    chain: Chain

    def __init__(
        self,
        chain: Chain,
        *,
        registry: CodecRegistry,
        accept: Iterable[Chain] = (),
        limits: Limits | None = None,
        types: TypeRegistry | None = None,
        keys: KeySource | None = None,
        legacy: Iterable[LegacyReader] = (),
    ) -> None:
        accept = tuple(accept)
        if keys is not None:
            chain, accept = chain.with_keys(keys), tuple(listed.with_keys(keys) for listed in accept)
        self.chain, self._keys = chain, keys
        self.limits: Limits = limits if limits is not None else Limits()
        self.types: TypeRegistry = types if types is not None else TypeRegistry()
        natives = natives_of([chain])
        self._model = ValueModel(self.types, self.limits, natives)
        self._reading_model = ValueModel(self.types, self.limits, natives_of([chain, *accept]))
        self._digest_model = ValueModel(StructureOfNatives(self.types, natives), self.limits)
        self._reader, self._legacy = Reader(chain, registry, accept, keys), tuple(legacy)
        compressors = tuple(layer for layer in chain.layers if layer.kind == "compress")
        self._compressor: Layer | None = compressors[0] if compressors else None
        self._wrappers = tuple(layer for layer in chain.layers if layer.kind != "compress")
        # By whether tagged; the first pair for values that compression leaves as they are.
        self._headers = _headers(chain.protection)
        self._compressed_headers = _headers(chain.ids)
        self._quick = quick_reader(chain.serializer, self._wrappers, self._headers[False], self.limits)
        self._bulk = bulk_reader(
            chain.serializer,
            self._compressor,
            self._wrappers,
            (self._headers[False], self._compressed_headers[False]),
            self.limits,
        )
        self._quick_writer = quick_writer(
            chain.serializer,
            self._compressor,
            self._wrappers,
            (self._headers[False], self._compressed_headers[False]),
            COMPRESS_FROM,
            self.limits,
            self._encode_at,
        )

    @property
    def bound(self) -> bool:
        """Whether values can only be read in the place (`Context`) they were written for."""
        return self.chain.authenticated

    def encode(self, value: Any, context: Context) -> bytes:
        """Stored bytes for `value`.

        Args:
            value: anything of the value model.
            context: where it will stand.

        Raises:
            EncodeError: unsupported type, out of range, invalid text, too deep, too large.
            KeyProviderError: a key could not be had for now.
        """
        if self._quick_writer is None:
            return self._encode(value, context)
        return self.value_writer(context, 1)(value, context.entry_id)

    def value_writer(self, place: Context, count: int) -> ValueWriter:
        """What encodes several values of one place quicker than `encode` does.

        Args:
            place: where they will stand; the id of an entry is given with its value.
            count: how many values there are. Where the chain authenticates, it is to be used at once and
                for so many; elsewhere again and again.
        """
        if self._quick_writer is not None:
            try:
                return self._quick_writer(place, count)
            except Exception:  # noqa: BLE001 - what goes wrong here goes wrong again below, where it is told
                pass
        return lambda value, entry_id: self._encode_at(value, place, entry_id)

    def _encode_at(self, value: Any, place: Context, entry_id: bytes | None) -> bytes:
        return self._encode(
            value, place if entry_id == place.entry_id else replace(place, entry_id=entry_id)
        )

    def _encode(self, value: Any, context: Context) -> bytes:
        failure: StoreError
        at: str | None = None
        try:
            serializer, limits = self.chain.serializer, self.limits
            plain, tagged = self._model.flatten(value, native_bytes=serializer.native_bytes)
            at = serializer.name
            body = serializer.dumps(plain, context)
            if len(body) > limits.decoded:
                raise _too_large(EncodeError, len(body), limits.decoded, "decoded")
            params, header = b"", self._headers[tagged]
            if self._compressor is not None and len(body) >= COMPRESS_FROM:
                at = self._compressor.name
                own_params, shrunk = self._compressor.encode(body, context, b"")
                if len(own_params) != self._compressor.params_size:
                    raise _wrong_params(self._compressor)
                if len(own_params) + len(shrunk) < len(body):
                    params, body, header = own_params, shrunk, self._compressed_headers[tagged]
            for layer in self._wrappers:
                at = layer.name
                own_params, body = layer.encode(body, context, header + params)
                if len(own_params) != layer.params_size:
                    raise _wrong_params(layer)
                params = own_params + params
            envelope = header + params + body
            if len(envelope) > limits.encoded:
                raise _too_large(EncodeError, len(envelope), limits.encoded, "encoded")
            return envelope
        except StoreError as error:
            failure = _located(error, context)
        except Exception as error:  # noqa: BLE001 - whatever a codec raises may hold payload
            failure = _encode_failure(error, at, context)
        # Outside of the except blocks, so that the codec's error does not become its __context__.
        raise failure

    def decode(self, data: bytes, context: Context) -> Any:
        """The value that `data` holds.

        Args:
            data: what `encode` returned, here or in another process.
            context: where it stands; a bound value is refused anywhere but where it was written for.

        Raises:
            DecodeError: not an envelope, unsupported version, unknown codec, codec unavailable, codec not
                allowed, truncated, corrupt, too large, too deep, unknown tag, unknown time zone, type not
                registered, fields do not fit.
            CryptoError: a key is missing, or the value was tampered with or moved.
            KeyProviderError: a key could not be had for now.
        """
        if self._quick is not None:
            try:
                value = self._quick(data, context)
            except Exception:  # noqa: BLE001 - what goes wrong here goes wrong again below, where it is told
                value = UNREAD
            if value is not UNREAD:
                return value
        failure: StoreError
        at: str | None = None
        try:
            limits = self.limits
            if len(data) > limits.encoded:
                raise _too_large(DecodeError, len(data), limits.encoded, "encoded")
            if self._legacy and data and data[0] != MAGIC:
                return self._read_legacy(data, context)
            plan = self._reader.plan(data)
            if len(data) < plan.body:
                raise DecodeError("truncated", detail="the bytes end within their parameters")
            body = data[plan.body :]
            for step in plan.steps:
                layer = step.layer
                at = layer.name
                # At writing, compression comes first and does not know yet what will stand around it.
                outside = b"" if layer.kind == "compress" else plan.header + data[step.end : plan.body]
                body = layer.decode(data[step.start : step.end], body, context, outside, limits)
                if len(body) > limits.decoded:
                    raise _too_large(DecodeError, len(body), limits.decoded, "decoded")
            serializer = plan.chain.serializer
            at = serializer.name
            plain = serializer.loads(body, context, limits)
            native_bytes = serializer.native_bytes
            return self._reading_model.restore(plain, tagged=plan.tagged, native_bytes=native_bytes)
        except StoreError as error:
            failure = _located(error, context)
        except Exception as error:  # noqa: BLE001 - whatever a codec raises may hold payload
            failure = _decode_failure(error, at, context)
        raise failure

    def decode_all(
        self, data: Sequence[bytes], start: int, place: Context, ids: Sequence[bytes]
    ) -> list[dict[str, Any]] | None:
        """The mappings of many entries at once; None where `decode` has to be asked for each.

        Args:
            data: what ends with what `encode` returned for each, at least one.
            start: where in each of them that begins.
            place: where they stand; its id makes no difference.
            ids: of the entries.
        """
        if self._bulk is None:
            return None
        try:
            return self._bulk(data, start, place, ids)
        except Exception:  # noqa: BLE001 - what goes wrong here goes wrong again one by one, where it is told
            return None

    def _read_legacy(self, data: bytes, context: Context) -> Any:
        reader = next((each for each in self._legacy if each.recognises(data)), None)
        if reader is None:
            names = ",".join(each.name for each in self._legacy)
            raise DecodeError(
                "not an envelope",
                detail=f"the bytes are not this library's, and legacy={names} does not know them",
            )
        value = reader.read(data, context, self.limits)
        try:
            # Who wrote it knew nothing of the value model and its limits.
            self._model.flatten(value, native_bytes=True)
        except EncodeError as error:
            refusal = DecodeError(error.reason, detail=error.detail, codec=reader.name, path=error.path)
        else:
            return value
        raise refusal

    def is_current(self, data: bytes, context: Context) -> bool:
        """Whether `encode` would write `data` with the same codecs and the same key.

        Compression aside, which is chosen value by value. What another program wrote is not; whether it
        can be read is told by `decode`.
        """
        try:
            plan = self._reader.plan_for(parse_header(data), data)
        except DecodeError:
            return False
        if plan.chain.protection != self.chain.protection:
            return False
        key_id = plan.key_id(data)
        return key_id is None or self._keys is None or key_id == self._keys.sealing_key(context).id.hex()

    def digest(self, value: Any, context: Context | None = None, like: bytes | None = None) -> bytes:
        """A fingerprint of `value`, the same whatever the order of its mappings and sets and the chain.

        SHA-256; with a `context` and where values are encrypted, the key's id and 16 bytes of HMAC-SHA-256,
        so that what was written cannot be guessed from it.

        Args:
            value: anything of the value model.
            context: where the value stands, which says what key is its.
            like: another fingerprint: make it in the same way, by the same key.

        Raises:
            EncodeError: the value cannot be stored.
            KeyNotFoundError: the key of `like` is not here.
        """
        failure: StoreError
        try:
            plain, _ = self._digest_model.flatten(value, native_bytes=True)
            keyed = self.chain.encrypted if like is None else len(like) != PLAIN_SIZE
            if not keyed or self._keys is None or context is None:
                return digest_of(plain)
            if like is None:
                key = self._keys.sealing_key(context)
            else:
                key = self._keys.opening_key(like[:KEY_ID_SIZE], context)
            return keyed_digest_of(plain, key)
        except StoreError as error:
            failure = _located(error, None)
        except Exception as error:  # noqa: BLE001 - as above
            failure = _encode_failure(error, "msgpack", None)
        raise failure

    def check_readable(self, data: bytes) -> bool:
        """Whether `data` is bound to its place, by what its header says; nothing is decoded.

        Raises:
            DecodeError: `decode` would refuse it for its header.
        """
        if self._legacy and data and data[0] != MAGIC:
            return False
        return self._reader.plan(data).chain.authenticated

    def describe(self, data: bytes) -> EnvelopeInfo:
        """What the header of `data` says; nothing is decoded and no key is needed.

        Raises:
            DecodeError: not an envelope, unsupported version, truncated.
        """
        header = parse_header(data)
        names = tuple(self._reader.name_of(codec) for codec in header.codecs)
        key_id, body_size = None, None
        try:
            plan = self._reader.plan_for(header, data)
        except DecodeError:
            pass  # a codec is not installed: its name is all there is to tell
        else:
            key_id = plan.key_id(data)
            body_size = max(len(data) - plan.body, 0)
        return EnvelopeInfo(VERSION, names, key_id, header.tagged, len(data), body_size)


def _wrong_params(layer: Layer) -> EncodeError:
    return EncodeError(
        "codec failed",
        codec=layer.name,
        detail="it returned parameters of another size than its params_size; its plugin is broken",
    )


def _headers(codecs: tuple[CodecId, ...]) -> tuple[bytes, bytes]:
    return build_header(codecs, tagged=False), build_header(codecs, tagged=True)


def _too_large(kind: type[E], size: int, limit: int, which: str) -> E:
    return kind(
        "too large",
        detail=f"{size} bytes ({which}), the limit is {limit}; split the value, or raise Limits.{which}",
    )


def _located(error: StoreError, context: Context | None) -> StoreError:
    """`error` without what it was raised from, which may hold payload, and with its place."""
    error.__cause__ = error.__context__ = error.__traceback__ = None
    if isinstance(error, SerializationError) and error.context is None and context is not None:
        error.context = str(context)
    return error


def _encode_failure(error: Exception, codec: str | None, context: Context | None) -> EncodeError:
    reason, advice = _reason(error, "codec failed", "the value was not written")
    return EncodeError(reason, detail=advice, codec=codec, context=_place(context))


def _decode_failure(error: Exception, codec: str | None, context: Context | None) -> DecodeError:
    reason, advice = _reason(error, "corrupt", "the bytes are not what it wrote")
    return DecodeError(reason, detail=advice, codec=codec, context=_place(context))


def _reason(error: Exception, otherwise: str, advice: str) -> tuple[str, str]:
    name = type(error).__name__
    if isinstance(error, RecursionError):
        return "too deep", f"nested deeper than the codec can follow ({name})"
    if isinstance(error, MemoryError):
        return "too large", f"there was not enough memory ({name})"
    return otherwise, f"{advice} ({name}{_raised_at(error)})"


def _raised_at(error: Exception) -> str:
    """File and line, for the author of a codec; what was said there may hold payload and is left out."""
    frames = traceback.extract_tb(error.__traceback__)
    return f" in {os.path.basename(frames[-1].filename)}, line {frames[-1].lineno}" if frames else ""


def _place(context: Context | None) -> str | None:
    return None if context is None else str(context)

"""What turns values into bytes: the contracts of serializers and layers.

A *serializer* is the innermost part of a chain (value ↔ bytes), a *layer* wraps bytes (bytes ↔ bytes:
compression, integrity, encryption). Both are synchronous and use the CPU only. Envelope, limits, value
model and errors are the library's and stand around every serializer (`miniagent_store.codec`).
"""

from __future__ import annotations

import functools
import struct
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, runtime_checkable

if TYPE_CHECKING:
    from miniagent_store.keys.source import KeySource

LayerKind = Literal["compress", "integrity", "encrypt"]


@dataclass(frozen=True, slots=True)
class Context:
    """The logical place of a value. Authenticated by encryption, never stored.

    Logical names and not physical keys, so that a changed key prefix does not destroy the data.

    Attributes:
        namespace: the store's namespace, "" for none.
        kind: kind of record, such as "session" or "kv", or "cache".
        session_id: the session, or the cache key.
        field: "entry", "metadata", ``state:<name>`` or "cache".
        log: the log of an entry.
        entry_id: the id that the store minted for an entry.
    """

    namespace: str
    kind: str
    session_id: str
    field: str
    log: str | None = None
    entry_id: bytes | None = None

    def __str__(self) -> str:
        what = f"log {self.log!r}" if self.log is not None else self.field
        return f"session {self.session_id!r} ({what})"

    def authenticated(self, header: bytes) -> bytes:
        """What a layer with a key authenticates beside its data: the header and this place.

        Each part stands behind its length, so that no two places have the same bytes; a part that is absent
        differs from an empty one.

        Args:
            header: the header that the layer was given, and its own key id.
        """
        return self.authenticated_entries(header) + counted(self.entry_id)

    def authenticated_entries(self, header: bytes) -> bytes:
        """What `authenticated` begins with, whatever the entry: `counted(entry_id)` is to follow."""
        place = _place(self.namespace, self.kind, self.session_id, self.field, self.log)
        return _DOMAIN + _size(len(header)) + header + place


@dataclass(frozen=True, slots=True)
class Limits:
    """How big and deep a value may be; both ways, so that nothing is written that cannot be read.

    Attributes:
        encoded: bytes of an envelope.
        decoded: bytes after decompression.
        depth: nesting of lists and mappings.
        big_int_digits: decimal digits of an int outside 64 bits.
        zstd_window_log: base-2 logarithm of the window a zstd frame may ask for (23: 8 MiB).
    """

    encoded: int = 16 * 1024 * 1024
    decoded: int = 64 * 1024 * 1024
    depth: int = 100
    big_int_digits: int = 4300
    zstd_window_log: int = 23


@runtime_checkable
class Serializer(Protocol):
    """Value ↔ bytes.

    `dumps` is given plain values only: None, bool, int in [-2^63, 2^64), finite float, str, list, dict
    with str keys, and bytes where `native_bytes` is true. All other types of the value model arrive as
    tagged dicts and are put together again after `loads`.

    A serializer may also have ``dumps_strictly(value)``, which writes the same bytes without a context and
    raises for an int outside of that range and for text that UTF-8 does not have. Values whose types are
    plain are then written by it without having been looked through. And ``load_all(data)``, which reads
    many values as exact dicts; it may give types that are not plain, and raises if one cannot be read.

    Attributes:
        name: as in URLs; lower-case letters, digits and "-".
        wire_id: one byte that says on the wire how a value was written; None for a *named codec*, which
            is written by its name. Ids 0x80-0xFE are private; two implementations of one wire format
            share an id.
        safe: False if `loads` may run code that the bytes name.
        native_bytes: whether bytes need no tag.
    """

    name: str
    wire_id: int | None
    safe: bool
    native_bytes: bool

    @abstractmethod
    def dumps(self, value: Any, context: Context) -> bytes:
        """Write `value`. Any exception becomes an `EncodeError`."""
        ...

    @abstractmethod
    def loads(self, data: bytes, context: Context, limits: Limits) -> Any:
        """Read what `dumps` wrote. Any exception becomes a `DecodeError`."""
        ...


@runtime_checkable
class ClassSerializer(Serializer, Protocol):
    """A serializer that also takes objects of listed classes as they are.

    Plugins bring it without a list, and then it writes and reads nothing: code has to give it one, since
    such a serializer calls what stored bytes name. Everything else of the value model is flattened for it
    as for any other.

    Attributes:
        classes: whose objects it takes; None: it may not be used.
    """

    classes: frozenset[type] | None

    @abstractmethod
    def with_classes(self, classes: Iterable[type]) -> Self:
        """A serializer of the same kind that may be used, with these classes.

        Raises:
            ConfigurationError: one of them cannot be listed.
        """
        ...


@runtime_checkable
class LegacyReader(Protocol):
    """Reads values that another program wrote, which have no envelope.

    Asked only by stores that name it in ``legacy=``, and only for bytes that are no envelope.

    Attributes:
        name: as in ``legacy=``.
    """

    name: str

    @abstractmethod
    def recognises(self, data: bytes) -> bool:
        """Whether `data` looks like what it reads; quick, and true for one reader at most."""
        ...

    @abstractmethod
    def read(self, data: bytes, context: Context, limits: Limits) -> Any:
        """A value of the value model. Any exception becomes a `DecodeError`."""
        ...


@runtime_checkable
class Layer(Protocol):
    """Bytes ↔ bytes around a serializer.

    A layer may also have ``sealer_at(context, header, count)``: a function of data and the id of an entry
    (or None) which gives header, parameters and body in one, for the context with that id. It is called
    for `count` values at once; that of a layer which does not authenticate, again and again. And
    ``open_all(envelopes, start, header, context, ids)``: the data of many entries whose envelopes begin at
    `start` with this header, in the places that `context` is with each of the ids; it raises if one of them
    has another header, or was changed or moved as far as `decode` would notice.

    Attributes:
        name: as in URLs.
        wire_id: as for a serializer; None for a named codec.
        kind: "compress", "integrity" or "encrypt"; a chain keeps this order, innermost first.
        params_size: how many bytes of parameters stand in the header, always the same for a layer; those
            of a layer with a key begin with the 4 bytes of its key id.
        authenticated: whether changed bytes are certain to be noticed (a MAC or an AEAD; not a crc).
    """

    name: str
    wire_id: int | None
    kind: LayerKind
    params_size: int
    authenticated: bool

    @abstractmethod
    def encode(self, data: bytes, context: Context, header: bytes) -> tuple[bytes, bytes]:
        """Wrap `data`; returns parameters and body.

        `header` holds magic, flags, codec ids and the parameters of inner layers; an authenticating layer
        authenticates it together with its own key id and `context`.
        """
        ...

    @abstractmethod
    def decode(self, params: bytes, body: bytes, context: Context, header: bytes, limits: Limits) -> bytes:
        """Unwrap what `encode` made, or raise a `SerializationError`."""
        ...


@runtime_checkable
class KeyedLayer(Layer, Protocol):
    """A layer that needs keys. Plugins bring it without any; a store gives it its own."""

    @abstractmethod
    def with_keys(self, keys: KeySource) -> Self:
        """The same layer, which takes its keys from `keys`."""
        ...


class NamedSerializer:
    """The simplest serializer: a name and two functions. Written on the wire by its name.

    Args:
        name: as in URLs and on the wire; ASCII, at most 32 characters.
        dumps: plain value → bytes.
        loads: bytes → plain value.
        native_bytes: whether `dumps` takes bytes as they are.
        safe: False if `loads` may run code that the bytes name.

    Example:
        >>> import json
        >>> serializer = NamedSerializer(
        ...     "lines", lambda value: json.dumps(value, indent=1).encode(), json.loads)
        >>> serializer.wire_id is None
        True
    """

    wire_id: int | None = None
    name: str
    safe: bool
    native_bytes: bool

    def __init__(
        self,
        name: str,
        dumps: Callable[[Any], bytes],
        loads: Callable[[bytes], Any],
        *,
        native_bytes: bool = False,
        safe: bool = True,
    ) -> None:
        self.name, self.safe, self.native_bytes = name, safe, native_bytes
        self._dumps, self._loads = dumps, loads

    def dumps(self, value: Any, context: Context) -> bytes:
        return self._dumps(value)

    def loads(self, data: bytes, context: Context, limits: Limits) -> Any:
        return self._loads(data)


def counted(part: str | bytes | None) -> bytes:
    """A part of a place behind its length in 4 bytes; another text for one that is absent."""
    if type(part) is bytes:
        return _size(len(part)) + part
    if part is None:
        return _ABSENT
    data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
    return _size(len(data)) + data


@functools.lru_cache(maxsize=4096)
def _place(*parts: str | None) -> bytes:
    return b"".join(map(counted, parts))


_size = struct.Struct(">I").pack
_ABSENT = b"\xff\xff\xff\xff"
_DOMAIN = counted("miniagent-store/v1")

"""A serializer and the layers around it, as named in a URL: `msgpack+zstd+aesgcm`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeVar

from miniagent_store.codec.envelope import PRIVATE_IDS, CodecId, codec_id
from miniagent_store.codec.registry import CodecRegistry
from miniagent_store.errors import ConfigurationError, PluginError
from miniagent_store.keys.source import KeySource
from miniagent_store.provider import Provider, load_provider
from miniagent_store.serializer import KeyedLayer, Layer, LayerKind, NamedSerializer, Serializer

C = TypeVar("C")

DEFAULT_SERIALIZER = "msgpack"
INTEGRITY = "crc32"

# Another name for the default encryption; standing alone it brings the default serializer along.
ALIASES = {"encrypted": "aesgcm"}

_ORDER: dict[LayerKind, int] = {"compress": 0, "integrity": 1, "encrypt": 2}
SERIALIZER_PARTS = ("name", "wire_id", "safe", "native_bytes", "dumps", "loads")
LAYER_PARTS = ("name", "wire_id", "kind", "params_size", "authenticated", "encode", "decode")
_SEPARATOR = re.compile(r"\+|%2[Bb]| ")


@dataclass(frozen=True, slots=True)
class Chain:
    """A serializer and its layers, innermost first; every chain that exists keeps the rules.

    Rules: at most one layer of a kind; compression inside integrity inside encryption; something that
    notices changed bytes; and a MAC or encryption around a serializer that may run code.

    Args:
        serializer: value ↔ bytes.
        layers: bytes ↔ bytes, innermost first.

    Raises:
        ConfigurationError: a rule is broken; says which and why.
    """

    serializer: Serializer
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        for inner, outer in zip(self.layers, self.layers[1:], strict=False):
            if _ORDER[inner.kind] >= _ORDER[outer.kind]:
                raise ConfigurationError(f"{self}: {_why_not(inner, outer)}")
        if not any(layer.authenticated or layer.kind == "integrity" for layer in self.layers):
            raise ConfigurationError(
                f"{self}: nothing would notice changed bytes; add '+{INTEGRITY}' or encryption"
            )
        if not self.serializer.safe and not self.authenticated:
            raise ConfigurationError(
                f"{self}: whoever can write to the backend could run code here, since "
                f"{self.serializer.name} runs what stored bytes name; add '+hmac' or '+encrypted'"
            )

    @classmethod
    def parse(cls, text: str, registry: CodecRegistry) -> Chain:
        """The chain that `text` names.

        A crc32 is added where no layer authenticates. "+", "%2B" and a space are all read as "+", since
        URL parsers turn one into the other.

        Args:
            text: ``serializer("+"layer)*``, innermost first, or "encrypted" for msgpack+aesgcm.
            registry: where the names are looked up.

        Raises:
            ConfigurationError: an unknown name or a broken rule.
            MissingExtraError: an optional package is not installed.
        """
        names = [ALIASES.get(name, name) for name in _SEPARATOR.split(text.strip())]
        if "" in names:
            raise ConfigurationError(
                f"{text[:80]!r} is not a chain of codecs; write names joined by '+', "
                "such as 'msgpack+crc32'"
            )
        if names[0] in ALIASES.values():
            names.insert(0, DEFAULT_SERIALIZER)
        serializer: Serializer = _load_own("serializer", registry.serializer(names[0]), registry)
        layers: list[Layer] = [_load_own("layer", registry.layer(name), registry) for name in names[1:]]
        if not any(layer.authenticated or layer.kind == "integrity" for layer in layers):
            position = sum(layer.kind == "compress" for layer in layers)
            layers.insert(position, load_codec("layer", registry.layer(INTEGRITY)))
        return cls(serializer, tuple(layers))

    @classmethod
    def of(cls, serializer: Any, registry: CodecRegistry) -> Chain:
        """The chain of a serializer that was made in code, and a checksum.

        Args:
            serializer: any, down to an object with a name and two functions.
            registry: where the checksum is looked up.

        Raises:
            ConfigurationError: it is no serializer, or not safe enough for this.
        """
        if not isinstance(serializer, Serializer):
            serializer = _named(serializer, safe=True)
        return cls(serializer, (load_codec("layer", registry.layer(INTEGRITY)),))

    def with_keys(self, keys: KeySource) -> Chain:
        """The same chain, whose layers take their keys from `keys`."""
        return Chain(self.serializer, tuple(give_keys(layer, keys) for layer in self.layers))

    @property
    def keyed(self) -> bool:
        """Whether any layer needs keys."""
        return any(isinstance(layer, KeyedLayer) for layer in self.layers)

    @property
    def authenticated(self) -> bool:
        """Whether changed bytes and changed places are certain to be noticed."""
        return any(layer.authenticated for layer in self.layers)

    @property
    def encrypted(self) -> bool:
        """Whether bytes can only be read with a key."""
        return any(layer.kind == "encrypt" for layer in self.layers)

    @property
    def codecs(self) -> tuple[Serializer | Layer, ...]:
        """The serializer and the layers, innermost first."""
        return (self.serializer, *self.layers)

    @property
    def ids(self) -> tuple[CodecId, ...]:
        """How the codecs are written in headers, innermost first."""
        return tuple(codec_id(codec.name, codec.wire_id) for codec in self.codecs)

    @property
    def protection(self) -> tuple[CodecId, ...]:
        """The ids without compression, which is chosen value by value."""
        ids = self.ids
        kept = (id_ for id_, layer in zip(ids[1:], self.layers, strict=True) if layer.kind != "compress")
        return (ids[0], *kept)

    def __str__(self) -> str:
        return "+".join(codec.name for codec in self.codecs)


def _load_own(kind: str, provider: Provider[Any], registry: CodecRegistry) -> Any:
    """`load_codec`, of one to write with: no other plugin may read what it writes as its own.

    Asked of private ids only: whoever claims one of ours must not keep others from writing.
    """
    if provider.wire_id is not None and provider.wire_id >= PRIVATE_IDS:
        registry.by_wire_id(provider.wire_id)
    return load_codec(kind, provider)


def load_codec(kind: str, provider: Provider[Any]) -> Any:
    """What `provider` brings; of a serializer with a name and two functions all the rest is added.

    Raises:
        MissingExtraError: a package that it needs is not installed.
        PluginError: it cannot be loaded, or is no codec, or not the one that was announced.
    """
    codec = load_provider(kind, provider)
    if not hasattr(codec, "wire_id") and kind != "layer":
        problem = ""
        try:
            codec = _named(codec, safe=provider.safe)
        except ConfigurationError as error:
            problem = str(error)
        if problem:
            raise PluginError(f"{kind} {provider.name!r}: {problem}; update or uninstall its plugin")
    # What is announced is what stored values are found by.
    for part in ("name", "wire_id"):
        announced, found = getattr(provider, part), getattr(codec, part, None)
        if announced != found:
            raise PluginError(
                f"{kind} {provider.name!r} has another {part} ({found!r}) than its plugin announces "
                f"({announced!r}); update or uninstall the plugin, or make them equal if it is yours"
            )
    _check_complete(kind, provider.name, codec)
    return codec


def _check_complete(kind: str, name: str, codec: Any) -> None:
    """Raise unless a codec has all that the contract says; told when it is loaded, not at a first value."""
    if isinstance(codec, type):
        raise PluginError(f"{kind} {name!r} is a class; its provider must load an instance of it")
    if isinstance(codec, Serializer | Layer):
        return
    parts = LAYER_PARTS if kind == "layer" or hasattr(codec, "encode") else SERIALIZER_PARTS
    lacking = [part for part in parts if not hasattr(codec, part)]
    raise PluginError(
        f"{kind} {name!r} lacks {', '.join(lacking)}; update or uninstall its plugin, "
        "or add what miniagent_store.serializer says if it is yours"
    )


def _named(given: Any, *, safe: bool) -> NamedSerializer:
    name, dumps, loads = (getattr(given, part, None) for part in ("name", "dumps", "loads"))
    if not isinstance(name, str) or not callable(dumps) or not callable(loads):
        raise ConfigurationError(
            f"{type(given).__name__} is no serializer; it needs a name, dumps(value) and loads(data)"
        )
    return NamedSerializer(
        name,
        given.dumps,
        given.loads,
        native_bytes=getattr(given, "native_bytes", False),
        safe=safe and getattr(given, "safe", True),
    )


def give_keys(codec: C, keys: KeySource | None) -> C:
    """`codec`; if it is a layer that needs keys, with those of `keys`."""
    return codec.with_keys(keys) if keys is not None and isinstance(codec, KeyedLayer) else codec


def _why_not(inner: Layer, outer: Layer) -> str:
    if inner.kind == outer.kind == "encrypt":
        return f"{inner.name} and {outer.name} both encrypt; once is enough, name one of them"
    if inner.kind == outer.kind:
        return f"{inner.name} and {outer.name} do the same work ({inner.kind}); name one of them"
    if inner.kind == "encrypt" and outer.kind == "compress":
        return f"encrypted bytes do not shrink; name {outer.name} before {inner.name}"
    return f"{outer.name} ({outer.kind}) belongs inside {inner.name} ({inner.kind}); name it before"

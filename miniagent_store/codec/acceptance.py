"""Which chains a codec reads. Decided from the header alone, before anything else is looked at.

A store that encrypts would gain nothing if it also read plaintext that someone put in place of a value.
So a codec reads what is protected at least as well as what it writes, and else only what it was told to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from miniagent_store.codec.chain import Chain, give_keys, load_codec
from miniagent_store.codec.envelope import (
    RESERVED_IDS,
    CodecId,
    Header,
    codec_id,
    parse_header,
    unknown_codec,
)
from miniagent_store.codec.registry import CodecRegistry
from miniagent_store.errors import ConfigurationError, DecodeError, PluginError
from miniagent_store.keys.source import KeySource
from miniagent_store.serializer import Layer, Serializer

# Chains differ by serializer, layers, and whether compressed; a header is only kept once it was accepted.
_MAX_PLANS = 256


@dataclass(frozen=True, slots=True)
class LayerStep:
    """A layer to take off, and where its parameters stand in the envelope."""

    layer: Layer
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How envelopes with one header are read.

    Attributes:
        header: the first bytes, up to the parameters.
        tagged: whether the payload has type tags.
        chain: the codecs.
        steps: layers to take off, outermost first.
        body: where the body begins.
    """

    header: bytes
    tagged: bool
    chain: Chain
    steps: tuple[LayerStep, ...]
    body: int

    def key_id(self, data: bytes) -> str | None:
        """The key that `data` is encrypted or else authenticated with, in hex."""
        keyed = (s for s in self.steps if s.layer.authenticated or s.layer.kind == "encrypt")
        step = next(keyed, None)
        # All parameters of layers with keys begin with the id of the key.
        return None if step is None else data[step.start : min(step.start + 4, step.end)].hex() or None


class Reader:
    """Finds and checks the plan for an envelope.

    Args:
        chain: what the codec writes; always read.
        registry: where other codecs are found.
        accept: further chains to read, whatever their protection.
        keys: for the layers of chains that are not listed.
    """

    def __init__(
        self, chain: Chain, registry: CodecRegistry, accept: Iterable[Chain], keys: KeySource | None
    ) -> None:
        self._chain, self._registry, self._keys = chain, registry, keys
        self._listed = {listed.protection for listed in (chain, *accept)}
        # Codecs of the listed chains may hold keys, so they are used rather than the registry's.
        self._own: dict[CodecId, Any] = {}
        for listed in (*accept, chain):
            for codec in listed.codecs:
                self._own[codec_id(codec.name, codec.wire_id)] = codec
        self._plans: dict[bytes, Plan] = {}

    def plan(self, data: bytes) -> Plan:
        """How to read `data`.

        Raises:
            DecodeError: not an envelope, unsupported version, unknown codec, codec unavailable, codec not
                allowed, truncated, corrupt.
        """
        # A header without named codecs is 2 + n bytes long and holds no 0xFF, so these bytes are never
        # mistaken for the beginning of another; one with named codecs takes the longer way.
        plan = self._plans.get(data[: 2 + (data[1] & 0x0F)]) if len(data) > 1 else None
        if plan is not None:
            return plan
        header = parse_header(data)
        plan = self._plans.get(data[: header.size])
        if plan is None:
            plan = self.plan_for(header, data)
            self._check(plan.chain)
            if len(self._plans) < _MAX_PLANS:
                self._plans[plan.header] = plan
        return plan

    def plan_for(self, header: Header, data: bytes) -> Plan:
        """How to read `data`, whether that is allowed or not.

        Raises:
            DecodeError: unknown codec, codec unavailable, codec not allowed.
        """
        serializer, *layers = (self._codec(codec) for codec in header.codecs)
        if not isinstance(serializer, Serializer) or not all(isinstance(x, Layer) for x in layers):
            raise DecodeError("corrupt", detail="the header does not name a serializer and then layers")
        try:
            chain = Chain(serializer, tuple(layers))
        except ConfigurationError as error:
            problem = str(error)
        else:
            return _plan(data[: header.size], header.tagged, chain)
        raise DecodeError("codec not allowed", detail=f"no store writes such a chain: {problem}")

    def name_of(self, codec: CodecId) -> str:
        """How a codec in a header is called; its id in hex if nothing knows it."""
        if isinstance(codec, str):
            return codec
        if codec in RESERVED_IDS:
            return RESERVED_IDS[codec][0]
        provider = self._registry.by_wire_id(codec)
        return provider.name if provider is not None else f"{codec:#04x}"

    def _codec(self, codec: CodecId) -> Any:
        if codec in self._own:
            return self._own[codec]
        if isinstance(codec, str):
            provider = self._registry.by_wire_name(codec)
        else:
            provider = self._registry.by_wire_id(codec)
        if provider is None:
            raise unknown_codec(codec)
        if not provider.safe:
            raise DecodeError(
                "codec not allowed",
                codec=provider.name,
                detail="it may run code that stored bytes name, so it is only read where accept= lists it",
            )
        try:
            return give_keys(load_codec("codec", provider), self._keys)
        except (ConfigurationError, PluginError) as error:
            problem = str(error)
        raise DecodeError("codec unavailable", codec=provider.name, detail=problem)

    def _check(self, found: Chain) -> None:
        """Raise unless `found` is listed, or is safe and protected as well as the codec's own chain."""
        if found.protection in self._listed:
            return
        own = self._chain
        if not found.serializer.safe:
            why = "it may run code that stored bytes name"
        elif own.encrypted and not (found.encrypted and found.authenticated):
            why = "this store encrypts, and the value is not encrypted"
        elif found.encrypted and not own.encrypted:
            why = "the value is encrypted, and this store has no encryption"
        elif own.authenticated and not found.authenticated:
            why = "this store authenticates its values, and the value is not authenticated"
        else:
            return
        raise DecodeError(
            "codec not allowed",
            codec=str(found),
            detail=f"{why}; to read such values, add accept={found} next to serializer={own}",
        )


def _plan(header: bytes, tagged: bool, chain: Chain) -> Plan:
    steps: list[LayerStep] = []
    at = len(header)
    for layer in reversed(chain.layers):
        steps.append(LayerStep(layer, at, at + layer.params_size))
        at += layer.params_size
    return Plan(header, tagged, chain, tuple(steps), at)

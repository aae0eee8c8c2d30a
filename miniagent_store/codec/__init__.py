"""Values ↔ stored bytes: value model, envelope, chains of codecs, limits."""

from miniagent_store.codec.chain import Chain
from miniagent_store.codec.codec import Codec, EnvelopeInfo
from miniagent_store.codec.registry import CodecRegistry
from miniagent_store.codec.types import TypeRegistry

__all__ = ["Chain", "Codec", "CodecRegistry", "EnvelopeInfo", "TypeRegistry"]

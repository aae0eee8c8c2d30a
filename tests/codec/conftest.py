from __future__ import annotations

from collections.abc import Callable

import pytest
from codec_support import CONTEXT, PlainRegistry, make_codec

from miniagent_store.codec import Codec
from miniagent_store.serializer import Context


@pytest.fixture
def context() -> Context:
    return CONTEXT


@pytest.fixture
def registry() -> PlainRegistry:
    return PlainRegistry()


@pytest.fixture
def codec() -> Codec:
    return make_codec("msgpack")


@pytest.fixture
def codec_for() -> Callable[..., Codec]:
    return make_codec

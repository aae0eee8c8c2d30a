"""Who may use pickle: nobody by a URL or the environment, only who says so in code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest

from miniagent_serializers.hmac_layer import HmacLayer
from miniagent_serializers.pickle_serializer import PickleSerializer
from miniagent_store import Key, Keyring, Message, open_store
from miniagent_store.codec import Chain
from miniagent_store.codec.unsafe import allow_unsafe
from miniagent_store.errors import ConfigurationError
from miniagent_store.serializer import Context

KEYS = Keyring([Key(bytes(range(32)), "this")])


@dataclass
class Point:
    x: Any
    y: Any = 0


class Pair(NamedTuple):
    first: int
    second: int


@pytest.mark.parametrize("option", ["allow_pickle=true", "allow_pickle=1", "pickle_classes=a.B"])
def test_a_url_cannot_give_leave(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"memory://?serializer=pickle%2Bhmac&{option}"
    monkeypatch.setenv("MINIAGENT_STORE_URL", url)
    name = option.partition("=")[0]

    with pytest.raises(
        ConfigurationError, match=f"{name} cannot stand in a URL: a URL may come from outside"
    ):
        open_store(url, keyring=KEYS)
    with pytest.raises(ConfigurationError, match="cannot stand in a URL"):
        open_store(keyring=KEYS, allow_pickle=True)


@pytest.mark.parametrize(
    "options", [{"serializer": "pickle+hmac"}, {"accept": "pickle+hmac"}, {"legacy": "pickle-thread"}]
)
@pytest.mark.parametrize("leave", [{}, {"allow_pickle": False}, {"allow_pickle": "true"}])
def test_without_leave_in_code_a_store_does_not_open(options: Any, leave: Any) -> None:
    query = "&".join(f"{name}={value.replace('+', '%2B')}" for name, value in options.items())

    for url, in_code in ((f"memory://?{query}", {}), ("memory://", options)):
        with pytest.raises(ConfigurationError, match="allow_pickle=True"):
            open_store(url, keyring=KEYS, **in_code, **leave)


@pytest.mark.parametrize("chain", ["pickle", "pickle+crc32", "pickle+zstd", "pickle+zlib+crc32"])
@pytest.mark.parametrize("option", ["serializer", "accept"])
def test_without_an_authenticated_layer_a_store_does_not_open(chain: str, option: str) -> None:
    with pytest.raises(ConfigurationError, match=r"add '\+hmac' or '\+encrypted'"):
        open_store("memory://", keyring=KEYS, allow_pickle=True, **{option: chain})


def test_leave_is_needed_for_a_chain_built_in_code_too() -> None:
    chain = Chain(PickleSerializer([Point]), (HmacLayer(),))

    with pytest.raises(ConfigurationError, match="allow_pickle=True"):
        allow_unsafe(chain, allow_pickle=False, classes=[])
    assert allow_unsafe(chain, allow_pickle=True, classes=[]) is chain
    assert allow_unsafe(chain, allow_pickle=True, classes=[Pair]).serializer.classes == {Pair}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("classes", "problem"),
    [
        ([Context.authenticated], "takes classes, not function"),
        (["os.system"], "takes classes, not str"),
        ([("os", "system")], "takes classes, not builtin_function"),
        ([("os", "path.join")], "no dotted name"),
        ([("os", "nothing")], "cannot be imported"),
        ([("no_such_module", "X")], "cannot be imported"),
        ([("a", "b", "c")], "pairs of module and name"),
        ([type("Inner", (), {"__qualname__": "Outer.Inner"})], "dotted name"),
    ],
)
def test_what_cannot_be_listed_is_refused_at_the_start(classes: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        open_store(
            "memory://",
            serializer="pickle+hmac",
            keyring=KEYS,
            allow_pickle=True,
            pickle_classes=classes,
        )


async def test_a_store_keeps_objects() -> None:
    pairs = [(Point.__module__, "Point"), Pair]
    async with open_store(
        "memory://", serializer="pickle+encrypted", keyring=KEYS, allow_pickle=True, pickle_classes=pairs
    ) as store:
        await store.append("s", Message.user(Point(1, Pair(1, 2))), create=True)
        assert (await store.history("s"))[0].content == Point(1, Pair(1, 2))

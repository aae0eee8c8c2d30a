"""What a plugin's author is told, and what stays readable when the plugin changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from miniagent_store import DecodeError, NamedSerializer, Provider, hookimpl, open_store
from miniagent_store.errors import ConfigurationError, PluginError
from miniagent_store.plugins import Plugins
from miniagent_store.serializer import Context, Limits

MESSAGE = {"role": "user", "content": "Hello"}


class Lines:
    name = "lines"
    safe = True
    native_bytes = False

    def __init__(self, wire_id: int | None) -> None:
        self.wire_id = wire_id

    def dumps(self, value: Any, context: Context) -> bytes:
        return json.dumps(value, indent=1).encode()

    def loads(self, data: bytes, context: Context, limits: Limits) -> Any:
        return json.loads(data)


class Plugin:
    """Brings one serializer."""

    def __init__(self, serializer: Any, *, name: str = "lines", wire_id: Any = None) -> None:
        self._provider = Provider(name, lambda: serializer, wire_id=wire_id)

    @hookimpl
    def provide_serializers(self) -> list[Provider[Any]]:
        return [self._provider]


async def test_what_was_written_by_name_is_read_once_there_is_a_wire_id(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/sessions.db?serializer=lines"
    async with open_store(url, plugins=[Plugin(Lines(None))]) as store:
        await store.append("s", MESSAGE, create=True)

    async with open_store(url, plugins=[Plugin(Lines(0x90), wire_id=0x90)]) as store:
        await store.append("s", MESSAGE)
        assert [message.content for message in await store.history("s")] == ["Hello", "Hello"]


def lacking(part: str) -> Any:
    """A serializer without one of its parts."""
    kept = {name: value for name, value in {**vars(Lines), "wire_id": None}.items() if name != part}
    return type("Lines", (), {**kept, "__init__": lambda self: None})()


@pytest.mark.parametrize("part", ["safe", "native_bytes", "dumps", "loads"])
def test_what_a_serializer_lacks_is_named_when_the_store_is_opened(part: str) -> None:
    with pytest.raises(PluginError, match=rf"'lines' lacks {part};"):
        open_store("memory://?serializer=lines", plugins=[Plugin(lacking(part))])


def test_a_class_in_the_place_of_an_object_is_told() -> None:
    class Named(Lines):
        wire_id = None  # type: ignore[assignment]

    with pytest.raises(PluginError, match="is a class; its provider must load an instance"):
        open_store("memory://?serializer=lines", plugins=[Plugin(Named)])


@pytest.mark.parametrize(
    ("name", "wire_id"),
    [("Lines", None), ("two words", None), ("lines", 0x7F), ("lines", "x"), ("lines", 0xFF)],
)
def test_a_name_or_id_that_cannot_be_is_shown_as_a_problem(name: str, wire_id: Any) -> None:
    with pytest.warns(RuntimeWarning, match="is broken and not used"):
        plugins = Plugins((Plugin(Lines(wire_id), name=name, wire_id=wire_id),))

    assert [info.problem for info in plugins.infos() if info.problem]


def test_two_plugins_with_one_private_id_are_told_before_anything_is_written() -> None:
    other = Plugin(NamedSerializer("other", repr, repr), name="other", wire_id=0x90)  # type: ignore[arg-type]

    with pytest.raises(PluginError, match="wire id 0x90 is brought by two plugins"):
        open_store("memory://?serializer=lines", plugins=[Plugin(Lines(0x90), wire_id=0x90), other])


async def test_an_error_says_where_a_codec_raised_and_not_what() -> None:
    class Broken(Lines):
        def loads(self, data: bytes, context: Context, limits: Limits) -> Any:
            raise RuntimeError(f"secret: {data!r}")

    async with open_store("memory://?serializer=lines", plugins=[Plugin(Broken(None))]) as store:
        await store.append("s", MESSAGE, create=True)
        with pytest.raises(
            DecodeError, match=r"RuntimeError in test_plugins_of_codecs.py, line \d+"
        ) as caught:
            await store.history("s")

    assert "Hello" not in str(caught.value)
    assert "secret" not in repr(caught.value)


def test_an_unknown_serializer_may_be_a_plugins() -> None:
    with pytest.raises(ConfigurationError, match="if a plugin brings it, install that"):
        open_store("memory://?serializer=jsonic")

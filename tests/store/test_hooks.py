"""Plugins see the life of a session, and may shape or refuse what is committed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from miniagent_store import (
    ConfigurationError,
    Message,
    PluginError,
    Provider,
    SessionNotFoundError,
    VetoedError,
    hookimpl,
    open_store,
)
from miniagent_store.plugins import Plugins


class Recorder:
    """Writes down what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []

    @hookimpl
    def session_created(self, session: Any) -> None:
        self.told.append(("created", session.id))

    @hookimpl
    def session_ended(self, session_id: str) -> None:
        self.told.append(("ended", session_id))

    @hookimpl
    def session_expired(self, session_id: str) -> None:
        self.told.append(("expired", session_id))

    @hookimpl
    def after_commit(self, session: Any, draft: Any) -> None:
        self.told.append(("committed", session.version))

    @hookimpl
    def store_error(self, operation: str, session_id: str | None, error: BaseException) -> None:
        self.told.append(("error", (operation, type(error).__name__)))


async def test_the_life_of_a_session_is_told() -> None:
    recorder = Recorder()
    async with open_store("memory://", plugins=[recorder]) as store:
        await store.append("s", Message.user("hello"), create=True)
        await store.append("s", Message.user("again"))
        await store.delete("s")
        with pytest.raises(SessionNotFoundError):
            await store.append("s", Message.user("late"))

    assert recorder.told == [
        ("created", "s"),
        ("committed", 1),
        ("committed", 2),
        ("ended", "s"),
        ("error", ("append", "SessionNotFoundError")),
    ]


async def test_an_expired_session_is_told_once_by_the_sweep() -> None:
    recorder = Recorder()
    async with open_store("memory://", plugins=[recorder]) as store:
        await store.create("s", ttl="20ms")
        async with asyncio.timeout(10):
            while not await store.sweep():
                await asyncio.sleep(0.01)
        assert await store.sweep() == 0

    assert recorder.told.count(("expired", "s")) == 1


async def test_a_hook_may_redact_what_is_about_to_be_stored() -> None:
    class Redaction:
        @hookimpl
        def before_commit(self, draft: Any) -> None:
            for entry in draft.entries:
                entry.value = {**entry.value, "content": entry.value["content"].replace("4711", "****")}

    async with open_store("memory://", plugins=[Redaction()]) as store:
        await store.append("s", Message.user("my pin is 4711"), create=True)

        assert (await store.history("s"))[0].content == "my pin is ****"


async def test_a_hook_sees_what_a_session_is_made_with() -> None:
    class Redaction:
        @hookimpl
        def before_commit(self, draft: Any) -> None:
            if draft.initial_metadata:
                draft.initial_metadata = {"pin": "****"}
                draft.initial_tags = tuple(tag for tag in draft.initial_tags if "4711" not in tag)

    async with open_store("memory://", plugins=[Redaction()]) as store:
        made = await store.create("s", metadata={"pin": "4711"}, tags=["a", "4711"])

        assert (made.metadata, made.tags) == ({"pin": "****"}, ("a",))
        await store.append("t", Message.user("hello"), create=True)


async def test_a_hook_may_refuse_a_commit_and_nothing_is_stored() -> None:
    class Veto:
        @hookimpl
        def before_commit(self, draft: Any) -> None:
            if draft.changes:
                raise VetoedError(draft.session_id, reason="not on Sundays")

    async with open_store("memory://", plugins=[Veto()]) as store:
        await store.create("s")
        with pytest.raises(VetoedError, match="Sundays"):
            async with store.turn("s", wait=0) as turn:
                turn.append(Message.user("hello"))
                turn.state.set("a", 1)

        assert (await store.get("s")).version == 1
        async with store.turn("s", wait=0):
            pass


async def test_an_observer_that_fails_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Clumsy:
        @hookimpl
        def after_commit(self, session: Any, draft: Any) -> None:
            raise RuntimeError("oh no")

    async with open_store("memory://", plugins=[Clumsy()]) as store:
        await store.append("s", Message.user("hello"), create=True)

        assert await store.count("s") == 1
    assert "a plugin failed in after_commit" in caplog.text


def test_two_plugins_of_one_name_are_both_named() -> None:
    class Mine:
        @hookimpl
        def provide_serializers(self) -> list[Provider[Any]]:
            return [Provider("twice", lambda: None)]

    class Theirs(Mine):
        """The same again."""

    with pytest.raises(PluginError) as told:
        open_store("memory://?serializer=twice", plugins=[Mine(), Theirs()])

    assert "Mine" in str(told.value)
    assert "Theirs" in str(told.value)
    open_store("memory://", plugins=[Mine(), Theirs()])


def test_a_plugin_that_provides_nonsense_is_reported_and_takes_nothing_down() -> None:
    class Nonsense:
        @hookimpl
        def provide_backends(self) -> list[Any]:
            return ["not a provider"]

    with pytest.warns(RuntimeWarning, match="Nonsense"):
        plugins = Plugins((Nonsense(),))

    problem = next(info.problem for info in plugins.infos() if info.name == "Nonsense")
    assert problem.startswith("PluginError")
    assert plugins.find("backend", "memory").name == "memory"


def test_an_unknown_model_names_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match="echo"):
        Plugins().find("model", "ecko")

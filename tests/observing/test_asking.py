"""How observers are asked for; and that nothing is loaded or measured that was not."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from contextlib import AbstractContextManager
from typing import Any

import pytest

from miniagent_store import (
    ConfigurationError,
    Message,
    MissingExtraError,
    Operation,
    PluginError,
    Provider,
    SessionStore,
    hookimpl,
    open_store,
    open_store_sync,
)
from miniagent_store.observing import OpenTelemetry, Prometheus, StructuredLogs
from miniagent_store.store.store import Store
from tests.observing.telemetry import Recorder

LIBRARIES = ["opentelemetry", "prometheus_client", "miniagent_store.observing.logs"]


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def core_of(store: SessionStore) -> Any:
    assert isinstance(store, Store)
    return store._core


def test_nothing_is_loaded_that_was_not_asked_for() -> None:
    code = (
        "import asyncio, sys\n"
        "from miniagent_store import Message, open_store\n"
        "async def main():\n"
        "    async with open_store('memory://') as store:\n"
        "        session = await store.create()\n"
        "        await store.append(session.id, Message.user('hello'))\n"
        "asyncio.run(main())\n"
        f"print([name for name in {LIBRARIES} if name in sys.modules])"
    )

    assert run_python(code).strip() == "[]"


async def test_nothing_is_wrapped_or_measured_that_was_not_asked_for() -> None:
    async with open_store("memory://") as store:
        session = await store.create()
        await store.append(session.id, Message.user("hello"))
        core, stats = core_of(store), await store.stats()

        assert core.observing is None
        assert core.usage is None
        assert {"commit", "read"}.isdisjoint(vars(core))
        assert {"append", "get"}.isdisjoint(vars(store))
        assert "attempt" not in vars(core.retrying)
        assert (stats.latency, stats.retried) == ({}, {})
        assert await store.usage() is not None
        assert (await store.list(kind="usage")).items == []


async def test_observers_are_asked_for_by_name() -> None:
    url = "memory://?observe=opentelemetry,prometheus,logs"
    async with open_store(url) as store:
        owners = [type(observe.__self__) for observe in core_of(store).observing.observers]

    assert sorted(owners, key=lambda each: each.__name__) == [OpenTelemetry, Prometheus, StructuredLogs]


async def test_observers_are_asked_for_by_keyword() -> None:
    for observe in ("logs", ["logs"]):
        async with open_store("memory://", observe=observe) as store:
            assert len(core_of(store).observing.observers) == 1


def test_an_unknown_observer_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'opentelemetry'") as caught:
        open_store("memory://", observe="opentelemetri")

    assert "prometheus" in str(caught.value)


def test_a_missing_package_is_named_with_its_extra() -> None:
    class Plugin:
        @hookimpl
        def provide_observers(self) -> list[Provider[Any]]:
            def load() -> Any:
                import no_such_package  # noqa: F401

            return [Provider("mine", load, package="no-such-package", extra="mine")]

    with pytest.raises(MissingExtraError, match=r"miniagent-store\[mine\]"):
        open_store("memory://", plugins=[Plugin()], observe="mine")


def test_two_observers_of_one_name_are_refused() -> None:
    class Plugin:
        @hookimpl
        def provide_observers(self) -> list[Provider[Any]]:
            return [Provider("logs", lambda: Recorder)]

    with pytest.raises(PluginError, match="two plugins"):
        open_store("memory://", plugins=[Plugin()], observe="logs")


class Failing:
    """An observer that fails wherever it can."""

    def __init__(self, where: str) -> None:
        self.where = where

    @hookimpl
    def observe(self, operation: Operation) -> AbstractContextManager[Any]:
        if self.where == "observe":
            raise RuntimeError("observe")
        return _FailingContext(self.where)


class _FailingContext(AbstractContextManager[None]):
    def __init__(self, where: str) -> None:
        self.where = where

    def __enter__(self) -> None:
        if self.where == "enter":
            raise RuntimeError("enter")

    def __exit__(self, *problem: object) -> bool | None:
        if self.where == "exit":
            raise RuntimeError("exit")
        return self.where == "suppress"


@pytest.mark.parametrize("where", ["observe", "enter", "exit"])
async def test_an_observer_that_fails_harms_nobody(where: str, caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    plugins = [recorder, Failing(where), Recorder()]
    with caplog.at_level(logging.ERROR, "miniagent_store"):
        async with open_store("memory://", plugins=plugins) as store:
            session = await store.create()
            await store.append(session.id, Message.user("hello"))
            assert len(await store.history(session.id)) == 1

    assert recorder.names == ["create", "append", "history"]
    assert plugins[2].names == recorder.names  # type: ignore[attr-defined]
    assert len([record for record in caplog.records if record.exc_info]) == 3


async def test_an_observer_cannot_swallow_an_error() -> None:
    async with open_store("memory://", plugins=[Failing("suppress")]) as store:
        with pytest.raises(ConfigurationError):
            raise ConfigurationError("not an operation's")
        with pytest.raises(Exception, match="nobody"):
            await store.get("nobody")


async def test_an_operation_that_is_cancelled_says_so() -> None:
    recorder = Recorder()
    async with open_store("memory://", plugins=[recorder]) as store, store.lock("busy"):
        waiting = asyncio.ensure_future(store.lock("busy", wait=30).__aenter__())
        while not recorder.names:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    assert recorder.names == ["lock.acquire", "lock.acquire"]
    assert recorder.errors == ["", "CancelledError"]


async def test_calls_side_by_side_are_apart() -> None:
    recorder = Recorder()
    async with open_store("memory://", plugins=[recorder]) as store:
        sessions = [await store.create() for _ in range(20)]
        await asyncio.gather(*(store.append(each.id, Message.user("hello")) for each in sessions))

    appended = [each.session_id for each in recorder.operations if each.name == "append"]
    assert sorted(map(str, appended)) == sorted(each.id for each in sessions)
    assert all(each.entries == 1 for each in recorder.operations if each.name == "append")


def test_the_blocking_face_is_observed_too() -> None:
    recorder = Recorder()
    with open_store_sync("memory://", plugins=[recorder], measure=True, analytics=True) as store:
        session = store.create(user_id="ada")
        store.append(session.id, Message.user("hello"))
        with store.turn(session.id) as turn:
            turn.append(Message.assistant("hi"))
        assert store.usage("ada").total.messages == 2
        assert store.stats().latency["append"].count == 1

    assert recorder.names[:4] == ["create", "append", "turn.acquire", "turn"]

"""Registers the models ``echo`` and ``openai``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from miniagent_store.hookspecs import hookimpl
from miniagent_store.provider import Provider

if TYPE_CHECKING:
    from miniagent_store.agent.models import ChatModel


def _load_echo() -> Callable[[str], ChatModel]:
    from miniagent_store.agent.echo import make_echo

    return make_echo


def _load_openai() -> Callable[[str], ChatModel]:
    from miniagent_store.agent.openai_model import OpenAIModel

    return OpenAIModel


@hookimpl
def provide_models() -> Iterable[Provider[Callable[[str], ChatModel]]]:
    return [
        Provider("echo", _load_echo, summary="offline; repeats, and remembers what it was told"),
        Provider(
            "openai",
            _load_openai,
            summary="openai:<model>, at OpenAI or any compatible endpoint",
            package="openai",
            extra="openai",
        ),
    ]

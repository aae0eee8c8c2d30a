"""From what a caller calls a model to what answers."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from miniagent_store.agent.agent_object import AgentResponder, is_agent
from miniagent_store.agent.annotations import accepted
from miniagent_store.agent.callable_model import CallableResponder
from miniagent_store.agent.config import AgentConfig
from miniagent_store.agent.models import ChatModel, Responder
from miniagent_store.errors import ConfigurationError
from miniagent_store.plugins import Plugins


def resolve_model(
    model: Any,
    *,
    config: Any = None,
    tools: Any = None,
    tell: Callable[[Any], Awaitable[None]],
    callbacks: Any = None,
    plugins: Plugins,
) -> Responder:
    """What answers.

    Args:
        model: a string that a plugin serves ("echo", "openai:gpt-4o"), a `ChatModel`, an agent with
            ``async run(user_input, thread=…)``, the class of either, or None: what `config` says.
        config: an `AgentConfig`, or another framework's.
        tools: for models that take them.
        tell: to be called with the events of an agent of another framework.
        callbacks: who is told by `tell`.
        plugins: who serves the strings.

    Raises:
        ConfigurationError: it is none of these; a string that nobody serves (names those that are); or
            it cannot take the tools.
        MissingExtraError: a package that it needs is not installed.
    """
    if model is None:
        model = configured_model(AgentConfig.of(config), plugins)
    if isinstance(model, str):
        return served_model(model, plugins, tools=tools)
    if is_agent(model):
        return AgentResponder(model, config=config, tools=tools, tell=tell, callbacks=callbacks)
    if inspect.isclass(model):
        taken = {name: value for name, value in {"config": config, "tools": tools}.items() if value}
        model = model(**accepted(model, taken))
    if not callable(model):
        raise ConfigurationError(
            "model is a text such as 'echo', an async function (messages, config), or an agent with "
            f"async run(user_input, thread=…), not {type(model).__name__}"
        )
    function: Any = model
    name = getattr(function, "__name__", type(function).__name__)
    return CallableResponder(function, name=name, tools=tools)


def configured_model(config: AgentConfig, plugins: Plugins) -> str:
    """The model string that a config means; see `AgentConfig.model`."""
    model, provider = config.model, config.provider
    if model is None:
        return provider or "echo"
    served = {each.name for each in plugins.providers("model")}
    if model.partition(":")[0] in served:
        return model
    return f"{provider or 'openai'}:{model}"


def served_model(name: str, plugins: Plugins, *, tools: Any = None) -> Responder:
    """The model that a plugin serves under a string such as "echo" or "openai:gpt-4o".

    Raises:
        ConfigurationError: no plugin serves it; names those that are. Or it takes no tools.
        MissingExtraError: a package that it needs is not installed.
    """
    kind, _, rest = name.partition(":")
    make: Callable[[str], ChatModel] = plugins.load("model", kind)
    return CallableResponder(make(rest), name=name, tools=tools, owned=True)

"""Python functions that a model may call."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, overload

from miniagent_store.agent.tool_schema import check_names, hints_of, schema_of, summary, value
from miniagent_store.errors import ConfigurationError, InvalidArgumentError
from miniagent_store.options import TTL, parse_ttl_ms
from miniagent_store.store.protocol import SessionStore
from miniagent_store.values import Session

DEFAULT_TTL = 300.0
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class ToolContext:
    """Given to a tool's parameter with this type, which the model does not see.

    Attributes:
        store: the agent's store.
        session: the record, as it was when the turn began.
        call_id: the call's, as the model named it.
    """

    store: SessionStore
    session: Session
    call_id: str


class Tool:
    """A function that a model may call; made by `tool`, and called like the function.

    Args:
        function: sync (runs in a thread) or async; its type hints say what it takes.
        name: by default the function's.
        description: by default what the docstring says before "Args:".
        parameters: the JSON schema of its arguments; by default made of the type hints and the docstring.
            With it the function is given what the model gave, as it is.
        cacheable: whether equal arguments give equal results, for all users and instances.
        ttl: how long a result is cached: seconds, or "10m".
        timeout: seconds that a call may take; by default `AgentConfig.tool_timeout`, `math.inf` for no
            limit. A sync function cannot be stopped: its thread goes on, and its result is dropped.

    Raises:
        ConfigurationError: endpoints would refuse the name, a type has no JSON schema here, or a cacheable
            tool takes a `ToolContext`.
    """

    cacheable: bool
    ttl: TTL
    timeout: float | None

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        name: str | None = None,
        description: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        cacheable: bool = False,
        ttl: TTL = DEFAULT_TTL,
        timeout: float | None = None,
    ) -> None:
        parse_ttl_ms(ttl)
        self.function = function
        self.name: str = name or str(getattr(function, "__name__", type(function).__name__))
        if not _NAME.fullmatch(self.name):
            raise ConfigurationError(
                "a tool's name is of 1 to 64 letters, digits, '_', '-' and '.', "
                f"not {self.name!r}; give it name="
            )
        self.description: str = (
            summary(inspect.getdoc(function) or "") if description is None else description
        )
        self.cacheable, self.ttl, self.timeout = cacheable, ttl, timeout
        self._hints: dict[str, Any] | None = None
        self._context: str | None = None
        if parameters is None:
            hints = hints_of(function)
            self._context = next((name for name, hint in hints.items() if hint is ToolContext), None)
            self._hints = {name: hint for name, hint in hints.items() if name != self._context}
            parameters = schema_of(function, self._hints)
        self.parameters: dict[str, Any] = dict(parameters)
        if cacheable and self._context:
            raise ConfigurationError(
                f"the tool {self.name!r} takes a ToolContext, so that its result is one session's: "
                "it cannot be cacheable"
            )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"

    @property
    def schema(self) -> dict[str, Any]:
        """As OpenAI-compatible endpoints take it."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}

    def arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What the function is called with, from what a model gave.

        Raises:
            InvalidArgumentError: something is missing, unknown, or of another type.
        """
        if self._hints is None:
            return dict(given)
        check_names(given, self._hints, self.parameters["required"], "the call")
        return {name: value(self._hints[name], each, name) for name, each in given.items()}

    async def run(self, arguments: Mapping[str, Any], context: ToolContext) -> Any:
        """Call the function with the arguments that a model gave; without the time limit or the cache.

        Raises:
            InvalidArgumentError: the arguments are not its own.
            Exception: whatever the function raised.
        """
        taken = self.arguments(arguments)
        if self._context is not None:
            taken[self._context] = context
        function: Any = self.function
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)  # noqa: B004
        ):
            return await function(**taken)
        result = await asyncio.to_thread(function, **taken)
        return await result if inspect.isawaitable(result) else result


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    cacheable: bool = False,
    ttl: TTL = DEFAULT_TTL,
    timeout: float | None = None,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function a `Tool`: ``@tool``, or with what `Tool` takes: ``@tool(cacheable=True)``.

    Example:
        >>> @tool
        ... def weather(city: str, days: int = 1) -> str:
        ...     '''The weather of a city.
        ...
        ...     Args:
        ...         city: its name.
        ...     '''
        ...     return "sunny"
        >>> weather.description, weather("Paris")
        ('The weather of a city.', 'sunny')
        >>> weather.parameters["properties"]["city"]
        {'type': 'string', 'description': 'its name.'}
        >>> weather.parameters["required"]
        ['city']
    """
    if function is not None:
        return Tool(function)
    return lambda function: Tool(function, **options)


def tools_of(given: Any) -> list[Any]:
    """Tools of whatever is given as ``tools=``.

    Args:
        given: functions, `Tool` values, MiniAgent's tools or its registry, or schemas (mappings) of tools
            that the endpoint runs itself, which are passed on as they are; one or an iterable of them.

    Raises:
        ConfigurationError: something else is among them, or two have one name.
    """
    if given is None:
        return []
    registered = getattr(given, "tools", None)
    if isinstance(registered, Mapping):
        given = registered.values()
    elif callable(given) or isinstance(given, Mapping | str) or not isinstance(given, Iterable):
        given = [given]
    tools = list(map(_tool_of, given))
    names = [each.name for each in tools if isinstance(each, Tool)]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise ConfigurationError(f"two tools are called {sorted(doubled)[0]!r}; give one another name=")
    return tools


def _tool_of(given: Any) -> Tool | Mapping[str, Any]:
    if isinstance(given, Tool | Mapping):
        return given
    execute, name = getattr(given, "execute", None), getattr(given, "name", None)
    if callable(execute) and isinstance(name, str):
        description = str(getattr(given, "description", ""))
        return Tool(execute, name=name, description=description, parameters=_parameters_of(given))
    if not callable(given) or inspect.isclass(given):
        raise ConfigurationError(
            f"a tool is a function, a Tool, or a mapping that is its schema, not {type(given).__name__}"
        )
    return Tool(given)


def _parameters_of(given: Any) -> Mapping[str, Any]:
    parameters = getattr(given, "parameters", None)
    if isinstance(parameters, Mapping):
        return parameters
    raise InvalidArgumentError(f"the tool {given.name!r} has no parameters, which are to be a JSON schema")

"""Names and attributes by OpenTelemetry's semantic conventions for databases and for generative AI."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from miniagent_store.observing.ending import error_type
from miniagent_store.operation import AgentOperation, Operation

Attributes = dict[str, str | int | float]

DB_DURATION = "db.client.operation.duration"
DB_SECONDS = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
# By the name of an agent's operation.
AGENT_DURATIONS = {
    "chat": "gen_ai.client.operation.duration",
    "invoke_agent": "gen_ai.invoke_agent.duration",
    "execute_tool": "gen_ai.execute_tool.duration",
}
AGENT_SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKEN_USAGE = "gen_ai.client.token.usage"
TOKENS = tuple(4**power for power in range(14))

# What an operation is about, by the start of its name; all others are about sessions.
_COLLECTIONS = {
    "cache": "cache",
    "kv": "kv",
    "lock": "locks",
    "rate_limit": "rate_limits",
    "rate_reset": "rate_limits",
    "tenants": "tenants",
    "delete_tenant": "tenants",
    "usage": "usage",
}


def collection_of(operation: Operation) -> str:
    """What an operation of the store is about, such as "sessions" or "cache"."""
    return _COLLECTIONS.get(operation.name.partition(".")[0], "sessions")


def store_span_name(operation: Operation) -> str:
    """Such as "append sessions"."""
    return f"{operation.name} {collection_of(operation)}"


def store_metric_attributes(operation: Operation) -> Attributes:
    """Of the metric of a store's operation: few different values."""
    place = operation.place
    attributes: Attributes = {
        "db.system.name": place.backend,
        "db.operation.name": operation.name,
        "db.collection.name": collection_of(operation),
    }
    if place.database:
        attributes["db.namespace"] = place.database
    if place.namespace:
        attributes["miniagent.namespace"] = place.namespace
    return attributes | server(place.server) | failure(operation)


def store_start_attributes(operation: Operation) -> Attributes:
    """Of the span of a store's operation, at its start."""
    attributes = store_metric_attributes(operation)
    if operation.session_id is not None:
        attributes["gen_ai.conversation.id"] = operation.session_id
    return attributes


def store_end_attributes(operation: Operation) -> Attributes:
    """What is known of a store's operation at its end."""
    attributes = failure(operation)
    if operation.entries is not None:
        attributes["miniagent.entries"] = operation.entries
    if operation.retries:
        attributes["miniagent.retries"] = operation.retries
    if operation.hits or operation.misses:
        attributes["miniagent.cache.hits"] = operation.hits
        attributes["miniagent.cache.misses"] = operation.misses
    if operation.session_id is not None:
        # Of a session that was made, it is known only now.
        attributes["gen_ai.conversation.id"] = operation.session_id
    return attributes


def server(text: str) -> Attributes:
    """Address and port out of "host:port"."""
    host, colon, port = text.rpartition(":")
    if colon and port.isdecimal():
        return {"server.address": host, "server.port": int(port)}
    return {"server.address": text} if text else {}


def failure(operation: Operation) -> Attributes:
    """What an operation failed with: classes and codes, never a message, which may hold what was said."""
    if operation.error is None:
        return {}
    attributes: Attributes = {"error.type": error_type(operation.error)}
    code = status_code(operation.error)
    if code:
        attributes["db.response.status_code"] = code
    return attributes


def status_code(error: BaseException) -> str:
    """The database's own code: of SQLite the name of its result, of Redis the first word of its error."""
    cause: BaseException | None = error
    while cause is not None:
        name = getattr(cause, "sqlite_errorname", None)
        if isinstance(name, str):
            return name
        word = str(cause).partition(" ")[0]
        if type(cause).__module__.startswith("redis") and word.isalpha() and word.isupper():
            return word
        cause = cause.__cause__ or cause.__context__
    return ""


def agent_span_name(operation: AgentOperation) -> str:
    """Such as "invoke_agent helper", "chat gpt-4o", "execute_tool search"."""
    what = {"invoke_agent": operation.agent, "execute_tool": operation.tool}.get(
        operation.name, operation.model
    )
    return f"{operation.name} {what}" if what else operation.name


def agent_metric_attributes(operation: AgentOperation) -> Attributes:
    """Of the metrics of an agent's operation: few different values."""
    attributes: Attributes = {"gen_ai.operation.name": operation.name}
    for name, value in (
        ("gen_ai.provider.name", operation.provider),
        ("gen_ai.request.model", operation.model),
        ("gen_ai.agent.name", operation.agent),
        ("gen_ai.tool.name", operation.tool),
    ):
        if value:
            attributes[name] = value
    if operation.error is not None:
        attributes["error.type"] = error_type(operation.error)
    return attributes


def agent_start_attributes(operation: AgentOperation) -> Attributes:
    """Of the span of an agent's operation, at its start."""
    attributes = agent_metric_attributes(operation)
    if operation.session_id is not None:
        attributes["gen_ai.conversation.id"] = operation.session_id
    if operation.name == "execute_tool":
        attributes["gen_ai.tool.type"] = "function"
        if operation.tool_call_id:
            attributes["gen_ai.tool.call.id"] = operation.tool_call_id
    return attributes


def agent_end_attributes(operation: AgentOperation) -> Attributes:
    """What is known of an agent's operation at its end; nothing that was said."""
    attributes: Attributes = {}
    if operation.error is not None:
        attributes["error.type"] = error_type(operation.error)
    for name, value in (
        ("gen_ai.usage.input_tokens", operation.input_tokens),
        ("gen_ai.usage.output_tokens", operation.output_tokens),
        ("gen_ai.response.time_to_first_chunk", operation.first_chunk),
    ):
        if value is not None:
            attributes[name] = value
    return attributes


def content_attributes(operation: AgentOperation) -> Attributes:
    """What was said, and by whom: only for those who ask for it."""
    attributes: Attributes = {}
    if operation.name == "execute_tool":
        names = ("gen_ai.tool.call.arguments", "gen_ai.tool.call.result")
        for name, values in zip(names, (operation.asked, operation.answered), strict=True):
            if values:
                attributes[name] = values[0] if isinstance(values[0], str) else _json(values[0])
        return attributes
    if operation.user_id:
        attributes["user.id"] = operation.user_id
    if operation.asked:
        attributes["gen_ai.input.messages"] = _json([_message(each) for each in operation.asked])
    if operation.answered:
        answers = [{**_message(each), "finish_reason": "stop"} for each in operation.answered]
        attributes["gen_ai.output.messages"] = _json(answers)
    return attributes


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    role, content = message.get("role"), message.get("content")
    if role == "tool":
        answer = {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}
        return {"role": role, "parts": [answer]}
    return {"role": role, "parts": [*_parts(content), *_calls(message.get("tool_calls") or ())]}


def _parts(content: Any) -> list[Any]:
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    return list(content) if isinstance(content, list) else [content]


def _calls(calls: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    parts = []
    for call in calls:
        function = call.get("function", call)
        parts.append(
            {
                "type": "tool_call",
                "id": call.get("id"),
                "name": function.get("name"),
                "arguments": function.get("arguments"),
            }
        )
    return parts


def _json(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)

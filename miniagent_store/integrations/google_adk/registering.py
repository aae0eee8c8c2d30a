"""URIs such as ``miniagent+redis://…`` for the commands of ADK: ``adk web --session_service_uri=…``."""

from __future__ import annotations

from typing import Any

from miniagent_store.integrations.google_adk.service import MiniAgentSessionService
from miniagent_store.integrations.lacking import requires

with requires("google-adk", extra="google-adk"):
    from google.adk.cli.service_registry import get_service_registry

PREFIX = "miniagent+"
SCHEMES = (
    "memory",
    "sqlite",
    "redis",
    "rediss",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)


def register(*more: str) -> None:
    """Tell ADK that ``miniagent+redis://…`` and the like are stores of ours; may be called twice.

    ADK imports a file ``services.py`` in the folder of the agents; one line in it does:
    ``from miniagent_store.integrations.google_adk import register; register()``.

    Args:
        *more: further schemes, of plugins, without the prefix.
    """
    registry = get_service_registry()
    for scheme in (*SCHEMES, *more):
        registry.register_session_service(PREFIX + scheme, _service)


def _service(uri: str, **_: Any) -> MiniAgentSessionService:
    return MiniAgentSessionService(uri.removeprefix(PREFIX))

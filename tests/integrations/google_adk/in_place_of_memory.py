"""A plugin for ADK's own tests: what they import as `InMemorySessionService` is ours, at REPLACED_URL."""

from __future__ import annotations

import os
import uuid

import google.adk.sessions
import google.adk.sessions.in_memory_session_service as module

from miniagent_store.integrations.google_adk import MiniAgentSessionService
from miniagent_store.url import StoreURL


class InMemorySessionService(MiniAgentSessionService):
    """Ours, made as theirs is: each is empty."""

    def __init__(self) -> None:
        url = StoreURL.parse(os.environ["REPLACED_URL"])
        super().__init__(url.with_options(namespace=uuid.uuid4().hex))


module.InMemorySessionService = InMemorySessionService  # type: ignore[misc]
google.adk.sessions.InMemorySessionService = InMemorySessionService  # type: ignore[misc]

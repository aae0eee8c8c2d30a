"""How an agent answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class AgentConfig:
    """Settings of an agent, as in the MiniAgent framework. Unused ones are passed to the model.

    Attributes:
        name: shown in listings as the session's agent.
        system_prompt: put before the history when the model is called; not stored.
        provider, model: which model answers; `SessionAgent(model=…)` is stronger.
        api_key: for the provider; never shown.
        temperature, max_tokens: passed to the model.
        retry_policy: passed to the model.
        stream_by_default: whether `run_session` streams when a stream callback is there.
        history_limit: at most so many of the last messages are given to the model; None for all.
    """

    name: str = "MiniAgent"
    system_prompt: str | None = None
    provider: str | None = None
    model: str | None = None
    api_key: str | None = field(default=None, repr=False)
    temperature: float | None = None
    max_tokens: int | None = None
    retry_policy: Any = None
    stream_by_default: bool = True
    history_limit: int | None = None

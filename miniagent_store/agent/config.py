"""How an agent answers."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


@dataclass
class AgentConfig:
    """Settings of an agent, as in the MiniAgent framework. Unused ones are passed to the model.

    Attributes:
        name: shown in listings as the session's agent.
        system_prompt: put before the history when the model is called; not stored.
        provider, model: which model answers, unless `SessionAgent(model=…)` says so. A `model` such as
            "echo" or "openai:gpt-4o" stands alone; a bare one such as "gpt-4o" is served by `provider`,
            which is "openai" unless given, as in MiniAgent. Neither: "echo".
        api_key: for the provider; never shown.
        temperature, max_tokens: passed to the model.
        retry_policy: passed to the model.
        stream_by_default: whether `run_session` streams where its `stream` is not given.
        history_limit: at most so many of the last messages are given to the model; None for all. For more
            than a number: `SessionAgent(window=…)`.
        llm_timeout: seconds that a model may keep silent; passed to it. None: its own default.
        tool_timeout: seconds that a call of a tool may take which has no time-out of its own.
        max_iterations: how often a model is asked in one turn: once, and again after each round of calls
            of tools.
    """

    name: str | None = "MiniAgent"
    system_prompt: str | None = None
    provider: str | None = None
    model: str | None = None
    api_key: str | None = field(default=None, repr=False)
    temperature: float | None = None
    max_tokens: int | None = None
    retry_policy: Any = None
    stream_by_default: bool = True
    history_limit: int | None = None
    llm_timeout: float | None = None
    tool_timeout: float = 60.0
    max_iterations: int = 10

    @classmethod
    def of(cls, config: Any) -> AgentConfig:
        """`config` as ours: itself, the defaults for None, or what another framework's config has of it.

        Versions of MiniAgent's own `AgentConfig` differ in their fields (one has no `name`); what is
        missing keeps its default.
        """
        if isinstance(config, AgentConfig):
            return config
        if config is None:
            return cls()
        return cls(
            **{each.name: getattr(config, each.name) for each in fields(cls) if hasattr(config, each.name)}
        )

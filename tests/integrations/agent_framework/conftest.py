"""The framework calls its own session store experimental, and warns once when ours is imported."""

from __future__ import annotations

import warnings

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", r"\[SESSION_STORE\]")
    import miniagent_store.integrations.agent_framework.sessions  # noqa: F401

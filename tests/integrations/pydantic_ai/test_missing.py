"""Each class needs no more than its own package, and says what is missing."""

from __future__ import annotations

import pytest

from miniagent_store.errors import MissingExtraError
from miniagent_store.integrations import pydantic_ai
from tests.integrations.pydantic_ai.test_crash import KINDS

CLASSES = {"conversations": "MiniAgentConversationStore", "steps": "MiniAgentStepStore"}


@pytest.mark.parametrize("kind", CLASSES)
def test_what_is_missing_is_named(kind: str) -> None:
    if kind in KINDS:
        assert getattr(pydantic_ai, CLASSES[kind]).__name__ == CLASSES[kind]
    else:
        with pytest.raises(MissingExtraError, match="pip install"):
            getattr(pydantic_ai, CLASSES[kind])


def test_nothing_else_is_there() -> None:
    with pytest.raises(AttributeError):
        pydantic_ai.MiniAgentNothing  # noqa: B018

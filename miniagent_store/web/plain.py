"""Values as JSON, for people to read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from miniagent_store.readable_json import plain


def json_of(value: Any, *, indent: int | None = None) -> str:
    """The same as text."""
    return json.dumps(plain(value), ensure_ascii=False, indent=indent)


def said(value: Mapping[str, Any]) -> str:
    """What an entry says: the text of a message, with the tools it calls; else all of it, as JSON."""
    content, calls = value.get("content"), value.get("tool_calls")
    if "role" not in value or not (content is None or isinstance(content, str | list)):
        return json_of(value, indent=2)
    parts = [content] if isinstance(content, str) else [_part(each) for each in content or ()]
    return "\n\n".join([*parts, *([json_of(calls, indent=2)] if calls else [])])


def reason_of(tombstone: Mapping[str, Any]) -> str:
    """Why an entry was redacted."""
    about = tombstone.get("metadata")
    return str(about.get("reason", "")) if isinstance(about, Mapping) else ""


def _part(part: Any) -> str:
    if isinstance(part, Mapping) and isinstance(part.get("text"), str):
        return str(part["text"])
    return json_of(part, indent=2)

"""Values as JSON, for people to read."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any


def plain(value: Any) -> Any:
    """`value` as JSON has it: times in ISO 8601, bytes in base64, sets as lists, the rest as text."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {name if isinstance(name, str) else str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime) else str(value)


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

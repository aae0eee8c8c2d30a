"""Values as JSON that people read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

from markupsafe import Markup

# Longer texts are told of by their size.
BYTES_SHOWN = 64
CUT = "…"


def json_of(value: Any, *, limit: int | None = None) -> str:
    """A value of the value model, indented.

    Args:
        value: anything.
        limit: of characters; what is more is left out.
    """
    text = json.dumps(plain(value), ensure_ascii=False, indent=2)
    return text if limit is None or len(text) <= limit else text[:limit] + CUT


def brief(value: Any, limit: int = 120) -> str:
    """A value in one line, such as ``city="Lisbon", days=2`` of a mapping.

    Args:
        value: anything.
        limit: of characters.
    """
    if isinstance(value, str):
        text = " ".join(value[: 2 * limit].split())
    elif isinstance(value, Mapping):
        each = (f"{name}={_line(item)}" for name, item in list(value.items())[:20])
        text = ", ".join(each)
    else:
        text = _line(value)
    return text if len(text) <= limit else text[:limit] + CUT


def pretty(text: str) -> str:
    """A text that is JSON indented, any other as it is."""
    if text[:1] in ("{", "[") and len(text) < 200_000:
        try:
            return json_of(json.loads(text))
        except ValueError:
            pass
    return text


def plain(value: Any) -> Any:
    """`value` as JSON has it: times in ISO 8601, bytes as hex or by their size, sets as lists."""
    if isinstance(value, Markup):
        return str(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {name if isinstance(name, str) else str(name): plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>" if len(value) > BYTES_SHOWN else f"<{value.hex(' ')}>"
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(value)


def _line(value: Any) -> str:
    return json.dumps(plain(value), ensure_ascii=False)

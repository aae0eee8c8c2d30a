"""Where inside a value something went wrong, without showing what the value holds."""

from __future__ import annotations

import re
from typing import Any

# Keys of users' dicts can be secrets (an e-mail address, a token); what looks like a name is shown.
_SHOWABLE = re.compile(r"[A-Za-z0-9_]{1,32}")
_MAX_LENGTH = 200


def prefixed(step: Any, path: str | None) -> str:
    """Put `step`, an index or a key, before `path`.

    Example:
        >>> prefixed("content", prefixed(2, "image"))
        'content[2].image'
        >>> prefixed("mail@example.org", "name")
        '[?].name'
    """
    if type(step) is int:
        head = f"[{step}]"
    elif type(step) is str and _SHOWABLE.fullmatch(step):
        head = step
    else:
        head = "[?]"
    if not path:
        return head
    joined = head + path if path.startswith("[") else f"{head}.{path}"
    return joined if len(joined) <= _MAX_LENGTH else f"{joined[:_MAX_LENGTH]}…"

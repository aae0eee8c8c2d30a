"""Values of frameworks whose contract is JSON, as JSON has them."""

from __future__ import annotations

import json
from typing import Any

from miniagent_store import EncodeError


def plain_json(value: Any, what: str) -> Any:
    """What comes back where `value` is written as JSON and read: enums that are texts are texts.

    Args:
        value: anything.
        what: what it is, for the error.

    Raises:
        EncodeError: it has no JSON.
    """
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError, RecursionError) as error:
        problem = type(error).__name__
    # Not raised inside the handler: what was refused would stand in the traceback.
    raise EncodeError("unsupported type", detail=f"it has no JSON ({problem})", context=what)

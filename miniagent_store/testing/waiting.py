"""Waiting for what servers agree on among themselves."""

from __future__ import annotations

import time
from collections.abc import Callable

_PAUSE = 0.05


def wait_until(is_missing: Callable[[], str | None], timeout: float) -> None:
    """Look again and again until nothing is missing.

    Args:
        is_missing: says what is; None for nothing.
        timeout: seconds.

    Raises:
        TimeoutError: something still is; its message says what.
    """
    until = time.monotonic() + timeout
    while (missing := is_missing()) is not None:
        if time.monotonic() > until:
            raise TimeoutError(f"after {timeout:g} s: {missing}")
        time.sleep(_PAUSE)

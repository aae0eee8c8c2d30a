"""Trying again what others were faster at."""

from __future__ import annotations

import asyncio
import random

# Others may change the same again and again; each time one of them gets on.
ATTEMPTS = 100
_LONGEST = 0.2


async def pause(attempt: int) -> None:
    """Let others go first, the longer the more often they did."""
    await asyncio.sleep(random.uniform(0, min(0.005 * attempt, _LONGEST)))

"""A server that is away is not hammered: until the next try to connect, calls fail as the last one did."""

from __future__ import annotations

import random
import time

from miniagent_store.errors import StoreError

FIRST_PAUSE, LAST_PAUSE = 0.02, 0.5


class Circuit:
    """Closed while a server can be reached; open, for a growing pause in seconds, after each failure.

    Attributes:
        failures: how many tries in a row have failed.
        problem: what the last one said; None while closed.
    """

    def __init__(self) -> None:
        self.failures: int = 0
        self.problem: StoreError | None = None
        self._open_until = 0.0

    def check(self) -> None:
        """Let a try pass.

        Raises:
            StoreError: what the last try said; the pause after it is not over.
        """
        if self.problem is not None and time.monotonic() < self._open_until:
            # Another one each time, since a traceback grows with each raise.
            raise type(self.problem)(str(self.problem))

    def failed(self, problem: StoreError) -> None:
        """A try has failed."""
        self.problem = problem
        pause: float = min(FIRST_PAUSE * 2 ** min(self.failures, 10), LAST_PAUSE)
        self._open_until = time.monotonic() + pause * random.uniform(0.5, 1)
        self.failures += 1

    def succeeded(self) -> None:
        """A try went well."""
        self.failures, self.problem = 0, None

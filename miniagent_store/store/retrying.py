"""Trying again with the same identity until the deadline, and saying what is true at its end."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from miniagent_store.cancellation import to_the_end
from miniagent_store.errors import (
    BackendUnavailableError,
    DurabilityError,
    KeyProviderError,
    OutcomeUnknownError,
    StoreError,
)
from miniagent_store.operation import current_operation

T = TypeVar("T")
FIRST_BACKOFF, LAST_BACKOFF = 0.02, 0.5
# Ends the commit id of an error: an earlier try with it is in doubt.
IN_DOUBT = "-r"
# Whatever a backend raises that is no StoreError but speaks of the connection leaves the outcome open.
NOT_APPLIED = (BackendUnavailableError, KeyProviderError)
# What too few replicas acknowledged may still be lost, and is written again by asking again.
AMBIGUOUS = (OutcomeUnknownError, DurabilityError, ConnectionError, TimeoutError)
# What a call of a backend may raise.
FORESEEN = (StoreError, ConnectionError, TimeoutError)


class Retrying:
    """Calls a backend until it answers.

    Args:
        deadline: seconds that an operation may take, retries included.
        tell: calls an observing hook.

    Attributes:
        reached: whether the backend has ever answered.
        retries: how often something was tried again.
    """

    def __init__(self, deadline: float, tell: Callable[..., None]) -> None:
        self._deadline, self._tell = deadline, tell
        self.reached: bool = False
        self.retries: int = 0

    async def attempt(
        self,
        operation: str,
        session_id: str,
        once: Callable[[bool], Awaitable[T]],
        *,
        commit_id: str | None = None,
        in_doubt: bool = False,
    ) -> T:
        """Call `once(retry)` until it answers or the deadline has passed.

        Before the first success of this store it is called once only: a wrong address should be told at
        once. A call whose outcome is in doubt is brought to its end even if the caller is cancelled.

        Raises:
            StoreError: the last error; `OutcomeUnknownError` if any try left the outcome open, and a
                `DurabilityError` if the last one was stored.
        """
        started = time.monotonic()
        try:
            result = await once(in_doubt)
        except FORESEEN as error:
            problem: Exception = error
        else:
            self.reached = True
            return result
        return await self.go_on(
            operation, session_id, once, problem, started, commit_id=commit_id, in_doubt=in_doubt
        )

    async def go_on(
        self,
        operation: str,
        session_id: str,
        once: Callable[[bool], Awaitable[T]],
        problem: Exception,
        started: float,
        *,
        commit_id: str | None = None,
        in_doubt: bool = False,
    ) -> T:
        """What `attempt` does when its first call, at `started` by the monotonic clock, met a `problem`.

        Raises:
            StoreError: as `attempt`.
        """
        if not isinstance(problem, (*NOT_APPLIED, *AMBIGUOUS)):
            self._tell("store_error", operation=operation, session_id=session_id, error=problem)
            raise problem
        in_doubt = in_doubt or isinstance(problem, AMBIGUOUS)
        deadline = started + self._deadline
        return await to_the_end(
            self._again(operation, session_id, once, commit_id, problem, in_doubt, deadline)
        )

    async def _again(
        self,
        operation: str,
        session_id: str,
        once: Callable[[bool], Awaitable[T]],
        commit_id: str | None,
        problem: Exception,
        in_doubt: bool,
        deadline: float,
    ) -> T:
        backoff, attempt = FIRST_BACKOFF, 1
        reached = self.reached
        while True:
            final = isinstance(problem, OutcomeUnknownError) and problem.final
            pause = backoff * random.uniform(0.5, 1)
            if final or not (reached or in_doubt) or time.monotonic() + pause > deadline:
                break
            self.retries += 1
            operation_now = current_operation.get()
            if operation_now is not None:
                operation_now.retries += 1
            self._tell(
                "store_retry", operation=operation, session_id=session_id, attempt=attempt, error=problem
            )
            await asyncio.sleep(pause)
            backoff, attempt = min(backoff * 2, LAST_BACKOFF), attempt + 1
            try:
                result = await once(in_doubt)
            except (*NOT_APPLIED, *AMBIGUOUS) as error:
                problem = error
                in_doubt = in_doubt or isinstance(error, AMBIGUOUS)
            else:
                self.reached = True
                return result
        self._tell("store_error", operation=operation, session_id=session_id, error=problem)
        if not in_doubt or isinstance(problem, DurabilityError):
            raise problem
        if commit_id is None:
            raise BackendUnavailableError(f"no answer within {self._deadline:g} s") from problem
        final = isinstance(problem, OutcomeUnknownError) and problem.final
        why = problem.why if isinstance(problem, OutcomeUnknownError) else "no answer came in time"
        # Whoever asks again must not raise a session from the dead: see Backend.commit.
        raise OutcomeUnknownError(
            session_id, commit_id=commit_id + IN_DOUBT, why=why, final=final
        ) from problem

"""What is done again and again while an agent runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from miniagent_store.errors import StoreClosedError, StoreError

logger: logging.Logger = logging.getLogger("miniagent_store")
Job = Callable[[], Awaitable[None]]


class Housekeeping:
    """Jobs that repeat; one task owns them all, and `stop` awaits it.

    Args:
        jobs: seconds between, and the job.
    """

    def __init__(self, jobs: Sequence[tuple[float, Job]]) -> None:
        self._jobs = tuple(jobs)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, unless begun."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="miniagent housekeeping")

    async def stop(self) -> None:
        """End all jobs, and wait until they have ended."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for every, job in self._jobs:
                group.create_task(_repeat(every, job))


async def _repeat(every: float, job: Job) -> None:
    while True:
        await asyncio.sleep(every)
        try:
            await job()
        except StoreClosedError:
            return
        except StoreError as error:
            logger.warning("%s failed and will be tried again: %s", job.__name__, error)
        except Exception:
            logger.exception("%s failed and will be tried again", job.__name__)

"""An index that takes long to fill, and one that answers until it is filled."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Protocol

from miniagent_store.errors import AccessDeniedError, CapacityError, ConfigurationError, StoreError
from miniagent_store.vector_index import (
    IndexCapabilities,
    IndexedVector,
    IndexGone,
    IndexQuery,
    VectorIndex,
)

logger: logging.Logger = logging.getLogger("miniagent_store")
# Memories that are handed on at once.
PAGE = 500
# Seconds after which what failed is tried again.
AGAIN_SECONDS = 60.0
# What the place is to blame for, so that another index does better meanwhile.
HOPELESS = (CapacityError, AccessDeniedError, ConfigurationError)
# Changes: what was added and what was removed.
Since = list[tuple[Sequence[IndexedVector], Sequence[str]]]


class Quick(VectorIndex, Protocol):
    """An index that is filled at once, and tells what it holds."""

    def standing(self, size: int) -> Iterator[list[IndexedVector]]:
        """What stood when this was called, in lists of at most `size`."""
        ...

    def __len__(self) -> int: ...


class Meanwhile:
    """Asks `quick` until `thorough` is filled, beside whoever asks; then `thorough`.

    Args:
        thorough: takes long to fill.
        make_quick: makes what is asked until then.
        least: so many memories are worth to have it filled.
        later: does work beside its callers.
        scope: for the log.
    """

    def __init__(
        self,
        thorough: VectorIndex,
        make_quick: Callable[[], Quick],
        *,
        least: int,
        later: Callable[[Coroutine[Any, Any, None]], None],
        scope: str,
    ) -> None:
        self._thorough, self._make_quick, self._least = thorough, make_quick, least
        self._later, self._scope = later, scope
        self._quick: Quick | None = make_quick() if least else None
        self._is_filling = False
        self._not_before = 0.0
        # What was applied to the one since the other began to be filled from it.
        self._since: Since = []

    @property
    def capabilities(self) -> IndexCapabilities:
        """Of the one that is asked."""
        return self._asked.capabilities

    @property
    def _asked(self) -> VectorIndex:
        # One without memories is false, and is asked all the same.
        return self._thorough if self._quick is None else self._quick

    async def applied(self) -> str | None:
        """As `VectorIndex.applied`."""
        if self._quick is not None and (self._is_filling or self._is_small() or self._has_failed()):
            return await self._quick.applied()
        upto = await self._thorough.applied()
        if upto is not None:
            if self._quick is not None:
                # Others may have filled it.
                await self._quick.drop()
                self._quick = None
            return upto
        if self._quick is None:
            return None
        upto = await self._quick.applied()
        if upto is not None:
            self._fill()
        return upto

    def _is_small(self) -> bool:
        return len(self._quick or ()) < self._least

    def _has_failed(self) -> bool:
        return time.monotonic() < self._not_before

    async def apply(
        self,
        added: Sequence[IndexedVector],
        removed: Sequence[str],
        upto: str | None,
        *,
        anew: bool = False,
    ) -> None:
        """As `VectorIndex.apply`."""
        if anew and upto is None and self._quick is None:
            # It is more than can be waited for.
            self._quick = self._make_quick()
        quick = self._quick
        if quick is None:
            try:
                return await self._thorough.apply(added, removed, upto, anew=anew)
            except IndexGone:
                if anew:
                    # Another one fills it.
                    self._quick = self._make_quick()
                raise
            except HOPELESS as error:
                self._give_up(error)
                self._quick = self._make_quick()
                raise IndexGone from error
        await quick.apply(added, removed, upto, anew=anew)
        if anew:
            # What is being filled from what stood before sees that it is another list, and gives up.
            self._since = []
        elif self._is_filling:
            self._since.append((added, removed))
        if upto is not None and not (self._is_filling or self._is_small() or self._has_failed()):
            self._fill()
        return None

    def _fill(self) -> None:
        assert self._quick is not None
        self._is_filling, self._since = True, []
        # What stands now, and what comes from now on, whenever the work begins.
        self._later(self._filled(self._quick, self._quick.standing(PAGE), self._since))

    async def _filled(self, quick: Quick, standing: Iterator[list[IndexedVector]], since: Since) -> None:
        try:
            # As somebody may have begun meanwhile.
            if await self._thorough.applied() is None:
                await self._handed_on(quick, standing, since)
        except IndexGone:
            # Others fill it, or the memories are others now: the next search sees.
            self._not_before = time.monotonic() + 1.0
        except StoreError as error:
            self._give_up(error)
        finally:
            self._is_filling = False

    async def _handed_on(
        self,
        quick: Quick,
        standing: Iterator[list[IndexedVector]],
        since: Since,
    ) -> None:
        await self._thorough.apply((), (), None, anew=True)
        for page in standing:
            self._see(since)
            await self._thorough.apply(page, (), None)
        while True:
            self._see(since)
            # Both in one step: what `quick` says now is what was handed on and what is in `since`.
            upto, changes = await quick.applied(), since[:]
            if upto is None:
                raise IndexGone
            if not changes:
                return await self._thorough.apply((), (), upto)
            del since[: len(changes)]
            for added, removed in changes:
                await self._thorough.apply(added, removed, None)

    def _see(self, since: Since) -> None:
        if self._since is not since:
            raise IndexGone

    def _give_up(self, error: StoreError) -> None:
        self._not_before = time.monotonic() + AGAIN_SECONDS
        logger.warning("the index of %r cannot be filled, and is done without: %s", self._scope, error)

    async def search(self, query: IndexQuery) -> Sequence[tuple[str, float]]:
        """As `VectorIndex.search`."""
        return await self._asked.search(query)

    async def drop(self) -> None:
        """As `VectorIndex.drop`."""
        self._since = []
        await self._thorough.drop()
        if self._quick is not None:
            await self._quick.drop()
        self._quick = self._make_quick() if self._least else None

"""The contract of an index: which vectors of a scope are near to another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from miniagent_store.backend import Backend


@dataclass(frozen=True, slots=True)
class IndexedVector:
    """One memory, as an index is given it.

    Attributes:
        id: of the memory; an index has each once.
        vector: of length 1, float32 little-endian.
        metadata: what filters look at.
        time_ms: when it was, milliseconds since 1970.
        expires_ms: from when on it is not found any more; None for never.
    """

    id: str
    vector: bytes
    metadata: Mapping[str, Any]
    time_ms: int
    expires_ms: int | None = None


@dataclass(frozen=True, slots=True)
class IndexQuery:
    """What is looked for.

    Attributes:
        vector: of length 1, float32 little-endian.
        k: at most so many.
        filter: as `MemoryScope.search` takes it, checked; {} for all.
        after_ms, before_ms: of the times of what is found, both exclusive; None for any.
        now_ms: what has expired by then is not found.
    """

    vector: bytes
    k: int
    filter: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    after_ms: int | None = None
    before_ms: int | None = None
    now_ms: int = 0


@dataclass(frozen=True, slots=True)
class IndexPlace:
    """Where an index stands.

    Attributes:
        backend: of the store; an index on its server asks it for commands.
        scope: id of the record of the scope.
        model: of the embedder; vectors of two models never meet in one index.
        dimensions: of each vector.
    """

    backend: Backend
    scope: str
    model: str
    dimensions: int


@dataclass(frozen=True, slots=True)
class IndexCapabilities:
    """What an index is.

    Attributes:
        exact: whether what it finds is what a comparison with each vector would find.
        shared: whether it outlives the process, so that others go on from where it stands; one that is not
            is filled anew in each process.
        plain: whether vectors leave the process as they are, which gives their texts away.
        gradual: whether it takes long to fill, so that another one is asked until it is.
    """

    exact: bool
    shared: bool = False
    plain: bool = False
    gradual: bool = False


class IndexGone(Exception):
    """What `VectorIndex.applied` told stands no more: it was evicted, or others are at work there."""


class VectorIndex(Protocol):
    """The vectors of one scope and model.

    Changes are applied one after the other. Searches may run at the same time: each finds what stood when
    it began, or what stands later.
    """

    @property
    def capabilities(self) -> IndexCapabilities:
        """What it is for now."""
        ...

    async def applied(self) -> str | None:
        """Up to where changes were applied, as `apply` was told last; None for an empty index."""
        ...

    async def apply(
        self,
        added: Sequence[IndexedVector],
        removed: Sequence[str],
        upto: str | None,
        *,
        anew: bool = False,
    ) -> None:
        """Take changes, all or none of them; the same ones may come again.

        Args:
            added: new, or in the place of those with their ids.
            removed: ids that are no more; some may never have been here.
            upto: opaque; what `applied` gives from then on. None: more is to come, and until then it is as
                if nothing was ever applied.
            anew: whether to begin with nothing.

        Raises:
            IndexGone: it does not stand any more where `applied` told last; nothing was changed.
        """
        ...

    async def search(self, query: IndexQuery) -> Sequence[tuple[str, float]]:
        """Ids and cosines, the nearest first, equals by id.

        What is not exact gives candidates: more than `k`, some of which may not pass the filter; whoever
        asks looks at the memories themselves, and takes the best.

        Raises:
            IndexGone: it has to be brought up to date again.
        """
        ...

    async def drop(self) -> None:
        """Remove the index, and what it keeps anywhere."""
        ...


async def anywhere(place: IndexPlace) -> None:
    """For what can stand everywhere."""


async def never(place: IndexPlace) -> bool:
    """For what nobody gets without asking for it."""
    return False


@dataclass(frozen=True, slots=True)
class IndexFactory:
    """How an index comes to be.

    Attributes:
        make: an index at a place.
        capabilities: of what it makes.
        check: raises a `ConfigurationError` that says why it cannot stand there, if it cannot.
        suits: whether it can stand there, and is better there than what needs no server; asked where nobody
            chose an index.
    """

    make: Callable[[IndexPlace], VectorIndex]
    capabilities: IndexCapabilities
    check: Callable[[IndexPlace], Awaitable[None]] = anywhere
    suits: Callable[[IndexPlace], Awaitable[bool]] = never

"""The contract of an index: which vectors of a scope are near to another."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    """

    exact: bool
    shared: bool = False
    plain: bool = False


class VectorIndex(Protocol):
    """The vectors of one scope and model. It is asked by one caller at a time."""

    capabilities: IndexCapabilities

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
        """
        ...

    async def search(self, query: IndexQuery) -> Sequence[tuple[str, float]]:
        """Ids and cosines, the nearest first."""
        ...

    async def drop(self) -> None:
        """Remove the index, and what it keeps anywhere."""
        ...


@dataclass(frozen=True, slots=True)
class IndexFactory:
    """How an index comes to be.

    Attributes:
        make: an index at a place.
        suits: whether it can stand there, and is better there than what needs no server; those are asked in
            the order in which plugins were registered, the last first, where nobody chose an index.
        capabilities: of what it makes.
    """

    make: Callable[[IndexPlace], VectorIndex]
    capabilities: IndexCapabilities
    suits: Callable[[IndexPlace], bool] = lambda place: False

"""LangGraph's checkpoints in a session store."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, cast

from miniagent_store.integrations.lacking import requires

with requires("langgraph", extra="langgraph"):
    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import (
        BaseCheckpointSaver,
        ChannelVersions,
        Checkpoint,
        CheckpointMetadata,
        CheckpointTuple,
        get_checkpoint_id,
        get_checkpoint_metadata,
    )
    from langgraph.checkpoint.serde.base import SerializerProtocol

from miniagent_store.errors import InvalidArgumentError, SessionNotFoundError
from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.integrations.langgraph import names
from miniagent_store.integrations.langgraph.delta import ChannelHistory, channel_histories
from miniagent_store.integrations.langgraph.listing import Listing
from miniagent_store.integrations.langgraph.memory import Memory
from miniagent_store.integrations.langgraph.reading import Reader
from miniagent_store.integrations.langgraph.removing import Choice, all_but_latest, made_by, remove
from miniagent_store.integrations.langgraph.rows import Found, config_of, tuple_of, value_of
from miniagent_store.integrations.langgraph.turns import ThreadTurn, fence_of
from miniagent_store.integrations.langgraph.writing import CheckpointCommit, commit_writes, writes_by_name
from miniagent_store.options import parse_size
from miniagent_store.store.protocol import SessionStore
from miniagent_store.url import StoreURL

if TYPE_CHECKING:
    from langgraph.checkpoint.base import DeltaChannelHistory

Work = Callable[[SessionStore], Awaitable[Any]]
Page = list[tuple[Any, Found]]
AT_ONCE = 32


class MiniAgentSaver(BaseCheckpointSaver[str]):
    """A checkpointer on any store: ``graph = builder.compile(checkpointer=MiniAgentSaver(url))``.

    A thread is a session of kind "langgraph", made by its first checkpoint; it has the store's TTL, which
    each commit renews. A checkpoint is one commit, and the writes of a task are one; only channels that
    changed are written, and of a list only what was added. All methods may be called from any event loop
    and any thread.

    Args:
        store: a URL, a store, or a handle.
        serde: how values become bytes; LangGraph's own by default, without pickle.
        writers: "shared": runs on one thread at once go on from the same checkpoint, beside each other, as
            with LangGraph's own savers. "exclusive": a run needs the thread's `turn`.
        remembered: bytes of channels' values that are kept in memory, such as "64MB", so that they are not
            read again.

    Raises:
        InvalidArgumentError: an argument is wrong.
    """

    def __init__(
        self,
        store: str | StoreURL | SessionStore | StoreHandle | None = None,
        *,
        serde: SerializerProtocol | None = None,
        writers: Literal["shared", "exclusive"] = "shared",
        remembered: int | str = "64MB",
    ) -> None:
        super().__init__(serde=serde)
        if writers not in ("shared", "exclusive"):
            raise InvalidArgumentError(f"writers is 'shared' or 'exclusive', not {writers!r}")
        self._handle = handle_of(store)
        self._exclusive = writers == "exclusive"
        self._remembered = remembered
        self._memory = Memory(parse_size(remembered) or 0)

    def __reduce__(self) -> tuple[Any, ...]:
        writers = "exclusive" if self._exclusive else "shared"
        # LangGraph's own serializer does not pickle.
        serde = None if self.serde is BaseCheckpointSaver.serde else self.serde
        return _unpickled, (type(self), self._handle, serde, writers, self._remembered)

    def __copy__(self) -> Self:
        # `with_allowlist` copies: what is remembered is the same for both.
        copied = object.__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    @property
    def handle(self) -> StoreHandle:
        """Where the checkpoints are; ``handle.close()`` closes it."""
        return self._handle

    def turn(self, thread_id: str, *, wait: float = 30) -> ThreadTurn:
        """The only writer of a thread, over processes: ``with saver.turn(id): graph.invoke(…)``.

        Args:
            thread_id: the thread.
            wait: seconds to wait for the one before; 0 fails at once.

        Raises:
            LockTimeoutError: on entering, someone else kept it.
            FencedError: of a commit, the turn was lost meanwhile, and another has it.
        """
        return ThreadTurn(self._handle, thread_id, wait=wait)

    # Reading

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The checkpoint that `config` names, or the newest of its thread and namespace."""
        return self._tuple(config, self._handle.run_blocking(self._get(config)))

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """As `get_tuple`."""
        return self._tuple(config, await self._handle.run(self._get(config)))

    def _get(self, config: RunnableConfig) -> Work:
        thread_id, namespace = _place(config)

        async def get(store: SessionStore) -> Found | None:
            return await self._reader(store, thread_id).one(namespace, get_checkpoint_id(config))

        return get

    def _tuple(self, config: RunnableConfig, found: Found | None) -> CheckpointTuple | None:
        if found is None:
            return None
        named = config if get_checkpoint_id(config) else None
        return tuple_of(found, self.serde, _place(config)[0], named)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Checkpoints, newest first; without `config` those of all threads, one thread after another."""
        pages = self._listing(config, filter, before, limit)
        iterator: AsyncGenerator[Page, None] | None = None

        async def step(store: SessionStore) -> Page | None:
            nonlocal iterator
            iterator = iterator or pages(store)
            return await anext(iterator, None)

        async def end(_: SessionStore) -> None:
            if iterator is not None:
                await iterator.aclose()

        page: Page | None = []
        try:
            while (page := self._handle.run_blocking(step)) is not None:
                for thread_id, found in page:
                    yield tuple_of(found, self.serde, thread_id)
        finally:
            # The caller may have stopped in the middle.
            if page is not None and not self._handle.closed:
                self._handle.run_blocking(end)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """As `list`."""
        async for page in self._handle.iterate(self._listing(config, filter, before, limit)):
            for thread_id, found in page:
                yield tuple_of(found, self.serde, thread_id)

    def _listing(
        self,
        config: RunnableConfig | None,
        filter: dict[str, Any] | None,
        before: RunnableConfig | None,
        limit: int | None,
    ) -> Callable[[SessionStore], AsyncGenerator[Page, None]]:
        named = config["configurable"] if config else {}
        return Listing(
            self._memory,
            self.serde,
            named.get("thread_id"),
            named.get("checkpoint_ns"),
            get_checkpoint_id(config) if config else None,
            get_checkpoint_id(before) if before else None,
            filter,
            limit,
        ).pages

    def get_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """What the values of delta channels at a checkpoint are made of, read in pages of ancestors."""
        if not channels:
            return {}
        return self._histories(config, self._handle.run_blocking(self._get_histories(config, channels)))

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        """As `get_delta_channel_history`."""
        if not channels:
            return {}
        return self._histories(config, await self._handle.run(self._get_histories(config, channels)))

    def _get_histories(self, config: RunnableConfig, channels: Sequence[str]) -> Work:
        thread_id, namespace = _place(config)

        async def get(store: SessionStore) -> dict[str, ChannelHistory]:
            reader = self._reader(store, thread_id)
            return await channel_histories(reader, namespace, get_checkpoint_id(config), channels)

        return get

    def _histories(
        self, config: RunnableConfig, histories: dict[str, ChannelHistory]
    ) -> Mapping[str, DeltaChannelHistory]:
        thread_id, namespace = _place(config)
        loads = self.serde.loads_typed
        found: dict[str, DeltaChannelHistory] = {}
        for channel, history in histories.items():
            found[channel] = {"writes": [(w.task_id, channel, loads(w.value)) for w in history.writes]}
            if history.seed is not None:
                seed = value_of(history.blobs, namespace, channel, history.seed, self.serde, thread_id)
                found[channel]["seed"] = seed
        return found

    # Writing

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint, in one commit; one that is there is replaced.

        Raises:
            VersionConflictError: the thread was deleted meanwhile, and has delta channels.
            FencedError: the thread's turn was lost.
        """
        self._handle.run_blocking(self._put(config, checkpoint, metadata, new_versions))
        return config_of(*_place(config), checkpoint["id"])

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """As `put`."""
        await self._handle.run_to_end(self._put(config, checkpoint, metadata, new_versions))
        return config_of(*_place(config), checkpoint["id"])

    def _put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> Work:
        thread_id, namespace = _place(config)
        session_id = names.session_of(thread_id)
        return CheckpointCommit(
            session_id,
            self._memory,
            self.serde,
            namespace=namespace,
            parent_id=get_checkpoint_id(config),
            checkpoint=cast("dict[str, Any]", checkpoint),
            metadata=cast("dict[str, Any]", get_checkpoint_metadata(config, metadata)),
            new_versions=new_versions,
            fence=fence_of(self._handle, session_id, required=self._exclusive),
        ).run

    def put_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """Store what a task wrote, in one commit; before or after the checkpoint that it ran on.

        Raises:
            FencedError: the thread's turn was lost.
        """
        self._handle.run_blocking(self._put_writes(config, writes, task_id, task_path))

    async def aput_writes(
        self,
        config: RunnableConfig,
        writes: Sequence[tuple[str, Any]],
        task_id: str,
        task_path: str = "",
    ) -> None:
        """As `put_writes`."""
        await self._handle.run_to_end(self._put_writes(config, writes, task_id, task_path))

    def _put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str
    ) -> Work:
        thread_id, namespace = _place(config)
        session_id, checkpoint_id = names.session_of(thread_id), config["configurable"]["checkpoint_id"]
        rows = writes_by_name(self.serde, namespace, checkpoint_id, writes, task_id, task_path)
        fence = fence_of(self._handle, session_id, required=self._exclusive)
        return lambda store: commit_writes(store, session_id, rows, fence)

    def get_next_version(self, current: str | None, channel: None) -> str:
        """The version after `current`: a number and something random, so that two forks never meet."""
        number = 0 if current is None else int(str(current).split(".")[0])
        return f"{number + 1:032}.{random.getrandbits(48):012x}"

    # Removing

    def delete_thread(self, thread_id: str) -> None:
        """Remove a thread with all its parts."""
        self._handle.run_blocking(self._delete([thread_id]))

    async def adelete_thread(self, thread_id: str) -> None:
        """As `delete_thread`."""
        await self._handle.run_to_end(self._delete([thread_id]))

    def _delete(self, thread_ids: Sequence[str]) -> Work:
        async def delete(store: SessionStore) -> None:
            for session_id in map(names.session_of, thread_ids):
                self._memory.forget(session_id)
                await store.delete(session_id)
                self._memory.forget(session_id)

        return delete

    def delete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Remove the checkpoints that runs have made, by the "run_id" in their metadata.

        Looks into all threads. What later checkpoints are made of stays, but not what delta channels are.
        """
        self._handle.run_blocking(self._delete_for_runs(run_ids))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """As `delete_for_runs`."""
        await self._handle.run(self._delete_for_runs(run_ids))

    def _delete_for_runs(self, run_ids: Sequence[str]) -> Work:
        prefixes = [names.run(str(run_id)) for run_id in run_ids]

        async def has_any(store: SessionStore, session_id: str) -> bool:
            state = store.state(session_id)
            try:
                found = await asyncio.gather(*(state.scan(prefix, limit=1) for prefix in prefixes))
            except SessionNotFoundError:
                return False
            return any(found)

        async def delete(store: SessionStore) -> None:
            cursor: str | None = None
            while prefixes:
                page = await store.list(kind=names.KIND, cursor=cursor, limit=AT_ONCE)
                ids = [session.id for session in page.items]
                there = await asyncio.gather(*(has_any(store, session_id) for session_id in ids))
                for session_id, one in zip(ids, there, strict=True):
                    if one:
                        await self._remove(store, session_id, made_by(run_ids))
                cursor = page.next_cursor
                if cursor is None:
                    return

        return delete

    def prune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Remove checkpoints of threads.

        Args:
            thread_ids: the threads.
            strategy: "keep_latest": all but the newest of each namespace, and the ancestors that its delta
                channels are made of. "delete": all.

        Raises:
            InvalidArgumentError: there is no such strategy.
            VersionConflictError: a thread was written to all the time.
        """
        self._handle.run_blocking(self._prune(thread_ids, strategy))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """As `prune`."""
        await self._handle.run(self._prune(thread_ids, strategy))

    def _prune(self, thread_ids: Sequence[str], strategy: str) -> Work:
        if strategy == "delete":
            return self._delete(thread_ids)
        if strategy != "keep_latest":
            raise InvalidArgumentError("the strategy is 'keep_latest' or 'delete'")

        async def prune(store: SessionStore) -> None:
            for session_id in map(names.session_of, thread_ids):
                await self._remove(store, session_id, all_but_latest)

        return prune

    async def _remove(self, store: SessionStore, session_id: str, choice: Choice) -> int:
        return await remove(Reader(store, session_id, self._memory, self.serde), choice)

    def copy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy a thread, whole or not at all.

        Raises:
            SessionExistsError: there is a thread under the target's id.
        """
        self._handle.run_blocking(self._copy(source_thread_id, target_thread_id))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """As `copy_thread`."""
        await self._handle.run_to_end(self._copy(source_thread_id, target_thread_id))

    def _copy(self, source_thread_id: str, target_thread_id: str) -> Work:
        async def copy(store: SessionStore) -> None:
            source, target = names.session_of(source_thread_id), names.session_of(target_thread_id)
            try:
                await store.fork(source, new_id=target)
            except SessionNotFoundError:
                return  # There is nothing to copy, as with LangGraph's own savers.

        return copy

    def _reader(self, store: SessionStore, thread_id: Any) -> Reader:
        return Reader(store, names.session_of(thread_id), self._memory, self.serde)


def _place(config: RunnableConfig) -> tuple[Any, str]:
    """Thread and namespace that `config` names."""
    named = config["configurable"]
    return named["thread_id"], named.get("checkpoint_ns", "")


def _unpickled(
    cls: type[MiniAgentSaver],
    handle: StoreHandle,
    serde: SerializerProtocol | None,
    writers: Literal["shared", "exclusive"],
    remembered: int | str,
) -> MiniAgentSaver:
    return cls(handle, serde=serde, writers=writers, remembered=remembered)

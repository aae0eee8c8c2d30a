"""Agent Framework's `CheckpointStorage`: the checkpoints of workflows, each in one commit."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from miniagent_store.errors import SessionNotFoundError, StoreError, VersionConflictError
from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.ids import join_id
from miniagent_store.integrations.lacking import requires
from miniagent_store.store.protocol import SessionStore

with requires("agent-framework-core", extra="agent-framework"):
    from agent_framework import WorkflowCheckpoint
    from agent_framework._workflows._checkpoint_encoding import (
        decode_checkpoint_value,
        encode_checkpoint_value,
    )
    from agent_framework.exceptions import WorkflowCheckpointException

_log = logging.getLogger(__name__)
KIND = "agent-framework-checkpoints"
_EPOCH = datetime(1, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
T = TypeVar("T")


class MiniAgentCheckpointStorage:
    """Checkpoints of workflows on any store: ``WorkflowBuilder(..., checkpoint_storage=storage)``.

    All checkpoints of a scope are the state of one session of the store: saved, found and expired
    together. The latest is the one with the latest timestamp of its own. Two runs of one workflow in one
    scope share what `get_latest` gives, so give each user or conversation a scope.

    The framework encodes what is not JSON by pickle, and so trusts its storage; decoding admits only its
    own safe types, those it was told of by `register_checkpoint_type`, and `allowed_types`. With
    encryption on, what others put into Redis is refused before that.

    The framework goes on when a checkpoint cannot be saved. It is logged here as an error, and counted.

    Args:
        store: a URL, a `SessionStore` or a `StoreHandle`.
        scope: whose checkpoints.
        prefix: the first part of the ids of its sessions.
        allowed_types: further types that may be restored, as ``"module:qualname"``.

    Attributes:
        failed_saves: how many checkpoints this object could not save.
    """

    def __init__(
        self,
        store: str | SessionStore | StoreHandle,
        *,
        scope: str = "default",
        prefix: str = "agent-framework-checkpoints",
        allowed_types: Iterable[str] = (),
    ) -> None:
        self._handle = handle_of(store)
        self._session_id = join_id(prefix, scope)
        self._allowed_types = frozenset(allowed_types)
        self.failed_saves: int = 0

    async def save(self, checkpoint: WorkflowCheckpoint) -> str:
        """Store a checkpoint, in one commit; its id. One with the same id is replaced.

        Raises:
            WorkflowCheckpointException: it cannot be encoded, or could not be restored, or was not stored.
        """
        try:
            encoded = self._encoded(checkpoint)
            name, ordered = _named(checkpoint.checkpoint_id), _ordered(checkpoint)
            await self._handle.run_to_end(
                lambda store: _save(store, self._session_id, name, ordered, encoded)
            )
        except (StoreError, WorkflowCheckpointException) as error:
            self.failed_saves += 1
            _log.error("a checkpoint of workflow %r was not saved: %s", checkpoint.workflow_name, error)
            if isinstance(error, WorkflowCheckpointException):
                raise
            raise WorkflowCheckpointException(f"the checkpoint was not saved: {error}") from error
        return checkpoint.checkpoint_id

    async def load(self, checkpoint_id: str) -> WorkflowCheckpoint:
        """A checkpoint by id.

        Raises:
            WorkflowCheckpointException: there is none, or it cannot be restored.
        """
        found = await self._get([_named(checkpoint_id)])
        if not found:
            raise WorkflowCheckpointException(f"No checkpoint found with ID {checkpoint_id}")
        return self._decoded(found[0])

    async def list_checkpoints(self, *, workflow_name: str) -> list[WorkflowCheckpoint]:
        """The checkpoints of a workflow, oldest first; those that cannot be restored are left out."""
        checkpoints = []
        for value in await self._get(await self._names(workflow_name)):
            try:
                checkpoints.append(self._decoded(value))
            except WorkflowCheckpointException as error:
                _log.warning("a checkpoint of workflow %r cannot be restored: %s", workflow_name, error)
        return checkpoints

    async def list_checkpoint_ids(self, *, workflow_name: str) -> list[str]:
        """The ids of the checkpoints that `list_checkpoints` gives."""
        checkpoints = await self.list_checkpoints(workflow_name=workflow_name)
        return [checkpoint.checkpoint_id for checkpoint in checkpoints]

    async def get_latest(self, *, workflow_name: str) -> WorkflowCheckpoint | None:
        """The checkpoint of a workflow with the latest timestamp; None if there is none.

        Raises:
            WorkflowCheckpointException: it cannot be restored.
        """
        while names := await self._names(workflow_name, newest=True):
            # Where it was deleted in between, the one before is the latest.
            if found := await self._get(names):
                return self._decoded(found[0])
        return None

    async def delete(self, checkpoint_id: str) -> bool:
        """Remove a checkpoint; whether it was there.

        Raises:
            WorkflowCheckpointException: it could not be removed.
        """
        try:
            return await self._handle.run_to_end(
                lambda store: _delete(store, self._session_id, _named(checkpoint_id))
            )
        except StoreError as error:
            raise WorkflowCheckpointException(f"the checkpoint was not removed: {error}") from error

    def _encoded(self, checkpoint: WorkflowCheckpoint) -> Any:
        try:
            encoded = json.loads(json.dumps(encode_checkpoint_value(checkpoint.to_dict())))
            # What could not be restored is refused now, not found out in the need.
            decode_checkpoint_value(encoded, allowed_types=self._allowed_types)
        except WorkflowCheckpointException:
            raise
        except Exception as error:
            raise WorkflowCheckpointException("the checkpoint cannot be encoded") from error
        return encoded

    def _decoded(self, value: dict[str, Any]) -> WorkflowCheckpoint:
        decoded = decode_checkpoint_value(value["checkpoint"], allowed_types=self._allowed_types)
        return WorkflowCheckpoint.from_dict(decoded)

    async def _names(self, workflow_name: str, *, newest: bool = False) -> list[str]:
        """The names of the values that hold a workflow's checkpoints, by time."""

        async def work(store: SessionStore) -> list[str]:
            state, limit = store.state(self._session_id), 1 if newest else None
            items = await state.scan(_beginning(workflow_name), reverse=newest, limit=limit)
            return [item.value for item in items]

        return await self._read(work, [])

    async def _get(self, names: list[str]) -> list[dict[str, Any]]:
        """The values of these names that are there, in their order."""

        async def work(store: SessionStore) -> dict[str, Any]:
            return await store.state(self._session_id).get_many(names)

        nothing: dict[str, Any] = {}
        found = await self._read(work, nothing) if names else nothing
        return [found[name] for name in names if name in found]

    async def _read(self, work: Callable[[SessionStore], Awaitable[T]], none: T) -> T:
        try:
            return await self._handle.run(work)
        except SessionNotFoundError:
            return none
        except StoreError as error:
            raise WorkflowCheckpointException(f"checkpoints could not be read: {error}") from error


def _named(checkpoint_id: str) -> str:
    return f"checkpoint/{join_id(checkpoint_id)}"


def _beginning(workflow_name: str) -> str:
    return f"ordered/{join_id(workflow_name)}/"


def _ordered(checkpoint: WorkflowCheckpoint) -> str:
    """A name for it among those of its workflow, which stand in the order of their timestamps."""
    try:
        time = datetime.fromisoformat(checkpoint.timestamp)
    except ValueError:
        raise WorkflowCheckpointException("the checkpoint's timestamp is not ISO 8601") from None
    since = (time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH
    rest = f"{since // _MICROSECOND:020}/{join_id(checkpoint.checkpoint_id)}"
    return _beginning(checkpoint.workflow_name) + rest


async def _save(
    store: SessionStore, session_id: str, name: str, ordered: str, encoded: dict[str, Any]
) -> None:
    version, before = 0, None
    while True:
        try:
            async with store.batch(session_id, create=True, kind=KIND) as batch:
                if before is not None:
                    batch.state.delete(before)
                batch.state.set(name, {"ordered": ordered, "checkpoint": encoded}, if_version=version)
                batch.state.set(ordered, name)
        except VersionConflictError:
            # Saved under this id before, perhaps with another time.
            version, before = await _standing(store, session_id, name)
        else:
            return


async def _delete(store: SessionStore, session_id: str, name: str) -> bool:
    while True:
        version, ordered = await _standing(store, session_id, name)
        if ordered is None:
            return False
        try:
            async with store.batch(session_id) as batch:
                batch.state.delete(name, if_version=version)
                batch.state.delete(ordered)
        except (VersionConflictError, SessionNotFoundError):
            continue
        return True


async def _standing(store: SessionStore, session_id: str, name: str) -> tuple[int, str | None]:
    """The version of a checkpoint and its name among the ordered; 0 and None if there is none."""
    try:
        item = await store.state(session_id).item(name)
    except SessionNotFoundError:
        return 0, None
    return (0, None) if item is None else (item.version, item.value["ordered"])

"""Channels of which checkpoints keep only what was written to them: their history, read in pages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from miniagent_store.errors import SessionNotFoundError
from miniagent_store.integrations.langgraph import names
from miniagent_store.integrations.langgraph.blobs import EMPTY, Blob
from miniagent_store.integrations.langgraph.names import Version
from miniagent_store.integrations.langgraph.reading import Reader
from miniagent_store.integrations.langgraph.rows import Row, Write

PAGE = 100
WRITES_PAGE = 500


@dataclass(slots=True)
class Ancestor:
    """A checkpoint on the way back.

    Attributes:
        row: the checkpoint.
        loaded: what it says.
        open: the channels whose value was not met after it.
        blobs: of these, the values that stand at it, by name.
        writes: to these, on it, in order.
    """

    row: Row
    loaded: dict[str, Any]
    open: frozenset[str]
    blobs: Mapping[str, Blob]
    writes: list[Write] = field(default_factory=list)


@dataclass(slots=True)
class ChannelHistory:
    """What a channel's value at a checkpoint is made of.

    Attributes:
        writes: to it, oldest first.
        seed: the version whose value they are applied to, if there is one.
        blobs: the value of that version, by name.
    """

    writes: list[Write] = field(default_factory=list)
    seed: Version | None = None
    blobs: Mapping[str, Blob] = field(default_factory=dict)


async def channel_histories(
    reader: Reader, namespace: str, checkpoint_id: str | None, channels: Sequence[str]
) -> dict[str, ChannelHistory]:
    """What the values of `channels` at a checkpoint are made of; by default at the newest."""
    found = {channel: ChannelHistory() for channel in channels}
    target = await reader.row(namespace, checkpoint_id)
    if target is None or target.parent_id is None:
        return found
    async for page in ancestors(reader, namespace, target.parent_id, frozenset(channels)):
        await _read_writes(reader, page)
        for ancestor in page:
            for write in reversed(ancestor.writes):
                if write.channel in ancestor.open:
                    found[write.channel].writes.append(write)
            for channel in ancestor.open:
                version = ancestor.loaded["channel_versions"].get(channel)
                if version is not None and stands(ancestor.blobs, namespace, channel, version):
                    found[channel].seed, found[channel].blobs = version, ancestor.blobs
    for history in found.values():
        history.writes.reverse()
    return found


def stands(blobs: Mapping[str, Blob], namespace: str, channel: str, version: Version) -> bool:
    """Whether a channel has a value at a version."""
    return blobs.get(names.blob(namespace, channel, version), EMPTY) != EMPTY


async def ancestors(
    reader: Reader, namespace: str, checkpoint_id: str, channels: frozenset[str]
) -> AsyncIterator[list[Ancestor]]:
    """Pages of a checkpoint and those before it, back to where all of `channels` have a value."""
    open_channels, cursor = channels, checkpoint_id
    while open_channels and cursor:
        start = names.checkpoint(namespace, cursor)
        rows = {row.checkpoint_id: row for row in await reader.rows(namespace, start=start, limit=PAGE)}
        chain: list[Row] = []
        while cursor in rows:
            chain.append(rows[cursor])
            cursor = chain[-1].parent_id or ""
        if not chain:
            return
        loaded = [reader.loaded(row) for row in chain]
        blobs = await reader.blobs(
            {
                names.blob(namespace, channel, version)
                for checkpoint in loaded
                for channel, version in checkpoint["channel_versions"].items()
                if channel in open_channels
            }
        )
        page: list[Ancestor] = []
        for row, checkpoint in zip(chain, loaded, strict=True):
            page.append(Ancestor(row, checkpoint, open_channels, blobs))
            versions = checkpoint["channel_versions"]
            open_channels -= {c for c, v in versions.items() if stands(blobs, namespace, c, v)}
            if not open_channels:
                break
        await reader.complete(blobs, [each.row for each in page], [each.loaded for each in page])
        yield page


async def _read_writes(reader: Reader, page: Sequence[Ancestor]) -> None:
    """Read what was written on all checkpoints of a page."""
    namespace = page[0].row.namespace
    by_prefix = {names.writes(namespace, each.row.checkpoint_id): each for each in page}
    # The names of what was written on a checkpoint follow the order of checkpoints.
    start, last = min(by_prefix), max(by_prefix)
    state = reader.store.state(reader.session_id)
    while True:
        try:
            items = await state.scan(names.writes(namespace), start=start, limit=WRITES_PAGE)
        except SessionNotFoundError:
            return
        for item in items:
            ancestor = by_prefix.get("/".join(item.name.split("/")[:3]) + "/")
            if ancestor is not None:
                ancestor.writes.append(Write.from_plain(item.value))
        if len(items) < WRITES_PAGE or items[-1].name[: len(last)] > last:
            break
        start = items[-1].name + " "
    for ancestor in page:
        ancestor.writes.sort(key=lambda write: write.order)

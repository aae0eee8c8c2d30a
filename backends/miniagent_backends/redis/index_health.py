"""A look at a sample of the indexes: whether listings, counts and sweeps go by what is stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from miniagent_backends.redis.indexes import index_keys
from miniagent_backends.redis.keys import BUCKETS, Keys, bucket_of, escape_glob
from miniagent_backends.redis.places import facts_of, index_of
from miniagent_backends.redis.reconciling import CHUNK, MAKING_MS, Reconciling
from miniagent_backends.redis.routing.executor import Executor
from miniagent_store.backend import Record
from miniagent_store.values import Finding

# Seconds after which what seems wrong is looked at again: it may just be under way.
AGAIN = 1.0
# Pages of the names of all keys that are gone through for a sample, where many are not ours.
MOST_PAGES = 2_000
CURE = "run 'miniagent-store repair', or store.reconcile() in code; no session is lost"


class IndexLook:
    """Looks where `Reconciling` mends.

    Args:
        executor: brings commands to where their keys are.
        keys: names of keys.
        reconciling: reads records.
    """

    def __init__(self, executor: Executor, keys: Keys, reconciling: Reconciling) -> None:
        self._executor, self._keys, self._reconciling = executor, keys, reconciling

    async def findings(self, kinds: Sequence[str], sample: int | None) -> list[Finding]:
        """What is wrong with the indexes of these kinds.

        Args:
            kinds: all kinds of sessions.
            sample: about how many sessions to look at; None for all.
        """
        looked, missing = await self._missing(sample)
        places, orphans = await self._orphans(kinds, sample)
        if missing or orphans:
            # What was made or removed this very moment is right by now.
            await asyncio.sleep(AGAIN)
            missing = [each for each in missing if await self._is_missing(each)]
            orphans = [each for each in orphans if await self._is_orphan(*each)]
        found: list[Finding] = []
        if missing:
            names = ", ".join(sorted(missing)[:3])
            what = f"{len(missing)} of {looked} sessions looked at are missing from listings: {names}"
            found.append(Finding("error", what, CURE, "index"))
        if orphans:
            what = f"{len(orphans)} of {places} places looked at in listings have no session"
            found.append(Finding("warning", what, CURE, "index"))
        if not found:
            what = f"{looked} sessions and {places} places in listings agree"
            found.append(Finding("info", what, check="index"))
        return found

    async def _missing(self, sample: int | None) -> tuple[int, list[str]]:
        looked, missing = 0, list[str]()
        async for session_ids in self._sampled(sample):
            records = [record for record in await self._reconciling.live(session_ids) if record is not None]
            looked += len(records)
            missing += await self._without_place(records)
        return looked, missing

    async def _sampled(self, sample: int | None) -> AsyncIterator[list[str]]:
        start = f"{self._keys.start}{self._keys.session}"
        cursor, left, pages = None, sample, 0
        while True:
            found, cursor = await self._executor.scan(cursor, f"{escape_glob(start)}*", CHUNK)
            names = [name.decode(errors="replace") for name in found][:left]
            if names:
                yield [name.removeprefix(start) for name in names]
            pages += 1
            if left is not None:
                left -= len(names)
            if cursor is None or left == 0 or (left is not None and pages == MOST_PAGES):
                return

    async def _without_place(self, records: Sequence[Record]) -> list[str]:
        indexes = [index_keys(self._keys, record) for record in records]
        scores = iter(
            await self._executor.run(
                *(
                    ("ZSCORE", index, record.session_id)
                    for record, names in zip(records, indexes, strict=True)
                    for index in names
                )
            )
        )
        places = await self._executor.run(
            *(
                (
                    "HGET",
                    self._keys.bucket(each.kind, bucket_of(each.session_id))["places"],
                    each.session_id,
                )
                for each in records
            )
        )
        return [
            record.session_id
            for record, names, place in zip(records, indexes, places, strict=True)
            # All of its scores are taken, whatever the first of them says.
            if None in [next(scores) for _ in names] or not place
        ]

    async def _is_missing(self, session_id: str) -> bool:
        records = [record for record in await self._reconciling.live([session_id]) if record is not None]
        return bool(await self._without_place(records))

    async def _orphans(self, kinds: Sequence[str], sample: int | None) -> tuple[int, list[tuple[str, str]]]:
        looked, orphans = 0, list[tuple[str, str]]()
        last = -1 if sample is None else max(sample // BUCKETS // max(len(kinds), 1), 1) - 1
        for kind in kinds:
            for members in await self._executor.run(
                *(("ZRANGE", index_of(self._keys, kind, bucket), 0, last) for bucket in range(BUCKETS))
            ):
                looked += len(members)
                for at in range(0, len(members), CHUNK):
                    ids = [member.decode() for member in members[at : at + CHUNK]]
                    for session_id, record in zip(ids, await self._reconciling.live(ids), strict=True):
                        if record is None and await self._is_orphan(kind, session_id):
                            orphans.append((kind, session_id))
        return looked, orphans

    async def _is_orphan(self, kind: str, session_id: str) -> bool:
        bucket = bucket_of(session_id)
        names = self._keys.bucket(kind, bucket)
        score, expiry, place = await self._executor.run(
            ("ZSCORE", index_of(self._keys, kind, bucket), session_id),
            ("ZSCORE", names["expiry"], session_id),
            ("HGET", names["places"], session_id),
        )
        # What has a time to expire is left to the sweep.
        if score is None or expiry is not None:
            return False
        facts = facts_of(place)
        if facts is not None and not facts.incarnation:
            return facts.active_ms <= self._executor.now_ms() - MAKING_MS
        (record,) = await self._reconciling.live([session_id])
        return record is None

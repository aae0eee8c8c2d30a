"""New vectors while more changes than the log of them keeps."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from miniagent_store import open_store
from tests.memory.reindexing import Short, check_vectors


@pytest.mark.parametrize("at_once", [300, 800])
async def test_more_changes_than_their_log_keeps(at_once: int) -> None:
    """Those are followed on the way; where they are more all the same, all is looked at again."""
    async with open_store("memory://") as store:
        memory = store.memory("ada")
        await memory.add_many({"said": f"Fact {each}", "id": f"f{each}"} for each in range(250))
        calls = 0

        async def before(texts: Sequence[str]) -> None:
            nonlocal calls
            calls += 1
            if calls <= 2:
                for number in range(at_once):
                    await memory.add(f"Oysters {calls} {number % 7}", id=f"f{number % 7}")

        done = await memory.reindex(Short(before=before))
        assert (done.looked > 250) == (at_once > 500)
        assert len(await check_vectors(memory, Short())) == 250

"""Lists that are stored in parts: nothing is lost, little is written again, and there are few parts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniagent_store.integrations.langgraph.blobs import KnownList, Part, Typed, from_plain, part_after


class Lists:
    """What a saver does with the versions of one channel."""

    def __init__(self) -> None:
        self.stored: dict[str, Part] = {}
        self.written = 0

    def known(self, version: str | None) -> KnownList | None:
        if version is None:
            return None
        last = self.stored[version]
        parts = [(str(each), self.stored[str(each)].items[:count]) for each, count in last.before]
        return KnownList((*parts, (version, last.items)))

    def put(self, base: str | None, items: list[Typed]) -> str:
        version = f"v{len(self.stored)}"
        part = part_after(self.known(base), items)
        again = from_plain(part.plain())
        assert again == part
        self.stored[version] = part
        self.written += len(part.items)
        return version

    def items(self, version: str) -> list[Typed]:
        known = self.known(version)
        assert known is not None
        return known.items()


def typed(number: int) -> Typed:
    return "msgpack", str(number).encode()


@given(st.data())
def test_any_changes_of_any_versions(data: st.DataObject) -> None:
    lists = Lists()
    truth: dict[str, list[Typed]] = {}
    for _ in range(data.draw(st.integers(1, 40))):
        base = data.draw(st.sampled_from([None, *truth]))
        kept = truth[base][: data.draw(st.integers(0, len(truth[base])))] if base is not None else []
        whole = base is not None and data.draw(st.booleans())
        items = [
            *(truth[base] if whole and base is not None else kept),
            *map(typed, data.draw(st.lists(st.integers(0, 3), max_size=5))),
        ]
        truth[lists.put(base, items)] = items
        for version, expected in truth.items():
            assert lists.items(version) == expected


@pytest.mark.parametrize("step", [1, 2, 7])
def test_a_long_list(step: int) -> None:
    lists = Lists()
    items: list[Typed] = []
    version = None
    for number in range(0, 5_000, step):
        items += map(typed, range(number, number + step))
        version = lists.put(version, items)
        assert len(lists.stored[version].before) <= 4 * 8
    assert version is not None
    assert lists.items(version) == items
    assert lists.written <= 6 * len(items)


def test_few_items_of_a_large_part_are_written_again() -> None:
    lists = Lists()
    first = lists.put(None, [typed(number) for number in range(100)])

    second = lists.put(first, [typed(0), typed(1), typed(7)])

    assert lists.stored[second].before == ()

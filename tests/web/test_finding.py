"""Pages of sessions that fit: each once, with little looked at, whatever moves meanwhile."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio
from starlette.datastructures import QueryParams

from miniagent_store import InvalidArgumentError, SessionStore, open_store
from miniagent_store.web import finding
from miniagent_store.web.filters import Filters
from miniagent_store.web.finding import Found, find
from miniagent_store.web.paging import LONGEST, TRAIL, Place

SESSIONS = 120


@pytest_asyncio.fixture(loop_scope="session")
async def many() -> AsyncIterator[SessionStore]:
    """A hundred and twenty sessions; every third expires soon."""
    async with open_store("memory://") as store:
        for number in range(SESSIONS):
            await store.create(
                f"Chat-{number:03}",
                user_id=f"user-{number % 4}",
                agent=f"agent-{number % 3}",
                tags=["even"] if number % 2 == 0 else ["odd", f"n={number}"],
                ttl="50m" if number % 3 == 0 else "2d",
            )
        yield store


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of 7 sessions, for which at most 30 are looked at, 10 at once."""
    monkeypatch.setattr(finding, "PAGE", 7)
    monkeypatch.setattr(finding, "MOST", 30)
    monkeypatch.setattr(finding, "CHUNK", 10)


async def walk(store: SessionStore, filters: Filters) -> list[Found]:
    pages: list[Found] = []
    cursor: str | None = None
    while not pages or cursor is not None:
        pages.append(await find(store, filters, cursor))
        cursor = pages[-1].next_cursor
    return pages


FILTERS = {
    "none": "",
    "a part of an id": "q=chat-01",
    "a part of a user": "q=SER-3",
    "a part of an agent": "q=gent-1",
    "a part of a tag": "q=n=7",
    "nothing": "q=nobody",
    "everything": "q=c",
    "a user": "user=user-1",
    "a user and a tag": "user=user-1&tag=odd",
    "two tags": "tag=odd&tag=n%3D7",
    "expiring": "within=1h",
    "expiring, of an agent, found": "within=1h&agent=agent-0&q=chat-0",
    "active": "since=1h",
    "active, the oldest first": "since=1h&order=oldest&user=user-2",
    "the oldest first": "order=oldest",
}


def fits(filters: Filters, number: int) -> bool:
    user, agent = f"user-{number % 4}", f"agent-{number % 3}"
    tags = {"even"} if number % 2 == 0 else {"odd", f"n={number}"}
    texts = (f"chat-{number:03}", user, agent, *tags)
    return (
        filters.user in (None, user)
        and filters.agent in (None, agent)
        and set(filters.tags) <= tags
        and (filters.within is None or number % 3 == 0)
        and any(filters.text.lower() in text for text in texts)
    )


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("asked", FILTERS.values(), ids=FILTERS)
async def test_each_that_fits_is_on_one_page(many: SessionStore, asked: str) -> None:
    filters = Filters.of(QueryParams(asked))

    pages = await walk(many, filters)

    expected = [f"Chat-{number:03}" for number in range(SESSIONS) if fits(filters, number)]
    found = [session.id for page in pages for session in page.sessions]
    assert found == (expected if filters.oldest else expected[::-1])
    assert all(len(page.sessions) <= 7 and page.looked <= 30 for page in pages)
    assert sum(page.looked for page in pages) <= SESSIONS


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("asked", ["q=chat", "q=chat&order=oldest", "", "order=oldest", "q=user-1"])
@pytest.mark.parametrize("seed", range(5))
async def test_none_is_missed_while_others_move(many: SessionStore, asked: str, seed: int) -> None:
    """Sessions that nobody touches are found, while those of a third become active between reads."""
    chance = random.Random(seed)
    filters = Filters.of(QueryParams(asked))
    touched: set[str] = set()
    listed = many.list

    async def list_and_move(**arguments: object) -> object:
        page = await listed(**arguments)  # type: ignore[arg-type]
        for number in chance.sample(range(0, SESSIONS, 3), 3):
            touched.add(f"Chat-{number:03}")
            await many.append(f"Chat-{number:03}", {"role": "user", "content": "x"})
        return page

    many.list = list_and_move  # type: ignore[method-assign, assignment]
    found = [session.id for page in await walk(many, filters) for session in page.sessions]

    still = {f"Chat-{number:03}" for number in range(SESSIONS) if fits(filters, number)} - touched
    assert still
    assert still <= set(found)


async def test_a_time_that_is_none_is_refused(many: SessionStore) -> None:
    for filters in (Filters(since="soon"), Filters(within="-1h")):
        with pytest.raises(InvalidArgumentError, match="not a duration"):
            await find(many, filters, None)
    # Longer than anything is kept.
    assert (await find(many, Filters(since="9" * 400 + "d"), None)).sessions


def test_an_address_says_what_was_asked() -> None:
    for asked in FILTERS.values():
        filters = Filters.of(QueryParams(asked))
        again = [(key, each) for key, value in filters.query.items() for each in _each(value)]
        assert Filters.of(QueryParams(again)) == filters

    filters = Filters.of(QueryParams("q=x&user=u&agent=a&tag=b&tag=c&kind=k&since=1h&within=1d"))
    left = filters
    for field, _, value in filters.chosen:
        left = left.without(field, value)
    assert left == Filters()
    assert len(filters.chosen) == 8


def _each(value: object) -> list[str]:
    return [] if value is None else [*map(str, value)] if isinstance(value, list) else [str(value)]


def test_the_way_back_is_in_the_address() -> None:
    there = [Place()]
    for number in range(2, 40):
        there.append(there[-1].after(f"cursor-{number}"))

    back: Place | None = there[-1]
    for place in reversed(there[-TRAIL - 1 :]):
        assert back is not None
        assert (back.cursor, back.number) == (place.cursor, place.number)
        back = back.before
    # Further than an address can hold.
    assert back is None
    assert there[1].before == Place()
    long = Place("c" * 1000, ("d" * 1000,) * 3, 5).after("e" * 1000)
    assert sum(map(len, long.trail)) <= LONGEST


@pytest.mark.parametrize("page", ["", "x", "-1", "²", "9" * 5000])
def test_the_number_of_a_page_made_by_hand(page: str) -> None:
    place = Place.of(QueryParams([("cursor", "c"), ("page", page), ("trail", ""), ("trail", "d")]))

    assert place.number == 2
    assert place.before == Place("d", ("",), 1)


def test_what_expires_soon() -> None:
    fitting = Filters(within="1h").at(datetime(2030, 1, 1, tzinfo=UTC))

    assert fitting.until == datetime(2030, 1, 1, 1, tzinfo=UTC)

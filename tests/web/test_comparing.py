"""Two points of a log, and two forks, side by side."""

from __future__ import annotations

from miniagent_store import Message, SessionStore, open_store
from miniagent_store.web.comparing import Extent, are_same, common, paired, text_of, words
from miniagent_store.web.reading import Said
from tests.web.acting import OTHER, SEALED, visiting


def say(seq: int, role: str, content: str) -> Said:
    return Said(seq, str(seq), None, False, {"role": role, "content": content})


async def forked(store: SessionStore) -> None:
    """A talk of 700 messages, and a fork of it that goes another way at the end."""
    await store.create("talk")
    for start in range(0, 700, 350):
        await store.append("talk", *(Message.user(f"message {start + number}") for number in range(350)))
    await store.state("talk").set("mood", "good")
    await store.fork("talk", upto=698, new_id="fork")
    await store.append(
        "fork", Message.user("message 698, said otherwise"), Message.assistant("only in the fork")
    )
    await store.state("fork").set("mood", "bad")
    await store.state("fork").set("new", True)


async def test_two_forks(store: SessionStore) -> None:
    await forked(store)
    async with visiting(store) as visitor:
        page = (await visitor.see("/compare", id="talk", **{"with": "fork"})).text

    assert "698 entries are the same" in page
    assert ">differs, left<" in page
    assert "<ins>" in page
    assert "only right" in page
    assert "only in the fork" in page
    assert "message 600" not in page
    assert '<th scope="row" class="mono">mood</th>' in page
    assert "not there" in page


async def test_two_points(one: SessionStore) -> None:
    await forked(one)
    async with visiting(one) as visitor:
        page = (await visitor.see("/compare", id="talk", at=10, with_at=13)).text
        assert "10 entries are the same" in page
        assert page.count(">only right<") == 3
        assert "State" not in page

        same = (await visitor.see("/compare", id="talk", at=10, with_at=10)).text
        assert "No difference" in same

        long = await visitor.see("/compare", id="talk", at=0)
        assert long.text.count(">only right<") == 100
        assert "600 more" in long.text
        rest = await visitor.see("/compare", id="talk", at=0, skip=600)
        assert rest.text.count(">only right<") == 100
        assert "message 699" in rest.text
        assert "more</a>" not in rest.text


async def test_without_content_only_the_difference_is_told(one: SessionStore) -> None:
    await forked(one)
    async with visiting(one, content=False) as visitor:
        page = (await visitor.see("/compare", id="talk", **{"with": "fork"})).text

    assert ">differs, left<" in page
    assert "only in the fork" not in page
    assert "message 698" not in page
    assert "good" not in page.partition("State")[2]


async def test_what_cannot_be_compared_is_told_beside_the_form(one: SessionStore) -> None:
    await forked(one)
    async with visiting(one) as visitor:
        for asked in (
            {"id": "nowhere", "at": 1},
            {"id": "talk", "at": "one"},
            {"id": "talk", "with": "nowhere"},
        ):
            page = await visitor.see("/compare", **asked)
            assert page.status_code == 400
            assert 'role="alert"' in page.text
            assert 'name="with_at"' in page.text
        assert (await visitor.see("/compare")).status_code == 200


async def test_a_redaction_is_a_difference(one: SessionStore) -> None:
    await forked(one)
    await one.redact("fork", 5, reason="on request")
    seen = [Extent(each, 1, 698) for each in ("talk", "fork")]

    assert await common(one, "messages", *seen) == 4


async def test_what_a_key_is_missing_for_is_the_same_by_its_id(tmp_path: object) -> None:
    url = f"sqlite:///{tmp_path}/sealed.db"
    async with open_store(url, serializer="json+aesgcm", keyring=SEALED) as store:
        await store.create("talk")
        await store.append("talk", Message.user("a secret"))
    async with open_store(url, serializer="json+aesgcm", keyring=OTHER) as store:
        await store.append("talk", Message.user("in the clear"))
        async with visiting(store) as visitor:
            page = (await visitor.see("/compare", id="talk", at=1)).text

    assert "1 entry is the same" in page
    assert "unreadable" in page
    assert "in the clear" in page


def test_pairs_stand_on_one_height() -> None:
    left = [say(1, "user", "a"), say(2, "assistant", "b"), say(3, "user", "c")]
    right = [say(1, "user", "x"), say(2, "user", "c")]

    marks = [
        (pair.mark, pair.left and pair.left.seq, pair.right and pair.right.seq)
        for pair in paired(left, right)
    ]
    assert marks == [("differs", 1, 1), ("left", 2, None), ("same", 3, 2)]


def test_words_that_differ_are_marked() -> None:
    ours, theirs = words(say(1, "user", "two days in Lisbon"), say(1, "user", "three days in Lisbon"))

    assert [(piece.text, piece.same) for piece in ours] == [("two", False), (" days in Lisbon", True)]
    assert [piece.text for piece in theirs if not piece.same] == ["three"]


def test_entries_that_cannot_be_read_are_never_the_same_by_chance() -> None:
    broken = Said(1, "", None, False, None, "missing")

    assert not are_same(broken, broken)
    assert not are_same(broken, say(1, "user", "a"))


def test_data_of_pictures_is_named_and_told_apart() -> None:
    images = [{"image": f"data:image/png;base64,{each * 100}"} for each in "AB"]
    one, other = (
        text_of(Said(1, "a", None, False, {"role": "user", "content": [each]})) for each in images
    )
    assert "image/png, 75 B, SHA-256 " in one
    assert "AAAA" not in one
    assert one != other

"""What a model knows nothing of is found by its words."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniagent_store import InvalidArgumentError, SessionStore, open_store
from miniagent_store.store.memory.words.contract import IndexedText, WordIndex
from miniagent_store.store.memory.words.full_text import FullTextWords
from miniagent_store.store.memory.words.ranked import RankedWords
from miniagent_store.store.memory.words.tokens import MAX_TOKEN, tokens

KINDS = [FullTextWords, RankedWords]
HOSTILE = ['"', "NEAR(a b)", "*", "words:x", "a AND", "-a", "^a", "\0", "🦊", "{}", "a" * 10_000, "'; --"]


class Ignorant:
    """An embedder to which all is the same."""

    name = "ignorant"
    dimensions: int | None = 4

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> Sequence[Sequence[float]]:
        return [[1.0, 0.0, 0.0, 0.0] for _ in texts]


def texts(*said: str) -> list[IndexedText]:
    return [IndexedText(str(number), each, {}, number) for number, each in enumerate(said)]


def found(index: WordIndex, query: str, k: int = 10) -> list[str]:
    return [id for id, _ in index.search(tokens(query), k, lambda text: True)]


@pytest.mark.parametrize("mode", ["words", "hybrid"])
async def test_names_numbers_and_identifiers_are_found(store: SessionStore, mode: str) -> None:
    memory = store.memory("ada", embedder=Ignorant())
    said = {
        "invoice": "The invoice is INV-2024/0017, paid on Monday",
        "mail": "Write to grace.hopper@example.com about it",
        "language": "The driver is in C++, and talks to a_b.c",
        "place": "私は東京都に住んでいます",
        "accent": "Our office in Zürich opens at 9:30",
        **{f"other{number}": f"Nothing of note happened on day {number}" for number in range(60)},
    }
    await memory.add_many({"said": text, "id": id} for id, text in said.items())

    for query, expected in {
        "what about inv-2024/0017?": "invoice",
        "0017": "invoice",
        "GRACE.HOPPER@example.com": "mail",
        "hopper": "mail",
        "c++": "language",
        "a_b.c": "language",
        "東京": "place",
        "zurich": "accent",
    }.items():
        assert (await memory.search(query, k=1, mode=mode))[0].id == expected, query  # type: ignore[arg-type]


async def test_words_follow_what_another_process_does(store: SessionStore, store_url: str) -> None:
    async with open_store(store_url) as other:
        mine, theirs = store.memory("ada"), other.memory("ada")
        await mine.add("My cat is Felix", id="cat", metadata={"year": 2024})
        assert [each.id for each in await theirs.search("felix", mode="words")] == ["cat"]
        await mine.add("My cat is Tom", id="cat", metadata={"year": 2025})
        assert await theirs.search("felix", mode="words") == []
        assert await theirs.search("tom", mode="words", filter={"year": {"$lt": 2025}}) == []
        [tom] = await theirs.search("tom", mode="words", filter={"year": {"$gte": 2025}})
        assert tom.score is not None
        await mine.delete("cat")
        assert await theirs.search("tom", mode="words") == []
        await mine.add("Again: Felix")
        await mine.forget()
        assert await theirs.search("felix", mode="words") == []


async def test_what_both_find_comes_first(store: SessionStore) -> None:
    memory = store.memory("ada")
    await memory.add_many(["my dog is called rex", "the dog barks", "rex was a king", "nothing at all"])
    best = (await memory.search("what is my dog called", k=4))[0]
    assert (best.text, best.score) == ("my dog is called rex", 1.0)


@pytest.mark.parametrize("query", HOSTILE)
async def test_no_query_is_more_than_words(store: SessionStore, query: str) -> None:
    memory = store.memory("ada")
    await memory.add("words about a fox")
    for mode in ("words", "hybrid"):
        assert len(await memory.search(query, mode=mode)) <= 1  # type: ignore[arg-type]


async def test_what_cannot_be_looked_for_is_refused(store: SessionStore) -> None:
    memory = store.memory("ada")
    for wrong in ({"mode": "magic"}, {"k": 0}, {"k": 10**6}):
        with pytest.raises(InvalidArgumentError):
            await memory.search("a", **wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError):
        await memory.search([1.0] * 512, mode="words")


@given(st.text(min_size=1, max_size=200))
def test_a_text_is_found_by_each_of_its_words(text: str) -> None:
    assert all(0 < len(each) <= MAX_TOKEN and not each.isspace() for each in tokens(text))
    for kind in KINDS:
        index: WordIndex = kind()
        index.apply(texts(text, "something else"), ())
        for word in tokens(text):
            assert "0" in [id for id, _ in index.search([word], 10, lambda each: True)]
        index.close()


WORDS = st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=8).map(" ".join)


@given(st.lists(WORDS, min_size=1, max_size=30), st.lists(WORDS, max_size=5), st.integers(1, 10))
def test_both_kinds_rank_alike(said: list[str], queries: list[str], k: int) -> None:
    left, right = FullTextWords(), RankedWords()
    for index in (left, right):
        index.apply(texts(*said), ())
    for query in queries:
        scores = [
            [score for _, score in index.search(tokens(query), k, lambda text: True)]
            for index in (left, right)
        ]
        assert scores[0] == pytest.approx(scores[1], rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_changes_take_the_place_of_what_was(kind: type[WordIndex]) -> None:
    index = kind()
    index.apply(texts("a fox", "a hare", "a hare and a fox"), ())
    assert found(index, "fox") == ["0", "2"]
    index.apply([IndexedText("0", "an owl", {}, 0), IndexedText("0", "an owl again", {}, 0)], ["2", "7"])
    assert (found(index, "fox"), found(index, "again"), len(index)) == ([], ["0"], 2)
    index.close()

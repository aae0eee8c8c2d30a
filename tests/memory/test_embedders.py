"""Embedders: what they give is checked, cached, and tells what is alike."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections.abc import AsyncIterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest

from miniagent_store import (
    ConfigurationError,
    EmbedderUnavailableError,
    EmbeddingError,
    InvalidArgumentError,
    SessionStore,
    open_store,
)
from miniagent_store.embedding.hashing import DIMENSIONS, hashed
from miniagent_store.embedding.openai import OpenAIEmbedder
from miniagent_store.store.memory.embedding import Embedding


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SessionStore]:
    async with open_store(f"sqlite:///{tmp_path}/sessions.db?deadline=20s") as store:
        yield store


# hash


def likeness(left: str, right: str) -> float:
    return sum(a * b for a, b in zip(hashed(left), hashed(right), strict=True))


def test_hash_tells_shared_words_and_parts() -> None:
    assert likeness("My dog is called Rex", "what is the dog called?") > 0.4
    assert likeness("reservation", "reservations") > 0.6
    assert likeness("Zürich", "zürich!") == pytest.approx(1.0)
    assert abs(likeness("automobile", "car")) < 0.3
    assert hashed("?!") == [0.0] * DIMENSIONS


# what is checked


class Scripted:
    """Gives what it is told to."""

    name = "scripted"

    def __init__(self, answer: Any, dimensions: int | None = 2) -> None:
        self.answer, self.dimensions = answer, dimensions

    async def embed(self, texts: Sequence[str], *, query: bool = False) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ([[1.0, 0.0], [0.0, 1.0]], "gave 2 vectors for 1 texts"),
        ([], "gave 0 vectors for 1 texts"),
        ([[1.0]], "has 2 dimensions, not 1"),
        ([[1.0, math.nan]], "NaN"),
        ([[math.inf, 1.0]], "infinite"),
        ([["a", "b"]], "cannot be used"),
        ([None], "cannot be used"),
        (RuntimeError("secret"), "failed: RuntimeError"),
    ],
)
async def test_what_cannot_be_used_is_refused_and_nothing_is_stored(
    store: SessionStore, answer: Any, says: str
) -> None:
    memory = store.memory("ada", embedder=Scripted(answer))
    with pytest.raises(EmbeddingError, match=says) as refusal:
        await memory.add("a text")
    assert "secret" not in str(refusal.value)
    assert len(await memory.list()) == 0
    assert (await store.stats()).sessions.get("memory") is None


async def test_one_that_takes_too_long_is_given_up(store: SessionStore) -> None:
    class Slow(Scripted):
        async def embed(self, texts: Sequence[str], *, query: bool = False) -> Any:
            await asyncio.sleep(60)

    with pytest.raises(EmbedderUnavailableError, match=r"took more than 0.05 seconds"):
        await Embedding(Slow(None), store.cache, timeout=0.05).embed(["a"])


async def test_vectors_of_two_models_never_meet(store: SessionStore) -> None:
    await store.memory("ada").add("a text")
    other = store.memory("ada", embedder=Scripted([[1.0, 0.0]]))
    for attempt in (other.add("another"), other.search("a")):
        with pytest.raises(ConfigurationError, match="reindex"):
            await attempt
    with pytest.raises(InvalidArgumentError, match="512 dimensions, not 2"):
        await store.memory("ada").search([1.0, 0.0])
    with pytest.raises(InvalidArgumentError, match="NaN"):
        await store.memory("ada").search([math.nan] * DIMENSIONS)


# openai


class Endpoint:
    """Embeddings over HTTP.

    Attributes:
        asked: the texts of each request.
        script: what the next requests are answered with instead: a status, or what changes the data.
    """

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.script: list[Any] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                endpoint.asked.append(body["input"])
                step = endpoint.script.pop(0) if endpoint.script else 200
                data = [
                    {"object": "embedding", "index": at, "embedding": [float(len(text)), 1.0]}
                    for at, text in enumerate(body["input"])
                ]
                if callable(step):
                    data, step = step(data), 200
                answer = json.dumps(
                    {
                        "object": "list",
                        "data": data,
                        "model": "m",
                        "usage": {"prompt_tokens": 1, "total_tokens": 1},
                    }
                    if step == 200
                    else {"error": {"message": f"status {step}"}}
                ).encode()
                self.send_response(step)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(answer)))
                if step == 429:
                    self.send_header("retry-after", "0")
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def endpoint() -> Any:
    endpoint = Endpoint()
    yield endpoint
    endpoint.server.shutdown()
    endpoint.server.server_close()


@pytest.fixture
async def embedder(endpoint: Endpoint) -> AsyncIterator[OpenAIEmbedder]:
    client = openai.AsyncOpenAI(api_key="sk-secret", base_url=endpoint.url, max_retries=2)
    embedder = OpenAIEmbedder("m", client=client)
    yield embedder
    await embedder.aclose()


async def test_openai_is_asked_once_for_a_text(
    store: SessionStore, endpoint: Endpoint, embedder: OpenAIEmbedder
) -> None:
    memory = store.memory("ada", embedder=embedder)
    await memory.add_many(["one", "three", "one"])
    await memory.add("three")
    assert endpoint.asked == [["one", "three"]]
    assert len(await memory.search("three", mode="vector")) == 4


async def test_openai_is_asked_in_batches(endpoint: Endpoint, embedder: OpenAIEmbedder) -> None:
    texts = [f"text {number}" for number in range(300)] + ["x" * 200_000, "y" * 200_000]
    vectors = await embedder.embed(texts)
    assert [vector[0] for vector in vectors] == [len(text) for text in texts]
    assert [len(some) for some in endpoint.asked] == [256, 45, 1]


async def test_openai_is_asked_again_after_what_passes(
    endpoint: Endpoint, embedder: OpenAIEmbedder
) -> None:
    endpoint.script = [429, 500]
    assert len(await embedder.embed(["a"])) == 1
    assert len(endpoint.asked) == 3


@pytest.mark.parametrize(
    ("script", "kind", "says"),
    [
        ([500] * 3, EmbedderUnavailableError, "not available"),
        ([429] * 3, EmbedderUnavailableError, "not available"),
        ([401], EmbeddingError, "refused"),
        ([lambda data: data[:1]], EmbeddingError, "gave 1 vectors for 2 texts"),
        ([lambda data: [*data, data[0]]], EmbeddingError, "gave 3 vectors for 2 texts"),
    ],
)
async def test_openai_says_what_is_wrong(
    endpoint: Endpoint, embedder: OpenAIEmbedder, script: list[Any], kind: type[Exception], says: str
) -> None:
    endpoint.script = script
    with pytest.raises(kind, match=says) as refusal:
        await embedder.embed(["a", "b"])
    assert "sk-secret" not in str(refusal.value)


async def test_openai_may_answer_in_another_order(endpoint: Endpoint, embedder: OpenAIEmbedder) -> None:
    endpoint.script = [lambda data: data[::-1]]
    assert [vector[0] for vector in await embedder.embed(["a", "bbb"])] == [1.0, 3.0]


def test_openai_needs_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong in ("", "@3", "m@many"):
        with pytest.raises(ConfigurationError, match="say which model"):
            OpenAIEmbedder(wrong)


# model2vec


async def test_model2vec_runs_a_model_of_a_folder(store: SessionStore, tmp_path: Path) -> None:
    from model2vec import StaticModel
    from numpy import array, float32
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = {"[UNK]": 0, "[PAD]": 1, "car": 2, "automobile": 3, "cloud": 4}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    vectors = array([[0, 0, 0.1], [0, 0, 0], [1, 0, 0], [0.9, 0.1, 0], [0, 1, 0]], float32)
    StaticModel(vectors, tokenizer, config={}).save_pretrained(str(tmp_path / "model"))

    memory = store.memory("ada", embedder=f"model2vec:{tmp_path / 'model'}")
    await memory.add_many(["automobile", "cloud"])
    [found] = await memory.search("car", k=1, mode="vector")
    assert found.text == "automobile"
    with pytest.raises(ConfigurationError, match="say which model"):
        store.memory("ada", embedder="model2vec")


# sentence-transformers


async def test_sentence_transformers_runs_a_model_of_a_folder(store: SessionStore, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers", reason="gigabytes: `nox -s embedders` installs it")
    from numpy import array, float32
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    words = {"[UNK]": 0, "car": 1, "automobile": 2, "cloud": 3}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    vectors = array([[0, 0, 0.1], [1, 0, 0], [0.9, 0.1, 0], [0, 1, 0]], float32)
    model = SentenceTransformer(
        modules=[StaticEmbedding(tokenizer, embedding_weights=vectors)], device="cpu"
    )
    model.save(str(tmp_path / "model"))

    memory = store.memory("ada", embedder=f"sentence-transformers:{tmp_path / 'model'}")
    await memory.add_many(["automobile", "cloud"])
    [found] = await memory.search("car", k=1, mode="vector")
    assert found.text == "automobile"
    with pytest.raises(ConfigurationError, match="say which model"):
        store.memory("ada", embedder="sentence-transformers")

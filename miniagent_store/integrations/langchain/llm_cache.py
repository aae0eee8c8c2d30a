"""LangChain's `BaseCache`: answers of models, shared by all instances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from miniagent_store.errors import InvalidArgumentError
from miniagent_store.handle import StoreHandle, handle_of
from miniagent_store.integrations.lacking import requires
from miniagent_store.integrations.langchain.messages import dumped
from miniagent_store.options import TTL
from miniagent_store.store.protocol import SessionStore
from miniagent_store.url import StoreURL

with requires("langchain-core", extra="langchain"):
    from langchain_core.caches import RETURN_VAL_TYPE, BaseCache
    from langchain_core.messages import BaseMessage, messages_from_dict
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, Generation, GenerationChunk

_CLASSES: dict[str, type[Generation]] = {
    each.__name__: each for each in (Generation, GenerationChunk, ChatGeneration, ChatGenerationChunk)
}


class MiniAgentLLMCache(BaseCache):
    """Keeps answers of models in the store's cache, where they may be evicted.

    A cache that cannot be reached takes no call down: nothing is found and nothing kept. Only `clear`
    raises.

    Args:
        store: a URL, a `SessionStore`, or a handle.
        ttl: of an answer, in seconds or as "1h"; None for as long as there is room.
        namespace: of the store's cache, for this one alone.
    """

    handle: StoreHandle

    def __init__(
        self,
        store: str | StoreURL | SessionStore | StoreHandle | None = None,
        *,
        ttl: TTL | None = None,
        namespace: str = "langchain-llm",
    ) -> None:
        self.handle, self._ttl, self._namespace = handle_of(store), ttl, namespace

    def lookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """The answers to a prompt of a model as it is set up; None if there are none."""
        return self.handle.run_blocking(lambda store: self._lookup(store, prompt, llm_string))

    async def alookup(self, prompt: str, llm_string: str) -> RETURN_VAL_TYPE | None:
        """As `lookup`."""
        return await self.handle.run(lambda store: self._lookup(store, prompt, llm_string))

    def update(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """Keep the answers to a prompt.

        Raises:
            InvalidArgumentError: they are of a class that LangChain's core does not have.
            SerializationError: they hold what cannot be stored.
        """
        answers = [_dumped(each) for each in return_val]
        self.handle.run_blocking(lambda store: self._update(store, prompt, llm_string, answers))

    async def aupdate(self, prompt: str, llm_string: str, return_val: RETURN_VAL_TYPE) -> None:
        """As `update`."""
        answers = [_dumped(each) for each in return_val]
        await self.handle.run_to_end(lambda store: self._update(store, prompt, llm_string, answers))

    def clear(self, **kwargs: Any) -> None:
        """Forget all answers.

        Raises:
            BackendUnavailableError: they may still be there.
        """
        self.handle.run_blocking(self._clear)

    async def aclear(self, **kwargs: Any) -> None:
        """As `clear`."""
        await self.handle.run_to_end(self._clear)

    async def _lookup(self, store: SessionStore, prompt: str, llm_string: str) -> list[Generation] | None:
        key = await store.cache.key(prompt, llm_string)
        found = await store.cache.get(key, namespace=self._namespace)
        # LangChain takes a list for a hit, and nothing else.
        return None if found is None else [_loaded(each) for each in found]

    async def _update(
        self, store: SessionStore, prompt: str, llm_string: str, answers: list[dict[str, Any]]
    ) -> None:
        key = await store.cache.key(prompt, llm_string)
        await store.cache.set(key, answers, ttl=self._ttl, namespace=self._namespace)

    async def _clear(self, store: SessionStore) -> None:
        await store.cache.clear(self._namespace)


def _dumped(answer: Generation) -> dict[str, Any]:
    name = next((each for each, known in _CLASSES.items() if type(answer) is known), None)
    if name is None:
        raise InvalidArgumentError(f"a {type(answer).__name__} cannot be cached")
    kept: dict[str, Any] = {"class": name, "info": answer.generation_info}
    message = getattr(answer, "message", None)
    if isinstance(message, BaseMessage):
        return {**kept, "message": dumped(message)}
    return {**kept, "text": answer.text}


def _loaded(kept: Mapping[str, Any]) -> Generation:
    given: dict[str, Any] = {"generation_info": kept["info"]}
    if "message" in kept:
        (given["message"],) = messages_from_dict([kept["message"]])
    else:
        given["text"] = kept["text"]
    return _CLASSES[kept["class"]](**given)

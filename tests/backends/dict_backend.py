"""The smallest backend there can be: the example in the docstring of `DocumentBackend`, as a plugin."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from miniagent_store.backend import BackendOptions, Capabilities
from miniagent_store.document_backend import DocumentBackend
from miniagent_store.hookspecs import BackendFactory, hookimpl
from miniagent_store.provider import Provider
from miniagent_store.url import StoreURL

T = TypeVar("T")


class DictBackend(DocumentBackend):
    """Documents in a dictionary."""

    name = "dict"
    capabilities = Capabilities(durable=False, shared=False)

    def __init__(self, url: StoreURL, options: BackendOptions) -> None:
        super().__init__(options)
        self.documents: dict[str, bytes] = {}

    async def transact(self, key: str, change: Callable[[bytes | None], tuple[bytes | None, T]]) -> T:
        after, result = change(self.documents.get(key))
        if after is None:
            self.documents.pop(key, None)
        else:
            self.documents[key] = after
        return result

    async def keys(self, prefix: str) -> list[str]:
        return [key for key in self.documents if key.startswith(prefix)]


@hookimpl
def provide_backends() -> list[Provider[BackendFactory]]:
    return [Provider("dict", lambda: DictBackend)]

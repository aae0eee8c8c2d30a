"""Classes whose objects a serializer takes as they are: which, and how their objects are fingerprinted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from miniagent_store.codec.chain import Chain
from miniagent_store.codec.types import RegisteredType, TypeRegistry
from miniagent_store.serializer import ClassSerializer


def natives_of(chains: Iterable[Chain]) -> frozenset[type]:
    """The classes that the serializers of `chains` take."""
    serializers = [chain.serializer for chain in chains]
    lists = [each.classes for each in serializers if isinstance(each, ClassSerializer) and each.classes]
    return frozenset().union(*lists)


class StructureOfNatives(TypeRegistry):
    """Registered types, and for `natives` what they are pickled from; for fingerprints, never for storage.

    The pickled bytes themselves differ from one process to the next for equal objects.
    """

    def __init__(self, types: TypeRegistry, natives: frozenset[type]) -> None:
        super().__init__()
        self._types, self._natives = types, natives

    def of_class(self, cls: type) -> RegisteredType | None:
        registered = self._types.of_class(cls)
        if registered is None and cls in self._natives:
            return RegisteredType(cls, f"{cls.__module__}.{cls.__qualname__}", _structure, _never)
        return registered


def _structure(value: Any) -> dict[str, Any]:
    reduced = value.__reduce_ex__(4)
    if isinstance(reduced, str):
        return {"name": reduced}
    arguments, *rest = reduced[1:]
    state, items, pairs = (*rest, None, None, None)[:3]
    return {
        "arguments": [None if isinstance(each, type) else each for each in arguments],
        "state": state,
        "items": None if items is None else list(items),
        "pairs": None if pairs is None else list(pairs),
    }


def _never(fields: dict[str, Any]) -> NoReturn:
    raise TypeError

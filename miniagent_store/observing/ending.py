"""What observers have in common: the end of an operation, labels that stay few, errors without words."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

from miniagent_store.operation import Operation

# What a metric may have of different values in one label; whatever comes later is "other".
MOST_VALUES = 64
OTHER = "other"


class AtEnd(AbstractContextManager[None]):
    """Calls a function with the operation when it has ended."""

    __slots__ = ("_call", "_operation")

    def __init__(self, operation: Operation, call: Callable[[Operation], None]) -> None:
        self._operation, self._call = operation, call

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._operation)


class BoundedValues:
    """Lets so many different values of a label through, so that no caller can fill a metric's memory."""

    def __init__(self, most: int = MOST_VALUES) -> None:
        self._most = most
        self._seen: set[str] = set()

    def __call__(self, value: str | None) -> str:
        text = value or ""
        if text not in self._seen:
            if len(self._seen) >= self._most:
                return OTHER
            self._seen.add(text)
        return text


def error_type(error: BaseException) -> str:
    """The class of an error, which never holds what was said."""
    return type(error).__qualname__

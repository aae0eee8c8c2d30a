"""Decorated functions: how they are called, and what they are called."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


async def run_function(function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
    """The result of a function; one that is not async runs in a thread."""
    if inspect.iscoroutinefunction(function):
        return await function(*args, **kwargs)
    # Plain functions come from the blocking face, where nothing else would fit.
    result: Any = await asyncio.to_thread(function, *args, **kwargs)
    value: R = await result if inspect.isawaitable(result) else result
    return value


def name_of(function: Callable[..., Any]) -> str:
    """Where a function is defined, as an id."""
    return f"{function.__module__}.{function.__qualname__}".replace("<", "(").replace(">", ")")

"""Something that a plugin brings: named now, loaded when it is first used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from miniagent_store.errors import MissingExtraError, PluginError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Provider(Generic[T]):
    """Something a plugin brings: named now, loaded when first used.

    Args:
        name: URL scheme, serializer, layer or model name.
        load: returns the thing; heavy imports belong inside it.
        wire_id: of a serializer or layer with a number on the wire, so that stored values find it
            without loading it; None for named codecs and for what is not a codec.
        options: names of URL options a backend understands besides the common ones.
        summary: one line for `miniagent-store plugins`.
        package: the optional distribution it needs, if any.
        extra: the extra of miniagent-store that installs `package`.
        safe: False for a serializer that may run code named by stored bytes.
    """

    name: str
    load: Callable[[], T]
    wire_id: int | None = None
    options: frozenset[str] = frozenset()
    summary: str = ""
    package: str | None = None
    extra: str | None = None
    safe: bool = True


def load_provider(kind: str, provider: Provider[Any]) -> Any:
    """Call `provider.load`, telling a missing package from a broken plugin.

    Args:
        kind: what it is, for messages: "backend", "serializer", "layer" or "model".

    Raises:
        MissingExtraError: a package that it needs is not installed.
        PluginError: it failed to load for another reason.
    """
    try:
        return provider.load()
    except ImportError as error:
        missing = (error.name or "").partition(".")[0]
        problem = f"{type(error).__name__}: {error}"
    package = provider.package
    if package and missing in {package.replace("-", "_"), package.partition(".")[0]}:
        raise MissingExtraError(
            f"{kind} {provider.name!r}", package=package, extra=provider.extra or package
        )
    raise PluginError(
        f"{kind} {provider.name!r} cannot be loaded ({problem}); update or uninstall its plugin"
    )

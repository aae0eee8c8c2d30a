"""What runs code that stored bytes name is used only where code says so: never by a URL alone, which may
come from an environment variable, a file of settings, or someone else."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from miniagent_store.codec.chain import Chain
from miniagent_store.codec.registry import CodecRegistry
from miniagent_store.errors import ConfigurationError
from miniagent_store.provider import load_provider
from miniagent_store.serializer import ClassSerializer, LegacyReader

ListedClass = type | tuple[str, str]
"""A class, or its module and name."""

_CODE_ONLY = ("allow_pickle", "pickle_classes")


def check_not_in_url(options: Mapping[str, str]) -> None:
    """Refuse options that only code may give.

    Raises:
        ConfigurationError: there is one; says why.
    """
    for name in _CODE_ONLY:
        if name in options:
            raise ConfigurationError(
                f"{name} cannot stand in a URL: a URL may come from outside, and pickle runs what stored "
                f"bytes name; give it in code, open_store(url, {name}=…)"
            )


def allow_unsafe(chain: Chain, *, allow_pickle: bool, classes: Iterable[ListedClass]) -> Chain:
    """`chain` if it may be used; a serializer that needs a list of classes is given `classes`.

    A serializer that was built in code with a list of its own keeps it where `classes` is empty.

    Raises:
        ConfigurationError: it may run code and there is no leave, or a class cannot be listed.
    """
    serializer = chain.serializer
    if not serializer.safe and allow_pickle is not True:
        raise ConfigurationError(
            f"{chain}: {serializer.name} may run code that stored bytes name, so it is not used by a URL "
            "alone; if you need it, give leave in code: open_store(url, allow_pickle=True, "
            "pickle_classes=[…])"
        )
    if not isinstance(serializer, ClassSerializer):
        return chain
    listed = [_class_of(each) for each in classes]
    if not listed and serializer.classes is not None:
        return chain
    return Chain(serializer.with_classes(listed), chain.layers)


def legacy_reader(name: str, registry: CodecRegistry, *, allow_pickle: bool) -> LegacyReader:
    """The reader that ``legacy=`` names.

    Raises:
        ConfigurationError: there is none of this name, or it needs leave and there is none.
    """
    provider = registry.legacy_reader(name)
    if not provider.safe and allow_pickle is not True:
        raise ConfigurationError(
            f"legacy={name} unpickles values that nothing authenticates; if you trust who could write "
            "them, give leave in code: open_store(url, allow_pickle=True)"
        )
    reader: LegacyReader = load_provider("legacy reader", provider)
    return reader


def _class_of(listed: Any) -> Any:
    if not isinstance(listed, tuple):
        return listed
    if len(listed) != 2 or not all(isinstance(part, str) for part in listed):
        raise ConfigurationError("pickle_classes takes classes, or pairs of module and name")
    module, name = listed
    if "." in name:
        raise ConfigurationError(f"pickle_classes takes no dotted name such as {name[:80]!r}")
    try:
        # The name is the application's own; stored bytes never import anything.
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}"
    raise ConfigurationError(f"pickle_classes: {module}.{name} cannot be imported ({problem})")

"""Which namespaces are below another, and which may be erased."""

from __future__ import annotations

from miniagent_store.errors import InvalidArgumentError


def start_of_tenants(namespace: str) -> str:
    """What the namespaces of all tenants of `namespace` start with, those of tenants' tenants too."""
    return f"{namespace}." if namespace else ""


def check_erasable(namespace: str) -> str:
    """Return `namespace` if all that stands in it may be erased at once.

    Raises:
        InvalidArgumentError: it is the empty one, which is everybody's.
    """
    if not namespace:
        raise InvalidArgumentError("only a tenant or a store with a namespace of its own can be erased")
    return namespace

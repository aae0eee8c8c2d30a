"""Whose sessions are looked at: the store's own, or those of one of its tenants."""

from __future__ import annotations

from starlette.requests import Request

from miniagent_store.errors import InvalidArgumentError
from miniagent_store.ids import check_namespace
from miniagent_store.store.protocol import SessionStore

# Between the names of a tenant and of its own tenants; no name holds it.
WITHIN = "."


def tenant_of(request: Request) -> str:
    """The tenant of the address, ``tenant=acme`` or ``tenant=acme.eu``; "" for the store itself.

    What cannot be a tenant is "" too, so that a page that says so still leads somewhere.
    """
    name = request.query_params.get("tenant", "")
    try:
        for part in name.split(WITHIN):
            check_namespace(part)
    except InvalidArgumentError:
        return ""
    return name


def view_of(store: SessionStore, name: str) -> SessionStore:
    """What a tenant has; `store` itself for "".

    Raises:
        InvalidArgumentError: this can be no tenant's name.
    """
    for part in name.split(WITHIN) if name else ():
        store = store.tenant(part)
    return store

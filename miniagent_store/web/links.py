"""Addresses of pages, which keep the tenant that is looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

from miniagent_store.web.tenant import tenant_of


def linking(request: Request) -> Callable[..., str]:
    """``link(name, **query)``: the address of a route, for a template.

    A value that is None is left out, a list stands once for each of its items. Another ``tenant=`` than
    the one that is looked at may be given, "" for the store itself. Addresses begin with a path: whatever
    stands before this app may speak another protocol or have another name.
    """

    tenant = tenant_of(request) or None
    # A page holds hundreds of links to a few routes.
    path_of = cache(lambda name: request.url_for(name).path)

    def link(name: str, /, **query: Any) -> str:
        values: Mapping[str, Any] = {"tenant": tenant, **query}
        asked = urlencode(
            [(key, each) for key, value in values.items() for each in _each(value)], errors="replace"
        )
        path = path_of(name)
        return f"{path}?{asked}" if asked else path

    return link


def _each(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return [*value] if isinstance(value, list | tuple) else [value]

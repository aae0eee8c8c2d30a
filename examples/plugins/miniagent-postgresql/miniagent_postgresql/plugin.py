"""Registers the scheme ``postgresql``. Light: psycopg is imported when the first store is opened on it."""

from __future__ import annotations

from collections.abc import Iterable

from miniagent_store import Provider, hookimpl
from miniagent_store.hookspecs import BackendFactory

OPTIONS = frozenset({"connections", "host", "schema", "sslmode", "sslrootcert"})


def _load() -> BackendFactory:
    from miniagent_postgresql.backend import PostgresBackend

    return PostgresBackend.from_url


@hookimpl
def provide_backends() -> Iterable[Provider[BackendFactory]]:
    """The provider of ``postgresql``."""
    return [Provider("postgresql", _load, options=OPTIONS, summary="PostgreSQL, shared by many machines")]

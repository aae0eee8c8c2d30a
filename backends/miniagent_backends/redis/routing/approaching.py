"""The way to a server, step by step: its name, its port, TLS, who we are, what we may do."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from miniagent_backends.redis.rights import Rights
from miniagent_backends.redis.wire.failures import IS_IT_RUNNING
from miniagent_backends.redis.wire.node import Node
from miniagent_backends.redis.wire.tls import FILES, TlsProblem, load_context
from miniagent_store.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    OutcomeUnknownError,
    StoreError,
)
from miniagent_store.values import Finding

# Seconds for a name, and days that a certificate should still be good for.
NAME_TIMEOUT, CERTIFICATE_DAYS = 5.0, 14


async def approach(node: Node, rights: Rights) -> list[Finding]:
    """What is found on the way to a server; ends with the first error.

    Args:
        node: the server.
        rights: for what to say where one is missing that comes before all others.
    """
    found: list[Finding] = []
    for step in (_name, _port):
        found += await step(node)
        if has_error(found):
            return found
    known = await _handshake(node, rights)
    return [*found, *([] if has_error(known) else await _certificate(node)), *known]


async def lacking(rights: Rights, node: Node) -> list[Finding]:
    """Which rights are missing; nothing of a server that does not serve for now."""
    try:
        await rights.check(node)
    except AccessDeniedError as error:
        return [Finding.of(rights.refusal(error), "rights")]
    except BackendUnavailableError:
        return []
    return [Finding("info", f"{node.name}: the user may do all that is needed", check="rights")]


def has_error(found: Sequence[Finding]) -> bool:
    """Whether something of it is an error."""
    return any(each.level == "error" for each in found)


def milder(found: Sequence[Finding]) -> list[Finding]:
    """The same of a server without which others do."""
    return [replace(each, level="warning") if each.level == "error" else each for each in found]


async def _name(node: Node) -> list[Finding]:
    host = node.target.get("host")
    if host is None or _is_address(host):
        return []
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(NAME_TIMEOUT):
            rows = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "no answer in time"
        cure = "mend the host in the URL, or see what the resolver says of it (getent hosts)"
        return [Finding("error", f"no address is known for {host!r} ({why})", cure, "DNS")]
    addresses = ", ".join(sorted({str(row[4][0]) for row in rows}))
    return [Finding("info", f"{host} is {addresses}", check="DNS")]


async def _port(node: Node) -> list[Finding]:
    target = node.target
    started = time.perf_counter()
    try:
        async with asyncio.timeout(node.connect_timeout):
            if "path" in target:
                _, writer = await asyncio.open_unix_connection(target["path"])
            else:
                _, writer = await asyncio.open_connection(target["host"], target["port"])
    except (OSError, TimeoutError) as error:
        return [Finding("error", *_unreachable(node.name, error), "connection")]
    taken = time.perf_counter() - started
    writer.close()
    return [Finding("info", f"{node.name}: takes connections ({taken * 1000:.1f} ms)", check="connection")]


def _unreachable(name: str, error: OSError | TimeoutError) -> tuple[str, str]:
    if isinstance(error, ConnectionRefusedError):
        return f"nothing listens at {name}", "start the server, or mend host and port in the URL"
    if isinstance(error, TimeoutError):
        return f"{name} does not answer", "see whether its machine is up, and what a firewall lets through"
    if isinstance(error, PermissionError):
        return f"{name}: this user may not connect", "give it the right to the socket (unixsocketperm)"
    why = error.strerror or str(error)
    return f"{name} cannot be reached ({why})", "mend host, port or path in the URL, or the network"


async def _certificate(node: Node) -> list[Finding]:
    """Of a server that has been connected to, and so is trusted."""
    target, tls = node.target, node.target.get("tls")
    if tls is None:
        return _in_clear(node.name, target)
    try:
        authority, certificate, key = (tls.get(name) for name in FILES)
        context = await asyncio.to_thread(
            load_context, authority, certificate, key, bool(tls.get("ssl_check_hostname", True))
        )
        async with asyncio.timeout(node.connect_timeout):
            _, writer = await asyncio.open_connection(target["host"], target["port"], ssl=context)
    except StoreError as error:
        return [Finding.of(error, "TLS")]
    except (OSError, TimeoutError):
        return []
    secure: ssl.SSLObject = writer.get_extra_info("ssl_object")
    shown: dict[str, Any] = secure.getpeercert() or {}
    version = secure.version()
    writer.transport.abort()
    if "notAfter" not in shown:
        return [Finding("info", f"{node.name}: speaks {version}", check="TLS")]
    days = int((ssl.cert_time_to_seconds(str(shown["notAfter"])) - time.time()) / 86400)
    what = f"{node.name}: speaks {version}; its certificate is trusted, and good for another {days} days"
    if days < CERTIFICATE_DAYS:
        return [Finding("warning", what, "renew it in time", "TLS")]
    return [Finding("info", what, check="TLS")]


def _in_clear(name: str, target: Mapping[str, Any]) -> list[Finding]:
    host = target.get("host")
    if (
        host is None
        or host == "localhost"
        or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
    ):
        return []
    cure = "use rediss:// and a TLS port, unless the network between is yours alone"
    return [Finding("info", f"{name}: password and messages travel unencrypted", cure, "TLS")]


async def _handshake(node: Node, rights: Rights) -> list[Finding]:
    try:
        await node.connection()
    except TlsProblem as error:
        return [Finding.of(error, "TLS")]
    except AccessDeniedError as error:
        refusal = rights.refusal(error)
        return [Finding.of(refusal, "credentials" if refusal is error else "rights")]
    except OutcomeUnknownError as error:
        return [Finding("error", error.why, "see whether the server is overloaded", "connection")]
    except StoreError as error:
        told = Finding.of(error, "connection" if node.target.get("tls") is None else "TLS")
        if told.cure == IS_IT_RUNNING:
            # It listens, as was seen just now.
            cure = "see in its log what it is busy with, and whether it is a Redis or Valkey at all"
            told = replace(told, cure=cure)
        return [told]
    if node.target.get("password"):
        user = node.target.get("username") or "default"
        return [Finding("info", f"{node.name}: knows the user {user!r}", check="credentials")]
    cure = "give it one (requirepass, or ACL users), unless only this machine reaches it"
    return [Finding("info", f"{node.name}: asks for no password", cure, "credentials")]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True

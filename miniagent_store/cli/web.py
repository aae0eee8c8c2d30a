"""``web``: the viewer in a browser."""

from __future__ import annotations

import os

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
it is yours, and good over restarts."""
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8081, show_default=True, help="0 for a free one."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--allow-write", is_flag=True, help="Show and take actions that change sessions.")
@click.option("--no-content", is_flag=True, help="Hide what was said.")
@store_options()
def command(port: int, host: str, allow_write: bool, no_content: bool) -> None:
    """Show sessions and conversations in a browser; read-only unless told otherwise."""
    from miniagent_store.web.serving import serve

    serve(
        current().url,
        host=host,
        port=port,
        token=os.environ.get(TOKEN_VARIABLE),
        allow_write=allow_write,
        content=not no_content,
        tell=lambda url: click.echo(url),
    )

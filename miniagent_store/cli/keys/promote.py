"""``keys promote``."""

from __future__ import annotations

from pathlib import Path

import click

from miniagent_store.cli.settings import store_options


@click.command(
    "promote",
    epilog="""\b
Example:
  miniagent-store keys promote 2027-01 --file keys.txt""",
)
@click.argument("label")
@click.option(
    "--file",
    "path",
    metavar="PATH",
    required=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The file of keys.",
)
@store_options()
def command(label: str, path: Path) -> None:
    """Let the key with this LABEL write from now on; the others go on reading.

    For keys in an environment variable or a key service: put the key first there, and restart or tell the
    service.
    """
    from miniagent_store.keys.key_file import make_primary

    ring = make_primary(path, label)
    click.echo(
        f"key {label} ({ring.primary.id.hex()}) writes now; running stores follow within a second or two"
    )
    click.echo("next: miniagent-store --store URL keys rotate")

"""``keys generate``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from miniagent_store.cli.settings import store_options


@click.command(
    "generate",
    epilog="""\b
Examples:
  export MINIAGENT_STORE_KEYS="$(miniagent-store keys generate)"
  miniagent-store keys generate --file keys.txt --label 2027-01

Keep keys where your other secrets are, and a copy where a backup is: without its key a value is lost.""",
)
@click.option("--label", metavar="TEXT", help="What people call it; today's date unless given.")
@click.option(
    "--file",
    "path",
    metavar="PATH",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Add it to this file (made with mode 0600) instead of printing it.",
)
@store_options()
def command(label: str | None, path: Path | None) -> None:
    """Make a key: 32 random bytes.

    Printed as label:secret, or added to a file of keys. In a file that has keys already it only reads until
    you run `keys promote`, so that all instances know it before it writes.
    """
    from miniagent_store.keys.key import Key, check_label
    from miniagent_store.keys.key_file import add_key

    key = Key.generate(check_label(label or datetime.now(UTC).strftime("%Y-%m-%d")))
    if path is None:
        click.echo(key.to_text())
        return
    ring = add_key(path, key)
    if len(ring) == 1:
        click.echo(f"made {path} with key {key.label} ({key.id.hex()}); use it with keys=file:{path}")
    else:
        click.echo(f"added key {key.label} ({key.id.hex()}) to {path}; it reads only")
        promote = f"miniagent-store keys promote {key.label} --file {path}"
        click.echo(f"next, when all instances read this file: {promote}")

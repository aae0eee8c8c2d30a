"""``plugins new``."""

from __future__ import annotations

import re
from pathlib import Path

import click

from miniagent_store.cli.plugins.writing import KINDS, existing, write_package


@click.command(
    "new",
    epilog="""\b
Examples:
  miniagent-store plugins new backend etcd       writes ./miniagent-etcd
  miniagent-store plugins new serializer yaml
  miniagent-store plugins new layer brotli --path ~/src
  miniagent-store plugins new model local

\b
What is written works as it is. To see it:
  cd miniagent-etcd && pip install -e '.[test]' && pytest""",
)
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name")
@click.option(
    "--path",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="The folder in which the package's folder is made; by default this one.",
)
def command(kind: str, name: str, path: Path) -> None:
    """Write a package with a backend, serializer, layer or model of your own to fill in.

    NAME is what stands in URLs: a scheme, or a serializer's, layer's or model's name. The package installs,
    passes its tests as it is, and has its places to fill in marked.
    """
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", name) or name.endswith("-"):
        raise click.BadParameter(
            "at most 32 lower-case letters, digits and '-', a letter first, such as 'etcd'",
            param_hint="NAME",
        )
    taken = existing(kind, name)
    if taken:
        raise click.BadParameter(f"{taken} has a {kind} of that name already", param_hint="NAME")
    folder = path / f"miniagent-{name}"
    if folder.exists():
        raise click.ClickException(f"{folder} is there already; move it away, or choose another --path")
    for written in write_package(kind, name, folder):
        click.echo(f"  {written}")
    click.echo(f"\nwritten to {folder}; next:", err=True)
    click.echo(f"  cd {folder}\n  pip install -e '.[test]'\n  pytest", err=True)
    click.echo(f"then search for FILL IN: grep -rn 'FILL IN' {folder}", err=True)

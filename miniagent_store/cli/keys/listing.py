"""``keys list``."""

from __future__ import annotations

import click

from miniagent_store.cli.keys.place import keyring_of, keys_option
from miniagent_store.cli.output import emit_json, show_table
from miniagent_store.cli.settings import json_option, store_options


@click.command(
    "list",
    epilog="""\b
Examples:
  miniagent-store keys list
  miniagent-store keys list --keys file:keys.txt""",
)
@keys_option
@json_option
@store_options()
def command(place: str | None, as_json: bool) -> None:
    """Show the keys that there are, without their secrets. The store is not opened.

    How many values each has written is told by `keys check`.
    """
    ring = keyring_of(place)
    rows = [
        (key.label, key.id.hex(), "writes and reads" if key is ring.primary else "reads")
        for key in ring.keys
    ]
    if as_json:
        emit_json({"keys": [dict(zip(("label", "id", "use"), row, strict=True)) for row in rows]})
    else:
        show_table(["label", "id", "use"], rows, keep=["label", "id"])

"""Help and version cost little: nothing is imported for them that only a running command needs."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from miniagent_store.cli.root import cli

HEAVY = ("sqlite3", "redis", "hiredis", "cryptography", "rich", "pluggy", "msgpack", "orjson", "pytest")


def commands(group: click.Group, *above: str) -> list[tuple[str, ...]]:
    """All commands below a group, by their names."""
    found: list[tuple[str, ...]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        found.append((*above, name))
        if isinstance(command, click.Group):
            found += commands(command, *above, name)
    return found


@pytest.mark.parametrize(
    "arguments", ["--version", *(" ".join((*names, "--help")) for names in commands(cli))]
)
def test_no_heavy_library_is_imported(arguments: str) -> None:
    script = (
        "import sys\n"
        "from miniagent_store.cli.root import cli\n"
        f"try: cli({arguments.split()}, prog_name='miniagent-store')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )

    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert result.stderr.strip() == "[]"

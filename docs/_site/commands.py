"""What `miniagent-store --help` says, of each command."""

from __future__ import annotations

from collections.abc import Iterator

import click

from miniagent_store.cli.root import cli

Path = tuple[str, ...]


def commands_page() -> str:
    """The page: the help of each command, as it is printed."""
    lines = ["# Command line", "", "What `--help` says. Made of the code when the site is built.", ""]
    for path, command in _commands(cli, ("miniagent-store",)):
        context = _context(path)
        lines += ["#" * min(len(path) + 1, 4) + f" {' '.join(path)}", "", "```text"]
        lines += [command.get_help(context), "```", ""]
    return "\n".join(lines)


def _commands(command: click.Command, path: Path) -> Iterator[tuple[Path, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = _context(path)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                yield from _commands(found, (*path, name))


def _context(path: Path) -> click.Context:
    """As if the command had been called, so that its usage names all of its parents."""
    context = click.Context(cli, info_name=path[0], terminal_width=100, help_option_names=["-h", "--help"])
    command: click.Command = cli
    for name in path[1:]:
        assert isinstance(command, click.Group)
        command = command.get_command(context, name) or command
        context = click.Context(command, parent=context, info_name=name)
    return context

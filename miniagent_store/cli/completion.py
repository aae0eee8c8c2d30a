"""``miniagent-store completion``: what a shell has to read to complete commands, options and ids."""

from __future__ import annotations

import click

PROGRAM, VARIABLE = "miniagent-store", "_MINIAGENT_STORE_COMPLETE"


@click.command(
    "completion",
    short_help="Print what makes a shell complete commands.",
    epilog="""\b
Examples:
  eval "$(miniagent-store completion bash)"                       in ~/.bashrc
  eval "$(miniagent-store completion zsh)"                        in ~/.zshrc
  miniagent-store completion fish > ~/.config/fish/completions/miniagent-store.fish

Ids of sessions are completed too, from the store in MINIAGENT_STORE_URL or --store.""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print what a SHELL has to read to complete commands, options and ids of sessions."""
    from click.shell_completion import get_completion_class

    chosen = get_completion_class(shell)
    assert chosen is not None
    click.echo(chosen(ctx.find_root().command, {}, PROGRAM, VARIABLE).source())

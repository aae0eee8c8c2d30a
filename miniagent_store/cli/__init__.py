"""The command ``miniagent-store``; one file a command."""

from __future__ import annotations


def main() -> None:
    """Run the command line of this process and exit: 0 done, 1 failed, 2 misused, 130 interrupted."""
    import warnings

    from miniagent_store.cli.root import cli, show_warning

    warnings.showwarning = show_warning
    cli(prog_name="miniagent-store")

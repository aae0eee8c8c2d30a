"""``plugins list``."""

from __future__ import annotations

import sys
import warnings
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import click

from miniagent_store.cli.output import emit_json, show_table
from miniagent_store.cli.settings import json_option, store_options

if TYPE_CHECKING:
    from collections.abc import Iterator

    from miniagent_store.plugins import PluginInfo
    from miniagent_store.provider import Provider


@click.command(
    "list",
    short_help="Show who brought what, and what is broken.",
    epilog="""\b
Examples:
  miniagent-store plugins list
  miniagent-store plugins list --json | jq '.plugins[] | select(.problem)'""",
)
@json_option
@store_options()
def command(as_json: bool) -> None:
    """Show the plugins: backends, serializers, layers, models, and what is wrong with broken ones."""
    from miniagent_store.plugins import shared_plugins

    with warnings.catch_warnings():
        # A broken plugin stands in the table, with its reason.
        warnings.simplefilter("ignore", RuntimeWarning)
        infos = shared_plugins().infos()
    if as_json:
        emit_json({"plugins": [_document(info) for info in infos]})
        return
    rows: list[tuple[str, ...]] = []
    styles: list[str] = []
    for info in infos:
        for row, style in _rows(info):
            rows.append(row)
            styles.append(style)
    columns = ["plugin", "from", "kind", "name", "wire id", "safe", "what"]
    show_table(columns, rows, keep=columns[:-1], styles=styles)


def _rows(info: PluginInfo) -> Iterator[tuple[tuple[str, ...], str]]:
    """A row for each thing that a plugin brings; its name stands in the first."""
    things = [
        (
            kind,
            each.name,
            _wire_id(kind, each),
            _is_safe(kind, each),
            "; ".join(filter(None, (each.summary, *_remarks(each)))),
        )
        for kind, each in info.provides
    ]
    if info.observes:
        things.append(("hooks", "-", "-", "-", f"observes {', '.join(info.observes)}"))
    if info.problem:
        things = [("broken", "-", "-", "-", info.problem)]
    for number, thing in enumerate(things or [("-", "-", "-", "-", "brings nothing")]):
        # In a pipe each line has to stand for itself; people read better what is said once.
        said = number > 0 and sys.stdout.isatty()
        who = ("", "") if said else (info.name, info.distribution or "-")
        yield (*who, *thing), "red" if info.problem else ""


def _remarks(provider: Provider[Any]) -> Iterator[str]:
    if not provider.safe:
        yield "may run code that stored bytes name: only with allow_pickle=True in code"
    if not _installed(provider):
        yield f"not installed: pip install 'miniagent-store[{provider.extra or provider.package}]'"


def _installed(provider: Provider[Any]) -> bool:
    if not provider.package:
        return True
    try:
        version(provider.package)
    except PackageNotFoundError:
        return False
    return True


def _wire_id(kind: str, provider: Provider[Any]) -> str:
    """What stands for it in stored values: a number, or its name."""
    if kind not in ("serializer", "layer"):
        return "-"
    return "named" if provider.wire_id is None else f"0x{provider.wire_id:02X}"


def _is_safe(kind: str, provider: Provider[Any]) -> str:
    if kind not in ("serializer", "layer", "legacy reader"):
        return "-"
    return "yes" if provider.safe else "NO"


def _document(info: PluginInfo) -> dict[str, Any]:
    return {
        "name": info.name,
        "distribution": info.distribution,
        "provides": [
            {
                "kind": kind,
                "name": each.name,
                "wire_id": each.wire_id,
                "safe": each.safe,
                "summary": each.summary,
                "options": sorted(each.options),
                "package": each.package,
                "installed": _installed(each),
            }
            for kind, each in info.provides
        ],
        "observes": list(info.observes),
        "problem": info.problem or None,
    }

"""Packages of plugins to begin with, from the templates beside this file.

A template is text with ``$name`` and the like; its file is named as the one it becomes, with ``.txt``
behind, so that nothing takes it for code.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from string import Template

TEMPLATES = Path(__file__).parent / "templates"
KINDS = ("backend", "serializer", "layer", "model")


def existing(kind: str, name: str) -> str | None:
    """Which plugin brings a thing of this kind and name already."""
    from miniagent_store.plugins import shared_plugins

    for info in shared_plugins().infos():
        if any((each_kind, each.name) == (kind, name) for each_kind, each in info.provides):
            return str(info)
    return None


def write_package(kind: str, name: str, folder: Path) -> Iterator[Path]:
    """Write all files of a package into a new folder, and tell each.

    Args:
        kind: of `KINDS`.
        name: as in URLs; also part of the package's name.
        folder: is made.
    """
    words = {
        "name": name,
        "Name": name.capitalize(),
        "kind": kind,
        "package": f"miniagent_{name}",
        "distribution": f"miniagent-{name}",
        "version": ".".join(version("miniagent-store").split(".")[:2]),
    }
    for source in (TEMPLATES / "every", TEMPLATES / kind):
        for template in sorted(path for path in source.rglob("*.txt")):
            place = Template(str(template.relative_to(source)).removesuffix(".txt")).substitute(words)
            target = folder / place
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(Template(template.read_text()).substitute(words))
            yield target

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
    """Which plugin brings a thing of this kind already, or one that would be mistaken for it."""
    from miniagent_store.codec.chain import ALIASES
    from miniagent_store.plugins import CODECS, shared_plugins

    # They stand in one place in URLs, msgpack+zstd+encrypted.
    kinds = CODECS if kind in CODECS else (kind,)
    if kind in CODECS and name in ALIASES:
        return "miniagent-store"
    for info in shared_plugins().infos():
        if any(each_kind in kinds and each.name == name for each_kind, each in info.provides):
            return str(info)
    return None


def write_package(kind: str, name: str, folder: Path) -> Iterator[Path]:
    """Write all files of a package into a new folder, and tell each.

    Args:
        kind: of `KINDS`.
        name: as in URLs; also part of the package's name.
        folder: is made.
    """
    package = f"miniagent_{name.replace('-', '_')}"
    words = {
        "name": name,
        "Name": "".join(part.capitalize() for part in name.split("-")),
        "kind": kind,
        "package": package,
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

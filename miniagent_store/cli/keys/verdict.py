"""What follows from which keys are in use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from miniagent_store.cli.keys.place import keyring_of
from miniagent_store.cli.output import counted

if TYPE_CHECKING:
    from miniagent_store.keys.keyring import Keyring
    from miniagent_store.reencryption import Reencryption


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do now.

    Attributes:
        ring: the keyring; None where a key service keeps the keys.
        removable: labels of keys that nothing is written with.
        old: how many values are written with something else than the primary key.
        unreadable: how many values or sessions could not be read.
        lines: for people.
    """

    ring: Keyring | None
    removable: tuple[str, ...]
    old: int
    unreadable: int
    lines: tuple[str, ...]

    @property
    def done(self) -> bool:
        """Whether all is as it should be."""
        return not self.old and not self.unreadable

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {"removable": list(self.removable), "old": self.old, "done": self.done}


def verdict(result: Reencryption) -> Verdict:
    """What `result` means for the keyring of the store that was asked for."""
    from miniagent_store.errors import ConfigurationError
    from miniagent_store.reencryption import DATA_KEY

    try:
        ring: Keyring | None = keyring_of(None)
    except ConfigurationError:
        ring = None
    if ring is None:
        return Verdict(None, (), 0, result.failed, ())
    used = {each.key_id for each in result.in_use}
    current = {ring.primary.id.hex(), DATA_KEY}
    old = sum(count for each, count in result.in_use.items() if each.key_id not in current)
    removable = tuple(
        key.label for key in ring.keys if key is not ring.primary and key.id.hex() not in used
    )
    lines: list[str] = []
    if result.failed:
        lines.append(
            f"{counted(result.failed, 'value')} cannot be read; see above, and do not remove any key"
        )
        removable = ()
    if old:
        lines.append(
            f"{counted(old, 'value')} not written with the primary key {ring.primary.label}; "
            "run: miniagent-store keys rotate"
        )
    elif not result.failed:
        lines.append(f"everything is written with the primary key {ring.primary.label}")
    if removable:
        lines.append(
            f"no value needs {', '.join(removable)}: remove it from the keyring once no instance that "
            "writes with it is running"
        )
    return Verdict(ring, removable, old, result.failed, tuple(lines))

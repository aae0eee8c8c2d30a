"""What is wrong with a value, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from miniagent_store.errors import (
    DecodeError,
    KeyNotFoundError,
    KeyProviderError,
    SessionDamagedError,
    StoreError,
    TamperedError,
)

_DESTROYED = "destroyed"


@dataclass(frozen=True, slots=True)
class Damage:
    """What a page says.

    Attributes:
        what: is wrong.
        cure: what to do; "" where nothing can be done.
    """

    what: str
    cure: str


def damage_of(error: StoreError) -> Damage:
    """What an error means for somebody who looks at a session.

    Args:
        error: whose text holds no secret and nothing that was said, as of all errors of the library.
    """
    if _DESTROYED in str(error):
        return Damage("Shredded: the session's data key was destroyed; nothing can read this again.", "")
    if isinstance(error, KeyNotFoundError):
        has = ", ".join(error.known) or "no keys"
        return Damage(
            f"Encrypted with key {error.key_id}, which is not in the key ring (it has {has}).",
            "Add that key to keys= as decrypt-only; 'miniagent-store keys check' tells which are in use.",
        )
    if isinstance(error, KeyProviderError):
        return Damage(f"{error}", "Bring the key service back, and load this page again.")
    if isinstance(error, TamperedError):
        return Damage(
            "The bytes were changed, moved from another place, or are another store's.",
            "Bring the session back from a backup, or redact the entry.",
        )
    if isinstance(error, DecodeError):
        return Damage(
            f"The bytes cannot be read: {error.reason}{f' ({error.codec})' if error.codec else ''}."
            + (f" {error.detail[:1].upper()}{error.detail[1:]}." if error.detail else ""),
            "See whether serializer= and accept= are those that it was written with; if they are, bring "
            "the session back from a backup.",
        )
    if isinstance(error, SessionDamagedError):
        return Damage(
            f"{error.part[:1].upper()}{error.part[1:]} {error.problem}.",
            "Bring the session back from a backup; 'miniagent-store repair --salvage' keeps what is left.",
        )
    what, _, cure = str(error).partition("; ")
    return Damage(what, cure)

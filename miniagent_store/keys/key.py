"""One secret of 32 random bytes, known by an id that comes from the secret itself."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re

from miniagent_store.errors import ConfigurationError

SECRET_SIZE = 32
KEY_ID_SIZE = 4
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Key:
    """A secret, and what it is called. Neither `repr` nor pickling shows the secret.

    Args:
        secret: 32 random bytes; no passphrase, which would be guessed.
        label: for people, such as "2026-11"; values are found by `id`, so that a
            mislabelled key is noticed.

    Attributes:
        secret: the 32 bytes.
        id: 4 bytes out of the secret (HKDF-Expand with "miniagent-store/v1/kid"), as stored with values.

    Raises:
        ConfigurationError: the secret has another length, or the label cannot be one.

    Example:
        >>> Key(bytes(range(32)), label="2026-11")
        Key('2026-11', id=f7239d75)
    """

    __slots__ = ("id", "label", "secret")

    def __init__(self, secret: bytes, label: str = "") -> None:
        if not isinstance(secret, bytes) or len(secret) != SECRET_SIZE:
            raise ConfigurationError(
                f"a key is {SECRET_SIZE} random bytes; make one with: miniagent-store keys generate"
            )
        if len(set(secret)) == 1:
            raise ConfigurationError(
                "a key of one byte repeated is not random; make one with: miniagent-store keys generate"
            )
        self.secret: bytes = secret
        self.id: bytes = hkdf_expand(secret, b"miniagent-store/v1/kid", KEY_ID_SIZE)
        self.label: str = check_label(label) if label else self.id.hex()

    @classmethod
    def generate(cls, label: str = "") -> Key:
        """A new key from the operating system's randomness."""
        return cls(os.urandom(SECRET_SIZE), label)

    @classmethod
    def from_text(cls, text: str) -> Key:
        """Read ``label:base64url``, as `to_text` writes it.

        Raises:
            ConfigurationError: it is not of this form; the text is never shown.
        """
        label, separator, encoded = text.strip().rpartition(":")
        try:
            secret = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            secret = b""
        if not separator or len(secret) != SECRET_SIZE:
            raise ConfigurationError(
                "a key is written label:secret, the secret being 32 bytes as base64url (43 characters); "
                "make one with: miniagent-store keys generate"
            )
        return cls(secret, label)

    def to_text(self) -> str:
        """``label:base64url``: the secret itself, for an environment variable or a key file."""
        return f"{self.label}:{base64.urlsafe_b64encode(self.secret).decode().rstrip('=')}"

    def derive(self, purpose: bytes) -> bytes:
        """32 bytes for one purpose, which tell nothing about the key or those of another purpose."""
        return hkdf_expand(self.secret, b"miniagent-store/v1/" + purpose, SECRET_SIZE)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and hmac.compare_digest(self.secret, other.secret)

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"Key({self.label!r}, id={self.id.hex()})"

    def __copy__(self) -> Key:
        return self

    def __deepcopy__(self, memo: object) -> Key:
        return self

    def __reduce__(self) -> str:
        raise TypeError("keys are not pickled; pass a Keyring's place (env:NAME or file:/path) instead")


def check_label(label: str) -> str:
    """Return `label` if a key may be called so.

    Raises:
        ConfigurationError: it may not.
    """
    if not _LABEL.fullmatch(label):
        # Not shown: who mixes up the two halves of "label:secret" would read the secret here.
        raise ConfigurationError(
            "a key's label is at most 64 letters, digits, '.', '_' and '-', such as 2026-11"
        )
    return label


def hkdf_expand(key: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand with SHA-256, RFC 5869 section 2.3; `key` must be uniformly random."""
    output, block, counter = b"", b"", 1
    while len(output) < length:
        block = hmac.digest(key, block + info + bytes((counter,)), hashlib.sha256)
        output += block
        counter += 1
    return output[:length]

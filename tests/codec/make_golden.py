"""Makes golden files of a chain: ``python tests/codec/make_golden.py CHAIN``.

Run it once for a chain that is new, from any folder, and commit what it wrote. Two files a case go to
``golden/``: the blob, and what must come of it. It never overwrites: blobs of earlier versions are read
for ever, so files are added and not changed. The key is `GOLDEN_KEY`, the place is `CONTEXT`.

A negative case (``"error": [class, reason]``) is a blob that must be refused by a codec with the chain
``"reader"``; for a chain with keys these are a bit changed in the body, the blob in another place
(``"place"`` names what differs), another key's id, a key that is not known, and where the chain encrypts,
a value that is only checked.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    root = Path(__file__).parents[2]
    sys.path += map(str, (root, root / "backends", root / "serializers"))

from codec_support import CONTEXT, EXAMPLE
from keyed_support import GOLDEN_KEY, OTHER_KEY, keyed

from miniagent_store.keys import Key, Keyring

GOLDEN = Path(__file__).parent / "golden"
PLAIN = {"role": "user", "content": "Grüße 🌍", "n": [1, -2, 0.5, None, True, 2**64 - 1], "o": {}}
# Long enough to be compressed.
LONG = {"role": "user", "content": "Grüße 🌍 " * 60}
UNKNOWN_KEY = Key(bytes(range(7, 39)), "unknown")


def write(name: str, blob: bytes, outcome: dict[str, Any]) -> None:
    for path, data in (
        (GOLDEN / f"{name}.bin", blob),
        (GOLDEN / f"{name}.json", (json.dumps(outcome, indent=2, ensure_ascii=False) + "\n").encode()),
    ):
        with path.open("xb") as file:
            file.write(data)


def make(chain: str) -> None:
    codec, name = keyed(chain, allow_pickle=True), f"v1-{chain.replace('+', '-')}"
    for suffix, value in (("", EXAMPLE), ("-plain", PLAIN), ("-long", LONG)):
        blob = codec.encode(value, CONTEXT)
        write(
            name + suffix, blob, {"chain": str(codec.describe(blob)), "reader": chain, "value": repr(value)}
        )
    if not codec.chain.keyed:
        return
    blob = codec.encode(PLAIN, CONTEXT)
    tampered = {"chain": str(codec.describe(blob)), "reader": chain, "error": ["TamperedError", "tampered"]}
    write(f"{name}-flipped", blob[:-20] + bytes((blob[-20] ^ 1,)) + blob[-19:], tampered)
    for part, other in (("session_id", "s2"), ("log", "events")):
        write(f"{name}-moved-{part.replace('_', '-')}", blob, {**tampered, "place": {part: other}})
    write(f"{name}-other-key", blob.replace(GOLDEN_KEY.id, OTHER_KEY.id), tampered)
    unknown = keyed(chain, allow_pickle=True, keys=Keyring([UNKNOWN_KEY])).encode(PLAIN, CONTEXT)
    write(f"{name}-unknown-key", unknown, {**tampered, "error": ["KeyNotFoundError", "key not found"]})
    if codec.chain.encrypted:
        serializer = codec.chain.serializer.name
        if not codec.chain.serializer.safe:
            return  # there is no such chain without a key
        refused = {"reader": chain, "error": ["DecodeError", "codec not allowed"]}
        checked = keyed(serializer).encode(PLAIN, CONTEXT)
        write(f"{name}-downgrade", checked, {"chain": f"{serializer}+crc32", **refused})


if __name__ == "__main__":
    for given in sys.argv[1:]:
        make(given)

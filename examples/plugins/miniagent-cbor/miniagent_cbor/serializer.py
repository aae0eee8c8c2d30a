"""CBOR as cbor2 writes it: definite lengths, no tags, doubles."""

from __future__ import annotations

from typing import Any

import cbor2

from miniagent_cbor.plugin import WIRE_ID
from miniagent_store.serializer import Context, Limits


class CborSerializer:
    """Compact, and an open standard: what is stored can be read by programs in any language."""

    name = "cbor"
    wire_id: int | None = WIRE_ID
    # Whatever the bytes name, nothing is called: see `loads`.
    safe = True
    # CBOR has byte strings.
    native_bytes = True

    def dumps(self, value: Any, context: Context) -> bytes:
        return cbor2.dumps(value)

    def loads(self, data: bytes, context: Context, limits: Limits) -> Any:
        """Read what `dumps` writes, and nothing else.

        CBOR can say the same in many ways, and more than JSON can: tags for dates, big numbers, shared and
        cyclic values. Other bytes than `dumps` writes for the same value were not written here, or were
        changed since; the library looks at the types of what comes out.
        """
        value = cbor2.loads(
            data,
            # Two more, since an envelope's tags nest; the library counts exactly.
            max_depth=2 * limits.depth + 2,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        )
        if cbor2.dumps(value) != data:
            raise ValueError("not as it was written: another spelling, or more bytes follow")
        return value

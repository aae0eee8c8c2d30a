"""Blobs of earlier versions are read for ever, or refused for ever. Files are added, never changed.

`make_golden.py` says how new ones are made.
"""

from __future__ import annotations

import datetime
import json
import zoneinfo
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from codec_support import CONTEXT, SERIALIZERS, shape
from keyed_support import CIPHERS, keyed

from miniagent_store.errors import SerializationError

GOLDEN = Path(__file__).parent / "golden"
NAMES = {
    "datetime": datetime,
    "zoneinfo": zoneinfo,
    "Decimal": Decimal,
    "UUID": UUID,
    "inf": float("inf"),
    "nan": float("nan"),
}


def expected(name: str) -> dict[str, Any]:
    case: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text("utf-8"))
    return case


CASES = {path.stem: expected(path.stem) for path in sorted(GOLDEN.glob("*.bin"))}
READ = [name for name, case in CASES.items() if "value" in case]
REFUSED = [name for name, case in CASES.items() if "error" in case]
KEYED = ("hmac", *CIPHERS)


def readers(case: dict[str, Any]) -> list[str]:
    """The chain that wrote it, and others that must read it too."""
    names = case["chain"].split("+")
    if names[0] not in SERIALIZERS:
        return [case["reader"]]
    protection = next((name for name in reversed(names) if name in KEYED), "crc32")
    others = CIPHERS if protection in CIPHERS else (protection,)
    return [f"{own}+{other}" for own in SERIALIZERS for other in others]


def test_there_are_golden_files_of_every_chain() -> None:
    chains = {case["chain"] for case in CASES.values()}

    assert {f"{own}+{layer}" for own in ("json", "msgpack") for layer in ("crc32", *KEYED)} <= chains
    assert {f"{own}+{layer}+crc32" for own in ("json", "msgpack") for layer in ("zlib", "zstd")} <= chains
    assert {"msgpack+hmac+aesgcm", "msgpack+zstd+aesgcm"} <= chains
    assert {"pickle+hmac", "pickle+aesgcm", "pickle+zlib+hmac"} <= chains
    assert len(READ) + len(REFUSED) == len(CASES)


@pytest.mark.parametrize("name", READ)
def test_a_golden_file_is_read(name: str) -> None:
    case, blob = CASES[name], (GOLDEN / f"{name}.bin").read_bytes()

    for own in readers(case):
        codec = keyed(own, allow_pickle=own.startswith("pickle"))

        assert str(codec.describe(blob)) == case["chain"]
        assert shape(codec.decode(blob, CONTEXT)) == shape(eval(case["value"], NAMES))


@pytest.mark.parametrize("name", REFUSED)
def test_a_golden_file_is_refused(name: str) -> None:
    case, blob = CASES[name], (GOLDEN / f"{name}.bin").read_bytes()
    codec = keyed(case["reader"], allow_pickle=case["reader"].startswith("pickle"))
    place = replace(CONTEXT, **case.get("place", {}))

    assert str(codec.describe(blob)) == case["chain"]
    with pytest.raises(SerializationError) as caught:
        codec.decode(blob, place)

    assert [type(caught.value).__name__, caught.value.reason] == case["error"]

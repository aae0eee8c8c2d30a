"""Blobs of earlier versions are read for ever. Files are added, never changed."""

from __future__ import annotations

import datetime
import json
import zoneinfo
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from codec_support import CONTEXT, make_codec, shape

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


CASES = sorted(path.stem for path in GOLDEN.glob("*.bin"))


def test_there_are_golden_files() -> None:
    assert {"v1-json-crc32", "v1-msgpack-crc32"} <= set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_golden_file_is_read(name: str) -> None:
    case, blob = expected(name), (GOLDEN / f"{name}.bin").read_bytes()

    for own in ("json", "orjson", "msgpack"):
        codec = make_codec(own)

        assert str(codec.describe(blob)) == case["chain"]
        assert shape(codec.decode(blob, CONTEXT)) == shape(eval(case["value"], NAMES))

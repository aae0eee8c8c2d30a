"""json and orjson share a wire id, so they must take and refuse the same bytes, with the same result."""

from __future__ import annotations

from typing import Any

import pytest
from codec_support import CONTEXT, plain_values, shape
from hypothesis import example, given, settings
from hypothesis import strategies as st

from miniagent_serializers.json_serializer import JsonSerializer
from miniagent_serializers.orjson_serializer import OrjsonSerializer
from miniagent_store.serializer import Limits

JSON, ORJSON = JsonSerializer(), OrjsonSerializer()


def outcome(serializer: Any, data: bytes) -> Any:
    try:
        return shape(serializer.loads(data, CONTEXT, Limits()))
    except Exception:  # noqa: BLE001 - how it is refused does not matter
        return "refused"


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "-1e400",
        "1.7976931348623159e308",
        "18446744073709551616",
        "-9223372036854775809",
        "[100000000000000000000000000000]",
        '"\\ud800"',
        '{"\\udc00": 1}',
        '"\\udc00\\ud800"',
        "\ufeff1",
        "[1,]",
        '{"a":1,}',
        "01",
        "1.",
        ".5",
        "+1",
        "'a'",
        '"\x01"',
        "",
        "[1] x",
        "nul",
        "// c\n1",
    ],
)
def test_both_refuse(text: str) -> None:
    data = text.encode("utf-8", "surrogatepass")

    assert outcome(JSON, data) == outcome(ORJSON, data) == "refused"


@pytest.mark.parametrize("data", [b"\xff", b'"\xed\xa0\x80"', "[1]".encode("utf-16"), b'"\xc0\x80"'])
def test_both_refuse_what_is_not_utf8(data: bytes) -> None:
    assert outcome(JSON, data) == outcome(ORJSON, data) == "refused"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1, "a": 2}', {"a": 2}),  # the last one counts
        ("-0", 0),
        ("-0.0", -0.0),
        ("1E5", 1e5),
        ("1e-400", 0.0),
        ("18446744073709551615", 2**64 - 1),
        ("-9223372036854775808", -(2**63)),
        ('"18446744073709551616000"', "18446744073709551616000"),
        ("123456789012345678901234567890.5", 123456789012345678901234567890.5),
        ('"\\ud83d\\ude00\\u0000"', "😀\x00"),
        (" [ 1 , { } ]\n", [1, {}]),
    ],
)
def test_both_read(text: str, value: Any) -> None:
    data = text.encode()

    assert outcome(JSON, data) == outcome(ORJSON, data) == shape(value)


@given(value=plain_values)
@settings(max_examples=200, deadline=None)
def test_each_reads_what_the_other_wrote(value: Any) -> None:
    by_json, by_orjson = JSON.dumps(value, CONTEXT), ORJSON.dumps(value, CONTEXT)

    assert outcome(ORJSON, by_json) == outcome(JSON, by_orjson) == shape(value)


_fragments = st.lists(
    st.sampled_from(
        [
            "[",
            "]",
            "{",
            "}",
            ",",
            ":",
            '"',
            '"a"',
            "\\u",
            "d800",
            "dc00",
            "1",
            "-",
            "0",
            ".",
            "e",
            "9" * 19,
            "null",
            "true",
            " ",
            "\\",
            "é",
            "1e308",
            "1844674407370955161",
        ]
    ),
    max_size=8,
).map("".join)


@given(text=_fragments)
@example("-9999999999999999999")
@settings(max_examples=1000, deadline=None)
def test_both_agree_on_any_text(text: str) -> None:
    data = text.encode()

    assert outcome(JSON, data) == outcome(ORJSON, data)

"""What messages say, whoever wrote them; and that nothing in them does anything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from miniagent_store import Message, SessionStore
from miniagent_store.web.conversation.blocks import Block
from miniagent_store.web.conversation.markdown import html_of
from miniagent_store.web.conversation.prose import OF_MESSAGE, OF_PAGE, Prose
from miniagent_store.web.conversation.ranges import Wanted, read_range
from miniagent_store.web.conversation.shapes import said

# A red pixel and a blue one.
PICTURE = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAIAAAB7QOjdAAAADUlEQVR4nGP4z8AAQgAH/AH/"
    "j0fYBgAAAABJRU5ErkJggg=="
)
ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe src='javascript:alert(1)'></iframe>",
    "[a](javascript:alert(1))",
    "[a](java\nscript:alert(1))",
    "[a](data:text/html;base64,PHNjcmlwdD4=)",
    "[a](vbscript:x)",
    "[a](https://e.x/\"onmouseover='alert(1)')",
    "![a](https://tracker.example/pixel.png)",
    "![a](javascript:alert(1))",
    "![a](data:image/svg+xml;base64,PHN2Zz4=)",
    '!["onerror=alert(1)](https://e.x/a.png)',
    '<https://e.x/"><script>alert(1)</script>>',
    "`<script>`",
    "```<script>\n</script><b>\n```",
    "|a|b|\n|---|:--|\n|<img src=x>|[x](javascript:1)|",
    "<style>*{display:none}</style>",
    "<a href='//e.x' style='position:fixed'>x</a>",
    "[ref]: javascript:alert(1)\n[ref]",
    "<!-- --><base href=//e.x>",
    "&lt;script&gt;",
    "&#60;script&#62;alert(1)",
]
# Within tags, and tags themselves.
INSIDE = ("javascript:", "data:text", "vbscript:", " style=", " on", 'src="http')
TAGS = ("<script", "<svg", "<iframe", "<style", "<base", "<form", "<b>", "<!--")


@pytest.mark.parametrize("text", ATTACKS)
def test_markdown_does_nothing(text: str) -> None:
    html = str(html_of(text)).lower()
    tags = "".join(each.partition(">")[0] for each in html.split("<")[1:])

    assert not [each for each in TAGS if each in html]
    assert not [each for each in INSIDE if each in tags.replace("noopener", "")]


def test_links_lead_out_without_a_trace_and_pictures_are_links() -> None:
    html = str(html_of("[a](https://e.x/?a=1&b=2) ![map](https://e.x/map.png)"))

    assert html.count('rel="noopener noreferrer"') == 2
    assert "<img" not in html
    assert 'href="https://e.x/map.png"' in html
    assert f'<img src="{PICTURE}"' in str(html_of(f"![red]({PICTURE})"))


def test_plain_text_is_not_parsed_and_keeps_its_lines() -> None:
    assert str(html_of("One\ntwo\n\nthree's")) == "<p>One<br>two</p><p>three&#39;s</p>"


def test_headings_stand_below_those_of_the_page() -> None:
    assert str(html_of("# One\n\n##### Five")).split() == ["<h3>One</h3>", "<h6>Five</h6>"]


def test_what_is_long_is_shown_as_it_is() -> None:
    prose = Prose()

    assert prose("*a*" * OF_MESSAGE).kind == "text"
    assert [prose("*a* " * 1_000).kind for _ in range(OF_PAGE // 4_000 + 1)].count("text") == 1


def shown(value: dict[str, Any]) -> dict[str, Any]:
    """What is said, in short."""
    told = said(value, lambda text: Block("text", text))
    short = {
        "role": told.role,
        "blocks": [(each.kind, each.text or each.address) for each in told.blocks],
        "calls": [(each.id, each.name, each.brief) for each in told.calls],
        "answers": [(each.id, each.name, each.text, each.failed) for each in told.answers],
    }
    return {name: each for name, each in short.items() if each}


CALLS = [("c1", "add", "a=1, b=2")]
CALLED: dict[str, dict[str, Any]] = {
    "Chat API": {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}
        ],
    },
    "Anthropic": {
        "role": "assistant",
        "content": [{"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 1, "b": 2}}],
    },
    "Responses": {"type": "function_call", "call_id": "c1", "name": "add", "arguments": '{"a":1,"b":2}'},
    "Bedrock": {
        "message": {
            "role": "assistant",
            "content": [{"toolUse": {"toolUseId": "c1", "name": "add", "input": {"a": 1, "b": 2}}}],
        }
    },
    "Gemini": {
        "author": "calculator",
        "content": {
            "role": "model",
            "parts": [{"functionCall": {"id": "c1", "name": "add", "args": {"a": 1, "b": 2}}}],
        },
    },
    "LangChain": {
        "type": "ai",
        "data": {"content": "", "tool_calls": [{"name": "add", "args": {"a": 1, "b": 2}, "id": "c1"}]},
    },
    "pydantic-ai": {
        "message": json.dumps(
            {
                "kind": "response",
                "parts": [
                    {
                        "part_kind": "tool-call",
                        "tool_name": "add",
                        "args": {"a": 1, "b": 2},
                        "tool_call_id": "c1",
                    }
                ],
            }
        )
    },
    "LlamaIndex": {
        "role": "assistant",
        "blocks": [
            {
                "block_type": "tool_call",
                "tool_call_id": "c1",
                "tool_name": "add",
                "tool_kwargs": {"a": 1, "b": 2},
            }
        ],
        "additional_kwargs": {},
    },
}
ANSWERED: dict[str, dict[str, Any]] = {
    "Chat API": {"role": "tool", "tool_call_id": "c1", "content": "3"},
    "Anthropic": {
        "role": "user",
        "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "3"}],
    },
    "Responses": {"type": "function_call_output", "call_id": "c1", "output": "3"},
    "Bedrock": {
        "message": {
            "role": "user",
            "content": [{"toolResult": {"toolUseId": "c1", "content": [{"text": "3"}]}}],
        }
    },
    "LangChain": {"type": "tool", "data": {"content": "3", "tool_call_id": "c1"}},
}


@pytest.mark.parametrize("make", CALLED)
def test_calls_of_tools(make: str) -> None:
    assert shown(CALLED[make]) == {"role": "assistant", "calls": CALLS}


@pytest.mark.parametrize("make", ANSWERED)
def test_answers_of_tools(make: str) -> None:
    assert shown(ANSWERED[make])["answers"] == [("c1", "", "3", False)]


PARTS: list[tuple[Any, tuple[str, str]]] = [
    ({"type": "text", "text": "hi"}, ("text", "hi")),
    ({"type": "output_text", "text": "hi"}, ("text", "hi")),
    ({"text": "hi"}, ("text", "hi")),
    ("hi", ("text", "hi")),
    ({"type": "thinking", "thinking": "hm"}, ("thought", "hm")),
    ({"type": "reasoning", "summary": [{"text": "hm"}]}, ("thought", "hm")),
    ({"type": "image_url", "image_url": {"url": PICTURE}}, ("picture", "picture")),
    ({"type": "input_image", "image_url": PICTURE}, ("picture", "picture")),
    (
        {"type": "image", "source": {"media_type": "image/png", "data": PICTURE.partition(",")[2]}},
        ("picture", "picture"),
    ),
    ({"type": "image_url", "image_url": {"url": "https://e.x/a.png"}}, ("link", "picture at e.x")),
    (
        {"type": "image_url", "image_url": {"url": "javascript:1"}},
        ("note", "picture, kept as javascript:1"),
    ),
    ({"type": "image", "data": b"\x89PNG\r\n\x1a\n"}, ("picture", "picture")),
    ({"type": "image", "data": b"<svg>"}, ("note", "A picture of 5 B, which is not shown here.")),
    (
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        ("note", "input audio 'wav', 3 B: see the raw entry."),
    ),
    ({"type": "new thing", "x": 1}, ("json", '{\n  "type": "new thing",\n  "x": 1\n}')),
    (7, ("json", "7")),
]


@pytest.mark.parametrize(("part", "expected"), PARTS, ids=[str(part)[:40] for part, _ in PARTS])
def test_parts(part: Any, expected: tuple[str, str]) -> None:
    assert shown({"role": "user", "content": [part]})["blocks"] == [expected]


STRANGE: list[dict[str, Any]] = [
    {},
    {"role": None},
    {"role": 7, "content": {"deep": [{"x": None}]}},
    {"role": "assistant", "tool_calls": "search"},
    {"role": "assistant", "tool_calls": [None, 1, {}, {"function": None}, {"function": {"name": 3}}]},
    {"role": "tool", "tool_call_id": 5, "content": {"a": {1, 2}}},
    {"message": "{not json"},
    {"message": "{}"},
    {"message": 5, "data": 5, "author": 5, "content": 5},
    {"type": "image_url"},
    {
        "role": "user",
        "content": [{"type": "image"}, {"type": "image", "source": 5}, {"type": "file"}, None],
    },
    {"role": "user", "content": [{"type": ["a"]}, {"type": {}}, {"toolUse": None}, {"function_call": 5}]},
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://[bad"}}]},
    {"type": ["x"], "data": {"content": 1}},
    {"role": "user", "parts": 5, "blocks": [[[]]]},
]


@pytest.mark.parametrize("value", STRANGE, ids=str)
def test_nothing_in_a_message_makes_it_fail(value: dict[str, Any]) -> None:
    said(value, lambda text: Block("text", text))


async def test_calls_and_answers_are_joined_over_the_edge_of_a_range(one: SessionStore) -> None:
    session = await one.create()
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    await one.append(
        session.id,
        Message.user("a"),
        Message.assistant(None, tool_calls=[call]),
        Message.tool("3", tool_call_id="c"),
        Message.assistant("b"),
    )

    calling = await read_range(one, session.id, Wanted(before=3, limit=2), content=True)
    answering = await read_range(one, session.id, Wanted(after=2, limit=2), content=True)
    then = await read_range(one, session.id, Wanted(at=2), content=True)

    assert [each.seq for each in calling.shown] == [1, 2]
    assert calling.shown[1].answers["c"].seq == 3
    assert [each.seq for each in answering.shown] == [3, 4]
    assert answering.shown[0].calls["c"].seq == 2
    assert then.shown[-1].answers == {}


RANGES: list[tuple[Wanted, list[int]]] = [
    (Wanted(limit=3), [10, 11, 12]),
    (Wanted(before=8, limit=3), [5, 6, 7]),
    (Wanted(before=6, limit=3), [5]),
    (Wanted(before=5, limit=3), []),
    (Wanted(before=99, limit=3), [10, 11, 12]),
    (Wanted(after=0, limit=3), [5, 6, 7]),
    (Wanted(after=10, limit=3), [11, 12]),
    (Wanted(after=12, limit=3), []),
    (Wanted(around=8, limit=3), [8, 9, 10]),
    (Wanted(around=999, limit=3), [12]),
    (Wanted(at=8, limit=3), [6, 7, 8]),
    (Wanted(at=2, limit=3), [5]),
    (Wanted(at=10**12, limit=2), [11, 12]),
]


@pytest.mark.parametrize(("wanted", "expected"), RANGES, ids=[str(wanted) for wanted, _ in RANGES])
async def test_ranges_of_a_trimmed_log(one: SessionStore, wanted: Wanted, expected: list[int]) -> None:
    session = await one.create()
    await one.append(session.id, *[Message.user(str(seq)) for seq in range(1, 13)])
    await one.trim(session.id, before=5)

    part = await read_range(one, session.id, wanted, content=True)

    assert [each.seq for each in part.shown] == expected
    assert (part.low, part.high) == (5, 12)

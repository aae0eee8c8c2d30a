"""What must not be stored is found nowhere; what only looks like it stays."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from miniagent_redaction import Redaction, Rule

from miniagent_store import Message, open_store
from miniagent_store.errors import ConfigurationError, VetoedError

EMAIL, CARD, IBAN = "ada.lovelace@example.org", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00"
PHONE, SECRET = "+49 (30) 901820-00", "sk-abcdefghijklmnopqrstuvwx"
ALL = (EMAIL, CARD, IBAN, PHONE, SECRET)


@pytest.fixture(autouse=True)
def only_in_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """The installed plugin is told to leave these stores alone."""
    monkeypatch.setenv("MINIAGENT_REDACT", "none")


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        (f"write to {EMAIL}.", "write to [email]."),
        (f"<{EMAIL}>, {EMAIL}", "<[email]>, [email]"),
        (f"pay with {CARD}!", "pay with [card]!"),
        ("4111-1111-1111-1111", "[card]"),
        ("378282246310005", "[card]"),
        (f"to {IBAN} please", "to [iban] please"),
        (f"call {PHONE}", "call [phone]"),
        (f"my key is {SECRET}", "my key is [secret]"),
        # Not what it looks like.
        ("4111 1111 1111 1112", "4111 1111 1111 1112"),
        ("order 1234567890123456", "order 1234567890123456"),
        ("pi is 3.141592653589793", "pi is 3.141592653589793"),
        ("DE00 3704 0044 0532 0130 00", "DE00 3704 0044 0532 0130 00"),
        ("@ada and a@b", "@ada and a@b"),
        ("2 + 3 = 5, +1", "2 + 3 = 5, +1"),
        ("", ""),
    ],
)
def test_texts(text: str, stored: str) -> None:
    assert Redaction().redacted(text) == stored


def test_any_depth_and_any_place() -> None:
    value = {
        "role": "user",
        "content": [{"type": "text", "text": f"I am {EMAIL}"}],
        "tool_calls": [{"id": "call-1", "arguments": '{"to": "' + EMAIL + '", "card": 4111111111111111}'}],
        "card": 4111111111111111,
        EMAIL: (1, {CARD}),
        "count": 12,
    }

    redacted = Redaction().redacted(value)

    assert redacted == {
        "role": "user",
        "content": [{"type": "text", "text": "I am [email]"}],
        "tool_calls": [{"id": "call-1", "arguments": '{"to": "[email]", "card": [card]}'}],
        "card": "[card]",
        "[email]": (1, {"[card]"}),
        "count": 12,
    }
    assert value["card"] == 4111111111111111, "the caller's own value is left alone"


async def test_nothing_of_it_reaches_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    async with open_store(f"sqlite:///{path}?serializer=json", plugins=[Redaction()]) as store:
        session = await store.create(metadata={"contact": EMAIL}, tags=[CARD, "vip"])
        assert (session.metadata, session.tags) == ({"contact": "[email]"}, ("[card]", "vip"))
        for number, text in enumerate(ALL):
            await store.append(session.id, Message.user(f"it is {text}", id=f"m-{number}"))
            async with store.turn(session.id) as turn:
                turn.append(Message.assistant(text, metadata={"quote": text}))
                turn.state.set("last", {"said": [text]})
            await store.state(session.id).set("mine", text)
            await store.update(session.id, metadata={"contact": text}, tags=[text])
            await store.user("ada").set("contact", text)
        history = await store.history(session.id)
        assert history[0].content == "it is [email]"
        assert history[0].id == "m-0"
        stored = _on_disk(tmp_path)

    for text in ALL:
        assert text.encode() not in stored


def _on_disk(folder: Path) -> bytes:
    return b"".join(each.read_bytes() for each in folder.iterdir())


async def test_a_commit_may_be_refused_instead(tmp_path: Path) -> None:
    refusing = Redaction(["card"], action="refuse")
    async with open_store("memory://", plugins=[refusing]) as store:
        session = await store.create()
        await store.append(session.id, Message.user(EMAIL))

        with pytest.raises(VetoedError, match="card") as refused:
            await store.append(session.id, Message.user(f"{CARD} is mine"))

        assert CARD not in str(refused.value)
        assert len(await store.history(session.id)) == 1


async def test_the_same_message_again_is_stored_once() -> None:
    """Who asks again with an id gives the same text again, and it becomes the same."""
    async with open_store("memory://", plugins=[Redaction()]) as store:
        session = await store.create()
        for _ in range(3):
            await store.append(session.id, Message.user(EMAIL, id="m1"))

        assert [each.content for each in await store.history(session.id)] == ["[email]"]


def test_rules_and_replacements_of_your_own() -> None:
    ticket = Rule("ticket", re.compile(r"\bT-\d{4}\b"))
    redaction = Redaction(["email", ticket], replacement=lambda rule, text: f"<{rule} of {len(text)}>")

    assert redaction.redacted(f"T-1234 of {EMAIL}, {CARD}") == f"<ticket of 6> of <email of 24>, {CARD}"


def test_a_rule_that_is_none_is_told() -> None:
    with pytest.raises(ConfigurationError, match="there are email, iban, card, phone, secret"):
        Redaction(["mail"])
    with pytest.raises(ConfigurationError, match="neither"):
        Redaction(action="ignore")  # type: ignore[arg-type]


async def test_installed_it_redacts_every_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINIAGENT_REDACT", "email, phone")
    async with open_store("memory://") as store:
        session = await store.create()
        await store.append(session.id, Message.user(f"{EMAIL} {CARD}"))

        assert (await store.history(session.id))[0].content == f"[email] {CARD}"


@pytest.mark.parametrize(
    "piece", ["a", "1", "1 ", "a.", "@", "DE89 ", "+1", "-1", "a@b.", "sk-", "((", "\n"]
)
def test_no_text_makes_it_slow(piece: str) -> None:
    text: Any = piece * (200_000 // len(piece))
    started = time.perf_counter()
    Redaction().redacted(text)

    assert time.perf_counter() - started < 5

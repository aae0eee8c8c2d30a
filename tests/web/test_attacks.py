"""Attacks on the viewer, one a test. What strangers' pages do in a browser is in test_strangers."""

from __future__ import annotations

import asyncio
import hmac
import html
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from miniagent_store import Message, SessionNotFoundError, SessionStore
from miniagent_store.web import entrance, forms
from miniagent_store.web.guard import HEADERS
from miniagent_store.web.hosts import ANY_ADDRESS, Hosts
from tests.web.asking import ORIGIN, app_of, asking, form_token
from tests.web.served import TOKEN

FORM = {"id": "made-by-a-form"}


async def _exists(store: SessionStore) -> bool:
    try:
        await store.get(FORM["id"])
    except SessionNotFoundError:
        return False
    return True


# Who asks, and under which name


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8081",
        "localhost.evil.example",
        "localhost@evil.example",
        "localhost:80@evil.example",
        "127.0.0.1.nip.io",
        "0.0.0.0",
        "[::]",
        "localhost, evil.example",
        "localhost:port",
        " localhost",
        "",
    ],
)
async def test_a_forged_host_is_refused(one: SessionStore, host: str) -> None:
    async with asking(app_of(one)) as client:
        answer = await client.get("/", headers={"Host": host})
        assert answer.status_code == 421
        assert "--allow-host" in answer.text
        entering = await client.get("/enter", params={"token": TOKEN}, headers={"Host": host})
        assert entering.status_code == 421
        assert "set-cookie" not in entering.headers
        assert (await client.get("/static/viewer.css", headers={"Host": host})).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8081", "127.0.0.1:1", "[::1]:8081", "[::1]"])
async def test_own_hosts_are_served(one: SessionStore, host: str) -> None:
    async with asking(app_of(one)) as client:
        assert (await client.get("/", headers={"Host": host})).status_code == 200


def test_addresses_are_no_names() -> None:
    hosts = Hosts([ANY_ADDRESS])
    assert hosts.serve(["192.168.1.7:8081"])
    assert hosts.serve(["[fe80::1]"])
    for name in ("evil.example", "1.2.3.4.evil.example", "[::1", "1.2.3", "", "[evil]"):
        assert not hosts.serve([name]), name
    assert not hosts.serve([])
    assert not hosts.serve(["192.168.1.7", "192.168.1.8"])
    assert not Hosts(["*"]).serve(["a/b"])


@pytest.mark.parametrize(
    "given", [None, "", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "%00", "%FF%ED%A0%80"]
)
async def test_a_missing_or_wrong_token_lets_nobody_in(one: SessionStore, given: str | None) -> None:
    session = await one.create(user_id="ada")
    async with asking(app_of(one), enter=None) as client:
        answer = await client.get("/enter" + ("" if given is None else f"?token={given}"))
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
        for path in ("/", f"/session?id={session.id}", "/nothing", "/fails", "/session-live?id=x"):
            refused = await client.get(path)
            assert refused.status_code == 401, path
            assert "Open the link that was printed" in refused.text
            assert session.id not in refused.text
            assert one.url.partition("?")[0] not in refused.text


@pytest.mark.parametrize(
    ("path", "again"),
    [
        ("/", "/?again=1"),
        ("/session?id=a%22b&x=%3Cb%3E", "/session?id=a%22b&amp;x=%3Cb%3E&amp;again=1"),
        ("//evil.example/x", "/evil.example/x?again=1"),
        ("/%5C%5Cevil.example", "/%5C%5Cevil.example?again=1"),
    ],
)
async def test_a_browser_that_does_not_say_where_from_comes_again_once(
    one: SessionStore, path: str, again: str
) -> None:
    browser = {"Accept": "text/html,*/*"}
    async with asking(app_of(one), enter=None, headers=browser) as client:
        url = httpx.URL(ORIGIN).copy_with(raw_path=path.encode())
        answer = await client.get(url)
        assert answer.status_code == 401
        assert f'http-equiv="refresh" content="0; url={again}"' in answer.text
        told = await client.get(html.unescape(again))
        assert told.status_code == 401
        assert "refresh" not in told.text
        assert "Open the link that was printed" in told.text


async def test_tokens_are_compared_in_constant_time(
    one: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[Any, Any]] = []
    real = hmac.compare_digest

    def spy(left: Any, right: Any) -> bool:
        compared.append((left, right))
        return real(left, right)

    monkeypatch.setattr(entrance.hmac, "compare_digest", spy)
    async with asking(app_of(one), enter=None) as client:
        for token in ("", "x", TOKEN[:-1], TOKEN * 9, TOKEN):
            await client.get("/enter", params={"token": token})
    # Always once, and of one length: not even the token's length can be told by the time that it takes.
    assert len(compared) == 5
    assert {(len(left), len(right)) for left, right in compared} == {(32, 32)}


@pytest.mark.parametrize(
    "forge",
    [
        lambda until, nonce, signature: f"{int(until) + 1}.{nonce}.{signature}",
        lambda until, nonce, signature: f"{until}.x{nonce}.{signature}",
        lambda until, nonce, signature: f"{until}.{nonce}.{'0' * 64}",
        lambda until, nonce, signature: f"{until}.{nonce}.",
        lambda until, nonce, signature: f"{until}.{nonce}",
        lambda until, nonce, signature: f"..{signature}",
        lambda until, nonce, signature: "x.y.é",
        lambda until, nonce, signature: "",
    ],
)
async def test_a_forged_cookie_lets_nobody_in(one: SessionStore, forge: Any) -> None:
    async with asking(app_of(one)) as client:
        (name, value), *more = client.cookies.items()
        assert not more
        assert (await client.get("/")).status_code == 200
        client.cookies.clear()
        forged = f"{name}={forge(*value.split('.'))}".encode("latin-1")
        assert (await client.get("/", headers=[(b"Cookie", forged)])).status_code == 401


async def test_a_cookie_ends(one: SessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking(app_of(one)) as client:
        later = entrance.time.time() + entrance.LASTS + 1
        monkeypatch.setattr(entrance.time, "time", lambda: later)
        client.cookies.jar.clear_expired_cookies = lambda: None  # type: ignore[method-assign]
        assert (await client.get("/", headers={"Cookie": _cookies(client)})).status_code == 401


def _cookies(client: Any) -> str:
    return "; ".join(f"{name}={value}" for name, value in client.cookies.items())


# Writing


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "QUERY"])
async def test_nothing_is_written_without_allow_write(one: SessionStore, method: str) -> None:
    app = app_of(one)
    async with asking(app) as client:
        fields = {**FORM, "form": await form_token(client)}
        for path in ("/act-of-tests", "/", "/session"):
            answer = await client.request(method, path, data=fields)
            assert answer.status_code == 403
            assert "--allow-write" in answer.text
    assert not await _exists(one)


async def test_a_form_of_ours_is_taken(one: SessionStore) -> None:
    app = app_of(one, allow_write=True)
    async with asking(app) as client:
        token = await form_token(client)
        ours = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
        answer = await client.post("/act-of-tests", data={**FORM, "form": token}, headers=ours)
        assert answer.status_code == 200
        assert answer.text.startswith(FORM["id"])
        assert (await one.get(FORM["id"])).metadata == {"who": "token"}
        # And a script's, which has no field of it.
        answer = await client.post("/act-of-tests", data={"id": "other"}, headers={**ours, "X-Form": token})
        assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "file://localhost"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "same-site"},
    ],
)
async def test_another_sites_form_is_refused_even_with_a_good_token(
    one: SessionStore, headers: dict[str, str]
) -> None:
    app = app_of(one, allow_write=True)
    async with asking(app) as client:
        fields = {**FORM, "form": await form_token(client)}
        answer = await client.post("/act-of-tests", data=fields, headers=headers)
        assert answer.status_code == 403
        assert "Another site" in answer.text
    assert not await _exists(one)


async def test_a_form_without_its_token_or_with_another_visitors_is_refused(one: SessionStore) -> None:
    app = app_of(one, allow_write=True)
    async with asking(app) as other:
        others = await form_token(other)
    async with asking(app) as client:
        for given in ({}, {"form": ""}, {"form": "0" * 64}, {"form": others}, {"form": TOKEN}):
            answer = await client.post("/act-of-tests", data={**FORM, **given})
            assert answer.status_code == 403, given
            assert "load the page again" in answer.text
        answer = await client.post(f"/act-of-tests?form={await form_token(client)}", data=FORM)
        assert answer.status_code == 403
    assert not await _exists(one)


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content-Type": "application/json"}, b'{"id": "x"}', 400),
        ({"Content-Type": "text/plain"}, b"form=x", 400),
        ({"Content-Type": "multipart/form-data; boundary=a"}, b"--a--", 400),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"id=%FF&form=x", 400),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"a=1&" * 1000, 400),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"a" * (forms.LARGEST + 1), 413),
        ({"Content-Type": "application/x-www-form-urlencoded", "Content-Length": "1" + "0" * 30}, b"", 413),
    ],
)
async def test_a_body_that_is_no_small_form_is_refused(
    one: SessionStore, headers: dict[str, str], body: bytes, status: int
) -> None:
    async with asking(app_of(one, allow_write=True)) as client:
        answer = await client.post("/act-of-tests", content=body, headers=headers)
        assert answer.status_code == status


async def test_a_body_without_a_length_is_bounded_too(one: SessionStore) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 8192
            yield b"a" * 8192

    async with asking(app_of(one, allow_write=True)) as client:
        answer = await client.post("/act-of-tests", content=endless())
    assert answer.status_code == 413
    assert sent <= forms.LARGEST + 2 * 8192


async def test_a_slow_body_is_cut(one: SessionStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "SLOWEST", 0.1)

    async def slow() -> AsyncIterator[bytes]:
        yield b"id="
        await asyncio.Event().wait()

    async with asking(app_of(one, allow_write=True)) as client:
        answer = await client.post("/act-of-tests", content=slow())
    assert answer.status_code == 408


# Addresses


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2Fapp.py",
        "/static/%2e%2e/app.py",
        "/static/%2e%2e%2f%2e%2e%2ferrors.py",
        "/static/..%5Capp.py",
        "/static//etc/passwd",
        "/static/%2Fetc%2Fpasswd",
        "/static/vendor/../../app.py",
        "/static/viewer.css%00.js",
        "/static/",
        "/static/vendor",
        "//etc/passwd",
        "/..%2f..%2fetc/passwd",
    ],
)
async def test_no_path_leads_out(one: SessionStore, path: str) -> None:
    async with asking(app_of(one)) as client:
        # As raw bytes: clients would tidy the path up.
        answer = await client.get(httpx.URL(ORIGIN).copy_with(raw_path=path.encode()))
        assert answer.status_code == 404, answer.text
        assert "def viewer" not in answer.text
        assert "root:" not in answer.text


CURSORS = [
    "x",
    "0",
    "-1",
    "é",
    "\0",
    "' OR 1=1 --",
    "../..",
    "{}",
    "eyJhIjoxfQ==",
    "x" * 5000,
    "%00",
    "[1,2]",
    "1e999",
]


@pytest.mark.parametrize("cursor", CURSORS)
async def test_a_cursor_made_by_hand_tells_nothing(one: SessionStore, cursor: str) -> None:
    await _ask_with_cursor(one, cursor)


@pytest.mark.slow
async def test_no_store_takes_a_cursor_made_by_hand(store: SessionStore) -> None:
    for cursor in CURSORS:
        await _ask_with_cursor(store, cursor)


async def _ask_with_cursor(store: SessionStore, cursor: str) -> None:
    await store.create(user_id="ada")
    async with asking(app_of(store)) as client:
        answer = await client.get("/", params={"cursor": cursor})
        assert answer.status_code == 400, answer.text
        assert "Traceback" not in answer.text


ODD_IDS = [
    "a/b",
    "a%2Fb",
    "../../etc",
    "q?x=1&id=2#f",
    "it's",
    'say "hi"',
    "<b>",
    "é 日本 👋",
    "a+b c",
    "%",
    "\\",
]


@pytest.mark.parametrize("session_id", ODD_IDS)
async def test_any_id_travels(one: SessionStore, session_id: str) -> None:
    await one.create(session_id)
    await one.append(session_id, Message.user("found"))
    async with asking(app_of(one)) as client:
        listed = await client.get("/")
        (address,) = [
            each.replace("&amp;", "&")
            for each in listed.text.split('"')
            if each.startswith("/session?") and "id=" in each
        ][:1]
        shown = await client.get(address)
        assert shown.status_code == 200
        assert "found" in shown.text


@pytest.mark.parametrize("session_id", ["", "\0", "a\nb", "{x}", "x" * 600, "\u202ex", "not-there"])
async def test_an_id_that_is_none_is_a_page(one: SessionStore, session_id: str) -> None:
    async with asking(app_of(one)) as client:
        answer = await client.get("/session", params={"id": session_id})
        assert answer.status_code in (400, 404)
        assert "miniagent-store" in answer.text


# What answers tell


async def test_headers_of_safety_are_on_every_answer(one: SessionStore) -> None:
    session = await one.create()
    app = app_of(one, allow_write=True)
    async with asking(app) as client:
        answers = [
            await client.get("/"),
            await client.get("/", headers={"Host": "evil.example"}),
            await client.get(f"/session?id={session.id}"),
            await client.get("/session?id=none"),
            await client.get("/nothing"),
            await client.get("/fails"),
            await client.get("/static/viewer.css"),
            await client.get("/static/none.css"),
            await client.get("/enter?token=x"),
            await client.get("/enter", params={"token": TOKEN}),
            await client.head("/"),
            await client.post("/act-of-tests"),
            await client.put("/"),
        ]
        etag = answers[6].headers["etag"]
        answers.append(await client.get("/static/viewer.css", headers={"If-None-Match": etag}))
        client.cookies.clear()
        answers.append(await client.get("/"))
    assert {answer.status_code for answer in answers} == {200, 303, 304, 401, 403, 404, 421, 500}
    for answer in answers:
        for name, value in HEADERS.items():
            assert answer.headers.get_list(name) == [value], (answer.url, name)
        kept = "no-cache" if answer.url.path.startswith("/static/") else "no-store"
        assert answer.headers["cache-control"] == kept
    assert "unsafe" not in HEADERS["Content-Security-Policy"]


async def test_a_failure_tells_nothing_of_the_inside(
    one: SessionStore, caplog: pytest.LogCaptureFixture
) -> None:
    async with asking(app_of(one)) as client:
        answer = await client.get("/fails")
    assert answer.status_code == 500
    assert "its log says why" in answer.text
    for secret in ("sesame", "Traceback", "RuntimeError", ".py"):
        assert secret not in answer.text
    assert "sesame-in-a-traceback" in caplog.text


async def test_a_websocket_is_refused(one: SessionStore) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/", "headers": [], "query_string": b"", "subprotocols": []}
    await app_of(one)(scope, receive, send)
    assert [each["type"] for each in sent] == ["websocket.close"]

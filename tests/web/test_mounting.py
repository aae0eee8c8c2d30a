"""The viewer within another app, below a path, behind a proxy: links, cookies and redirects fit."""

from __future__ import annotations

import html
import re
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, expect
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from miniagent_store import SessionStore
from miniagent_store.web.below import Below
from tests.web.asking import ORIGIN, app_of, asking, form_token
from tests.web.browser import looking
from tests.web.served import TOKEN, Viewer, listening


async def _own(request: Request) -> Response:
    return PlainTextResponse("the app's own page")


def _around(app: Any, path: str = "/sessions", name: str | None = None) -> Starlette:
    """An app whose own pages have names of the viewer's."""
    own = [Route("/session", _own, name="session"), Route("/", _own, name="sessions")]
    return Starlette(debug=True, routes=[*own, Mount(path, app, name=name)])


async def _who(request: Request) -> str | None:
    return request.headers.get("X-User")


def _addresses(text: str) -> list[str]:
    return [html.unescape(each) for each in re.findall(r'(?:href|src|action)="([^"#]*)"', text)]


@pytest.mark.parametrize("name", [None, "viewer", "sessions"])
@pytest.mark.parametrize("path", ["/sessions", "/a/b/c", "/session"])
async def test_every_link_stays_below_the_mount(one: SessionStore, path: str, name: str | None) -> None:
    session = await one.create(user_id="ada")
    inner = app_of(one)
    inner.router.routes.append(Route("/deep", _redirects))
    app = _around(inner, "/" + path.strip("/"), name)
    async with asking(app, enter=f"{path}/enter") as client:
        for page in ("/", f"/session?id={session.id}", "/nothing"):
            answer = await client.get(path + page)
            addresses = _addresses(answer.text)
            assert len(addresses) >= 4
            assert all(each.startswith(f"{path}/") for each in addresses), addresses
            if answer.status_code == 200:
                assert {(await client.get(each)).status_code for each in addresses} == {200}
        answer = await client.get(f"{path}/deep")
        assert answer.headers["location"] == f"{path}/session"
        # What fails is shown by us, not by the app around, which shows tracebacks.
        answer = await client.get(f"{path}/fails")
        assert (answer.status_code, "sesame" in answer.text) == (500, False)
        # And nothing of ours is in the app's way.
        assert (await client.get("/session" if path != "/session" else "/")).text == "the app's own page"


async def _redirects(request: Request) -> Response:
    return Response(status_code=303, headers={"Location": str(request.url_for("session"))})


@pytest.mark.parametrize(
    ("origin", "path", "prefix", "secure"),
    [
        ("http://localhost", "", "", False),
        ("http://localhost", "/sessions", "", False),
        ("https://localhost", "", "__Host-", True),
        ("https://localhost", "/sessions", "__Secure-", True),
    ],
)
async def test_the_cookie_is_as_narrow_as_can_be(
    one: SessionStore, origin: str, path: str, prefix: str, secure: bool
) -> None:
    inner = app_of(one, allow_write=True)
    app = _around(inner, path) if path else inner
    async with asking(app, origin=origin + path, enter=None) as client:
        answer = await client.get("/enter", params={"token": TOKEN})
        assert answer.headers["location"] == f"{path}/"
        first, *parts = answer.headers["set-cookie"].split("; ")
        assert first.startswith(f"{prefix}miniagent-viewer-")
        assert TOKEN not in first
        assert set(parts) == {
            "HttpOnly",
            "SameSite=strict",
            "Max-Age=43200",
            f"Path={path or '/'}",
            *(["Secure"] if secure else []),
        }
        assert (await client.get("/")).status_code == 200
        form = {"id": "made", "form": await form_token(client)}
        answer = await client.post("act-of-tests", data=form, headers={"Origin": origin})
        assert answer.status_code == 200


async def test_two_viewers_of_a_host_do_not_throw_each_other_out(one: SessionStore) -> None:
    app = Starlette(routes=[Mount("/a", app_of(one)), Mount("/b", app_of(one, token="another"))])
    async with asking(app, enter="/a/enter") as client:
        assert (await client.get("/b/")).status_code == 401
        assert (await client.get("/b/enter", params={"token": "another"})).status_code == 303
        assert len(client.cookies) == 2
        assert (await client.get("/a/")).status_code == 200
        assert (await client.get("/b/")).status_code == 200


async def test_the_app_around_says_who_may(one: SessionStore) -> None:
    app = app_of(one, auth=_who, allow_write=True)
    async with asking(app, enter=None) as client:
        assert (await client.get("/")).status_code == 401
        assert (await client.get("/", headers={"X-User": ""})).status_code == 401
        # There is no other way in, even for who knows a token.
        assert (await client.get("/enter", params={"token": TOKEN})).status_code == 401
        assert (await client.get("/", headers={"X-User": "ada"})).status_code == 200
        assert (await client.get("/enter", headers={"X-User": "ada"})).status_code == 404
    async with asking(app, enter=None, headers={"X-User": "ada"}) as ada:
        adas = await form_token(ada)
        assert (await ada.post("/act-of-tests", data={"id": "by-ada", "form": adas})).status_code == 200
    assert (await one.get("by-ada")).metadata == {"who": "ada"}
    async with asking(app, enter=None, headers={"X-User": "eve"}) as eve:
        assert (await eve.post("/act-of-tests", data={"id": "by-eve", "form": adas})).status_code == 403


@pytest.mark.parametrize("status", [303, 403])
async def test_the_app_around_may_send_elsewhere(one: SessionStore, status: int) -> None:
    async def auth(request: Request) -> str | None:
        raise HTTPException(status, "Sign in first.", {"Location": "https://login.example/?next=/"})

    async with asking(app_of(one, auth=auth), enter=None) as client:
        answer = await client.get("/")
        assert answer.status_code == status
        assert answer.headers["location"] == "https://login.example/?next=/"


async def test_an_auth_that_fails_lets_nobody_in(one: SessionStore) -> None:
    async def auth(request: Request) -> str | None:
        raise RuntimeError("sesame")

    async with asking(app_of(one, auth=auth), enter=None) as client:
        answer = await client.get("/")
        assert (answer.status_code, "sesame" in answer.text) == (500, False)


@pytest.mark.parametrize("takes_it_off", [True, pytest.param(False, marks=pytest.mark.slow)])
async def test_a_proxy_shows_it_below_a_path(
    one: SessionStore, browser: Browser, takes_it_off: bool
) -> None:
    session = await one.create(user_id="ada")
    async with (
        listening(Below("/ops/sessions", app_of(one))) as behind,
        listening(_proxy(behind.origin, "/ops/sessions" if takes_it_off else "")) as front,
        looking(browser, Viewer(f"{front.origin}/ops/sessions")) as look,
    ):
        await look.page.get_by_role("link", name=session.id).click()
        await expect(look.page.get_by_role("heading", name=session.id)).to_be_visible()
        assert look.page.url.startswith(f"{front.origin}/ops/sessions/session?id=")
        (cookie,) = await look.page.context.cookies()
        assert (cookie.get("path"), cookie.get("httpOnly"), cookie.get("sameSite")) == (
            "/ops/sessions",
            True,
            "Strict",
        )
        assert look.complaints == []


def _proxy(target: str, removed: str) -> Starlette:
    """Passes on what is asked, without the beginning of its path."""

    async def passed(request: Request) -> Response:
        url = target + request.url.path.removeprefix(removed)
        async with httpx.AsyncClient() as client:
            answer = await client.request(
                request.method, f"{url}?{request.url.query}", headers=request.headers.raw
            )
        headers = {
            name: value
            for name, value in answer.headers.items()
            if name not in ("content-encoding", "transfer-encoding")
        }
        return Response(answer.content, answer.status_code, headers)

    return Starlette(routes=[Route("/{path:path}", passed)])


async def test_a_form_of_ours_comes_from_a_browser(one: SessionStore, browser: Browser) -> None:
    async with (
        listening(app_of(one, allow_write=True)) as viewer,
        looking(browser, viewer) as look,
    ):
        await look.page.evaluate(
            """async () => {
                const token = await (await fetch("form-token")).text();
                const form = document.createElement("form");
                form.method = "post"; form.action = "act-of-tests";
                for (const [name, value] of Object.entries({ form: token, id: "made" })) {
                    const input = document.createElement("input");
                    input.name = name; input.value = value;
                    form.append(input);
                }
                document.body.append(form);
                form.submit();
            }"""
        )
        await expect(look.page.get_by_text("made of")).to_be_visible()
        assert (await one.get("made")).metadata == {"who": "token"}


async def test_the_root_is_no_way_around_the_entrance(one: SessionStore) -> None:
    app = Starlette(routes=[Mount("/static", app_of(one)), Mount("/e", app_of(one))])
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        for path in ("/static/", "/static/session?id=a", "/e/nter", "/e//static/x", "/e/static"):
            assert (await client.get(path)).status_code == 401, path

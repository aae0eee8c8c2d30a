"""What pages of others can have a visitor's browser do to the viewer: nothing."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from miniagent_store import SessionStore
from tests.web.browser import Look, looking
from tests.web.served import served
from tests.web.stranger import stranger

# Another port of the same name is of the same site: even a strict cookie goes along with what it asks.
SITES = pytest.mark.parametrize("name", ["127.0.0.1", pytest.param("localhost", marks=pytest.mark.slow)])

ATTACKS = """<!doctype html><body>
<form method="post" action="VIEWER/" target="hole"><input name="form" value="x"></form>
<iframe name="hole"></iframe>
<iframe id="framed" src="VIEWER/session?id=SESSION"></iframe>
<img id="image" src="VIEWER/static/icon.svg"><img src="VIEWER/session?id=SESSION">
<script>
  const got = [];
  const tried = [
    fetch("VIEWER/session?id=SESSION", { credentials: "include" }).then((a) => a.text()),
    fetch("VIEWER/static/viewer.css").then((a) => a.text()),
    fetch("VIEWER/session?id=SESSION", { mode: "no-cors", credentials: "include" })
      .then((a) => { if (a.type !== "opaque" || a.status) throw new Error(); return ""; }),
    fetch("VIEWER/", { method: "POST", mode: "no-cors", credentials: "include", body: "form=x" })
      .then((a) => a.text()),
    new Promise((done, failed) => {
      const source = new EventSource("VIEWER/session?id=SESSION", { withCredentials: true });
      source.onmessage = (event) => done(event.data);
      source.onerror = failed;
    }),
    new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = "VIEWER/static/keys.js";
      script.onload = () => done("a script ran");
      script.onerror = failed;
      document.body.append(script);
    }),
    new Promise((done, failed) => {
      const image = document.getElementById("image");
      if (image.complete) return image.naturalWidth ? done("an image was seen") : failed();
      image.onload = () => done("an image was seen");
      image.onerror = failed;
    }),
  ];
  document.forms[0].submit();
  Promise.allSettled(tried).then((all) => {
    const framed = document.getElementById("framed");
    try { got.push(framed.contentDocument.body.innerText); } catch { /* of another origin */ }
    for (const each of all) if (each.status === "fulfilled" && each.value) got.push(each.value);
    document.body.dataset.got = JSON.stringify(got.filter(Boolean));
  });
</script>"""


@SITES
async def test_nothing_is_read_framed_or_sent(one: SessionStore, browser: Browser, name: str) -> None:
    session = await one.create(user_id="ada")
    async with served(one, allow_write=True) as viewer, looking(browser, viewer) as look:
        asked: list[str] = []
        answers: list[tuple[str, int]] = []
        look.page.on("request", lambda request: asked.append(request.url))
        look.page.on("response", lambda answer: answers.append((answer.url, answer.status)))
        html = ATTACKS.replace("VIEWER", viewer.origin).replace("SESSION", session.id)
        async with stranger(html) as port:
            await look.page.goto(f"http://{name}:{port}/")
            await expect(look.page.locator("body")).to_have_attribute("data-got", "[]")
        assert len([url for url in asked if url.startswith(viewer.origin)]) >= 8
        # What frames were answered; of the rest the browser tells not even that.
        pages = [f"{viewer.origin}/", f"{viewer.origin}/session?id={session.id}"]
        assert {status for url, status in answers if url in pages} == {403}


async def _through(look: Look, address: str, name: str) -> None:
    """Follows a link to an address on a stranger's page."""
    async with stranger(f'<a href="{address}">there</a>') as port:
        await look.page.goto(f"http://{name}:{port}/")
        await look.page.get_by_role("link").click()
        await expect(look.page.get_by_role("banner")).to_be_visible()


@SITES
async def test_their_links_lead_in(one: SessionStore, browser: Browser, name: str) -> None:
    session = await one.create(user_id="ada")
    async with served(one) as viewer, looking(browser, viewer) as look:
        await _through(look, f"{viewer.origin}/session?id={session.id}", name)
        await expect(look.page.get_by_role("heading", name=session.id)).to_be_visible()

        # Who has not entered is told so, once.
        await look.page.context.clear_cookies()
        await _through(look, f"{viewer.origin}/session?id={session.id}", name)
        await expect(look.page.get_by_text("Open the link that was printed")).to_be_visible()

        # And the link with the token may stand on another page too, of a chat or a mail.
        await _through(look, viewer.link, name)
        await expect(look.page.get_by_role("link", name=session.id)).to_be_visible()
        assert "token" not in look.page.url

"""An answer of the command leaves as a whole, whatever it is made of."""

from __future__ import annotations

import time

import httpx

from tests.web.served import TOKEN, command

# Seconds that Linux waits at least until it acknowledges what nothing is answered to.
ACKNOWLEDGED = 0.04


def test_nothing_waits_for_an_acknowledgement(one_url: str) -> None:
    with command(one_url) as viewer, httpx.Client(base_url=viewer.origin) as client:
        client.get("/enter", params={"token": TOKEN})
        took = []
        for _ in range(15):
            began = time.perf_counter()
            assert client.get("/static/keys.js").is_success
            took.append(time.perf_counter() - began)

        assert min(took) < ACKNOWLEDGED * 0.8

"""How the store is and how fast: health, throughput, times, memory, locks, sizes, days, TTLs; live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from miniagent_store.measuring.watcher import quantiles
from miniagent_store.values import NO_CURE, Health
from miniagent_store.web.asked import rendering_of, store_of
from miniagent_store.web.measuring.counting import MOST, PAGE, PAUSE
from miniagent_store.web.measuring.gauge import CALLS, EVERY, Gauge
from miniagent_store.web.measuring.point import NAMES, Point, columns, mean
from miniagent_store.web.measuring.storage import bytes_used, files, leases, servers
from miniagent_store.web.streaming import Sent, last_id, stream

# Parts of the page that are made anew when they have changed; each a template.
PARTS = ("state", "numbers", "health", "operations", "busiest", "storage", "sessions", "table")
# A page waits so many seconds for the first look; a store that is away is told of later.
PATIENCE = 1.5
# Seconds of a row of the table, which is for those who see no plots.
ROW = 30


async def page(request: Request) -> Response:
    """``/performance``; with ``deep=1`` the health looks also at what takes a few seconds."""
    store = store_of(request)
    gauge = _gauge_of(request)
    deep = await store.health(deep=True) if request.query_params.get("deep") == "1" else None
    with suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            await gauge.looked(after=0)
            await gauge.counting.began.wait()
    return rendering_of(request).page(
        request, "performance.html", deep=deep is not None, **_values(gauge, deep)
    )


async def live(request: Request) -> Response:
    """The stream of the page: points for its plots, and parts of it that have changed."""
    return stream(_events(request, _gauge_of(request), last_id(request)))


async def _events(request: Request, gauge: Gauge, after: str | None) -> AsyncGenerator[Sent, None]:
    life, _, told = (after or "").partition("-")
    # Points of another life are not ours; a number that never was is somebody's own.
    known = life == gauge.life and told.isdecimal() and len(told) < 10
    number = min(int(told), gauge.number) if known else 0
    shown = dict[str, str]()
    while await gauge.looked(number):
        points, name = gauge.points(number), "more" if number else "all"
        number = gauge.number
        yield Sent(name, columns(points), f"{gauge.life}-{number}")
        for part, html in _parts(request, gauge).items():
            if shown.get(part) != html:
                shown[part] = html
                yield Sent("part", {"name": part, "html": html})


def _gauge_of(request: Request) -> Gauge:
    gauge: Gauge = request.app.state.gauges.of(store_of(request))
    return gauge


def _parts(request: Request, gauge: Gauge) -> dict[str, str]:
    """The parts as they are now; made once for all who watch, whose links begin alike."""
    place = request.scope.get("root_path", "")
    if (place, PARTS[0]) not in gauge.shown:
        values, rendering = _values(gauge, None), rendering_of(request)
        for part in PARTS:
            page = rendering.page(request, f"performance/{part}.html", deep=False, **values)
            gauge.shown[place, part] = bytes(page.body).decode()
    return {part: gauge.shown[place, part] for part in PARTS}


def _values(gauge: Gauge, deep: Health | None) -> dict[str, Any]:
    """What templates show."""
    frame, points = gauge.frame, gauge.points()
    health = deep or (frame.health if frame else None)
    return {
        "every": EVERY,
        "calls": CALLS,
        "most": MOST,
        "pace": round(PAGE / PAUSE),
        "no_cure": NO_CURE,
        "frame": frame,
        "health": health,
        "stats": frame.stats if frame and frame.stats and frame.stats.problem is None else None,
        "point": points[-1] if points else None,
        "reads": quantiles(frame.reads) if frame else None,
        "listings": quantiles(frame.listings) if frame else None,
        "memory": bytes_used(health),
        "servers": servers(health),
        "files": files(health),
        "leases": leases(health),
        "counting": gauge.counting,
        "rows": list(_rows(points)),
    }


def _rows(points: Sequence[Point]) -> Iterator[dict[str, Any]]:
    """Means of half minutes, the newest first; the one that runs is left out."""
    halves = dict[int, list[Point]]()
    for each in points:
        halves.setdefault(int(each.at) // ROW, []).append(each)
    for half in sorted(halves, reverse=True)[1:]:
        yield {
            **{name: mean(halves[half], name) for name in NAMES},
            "at": datetime.fromtimestamp(half * ROW, UTC),
        }

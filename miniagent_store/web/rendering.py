"""Templates, and how numbers, times and sizes are written in them."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import HTMLResponse

from miniagent_store.web.links import linking
from miniagent_store.web.tenant import tenant_of
from miniagent_store.web.visible import visible_value

TEMPLATES = Path(__file__).parent / "templates"


class Rendering:
    """Makes pages. Everything is escaped; only what Markdown has made is not escaped again.

    Args:
        allow_write: show actions that change sessions.
        content: show what was said.
    """

    def __init__(self, *, allow_write: bool, content: bool) -> None:
        self.allow_write: bool = allow_write
        self.content: bool = content
        self._templates = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=visible_value,
        )
        self._templates.filters |= {"age": age, "size": size, "number": number}

    def page(self, request: Request, template: str, /, **values: Any) -> HTMLResponse:
        """One page.

        Args:
            request: for links and the visitor's form token.
            template: its file.
            values: what it shows.
        """
        html = self._templates.get_template(template).render(
            url_for=partial(path_for, request),
            here=getattr(request.scope.get("route"), "name", ""),
            who=request.state.who,
            store_url=request.app.state.store.url if request.state.who else "",
            allow_write=self.allow_write,
            content=self.content,
            tenant=tenant_of(request),
            link=linking(request),
            form_token=request.app.state.entrance.form_token(request),
            **values,
        )
        return HTMLResponse(html)


def path_for(request: Request, name: str, /, **parts: Any) -> URL:
    """The address of a page without scheme and host, which a proxy in front may know better."""
    return URL(request.url_for(name, **parts).path)


def age(moment: datetime | None) -> str:
    """How long ago, or in how long: "3 min ago", "in 2 h"; "never" for None."""
    if moment is None:
        return "never"
    seconds = (datetime.now(UTC) - moment).total_seconds()
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if abs(seconds) >= length:
            return _when(f"{abs(seconds) / length:.0f} {unit}", seconds)
    return "now" if abs(seconds) < 1 else _when(f"{abs(seconds):.0f} s", seconds)


def _when(length: str, seconds: float) -> str:
    return f"{length} ago" if seconds > 0 else f"in {length}"


def size(count: int) -> str:
    """Bytes in a unit that fits: "12 B", "3.4 KiB"."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def number(count: int) -> str:
    """With commas between thousands."""
    return f"{count:,}"

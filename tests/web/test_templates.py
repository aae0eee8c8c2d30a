"""What the Content-Security-Policy forbids stands in no template, nor anything from another host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import miniagent_store.web

WEB = Path(miniagent_store.web.__file__).parent
TEMPLATES = sorted((WEB / "templates").rglob("*.html"))
OURS = sorted(path for path in (WEB / "static").rglob("*") if path.suffix in (".css", ".js"))
FORBIDDEN = {
    "a style of its own": re.compile(r"<style|\sstyle\s*=", re.IGNORECASE),
    "a handler": re.compile(r"\son[a-z]+\s*=", re.IGNORECASE),
    "a script within": re.compile(r"<script(?![^>]*\ssrc=)", re.IGNORECASE),
    "a link that runs": re.compile(r"javascript:", re.IGNORECASE),
    "what is not escaped": re.compile(r"\|\s*safe\b|autoescape\s+false"),
}


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_nothing_is_inline(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert [what for what, pattern in FORBIDDEN.items() if pattern.search(text)] == []


@pytest.mark.parametrize("path", TEMPLATES + OURS, ids=lambda path: path.name)
def test_nothing_comes_from_elsewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    loaded = re.findall(
        r"""(?:src|href|url|from|import|@import)[\s=(]*["'(]\s*((?:https?:)?//[^"')\s]+)""", text
    )
    assert loaded == []

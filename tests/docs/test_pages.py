"""What the pages say of each other and of the code is so."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import miniagent_store
from miniagent_store import errors
from miniagent_store.moving import importing, migrating
from tests.docs.pages import ROOT, pages

DOCS = ROOT / "docs"
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^[ ]*```.*?^[ ]*```[ ]*$|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_OTHERS = re.compile(r"(?<=<!-- bench:others -->\n).*?(?=<!-- /bench -->)", re.DOTALL)
# Made when the site is built.
MADE = {"docs/messages.md", "docs/cli.md"}


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub(keep_words, page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def keep_words(found: re.Match[str]) -> str:
    """What stands in backticks within a line; nothing of a block."""
    return "" if found[0].lstrip().startswith("```") else found[0].strip("`")


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere; those to other hosts are not followed."""
    found: list[str] = []
    for link in _LINK.findall(_FENCED.sub("", page.read_text())):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if ":" in path or str(target.relative_to(ROOT)) in MADE:
            continue
        if not target.exists() or (anchor and anchor not in slugs(target)):
            found.append(link)
    return found


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_no_link_is_broken(page: Path) -> None:
    assert broken(page) == []


@pytest.fixture(scope="module")
def site() -> Iterator[Callable[[str], Any]]:
    """Imports what makes the site's own pages."""
    before = set(sys.modules)
    sys.path.insert(0, str(DOCS / "_site"))
    yield import_module
    sys.path.remove(str(DOCS / "_site"))
    for name in set(sys.modules) - before:
        if name in {path.stem for path in (DOCS / "_site").glob("*.py")}:
            del sys.modules[name]


def test_each_error_has_an_entry() -> None:
    entries = re.findall(r"^### (\w+Error)$", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
    ours = {
        name
        for module in (errors, importing, migrating)
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, errors.StoreError)
    }

    assert sorted(entries) == sorted(ours)


def test_each_text_that_it_quotes_is_said_by_the_code(site: Callable[[str], Any]) -> None:
    page = (DOCS / "troubleshooting.md").read_text().partition("## Every error")[0]
    quoted = re.findall(r"^\| (`[^|]*`[^|]*) \|", page, re.MULTILINE)
    phrases = [phrase for cell in quoted for phrase in re.findall(r"`([^`]+ [^`]+)`", cell)]
    said = "\n".join(site("messages").texts())

    unknown = [each for each in phrases if not re.search(re.escape(each).replace("…", ".*"), said)]

    assert len(phrases) > 20
    assert unknown == []


def test_each_retryable_error_is_named_as_such() -> None:
    page = (DOCS / "troubleshooting.md").read_text()
    named = page.partition("without a change: of ")[2].partition(". The store has")[0]
    retryable = {name for name, value in vars(errors).items() if getattr(value, "retryable", False)}

    assert set(re.findall(r"\w+Error", named)) == retryable


def test_every_public_name_is_in_the_reference() -> None:
    reference = "\n".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    named = {line.rpartition(".")[2] for line in re.findall(r"^::: (\S+)$", reference, re.MULTILINE)}

    # The markers are explained with the hooks, the version by its name.
    explained = {"hookimpl", "hookspec", "__version__"}
    assert set(miniagent_store.__all__) - named - explained == set()


def test_the_measured_table_is_that_of_the_performance_page() -> None:
    """With WRITE_DOCS=1 it is written."""
    page = DOCS / "comparison.md"
    measured = _OTHERS.search((DOCS / "performance.md").read_text())
    assert measured
    written = _OTHERS.sub(lambda _: measured[0], page.read_text())
    if os.environ.get("WRITE_DOCS"):
        page.write_text(written)

    assert page.read_text() == written


def test_the_diagrams_are_those_of_their_script(site: Callable[[str], Any]) -> None:
    diagrams = site("diagrams").DIAGRAMS

    for name, picture in diagrams.items():
        assert (DOCS / "images" / name).read_text() == picture, "run: python docs/_site/diagrams.py"


def test_messages_are_found_in_the_code(site: Callable[[str], Any]) -> None:
    messages = site("messages").messages()

    assert (
        "… needs the package …, which is not installed; run: pip install 'miniagent-store[…]'"
        in (messages["MissingExtraError"])
    )
    assert sum(len(said) for said in messages.values()) > 300

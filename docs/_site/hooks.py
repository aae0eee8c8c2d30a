"""What the site does to the pages: they are written to be read in the repository, and stay so.

Pages at the root of the repository become pages of the site. A link that leads out of docs/ leads to that
page, to the repository (`repo_url`, where there is one), or is its text alone. The lists of messages and of
commands are made of the code.
"""

from __future__ import annotations

import posixpath
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))

from commands import commands_page
from messages import messages_page

ROOT = Path(__file__).parents[2]
AT_ROOT = {"README.md": "readme.md", "ARCHITECTURE.md": "architecture.md", "CHANGELOG.md": "changelog.md"}
# Comments that are for the tests, see docs/writing.md.
_FOR_TESTS = re.compile(r"<!-- (?:given|not run|prints|file)(?::.*?)? ?-->\n?", re.DOTALL)
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"(^[ ]*```.*?^[ ]*```[ ]*$)", re.DOTALL | re.MULTILINE)
_LIST_AT_ONCE = re.compile(r"^(?![ ]*(?:[-*]|\d+\.)[ ])(\S.*)\n(?=(?:-|\d+\.)[ ])", re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that do not stand in docs/."""
    made = {page: (ROOT / name).read_text(encoding="utf-8") for name, page in AT_ROOT.items()}
    made |= {"messages.md": messages_page(), "cli.md": commands_page()}
    for page, text in made.items():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: MkDocsConfig, files: Files) -> str:
    """Links, and what GitHub's Markdown has and Python's has not."""
    source = page.file.src_uri
    here = {made: name for name, made in AT_ROOT.items()}.get(source, f"docs/{source}")
    text = _FOR_TESTS.sub("", markdown)
    pieces = _FENCE.split(text)
    for number in range(0, len(pieces), 2):
        pieces[number] = _with_lists(_with_links(pieces[number], here, source, config, files))
    return "".join(pieces)


def _with_links(text: str, here: str, source: str, config: MkDocsConfig, files: Files) -> str:
    """Each link as the site needs it."""

    def link(found: re.Match[str]) -> str:
        image, words, target = found.groups()
        path, _, anchor = target.partition("#")
        if not path or ":" in path:
            return found[0]
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(here), path))
        if image:
            picture = posixpath.relpath(wanted.removeprefix("docs/"), posixpath.dirname(source) or ".")
            return f"![{words}]({picture})"
        page = _page_at(wanted, files)
        if page is not None:
            relative = posixpath.relpath(page, posixpath.dirname(source) or ".")
            return f"[{words}]({relative}{'#' if anchor else ''}{anchor})"
        if config.repo_url:
            return f"[{words}]({config.repo_url.rstrip('/')}/blob/main/{wanted})"
        return words

    # What stands between backticks is no link; a link's words may be in backticks.
    parts = re.split(r"(?<!\[)(`[^`\n]+`)(?!\])", text)
    return "".join(part if number % 2 else _LINK.sub(link, part) for number, part in enumerate(parts))


def _page_at(path: str, files: Files) -> str | None:
    """The page of the site that is made of a file or folder of the repository."""
    if path in AT_ROOT:
        return AT_ROOT[path]
    if not path.startswith("docs/"):
        return None
    page = path.removeprefix("docs/")
    return next(
        (each for each in (f"{page}/index.md", f"{page}/README.md") if each in files.src_uris), page
    )


def _with_lists(text: str) -> str:
    """An empty line before each list that follows a paragraph at once."""
    return _LIST_AT_ONCE.sub(r"\1\n\n", text)

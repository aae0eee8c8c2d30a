"""Runs the blocks of a page, in order, as a reader would who types them."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import gc
import io
import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
import tomllib
import traceback
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from miniagent_store import MissingExtraError, StoreError
from tests.docs.pages import ROOT, Block, blocks

# What installs something, serves until it is stopped, or needs what a test cannot have.
SHOWN_ONLY = ("apt-get", "docker", "git", "make", "nox", "pip", "uvicorn")
TIMEOUT = 120


class BlockError(AssertionError):
    """A block failed; says which line of which page, and why."""


class PageRun:
    """One page: its blocks share their names, a folder, an event loop and the environment.

    Args:
        page: the page.
        moved: gives the code of a block with addresses of servers that run, for those that it names.
        missing: called with the name of a package that a block imports and that is not installed.
    """

    def __init__(self, page: Path, *, moved: Callable[[str], str], missing: Callable[[str], None]) -> None:
        self._page, self._moved, self._missing = page, moved, missing
        self._names: dict[str, Any] = {"__name__": "__main__"}
        self._printed = ""
        self._left_out = False

    def run(self) -> None:
        """Run it in the current folder.

        Raises:
            BlockError: a block failed, or printed something else than the page says.
        """
        with asyncio.Runner() as runner:
            try:
                for block in blocks(self._page):
                    self._run_block(block, runner)
            finally:
                self._close(runner)

    def _run_block(self, block: Block, runner: asyncio.Runner) -> None:
        if block.not_run is not None:
            return
        if block.prints:
            compare(block, self._printed, block.code)
            return
        given, code = self._moved(block.given), self._moved(block.code)
        if block.language == "python":
            self._run_python(block, given, code, runner)
        elif block.language == "diff":
            self._run_python(block, given, changed(code), runner)
        elif block.language == "console":
            self._run_python(block, given, "", runner)
            self._run_commands(block, code)
        elif block.language == "toml":
            tomllib.loads(code)
        elif block.language == "json":
            json.loads(code)

    def _run_python(self, block: Block, given: str, code: str, runner: asyncio.Runner) -> None:
        lacking = next((name for name in imported(given + code) if not is_installed(name)), None)
        if lacking is not None:
            self._leave_out(lacking)
            return
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                self._exec(given, f"<given before {block.place}>", 1, runner)
                printed.seek(0)
                printed.truncate()
                self._exec(code, str(block.page), block.line, runner)
        except MissingExtraError as error:
            self._leave_out(error.package)
        except Exception as error:
            if isinstance(error, NameError) and self._left_out:
                return  # it goes on from a block that was left out
            told = "".join(traceback.format_exception(error))
            raise BlockError(f"{block.place} fails:\n{code}\n{told}") from error
        self._printed = printed.getvalue()

    def _leave_out(self, package: str) -> None:
        self._missing(package)
        self._left_out = True

    def _exec(self, code: str, file: str, line: int, runner: asyncio.Runner) -> None:
        tree = ast.parse(code, file)
        ast.increment_lineno(tree, line - 1)
        compiled = compile(tree, file, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        coroutine = eval(compiled, self._names)
        if coroutine is not None:
            runner.run(asyncio.wait_for(coroutine, TIMEOUT))

    def _run_commands(self, block: Block, text: str) -> None:
        """Run the commands of a block, and compare what they print with what stands below them."""
        for command, told in commands(text, block.language):
            first = command.split()[0]
            if first in SHOWN_ONLY:
                continue
            if first == "export":
                os.environ.update(each.split("=", 1) for each in shlex.split(command)[1:])
                continue
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", command],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
                timeout=TIMEOUT,
                env=environment(),
            )
            self._printed = done.stdout
            fails = command.rstrip().endswith("# fails")
            if (done.returncode != 0) is not fails:
                raise BlockError(f"{block.place}: {command!r} ended with {done.returncode}:\n{done.stdout}")
            if told:
                compare(block, done.stdout, told)

    def _close(self, runner: asyncio.Runner) -> None:
        """Close the stores and agents that a page leaves open, as the end of a program would."""

        async def close(each: Any) -> None:
            await each

        for value in list(self._names.values()):
            if not type(value).__module__.startswith("miniagent_store"):
                continue
            for name in ("shutdown", "aclose", "close"):
                if hasattr(type(value), name) or type(value).__module__ == "miniagent_store.blocking":
                    with contextlib.suppress(StoreError, AttributeError):
                        outcome = getattr(value, name)()
                        if asyncio.iscoroutine(outcome):
                            runner.run(close(outcome))
                    break
        # What is left open warns here, and not in the midst of another test.
        self._names.clear()
        gc.collect()


def changed(diff: str) -> str:
    """What a diff leads to: its lines without those that go."""
    kept = [line[1:] for line in diff.splitlines(keepends=True) if not line.startswith("-")]
    return textwrap.dedent("".join(kept))


def commands(text: str, language: str) -> list[tuple[str, str]]:
    """The commands of a block, each with what is said to be printed by it; "" where nothing is said."""
    if language == "bash":
        return [(line, "") for line in text.replace("\\\n", "").splitlines() if line and line[0] != "#"]
    found: list[tuple[str, str]] = []
    for piece in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, told = piece.replace("\\\n", "").partition("\n")
        found.append((command, told.rstrip()))
    return found


def compare(block: Block, printed: str, told: str) -> None:
    """Check what was printed; "…" stands for anything, also for whole lines."""
    pattern = ".*?".join(re.escape(part) for part in tidy(told).split("…"))
    if re.fullmatch(pattern, tidy(printed), re.DOTALL) is None:
        raise BlockError(f"{block.place} says:\n{tidy(told)}\n\nprinted was:\n{tidy(printed)}")


def tidy(text: str) -> str:
    """Text without empty lines around it, and with one space where there are several."""
    return "\n".join(" ".join(line.split()) for line in text.strip("\n").splitlines())


def imported(code: str) -> list[str]:
    """The top-level modules that a block imports, wherever in it."""
    names: list[str] = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
    return names


def is_installed(module: str) -> bool:
    """Whether a module can be imported; of the integrations, whether their framework can."""
    if module.startswith(("miniagent_store", "miniagent_backends", "miniagent_serializers")):
        return True
    try:
        return module in sys.modules or find_spec(module.partition(".")[0]) is not None
    except (ImportError, ValueError):
        return False


def environment() -> dict[str, str]:
    """Of commands: `miniagent-store` and `python` are those of this checkout, and no terminal is there."""
    found = dict(os.environ)
    found["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{found['PATH']}"
    parts = [str(ROOT), str(ROOT / "backends"), str(ROOT / "serializers"), found.get("PYTHONPATH", "")]
    found["PYTHONPATH"] = os.pathsep.join(part for part in parts if part)
    found |= {"PYTHONWARNINGS": "error", "COLUMNS": "100", "NO_COLOR": "1"}
    return found

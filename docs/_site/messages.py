"""Every message that this package can say when it raises an error, found in its code."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypeGuard

ROOT = Path(__file__).parents[2]
CODE = ("miniagent_store", "backends/miniagent_backends", "serializers/miniagent_serializers")
# Of plugin authors' tests and of measurements, which users do not meet.
NOT_OURS = ("miniagent_store/testing/", "miniagent_store/bench/", "miniagent_store/cli/plugins/templates/")
_ERROR = re.compile(r"[A-Z]\w*Error$")


def messages_page() -> str:
    """The page: each message under its error, each error with a link to its entry."""
    lines = [
        "# Every message",
        "",
        "What this package says, by the error that it says it with; `…` is what is filled in. Made of the",
        "code when the site is built. What to do stands in most messages, and at more length with each",
        "[error](troubleshooting.md).",
        "",
    ]
    for error, said in sorted(messages().items()):
        lines += [f"## {error}", "", f"[What to do](troubleshooting.md#{error.lower()})", ""]
        lines += [f"- {shown(text)}" for text in sorted(said, key=str.lower)]
        lines.append("")
    return "\n".join(lines)


def messages() -> dict[str, set[str]]:
    """What is said, by the name of the error's class."""
    found: dict[str, set[str]] = defaultdict(set)
    known = {node.name for node in ast.walk(_tree(ROOT / "miniagent_store/errors.py")) if _is_error(node)}
    for path in _files():
        for error, text in _raised(_tree(path)):
            if error in known and len(re.sub(r"\W|…", "", text)) > 2:
                found[error].add(text)
    return found


def texts() -> Iterator[str]:
    """All texts that stand in the code, one a line."""
    for path in _files():
        for node in ast.walk(_tree(path)):
            if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp):
                yield from (text.replace("\n", " ") for text in _text(node))


def shown(text: str) -> str:
    """A message as code, whatever stands in it."""
    ticks = "``" if "`" in text else "`"
    return f"{ticks}{text}{ticks}"


def _files() -> Iterator[Path]:
    for folder in CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            if not path.relative_to(ROOT).as_posix().startswith(NOT_OURS):
                yield path


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _is_error(node: ast.AST) -> bool:
    return isinstance(node, ast.ClassDef) and _ERROR.match(node.name) is not None


def _raised(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Each call of an error's class with a text, and what the classes themselves say.

    A text that a function of the module makes is what that function returns.
    """
    made = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and _is_error(node):
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__":
                    yield from ((node.name, text) for text in _texts(call))
        elif isinstance(node, ast.Call):
            name = _name_of(node)
            if _ERROR.match(name):
                yield from ((name, text) for text in _texts(node))
                maker = made.get(_name_of(node.args[0])) if _is_call(node.args) else None
                if maker is not None:
                    yield from ((name, text) for text in _returned(maker))


def _texts(call: ast.Call) -> Iterator[str]:
    """The text that a call is given first, with … for what is filled in."""
    if call.args:
        yield from _text(call.args[0])


def _name_of(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[2]


def _is_call(arguments: list[ast.expr]) -> TypeGuard[list[ast.Call]]:
    return bool(arguments) and isinstance(arguments[0], ast.Call)


def _returned(function: ast.FunctionDef) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value is not None:
            yield from _text(node.value)


def _text(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(next(_text(part), "…") for part in node.values)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield next(_text(node.left), "…") + next(_text(node.right), "…")
    elif isinstance(node, ast.IfExp):
        yield from _text(node.body)
        yield from _text(node.orelse)

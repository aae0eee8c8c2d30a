"""Derives the types of the blocking face from the async one.

python -m tests.store.blocking_stub    # writes miniagent_store/blocking_calls.pyi anew
"""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from miniagent_store.store import batch, cache, kv, leases, protocol, state, sweeper, turn

PLACE = Path(protocol.__file__).parents[1] / "blocking_calls.pyi"
HEADER = '"""What a blocking store can do, for editors: derived by tests/store/blocking_stub.py."""'
SOURCES: list[tuple[ModuleType, list[str]]] = [
    (batch, ["BatchState", "Batch"]),
    (turn, ["Turn"]),
    (leases, ["Lease", "Lock"]),
    (state, ["StateHandle"]),
    (kv, ["KeyValue"]),
    (cache, ["Cache"]),
    (sweeper, ["Sweeper"]),
    (protocol, ["SessionStore"]),
]
# What they are called in the blocking face; the state of a batch never blocks.
FACES = {name: f"Blocking{name}" for _, names in SOURCES for name in names} | {
    "BatchState": "BatchState",
    "SessionStore": "StoreCalls",
}
# What is public for other files of the store alone.
HIDDEN = {("Lease", name) for name in ("held", "stop", "release", "release_later")}
BASES = {"BatchState": "", "Turn": "BlockingBatch"}
PLAIN = {"AsyncIterator": "Iterator", "asynccontextmanager": "contextmanager"}
DUNDERS = {"__aenter__": "__enter__", "__aexit__": "__exit__"}


class _Blocking(ast.NodeTransformer):
    """Annotations of the async face as those of the blocking one."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in FACES:
            return ast.Name(FACES[node.id])
        return ast.Name(PLAIN.get(node.id, node.id))

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        if isinstance(node.value, ast.Name) and node.value.id == "Awaitable":
            return self.visit(node.slice)
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> Any:
        if isinstance(node.value, str) and node.value.isidentifier():
            return self.visit(ast.Name(node.value))  # a forward reference
        return node


def stub() -> str:
    """The text of the stub, not formatted."""
    imports: dict[str, tuple[str, str]] = {}
    variables: dict[str, ast.stmt] = {}
    classes: list[ast.stmt] = []
    for module, names in SOURCES:
        tree = ast.parse(inspect.getsource(module))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module not in (None, "__future__"):
                imports.update(
                    {each.asname or each.name: (node.module or "", each.name) for each in node.names}
                )
            elif isinstance(node, ast.Import):
                imports.update({each.name: ("", each.name) for each in node.names})
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                variables[node.targets[0].id] = node
            elif isinstance(node, ast.ClassDef) and node.name in names:
                classes.append(_class(node))
    used = {each.id for node in classes for each in ast.walk(node) if isinstance(each, ast.Name)}
    kept = [node for name, node in variables.items() if name in used]
    used |= {each.id for node in kept for each in ast.walk(node) if isinstance(each, ast.Name)}
    lines = [HEADER]
    imports["Iterator"] = ("collections.abc", "Iterator")
    imports["contextmanager"] = ("contextlib", "contextmanager")
    imports["BlockingFace"] = ("miniagent_store.blocking", "BlockingFace")
    for name in sorted(used & set(imports)):
        module_name, original = imports[name]
        lines.append(f"from {module_name} import {original}" if module_name else f"import {original}")
    return "\n".join([*lines, *map(ast.unparse, [*kept, *classes]), ""])


def _class(node: ast.ClassDef) -> ast.ClassDef:
    body: list[ast.stmt] = [_docstring(node)]
    for each in node.body:
        if isinstance(each, ast.AnnAssign):
            body.append(each)
        elif isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            if each.name == "__init__":
                body += _attributes(each)
            elif _is_public(each.name) and (node.name, each.name) not in HIDDEN:
                body.append(_method(each))
    base = BASES.get(node.name, "BlockingFace")
    bases: list[ast.expr] = [ast.Name(base)] if base else []
    return ast.ClassDef(FACES[node.name], bases, [], body, [])


def _is_public(name: str) -> bool:
    return name in DUNDERS or not name.startswith("_")


def _attributes(init: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.stmt]:
    """What `__init__` gives the object that is public and has a type."""
    parameters = {each.arg: each.annotation for each in [*init.args.args, *init.args.kwonlyargs]}
    found: list[ast.stmt] = []
    for node in ast.walk(init):
        target: ast.expr
        annotation: ast.expr | None
        if isinstance(node, ast.AnnAssign):
            target, annotation = node.target, node.annotation
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            target, annotation = node.targets[0], parameters.get(node.value.id)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            target, annotation = node.targets[0], node.value.func
        else:
            continue
        if isinstance(target, ast.Attribute) and not target.attr.startswith("_") and annotation:
            found.append(ast.AnnAssign(ast.Name(target.attr), _Blocking().visit(annotation), None, 1))
    return found


def _method(node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.stmt:
    arguments = node.args
    for each in [
        *arguments.posonlyargs,
        *arguments.args,
        *arguments.kwonlyargs,
        arguments.vararg,
        arguments.kwarg,
    ]:
        if each is not None and each.annotation is not None:
            each.annotation = _Blocking().visit(each.annotation)
    returns = None if node.returns is None else _Blocking().visit(node.returns)
    decorators = [
        _Blocking().visit(each) for each in node.decorator_list if ast.unparse(each) != "abstractmethod"
    ]
    name = DUNDERS.get(node.name, node.name)
    return ast.FunctionDef(name, arguments, [_docstring(node)], decorators, returns, lineno=0)


def _docstring(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> ast.stmt:
    text = (
        (ast.get_docstring(node) or "")
        .replace("an ``async with``", "a ``with``")
        .replace("async with", "with")
    )
    return ast.Expr(ast.Constant(f"{text}\n" if "\n" in text else text or ...))


def formatted(text: str) -> str:
    """The text as it stands in the file."""
    for command in (["check", "--fix-only", "--quiet", "--select", "I,F401"], ["format", "--quiet"]):
        arguments = [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(PLACE), "-"]
        text = subprocess.run(arguments, input=text, capture_output=True, text=True, check=True).stdout
    return text


if __name__ == "__main__":
    PLACE.write_text(formatted(stub()))

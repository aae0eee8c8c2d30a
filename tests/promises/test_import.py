"""Importing the package is cheap, and brings in nothing that is not needed."""

from __future__ import annotations

import subprocess
import sys

HEAVY = [
    "redis",
    "hiredis",
    "sqlite3",
    "cryptography",
    "click",
    "rich",
    "pluggy",
    "msgpack",
    "orjson",
    "uvicorn",
]


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_brings_in_no_heavy_library() -> None:
    code = f"import sys, miniagent_store\nprint([name for name in {HEAVY} if name in sys.modules])"

    assert run_python(code).strip() == "[]"


def test_a_memory_store_imports_neither_redis_nor_sqlite_nor_the_command_line() -> None:
    code = (
        "import asyncio, sys\n"
        "from miniagent_store import Message, open_store\n"
        "async def main():\n"
        "    async with open_store('memory://') as store:\n"
        "        session = await store.create()\n"
        "        await store.append(session.id, Message.user('hello'))\n"
        "asyncio.run(main())\n"
        "heavy = ['redis', 'sqlite3', 'cryptography', 'click', 'rich']\n"
        "print([name for name in heavy if name in sys.modules])"
    )

    assert run_python(code).strip() == "[]"


def test_everything_that_is_exported_is_there() -> None:
    code = (
        "import miniagent_store as m\nprint([name for name in m.__all__ if getattr(m, name, None) is None])"
    )

    assert run_python(code).strip() == "[]"

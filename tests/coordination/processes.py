"""Processes of the tests, which talk by lines."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator


@contextlib.asynccontextmanager
async def running(module: str, *arguments: object) -> AsyncIterator[Process]:
    """A process that runs a module of these tests; it ends with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        f"tests.coordination.{module}",
        *map(str, arguments),
        stdin=PIPE,
        stdout=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line_of(process: Process, timeout: float = 60.0) -> str:
    """Its next line; empty where there is no more."""
    assert process.stdout is not None
    async with asyncio.timeout(timeout):
        return (await process.stdout.readline()).decode().strip()


async def tell(process: Process, line: str = "") -> None:
    """Send it a line."""
    assert process.stdin is not None
    process.stdin.write(f"{line}\n".encode())
    await process.stdin.drain()

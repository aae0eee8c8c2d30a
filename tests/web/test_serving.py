"""``miniagent-store web`` as a process: where it listens, what it says, how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urljoin

import httpx
import pytest
from click.testing import CliRunner

from miniagent_store.cli import web
from tests.web.served import TOKEN


@contextmanager
def running(*arguments: str, token: str | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and the link that it prints."""
    env = {name: value for name, value in os.environ.items() if name != "MINIAGENT_VIEWER_TOKEN"}
    process = subprocess.Popen(
        [sys.executable, "-m", "miniagent_store", "web", "--port", "0", *arguments],
        env={**env, **({} if token is None else {"MINIAGENT_VIEWER_TOKEN": token})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def _ended(process: subprocess.Popen[str], by: signal.Signals) -> tuple[int, str]:
    """Ends it: its exit code, and what it said on stderr. It must be quick."""
    process.send_signal(by)
    began = time.monotonic()
    _, said = process.communicate(timeout=30)
    assert time.monotonic() - began < 5
    return process.returncode, said


def test_it_listens_on_this_machine_only_and_each_start_has_a_token(one_url: str) -> None:
    with running("--store", one_url) as (first, link), running("--store", one_url) as (_, other):
        port = int(link.split(":")[2].split("/")[0])
        assert link.startswith("http://127.0.0.1:")
        token = link.partition("token=")[2]
        assert len(token) >= 32
        assert token != other.partition("token=")[2]
        with pytest.raises(OSError):  # noqa: PT011 - refused, or no such address
            socket.create_connection((_other_address(), port), 2).close()
        assert httpx.get(link).status_code == 303
        code, said = _ended(first, signal.SIGINT)
        assert (code, said.strip()) == (130, "")


def _other_address() -> str:
    """An address of this machine that is not its loopback's; 127.0.0.2 where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.2"
        return str(probe.getsockname()[0])


def test_others_are_let_in_only_with_a_warning(one_url: str) -> None:
    with running("--store", one_url, "--host", "0.0.0.0", "--allow-host", "ops.example") as (process, link):
        assert link.startswith("http://localhost:")
        origin = link.partition("/enter")[0]
        for host, status in {
            "localhost": 401,
            "10.1.2.3:8081": 401,
            "ops.example": 401,
            socket.gethostname(): 401,
            "evil.example": 421,
        }.items():
            assert httpx.get(origin, headers={"Host": host}).status_code == status, host
        code, said = _ended(process, signal.SIGTERM)
        assert "Others can reach this viewer at 0.0.0.0, over plain HTTP" in said
        assert "Traceback" not in said
        assert code == -signal.SIGTERM


def test_a_short_token_is_refused_where_others_can_try_it(one_url: str) -> None:
    with running("--store", one_url, "--host", "0.0.0.0", token="sesame") as (process, link):
        assert link == ""
        _, said = process.communicate(timeout=30)
        assert process.returncode == 1
        assert "16 or more" in said
        assert "sesame" not in said
        assert "Traceback" not in said


def test_a_taken_port_is_told(one_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with running("--store", one_url, "--port", port) as (process, link):
            assert link == ""
            _, said = process.communicate(timeout=30)
            assert process.returncode == 1
            assert f"port {port}" in said
            assert "Traceback" not in said


@pytest.mark.parametrize("path", ["sessions", "/a b", "/ü", '/"', "/a//b", "/a?b", "/.."])
def test_a_root_path_that_is_none_is_refused(path: str) -> None:
    result = CliRunner().invoke(web.command, ["--root-path", path])
    assert result.exit_code == 2
    assert "begins with /" in result.output


def test_below_a_path_the_link_has_it(one_url: str) -> None:
    with running("--store", one_url, "--root-path", "/ops/sessions/", token=TOKEN) as (_, link):
        assert link.endswith(f"/ops/sessions/enter?token={TOKEN}")
        answer = httpx.get(link)
        assert answer.status_code == 303
        assert answer.headers["location"] == "/ops/sessions/"
        assert "Path=/ops/sessions" in answer.headers["set-cookie"]


@pytest.mark.parametrize("by", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
async def test_it_ends_at_once_though_visitors_stay(one_url: str, by: signal.Signals) -> None:
    with running("--store", one_url, token=TOKEN) as (process, link):
        origin = link.partition("/enter")[0]
        async with httpx.AsyncClient(base_url=origin, timeout=30) as client:
            await client.get(link)
            with socket.create_connection(("127.0.0.1", int(origin.rpartition(":")[2]))) as waiting:
                # One who never ends their request.
                waiting.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nab")
                async with client.stream("GET", "/sessions-live") as stream:
                    assert stream.status_code == 200
                    code, said = await asyncio.to_thread(_ended, process, by)
                    async for _ in stream.aiter_bytes():
                        pass
    assert "Traceback" not in said
    assert code == (130 if by is signal.SIGINT else -by)


def test_no_line_of_the_log_holds_the_token(one_url: str) -> None:
    """Not even of a server that logs every address, as an app around may have it."""
    program = f"""
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from miniagent_store import open_store
from miniagent_store.web import viewer
store = open_store({one_url!r})
app = Starlette(routes=[Mount("/sessions", viewer(store, token={TOKEN!r}))])
uvicorn.run(app, port=PORT, log_level="trace")
"""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", program.replace("PORT", str(port))],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        link = f"http://127.0.0.1:{port}/sessions/enter?token={TOKEN}"
        with httpx.Client(transport=httpx.HTTPTransport(retries=10)) as client:
            answer = client.get(link)
            assert answer.status_code == 303
            assert client.get(urljoin(link, answer.headers["location"])).status_code == 200
            assert client.get(link + "x").status_code == 403
    finally:
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
    access = [line for line in said.splitlines() if '"GET /sessions/enter' in line]
    assert len(access) == 2, said
    assert all("token=*** HTTP" in line for line in access)

"""How long it takes until a program has imported this package, and until the command says something."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from functools import partial

from miniagent_store.bench.figures import BY_HAND, OURS
from miniagent_store.bench.rounds import Run

AREA = "start-up"
ASYNCIO = "import asyncio"
_CODE = "import time\nbegan = time.perf_counter()\n{}\nprint(time.perf_counter() - began)"
_IMPORTS = {
    ASYNCIO: "import asyncio",
    "import miniagent_store": "import asyncio, miniagent_store",
    "import open_store and Message": "import asyncio\nfrom miniagent_store import Message, open_store",
}
_TIMEOUT = 60.0
HELP = "miniagent-store --help"


async def measure_startup(run: Run) -> None:
    """Milliseconds of imports and of ``--help``, each by those of ``import asyncio``."""
    run.tell("imports and start-up")

    async def turn(name: str) -> float:
        return await asyncio.to_thread(_start if name == HELP else _import, name)

    samples = await run.rounds("start-up", [*_IMPORTS, HELP], turn, run.plan.starts)
    keep = partial(run.add, area=AREA, place="", unit="ms")
    keep(samples, baseline=ASYNCIO, subject=OURS)
    keep({ASYNCIO: samples[ASYNCIO]}, baseline=None, subject=BY_HAND)


def _import(name: str) -> float:
    return float(_output("-c", _CODE.format(_IMPORTS[name]))) * 1e3


def _start(name: str) -> float:
    began = time.perf_counter()
    _output("-m", "miniagent_store", "--help")
    return (time.perf_counter() - began) * 1e3


def _output(*arguments: str) -> str:
    # Compiled files must be kept, as they are where a package is installed.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    command = [sys.executable, *arguments]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=True, env=environment, timeout=_TIMEOUT
    )
    return ended.stdout

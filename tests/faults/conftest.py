"""Where the tests of faults run, and the record of what they have counted."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Protocol

import pytest

from miniagent_store.testing.oracle import Report
from miniagent_store.testing.servers import find_servers
from tests.faults.deployments import TOPOLOGIES, Deployment, deploy

FIRST, *OTHERS = find_servers().values()
# Each server in turn: the first always, the others with the full counts.
BINARIES = [FIRST, *(pytest.param(other, marks=pytest.mark.slow) for other in OTHERS)]
# Names a file to which the counts of each test are added; benchmarks/fault_table.py makes a table of it.
REPORT_FILE = "FAULT_REPORT"


class Record(Protocol):
    """Notes what a test has counted, if someone wants to know."""

    def __call__(
        self, fault: str, topology: str, report: Report, *, binary: Path | None = None, note: str = ""
    ) -> None:
        """Add a line to the file that the environment variable FAULT_REPORT names.

        Args:
            fault: number and name, such as "3 master killed".
            topology: such as "cluster, replicas=all".
            report: the counts.
            binary: the server; the first unless given.
            note: why something is lost, if that is as promised.
        """
        ...


@pytest.fixture
def record() -> Record:
    def write(
        fault: str, topology: str, report: Report, *, binary: Path | None = None, note: str = ""
    ) -> None:
        path = os.environ.get(REPORT_FILE)
        line = {
            "fault": fault,
            "topology": topology.replace("sentinel", "Sentinel").replace("cluster", "Cluster"),
            "server": version_of(binary or FIRST),
            "acknowledged": report.acknowledged,
            "lost": report.lost,
            "doubled": report.doubled,
            "unknown": report.unknown,
            "errors": len(report.errors),
            "recovery": report.recovery,
            "note": note,
        }
        if path:
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        # Shown with -s, and where the test fails.
        print(f"{fault}, {topology}: {report}")

    return write


@cache
def version_of(binary: Path) -> str:
    """A server's name and version, such as "Redis 7.0.15"."""
    told = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    words = told.split()
    return f"{words[0]} {next(word[2:] for word in words if word.startswith('v='))}"


@pytest.fixture(scope="session", params=BINARIES, ids=lambda path: path.parent.parent.name)
def binary(request: pytest.FixtureRequest) -> Path:
    """A server that can be started."""
    path: Path = request.param
    return path


@pytest.fixture(scope="session", params=TOPOLOGIES)
def every_deployment(request: pytest.FixtureRequest, binary: Path) -> Iterator[Deployment]:
    """Servers that run, of each topology; each test leaves them as it found them."""
    with deploy(request.param, binary) as deployment:
        yield deployment


@pytest.fixture(autouse=True)
def settled(request: pytest.FixtureRequest) -> None:
    """On a busy machine a master may have been replaced under the test before."""
    for name in {"deployment", "every_deployment"} & set(request.fixturenames):
        request.getfixturevalue(name).settle()


# What does not make a master fall is for a master behind Sentinel as for a server alone.
@pytest.fixture(
    scope="session", params=["standalone", "cluster", pytest.param("sentinel", marks=pytest.mark.slow)]
)
def deployment(request: pytest.FixtureRequest, binary: Path) -> Iterator[Deployment]:
    """As `every_deployment`, with Sentinel in the full counts only."""
    with deploy(request.param, binary) as deployment:
        yield deployment

"""Results in files, with the machine, the versions and the commit that they are of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from miniagent_store.bench.machine import commit, machine, versions
from miniagent_store.testing.servers import Server


def server_version(server: Server) -> str:
    """Kind and version, such as "Redis 7.0.15"."""
    lines = server.command("INFO", "server").decode().splitlines()
    told = dict(line.split(":", 1) for line in lines if ":" in line)
    if told.get("server_name") == "valkey":
        return f"Valkey {told['valkey_version']}"
    return f"Redis {told['redis_version']}"


def write(path: Path, server: str, figures: Mapping[str, Any]) -> None:
    """Keep what a benchmark measured.

    Args:
        path: of the file, in JSON.
        server: kind and version.
        figures: what was measured.
    """
    about = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "packages": versions(),
        "server": server,
        "commit": commit(),
    }
    path.write_text(json.dumps(about | dict(figures), indent=1, ensure_ascii=False) + "\n")

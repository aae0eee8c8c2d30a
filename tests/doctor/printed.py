"""What the command prints of a set-up, with what differs from run to run put as in the docs.

python -m tests.doctor.printed    # writes the examples of docs/doctor.md anew
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

from miniagent_store.cli.root import cli
from tests.doctor.setups import SETUPS, SetUp, good

PAGE = Path(__file__).parents[2] / "docs" / "doctor.md"
NOBODY = 65534


# What is imported later, nobody may be able to read: so it looks twice, the first time as itself.
AS_NOBODY = f"""
import os, sys
from click.testing import CliRunner
from miniagent_store.cli.root import cli
arguments = ["doctor", *sys.argv[1:]]
CliRunner().invoke(cli, arguments)
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid({NOBODY})
    os.setuid({NOBODY})
result = CliRunner().invoke(cli, arguments)
sys.stdout.write(result.stdout)
sys.stderr.write(result.stderr)
sys.exit(result.exit_code)
"""


def run(url: str, *options: str) -> Result:
    """The command."""
    return CliRunner().invoke(cli, ["doctor", url, *options], catch_exceptions=False)


def run_as_nobody(url: str) -> str:
    """What the command prints to a user who owns nothing."""
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, url], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout


def wrong_in(printed: str) -> str:
    """The warnings and errors, each with its cure."""
    kept: list[str] = []
    is_kept = False
    for line in printed.splitlines()[1:]:
        if line[:1].strip():
            is_kept = line.startswith(("warning", "ERROR"))
        if is_kept:
            kept.append(line)
    return steady("\n".join(kept)) + "\n"


def steady(text: str) -> str:
    """The same text on every run and machine."""
    ports: dict[str, str] = {}
    for pattern, to in (
        (r"/[^\s]*doctor-\w+/", "/srv/"),
        (r"\d{3,}\.\d ms", "150.3 ms"),
        (r"\b\d{1,2}\.\d ms", "0.3 ms"),
        (r"longest of \d+", "longest of 10"),
        # The rules stand in docs/redis.md.
        (r"(ACL SETUSER \w+ ~\S+) .*", r"\1 …"),
        (r"\b\d% of maxmemory", "1% of maxmemory"),
        (r"\d{2,}% of maxmemory", "100% of maxmemory"),
        (r"\d+ of 16384 slots", "10923 of 16384 slots"),
        (r"\d+\.\d MiB", "2.1 MiB"),
        (r"is (Redis|Valkey) [\d.]+", "is Redis 8.2.1"),
        (r"[\d,]+ MiB of the disk are free \(\d+%\)", "80,000 MiB of the disk are free (40%)"),
    ):
        text = re.sub(pattern, to, text)
    return re.sub(
        r"(127\.0\.0\.1:|localhost:|'127\.0\.0\.1', )(\d+)",
        lambda m: f"{m[1]}{ports.setdefault(m[2], str(6379 + len(ports)))}",
        text,
    )


def section(name: str, printed: str) -> str:
    """The page with one example put in its place.

    Raises:
        LookupError: the page has no place for it.
    """
    page = PAGE.read_text()
    block = rf"(<!-- doctor: {re.escape(name)} -->\n```text\n).*?(```\n)"
    if not re.search(block, page, flags=re.DOTALL):
        raise LookupError(f"docs/doctor.md has no place for {name!r}")
    return re.sub(block, lambda m: f"{m[1]}{printed}{m[2]}", page, flags=re.DOTALL)


def printed_of(setup: SetUp) -> str:
    """The warnings and errors that the command prints of a set-up."""
    with setup.make() as url:
        return wrong_in(run_as_nobody(url) if setup.nobody else run(url).stdout)


def printed_of_good() -> str:
    """All that the command prints where nothing is wrong."""
    with good() as url:
        return steady(run(url).stdout)


if __name__ == "__main__":
    PAGE.write_text(section("good", printed_of_good()))
    for name, setup in SETUPS.items():
        PAGE.write_text(section(name, printed_of(setup)))

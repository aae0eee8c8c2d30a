"""ADK's own tests of session services, with ours in the place of the one in memory.

Its sdist has no tests: they run where ADK_SOURCE names a checkout of adk-python at the installed release.
What they ask for is in `test_contract.py` in our own words, and the service in memory is compared with
ours in `test_differential.py`, so nothing rests on them alone.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = os.environ.get("ADK_SOURCE")
LEFT_OUT = {
    "test_append_event_when_session_is_same_ref_as_storage_session": "looks into the dicts of theirs",
}


@pytest.mark.slow
@pytest.mark.skipif(SOURCE is None, reason="ADK_SOURCE names no checkout of adk-python")
def test_session_services(url: str) -> None:
    file = "tests/unittests/sessions/test_session_service.py"
    here = str(Path(__file__).parent)
    paths = [here, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    ours = "(IN_MEMORY or in_memory) and not (light_copy or LIGHT_COPY)"
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "in_place_of_memory", "-p", "no:cacheprovider"),
            *("-o", "asyncio_mode=auto", "-k", ours),
            *(f"--deselect={file}::{test}" for test in LEFT_OUT),
            file,
        ],
        cwd=SOURCE,
        env={**os.environ, "REPLACED_URL": url, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]

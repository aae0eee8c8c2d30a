"""How the suite is run."""

from __future__ import annotations

import os
import signal

from hypothesis import HealthCheck, settings

# On a busy machine any draw may take long; what is slow by itself is seen in `--durations`.
settings.register_profile("shared-machine", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared-machine")


def pytest_configure() -> None:
    """Let processes of tests be interrupted, also where a shell runs the suite in the background.

    Such a shell has SIGINT ignored, and children inherit that (POSIX, `sh`, 2.11).
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_xdist_auto_num_workers() -> int:
    """What ``-n auto`` means: one more than there are processors, since tests wait a lot."""
    return (os.cpu_count() or 1) + 1

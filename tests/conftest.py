"""How the suite is run."""

from __future__ import annotations

import os


def pytest_xdist_auto_num_workers() -> int:
    """What ``-n auto`` means: one more than there are processors, since tests wait a lot."""
    return (os.cpu_count() or 1) + 1

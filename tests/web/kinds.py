"""On which kinds of store a test runs."""

from __future__ import annotations

import pytest

# Where it hardly depends on the kind how a page looks: the other kinds with the full counts.
mostly_sqlite = pytest.mark.parametrize(
    "store_url",
    ["sqlite", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("redis", "cluster"))],
    indirect=True,
)

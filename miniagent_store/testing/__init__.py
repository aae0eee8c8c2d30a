"""What plugin authors test with.

`StoreConformance` holds every promise of a session store as a small test. Point it at your backend:

    import pytest
    from miniagent_store.testing import StoreConformance

    class TestMyBackend(StoreConformance):
        @pytest.fixture
        def store_url(self, tmp_path):
            return f"folder://{tmp_path}"

It needs pytest and pytest-asyncio, in either mode. The servers beside it need neither.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miniagent_store.testing.conformance import StoreConformance, backend_of, eventually

__all__ = ["StoreConformance", "backend_of", "eventually"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if "miniagent_store.testing.conformance" not in sys.modules:
        import pytest

        # Before the first import, or a failing assert would not show its values.
        pytest.register_assert_rewrite("miniagent_store.testing.conformance")
    from miniagent_store.testing import conformance

    return getattr(conformance, name)

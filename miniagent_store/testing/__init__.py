"""What plugin authors test with.

`StoreConformance` holds every promise of a session store as a small test. Point it at your backend:

    import pytest
    from miniagent_store.testing import StoreConformance

    class TestMyBackend(StoreConformance):
        @pytest.fixture
        def store_url(self, tmp_path):
            return f"folder://{tmp_path}"

It needs pytest and pytest-asyncio, in either mode.
"""

import pytest

# Before the first import, or a failing assert would not show its values.
pytest.register_assert_rewrite("miniagent_store.testing.conformance")

from miniagent_store.testing.conformance import StoreConformance, backend_of, eventually  # noqa: E402

__all__ = ["StoreConformance", "backend_of", "eventually"]

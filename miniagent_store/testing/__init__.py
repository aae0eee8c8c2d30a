"""What plugin authors test with.

`StoreConformance` holds every promise of a session store as a small test. Point it at your backend:

    import pytest
    from miniagent_store.testing import StoreConformance

    class TestMyBackend(StoreConformance):
        @pytest.fixture
        def store_url(self, tmp_path):
            return f"folder://{tmp_path}"

`VectorIndexConformance` does the same for an index of vectors, behind `store.memory`:

    class TestMyIndex(VectorIndexConformance):
        @pytest.fixture
        def factory(self):
            return IndexFactory(MyIndex, IndexCapabilities(exact=True))

They need pytest and pytest-asyncio, in either mode. The servers beside it need neither.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miniagent_store.testing.conformance import StoreConformance, backend_of, eventually
    from miniagent_store.testing.vector_index_conformance import VectorIndexConformance

__all__ = ["StoreConformance", "VectorIndexConformance", "backend_of", "eventually"]
_SUITES = {"VectorIndexConformance": "miniagent_store.testing.vector_index_conformance"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place = _SUITES.get(name, "miniagent_store.testing.conformance")
    if place not in sys.modules:
        import pytest

        # Before the first import, or a failing assert would not show its values.
        pytest.register_assert_rewrite(place)
    return getattr(import_module(place), name)

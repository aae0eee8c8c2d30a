"""A store that is observed, measured and counted keeps the promises of one that is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from miniagent_store.testing.conformance import StoreConformance
from miniagent_store.testing.conformance.base import ConformanceBase
from miniagent_store.testing.conformance.identity import IdentityPromises
from miniagent_store.testing.conformance.sessions import SessionPromises
from miniagent_store.testing.conformance.turns import TurnPromises
from tests.observing.telemetry import Recorder, Telemetry


class Observed(ConformanceBase):
    @pytest.fixture
    def store_url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/sessions.db?synchronous=OFF"

    @pytest.fixture
    def store_options(self, telemetry: Telemetry) -> dict[str, Any]:
        return {"measure": True, "analytics": True, "plugins": [telemetry.plugin(content=True), Recorder()]}


class TestObserved(Observed, SessionPromises, TurnPromises, IdentityPromises):
    pass


@pytest.mark.slow
class TestAllObserved(Observed, StoreConformance):
    pass

"""The places of `tests.places`, for tests that need a store."""

import uuid

import pytest

from tests.places import place, redis_server

__all__ = ["anywhere", "place", "redis_server"]


@pytest.fixture(params=["memory", "sqlite", "redis"])
def anywhere(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """As `place`, and in memory; what is in memory is shared by the stores of this URL."""
    name = uuid.uuid4().hex
    if request.param == "memory":
        return f"memory://{name}?deadline=20s"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('store')}/{name}.db?deadline=20s"
    return f"{request.getfixturevalue('redis_server').url}/0?namespace={name}&deadline=20s"

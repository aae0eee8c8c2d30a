"""The places of `tests.places`, for tests that need a store."""

from tests.places import place, redis_server

__all__ = ["place", "redis_server"]

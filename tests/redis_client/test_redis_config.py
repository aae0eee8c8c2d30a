"""`RedisConfig` keeps the seed's fields, and its password to itself."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from miniagent_store import ConfigurationError
from miniagent_store.redis_client import RedisConfig, RedisSessionManager
from miniagent_store.url import StoreURL

SEEDS = {
    "host": "localhost",
    "port": 6379,
    "db": 0,
    "password": None,
    "decode_responses": False,
    "max_connections": 50,
    "socket_timeout": 5,
    "socket_connect_timeout": 5,
    "retry_on_timeout": True,
    "health_check_interval": 30,
    "session_ttl": 3600,
    "max_session_size": 1048576,
    "session_prefix": "session:",
    "thread_prefix": "thread:",
    "cache_prefix": "cache:",
    "lock_prefix": "lock:",
}


def test_fields_and_defaults_are_the_seeds_in_its_order() -> None:
    names = [each.name for each in fields(RedisConfig)]

    assert names == [*SEEDS, "username", "options"]
    assert {name: getattr(RedisConfig(), name) for name in SEEDS} == SEEDS


def test_further_options_reach_the_store() -> None:
    config = RedisConfig(options={"serializer": "orjson", "deadline": "3s"})

    assert {"serializer": "orjson", "deadline": "3s"}.items() <= StoreURL.parse(
        config.to_url()
    ).options.items()
    assert "orjson" not in repr(config)


def test_the_url_carries_the_settings() -> None:
    config = RedisConfig(
        "db", 7000, 2, socket_timeout=0.5, max_connections=7, session_prefix="s:", lock_prefix="a&b:"
    )

    url = StoreURL.parse(config.to_url())

    assert (url.scheme, url.hosts, url.path) == ("redis", (("db", 7000),), "/2")
    assert url.options == {
        "ttl": "3600",
        "max_session_size": "1048576",
        "max_connections": "7",
        "socket_timeout": "0.5s",
        "connect_timeout": "5s",
        "session_prefix": "s:",
        "lock_prefix": "a&b:",
    }
    RedisSessionManager(config)  # all of it is known to the backend


def test_no_timeout_leaves_the_stores_own() -> None:
    url = StoreURL.parse(RedisConfig(socket_timeout=None, socket_connect_timeout=None).to_url())

    assert not {"socket_timeout", "connect_timeout"} & set(url.options)


def test_a_password_is_in_the_url_and_nowhere_to_be_seen() -> None:
    config = RedisConfig(username="ada", password="p@ss/word")

    assert "ada:p%40ss%2Fword@" in config.to_url()
    assert "p@ss" not in repr(config)
    assert "p@ss" not in repr(RedisSessionManager(config).store)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"session_ttl": 0}, "ttl"),
        ({"max_session_size": 0}, "max_session_size"),
        ({"session_prefix": "{s}:"}, "brace"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_at_once(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        RedisSessionManager(RedisConfig(**changed))


# The environment


def test_the_environment_and_a_file_are_read(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        "# ours\nexport REDIS_HOST=\"db\"\nREDIS_PORT=7000 # not the usual\nREDIS_PASSWORD='a#b'\n"
        "REDIS_USERNAME=ada\n\nnothing\n"
    )

    config = RedisConfig.from_env({"REDIS_PORT": "7001", "REDIS_DB": "3"}, env_file=str(file))

    assert (config.host, config.port, config.db) == ("db", 7001, 3)
    assert (config.username, config.password) == ("ada", "a#b")


def test_the_file_is_that_of_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("REDIS_HOST=from-file\nREDIS_PORT=7000\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_HOST", "from-environment")
    monkeypatch.delenv("REDIS_PORT", raising=False)

    config = RedisConfig.from_env()

    assert (config.host, config.port) == ("from-environment", 7000)


def test_without_either_the_defaults_stand() -> None:
    assert RedisConfig.from_env({}, env_file="") == RedisConfig()


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="REDIS_PORT"):
        RedisConfig.from_env({"REDIS_PORT": "many"}, env_file="")

    (tmp_path / ".env").write_bytes(b"REDIS_HOST=\xff\n")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        RedisConfig.from_env({}, env_file=str(tmp_path / ".env"))

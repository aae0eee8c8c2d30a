"""The example of a key service: found as a plugin, bound to its place, rotated, keeping its keys."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from miniagent_store.errors import ConfigurationError, KeyNotFoundError, KeyProviderError, TamperedError
from miniagent_store.keys import KeyProvider
from miniagent_store.keys.data_keys import DataKeys
from miniagent_store.keys.opening import open_keys
from miniagent_store.plugins import Plugins
from miniagent_store.provider import Provider

EXAMPLE = Path(__file__).parents[2] / "examples" / "kms_key_provider.py"


@pytest.fixture
def example() -> ModuleType:
    """The example as a module of its own, with a service that no other test has used."""
    spec = importlib.util.spec_from_file_location("kms_key_provider", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def data_keys(example: ModuleType) -> DataKeys:
    keys = open_keys("provider:example-kms", Plugins((example,)))
    assert isinstance(keys, KeyProvider)
    return DataKeys(keys, "app", per_session=False)


def test_the_provider_is_found_by_its_name(example: ModuleType) -> None:
    plugins = Plugins((example,))

    assert isinstance(plugins.key_provider("example-kms"), example.KmsKeyProvider)
    assert isinstance(plugins.find("key provider", "example-kms"), Provider)
    with pytest.raises(ConfigurationError, match=r"unknown key provider 'example-km'.*example-kms"):
        open_keys("provider:example-km", plugins)


async def test_sessions_have_data_keys_that_only_the_service_opens(example: ModuleType) -> None:
    key, packed = await data_keys(example).make("s1")
    other = data_keys(example)

    await other.learn("s1", packed, "i1")

    held = other.held("s1")
    assert held is not None
    assert held.key == key
    assert key.secret not in packed
    for namespace, session_id in (("app", "s2"), ("other", "s1")):
        moved = DataKeys(example.KmsKeyProvider(example.SERVICE), namespace, per_session=True)
        with pytest.raises(TamperedError):
            await moved.learn(session_id, packed, "i1")


async def test_the_services_key_is_rotated_without_touching_data_keys(example: ModuleType) -> None:
    keys = data_keys(example)
    key, packed = await keys.make("s1")
    assert await keys.rewrap("s1", packed) is None

    example.SERVICE.rotate()
    again = await keys.rewrap("s1", packed)
    assert again is not None
    example.SERVICE.disable("example/1")

    await keys.learn("s1", again, "i1")
    held = keys.held("s1")
    assert held is not None
    assert held.key == key
    with pytest.raises(KeyNotFoundError, match=r"with key example/1, not in .* \(have example/2\)"):
        await data_keys(example).learn("s1", packed, "i1")


async def test_an_outage_of_the_service_is_retryable_and_no_statement_about_data(
    example: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(*_: object) -> bytes:
        raise ConnectionRefusedError("kms.example:443")

    keys = data_keys(example)
    _, packed = await keys.make("s1")
    monkeypatch.setattr(example.SERVICE, "encrypt", down)
    monkeypatch.setattr(example.SERVICE, "decrypt", down)

    for call in (keys.make("s2"), keys.learn("s1", packed, "i1")):
        with pytest.raises(KeyProviderError, match="ConnectionRefusedError") as caught:
            await call
        assert caught.value.retryable


def test_the_example_runs() -> None:
    command = [sys.executable, "-W", "error", str(EXAMPLE)]
    run = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)

    assert run.stdout == "Only the key service can open this.\n"

"""A store that cannot be opened: what it says, how soon, and that it gives no secret away."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterable
from typing import Any

import pytest

from miniagent_store import Message, StoreError, open_store


async def refusal_of(
    caplog: pytest.LogCaptureFixture, url: str, *, secrets: Iterable[str], **options: Any
) -> StoreError:
    """The error of a store that cannot be opened: soon, and without secrets."""
    caplog.set_level(logging.DEBUG)
    store = open_store(url, **options)
    started = time.monotonic()
    with pytest.raises(StoreError) as caught:
        await store.append("s", Message.user("hello"), create=True)
    taken = time.monotonic() - started
    await store.close()

    assert taken < 2
    written = [str(caught.value), repr(caught.value), repr(store), caplog.text]
    written += traceback.format_exception(caught.value)
    assert not [secret for secret in secrets if secret in "".join(written)]
    return caught.value

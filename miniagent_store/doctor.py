"""From a URL to all that can be seen of the store behind it, with what to do about it.

    health = await examine("redis://localhost:6379/0")
    for finding in health.findings:
        print(finding.level, finding.check, finding)

What a backend adds comes by its `Backend.approach` and `Backend.examine`; nothing here knows any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from miniagent_store.errors import StoreError
from miniagent_store.factory import default_url, open_store
from miniagent_store.keys.opening import open_keys
from miniagent_store.plugins import Plugins, shared_plugins
from miniagent_store.store import examining
from miniagent_store.url import StoreURL, redact_text
from miniagent_store.values import Finding, Health

if TYPE_CHECKING:
    from miniagent_store.store.protocol import SessionStore
    from miniagent_store.store.store import Store

SAMPLE = examining.SAMPLE


async def examine(
    url: str | StoreURL | None = None,
    *,
    sample: int | None = SAMPLE,
    progress: Callable[[Finding], None] | None = None,
    plugins: Iterable[Any] = (),
    **options: Any,
) -> Health:
    """Look at a store from its URL to its disk.

    It changes nothing that is stored; on Redis it writes a key of its own and deletes it in the same step.
    Where an error stands in the way, such as a server that is down, what comes behind it is not looked at.

    Args:
        url: as `open_store` takes it.
        sample: about how many sessions to look at; None for all, which takes long in a large store.
        progress: called with each finding as it is made.
        plugins, options: as `open_store` takes them.

    Returns:
        Its health; never an error for what is wrong with the URL, the options or the servers.
    """
    looking = _Looking(progress)
    try:
        await looking.run(url, sample, tuple(plugins), options)
    except StoreError as error:
        looking.add(Finding.of(error, "store"))
    return looking.health()


class _Looking:
    """One look, and what it has found so far."""

    def __init__(self, progress: Callable[[Finding], None] | None) -> None:
        self._progress, self._findings = progress, list[Finding]()
        self._backend, self._details = "", dict[str, Any]()

    def add(self, *findings: Finding) -> None:
        """Take in findings, without secrets, and tell of them."""
        for finding in findings:
            finding = replace(finding, what=redact_text(finding.what), cure=redact_text(finding.cure))
            self._findings.append(finding)
            if self._progress is not None:
                self._progress(finding)

    def health(self) -> Health:
        """All that was found."""
        problems = tuple(str(each) for each in self._findings if each.level == "error")
        return Health(
            not problems,
            self._backend,
            problems=problems,
            details=self._details,
            findings=tuple(self._findings),
        )

    async def run(
        self, url: str | StoreURL | None, sample: int | None, own: tuple[Any, ...], options: dict[str, Any]
    ) -> None:
        try:
            parsed = url if isinstance(url, StoreURL) else StoreURL.parse(url or default_url())
        except StoreError as error:
            self.add(Finding.of(error, "URL"))
            return
        found = Plugins(own) if own else shared_plugins()
        if not self._keys(parsed, options, found):
            return
        try:
            store = open_store(parsed, plugins=own, **options)
        except StoreError as error:
            self.add(Finding.of(error, "URL"))
            return
        core = cast("Store", store)._core
        self._backend = core.backend.name
        what = f"{parsed.without_options()}: is served by the backend {core.backend.name!r}"
        self.add(Finding("info", what, check="URL"))
        try:
            reached = await core.backend.approach()
            self.add(*reached)
            if examining.has_error(reached) or not await self._is_open(store):
                return
            self.add(*await examining.examine(core, sample))
            with suppress(StoreError):  # of one that does not serve the look has told
                self._details = await core.backend.ping()
        finally:
            await store.close()
            # Also where the store was never opened.
            with suppress(StoreError):
                await core.backend.close()

    async def _is_open(self, store: SessionStore) -> bool:
        try:
            await store.open()
        except StoreError as error:
            self.add(Finding.of(error, "opening"))
            return False
        return True

    def _keys(self, url: StoreURL, options: dict[str, Any], plugins: Plugins) -> bool:
        """Whether the place of keys that is named, if one is, has keys."""
        place = options.get("keys", url.options.get("keys"))
        if place is None or options.get("keyring") is not None:
            return True
        try:
            open_keys(str(place), plugins)
        except StoreError as error:
            self.add(Finding.of(error, "key ring"))
            return False
        return True

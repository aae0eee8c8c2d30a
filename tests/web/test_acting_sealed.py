"""Acts on sessions that are encrypted, or cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from miniagent_store import Message, SessionNotFoundError, open_store
from miniagent_store.store.tenant_limits import TenantLimits
from miniagent_store.web.acting import audit, keeping
from tests.web.acting import OTHER, SEALED, visiting
from tests.web.test_acting import equal, talk, whole


@pytest.mark.parametrize("what", ["clear", "rewind", "delete"])
@pytest.mark.parametrize("shred", ["false", "true"])
async def test_what_is_bound_to_its_place_comes_back_to_it(tmp_path: Path, what: str, shred: str) -> None:
    url = f"sqlite:///{tmp_path}/sealed.db?shred={shred}"
    async with open_store(url, serializer="json+aesgcm", keyring=SEALED) as store:
        await talk(store)
        before = await whole(store, "talk")
        async with visiting(store) as visitor:
            await visitor.act(what, "talk", to="3")
            [act] = await audit.recorded(store)
            await visitor.act("undo", "talk", kept=act.kept)

        assert equal(await whole(store, "talk"), before)
        await store.append("talk", Message.user("one more"))
        assert (await store.history("talk"))[-1].content == "one more"
        if shred == "true":
            assert await store.shred("talk")


async def test_what_cannot_be_read_can_be_deleted_for_good(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/sealed.db"
    async with open_store(url, serializer="json+aesgcm", keyring=SEALED) as store:
        await talk(store)
    async with (
        open_store(url, serializer="json+aesgcm", keyring=OTHER) as store,
        visiting(store) as visitor,
    ):
        asked = await visitor.see("/act/delete", id="talk")
        assert asked.status_code == 200
        assert "cannot be read" in asked.text
        refused = await visitor.confirm(asked)
        assert refused.status_code == 409
        assert "No copy can be kept" in refused.text
        assert "cannot be undone" in refused.text

        done = await visitor.confirm(refused)
        assert "Done" in done.text
        with pytest.raises(SessionNotFoundError):
            await store.get("talk")
        assert len(await store.list(kind=keeping.KIND)) == 0
        assert (await visitor.see("/act/clear", id="talk")).status_code == 404


async def test_tenants_are_acted_on_by_themselves(tmp_path: Path) -> None:
    """The log and the copies of a tenant's sessions stand with them."""
    async with open_store(f"sqlite:///{tmp_path}/tenants.db") as store:
        acme = store.tenant("acme")
        await talk(acme)
        before = await whole(acme, "talk")
        async with visiting(store) as visitor:
            page = await visitor.see("/act/delete", id="talk", tenant="acme")
            done = await visitor.confirm(page)
            assert done.url.params["tenant"] == "acme"
            assert await audit.recorded(store) == []
            [act] = await audit.recorded(acme)
            await visitor.confirm(await visitor.see("/act/undo", id="talk", kept=act.kept, tenant="acme"))
            compared = await visitor.see("/compare", id="talk", at=1, tenant="acme")
            assert 'name="tenant" value="acme"' in compared.text
            assert (await visitor.see("/export", id="talk", tenant="acme")).text.startswith("# talk")
            assert (await visitor.see("/export", id="talk")).status_code == 404

        assert equal(await whole(acme, "talk"), before)


async def test_a_tenant_that_is_full_can_be_relieved(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path}/tenants.db") as store:
        acme = store.tenant("acme", limits=TenantLimits(sessions=1))
        await talk(acme)
        async with visiting(acme) as visitor:
            asked = await visitor.see("/act/delete", id="talk")
            done = await visitor.confirm(asked)
            if done.status_code == 409:
                assert "No copy can be kept" in done.text
                done = await visitor.confirm(done)
            assert "Done: delete" in done.text
        assert await acme.count_sessions() == 0

"""The semantics of commits, reads, leases and rate limits, in plain Python over small primitives.

`memory` and `sqlite` run on these rules, and so may any backend that can do a few reads and writes of one
session inside a transaction: implement `SessionRows`, and call `apply_commit`, `read_plan` and the lease
rules. Backends that compute elsewhere (Redis, in Lua) are compared with them.

The rules are synchronous. A backend calls them in a thread that has a connection of its own, as `sqlite`
does, and the PostgreSQL backend of ``examples/plugins/``.
"""

from miniagent_store.rules.claims import expired_of, is_claimable, is_to_finish, is_turn_over
from miniagent_store.rules.commit import apply_commit, new_token, publish_stage
from miniagent_store.rules.eviction import Cached, Growth, Hits, cache_victims, room_to_make
from miniagent_store.rules.lease import (
    CLAIM_MS,
    acquire_lease,
    acquire_turn,
    count_leases,
    next_in_line,
    release_lease,
    renew_lease,
)
from miniagent_store.rules.listing import count_matching, count_records, list_page
from miniagent_store.rules.namespaces import check_erasable, start_of_tenants
from miniagent_store.rules.rate import RateState, count_one, kept_ms
from miniagent_store.rules.read import read_plan, touched
from miniagent_store.rules.rewriting import apply_rewrite
from miniagent_store.rules.rows import LeaseRow, SessionRows, WriterWindow, is_expired, live_record

__all__ = [
    "CLAIM_MS",
    "Cached",
    "Growth",
    "Hits",
    "LeaseRow",
    "RateState",
    "SessionRows",
    "WriterWindow",
    "acquire_lease",
    "acquire_turn",
    "apply_commit",
    "apply_rewrite",
    "cache_victims",
    "check_erasable",
    "count_leases",
    "count_matching",
    "count_one",
    "count_records",
    "expired_of",
    "is_claimable",
    "is_expired",
    "is_to_finish",
    "is_turn_over",
    "kept_ms",
    "list_page",
    "live_record",
    "new_token",
    "next_in_line",
    "publish_stage",
    "read_plan",
    "release_lease",
    "renew_lease",
    "room_to_make",
    "start_of_tenants",
    "touched",
]

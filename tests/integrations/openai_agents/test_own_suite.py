"""The SDK's own tests of sessions, compaction and approvals, with ours in the place of `SQLiteSession`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integrations.upstream import fetch_sdist

SOME = ["tests/memory/test_session_limit.py", "tests/memory/test_session_context_wrapper.py"]
ALL = [
    *SOME,
    "tests/memory/test_session.py",
    "tests/memory/test_openai_responses_compaction_session.py",
    "tests/memory/test_compaction_suffix.py",
    "tests/memory/test_compaction_model_visibility.py",
    "tests/test_hitl_session_scenario.py",
    "tests/extensions/memory/test_encrypt_session.py",
]
COMPACTION = "TestOpenAIResponsesCompactionSession"
CONNECTIONS = "looks into the connections, rows or locks of SQLiteSession"
COMMITS = "replaces the commit of SQLiteSession's connection to fail or to pause it"
POPPING = "asks for the way of popping that EncryptedSession keeps for SQLiteSession alone"
NEGATIVE = "a negative limit is all items in SQLiteSession, and none here as in RedisSession"
LEFT_OUT = {
    "tests/memory/test_session.py": {
        "test_sqlite_session_close_closes_worker_thread_connections": CONNECTIONS,
        "test_sqlite_session_reaps_connections_from_exited_worker_threads": CONNECTIONS,
        "test_sqlite_session_closes_retired_connections_before_the_next_allocation": CONNECTIONS,
        "test_sqlite_session_keeps_connections_of_live_worker_threads": CONNECTIONS,
        "test_sqlite_session_closed_rejects_empty_add_items": "the text of its error names SQLiteSession",
        "test_sqlite_session_pop_item_skips_corrupt_most_recent": CONNECTIONS,
        "test_sqlite_session_pop_item_returns_none_after_dropping_only_corrupt_rows": CONNECTIONS,
        "test_sqlite_session_get_items_limit_skips_corrupt_newest_rows": CONNECTIONS,
        "test_sqlite_session_get_items_session_settings_limit_skips_corrupt_rows": CONNECTIONS,
        "test_sqlite_session_file_lock_is_shared_across_instances": CONNECTIONS,
        "test_sqlite_session_failed_add_items_releases_write_lock": COMMITS,
        "test_sqlite_session_failed_clear_session_rolls_back": COMMITS,
        "test_sqlite_session_failed_pop_item_releases_write_lock": COMMITS,
        "test_sqlite_session_rollback_failure_evicts_connection": COMMITS,
        "test_sqlite_session_close_retries_quarantined_connection": CONNECTIONS,
        "test_sqlite_session_post_commit_cancellation_propagates_after_known_outcome": COMMITS,
    },
    "tests/memory/test_openai_responses_compaction_session.py": {
        f"{COMPACTION}::test_settled_pop_failure_invalidates_response_chain": COMMITS,
        f"{COMPACTION}::test_settled_clear_failure_invalidates_response_chain": COMMITS,
    },
    "tests/memory/test_compaction_suffix.py": {
        "test_suffix_transaction_rolls_back_failed_insert[sqlite]": COMMITS,
        "test_cancelled_suffix_transaction_settles_before_newer_append[sqlite]": COMMITS,
        "test_failed_encrypted_suffix_transaction_preserves_original_tokens[sqlite": COMMITS,
    },
    "tests/extensions/memory/test_encrypt_session.py": {
        "test_encrypted_pop_wrong_key_preserves_recoverable_history": POPPING,
        "test_encrypted_pop_rechecks_authentication_after_expired_tail": POPPING,
        "test_encrypted_pop_authentication_is_atomic_with_concurrent_mutations": POPPING,
        "test_encrypted_pop_wrong_key_preserves_row_identity": POPPING,
        "test_encrypted_pop_cancellation_waits_for_authentication_rollback": POPPING,
        "test_encrypted_pop_skips_plaintext_with_inherited_sqlite_behavior": POPPING,
        "test_encrypted_session_scan_budget_rejects_negative_limit_before_read": NEGATIVE,
    },
}


def test_sessions_and_their_context(tmp_path: Path) -> None:
    run(f"memory://{tmp_path.name}?deadline=20s", SOME)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_all_of_it(url: str) -> None:
    run(url, ALL)


def run(url: str, files: list[str]) -> None:
    sources = fetch_sdist("openai-agents")
    left_out = [f"--deselect={file}::{test}" for file in files for test in LEFT_OUT.get(file, {})]
    here = str(Path(__file__).parent)
    paths = [here, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environment = {
        **os.environ,
        "REPLACED_URL": url,
        "PYTHONPATH": os.pathsep.join(paths),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OPENAI_API_KEY": "none",
    }
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "in_place_of_sqlite", "-p", "no:cacheprovider"),
            *("-o", "asyncio_mode=auto", "--no-header", *left_out, *files),
        ],
        cwd=sources,
        env=environment,
        capture_output=True,
        text=True,
        timeout=580,
    )
    assert ran.returncode == 0, ran.stdout[-8000:] + ran.stderr[-2000:]
    print(ran.stdout[-300:])

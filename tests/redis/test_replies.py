"""What error replies mean, on the texts that Redis 7.0, Redis 8.2 and Valkey 9.1 really send."""

from __future__ import annotations

import pytest

from miniagent_backends.redis.wire.replies import Meaning, ReplyError, meaning_of
from miniagent_store.testing.servers import CommandError, Server

SHA = "074b102fa9b22289dd8063e5c7f6613a34269e2d"

TEXTS = {
    Meaning.DENIED: [
        "NOAUTH Authentication required.",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "NOPERM this user has no permissions to run the 'ping' command",
        "NOPERM User bob has no permissions to run the 'ping' command",
        "NOPERM No permissions to access a key",
        "DENIED Redis is running in protected mode because protected mode is enabled",
        "ERR AUTH <password> called without any password configured for the default user. Are you sure?",
        f"ERR The user executing the script can't run this command or subcommand script: {SHA}, on",
        f"ERR The user executing the script can't access at least one of the keys script: {SHA}, on",
        "ERR ACL failure in script: User bob has no permissions to run the 'lpush' command script: on",
        f"ERR ACL failure in script: No permissions to access a key script: {SHA}, on @user_script:1.",
    ],
    Meaning.WRONG_TYPE: [
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        f"WRONGTYPE Operation against a key holding the wrong kind of value script: {SHA}, on @user_scr",
        "WRONGTYPE Operation against a key holding the wrong kind of value script: on @user_script:1.",
    ],
    Meaning.CAPACITY: [
        "OOM command not allowed when used memory > 'maxmemory'.",
        f"OOM command not allowed when used memory > 'maxmemory'. script: {SHA}, on @user_script:1.",
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        "MISCONF Valkey is configured to save RDB snapshots, but it's currently unable to persist to disk.",
    ],
    Meaning.AGAIN_AT_ONCE: [
        "NOSCRIPT No matching script. Please use EVAL.",
        "NOSCRIPT No matching script.",
        "MOVED 3999 127.0.0.1:6381",
        "ASK 3999 127.0.0.1:6381",
        "TRYAGAIN Multiple keys request during rehashing of slot",
        "ERR Script attempted to access a non local key in a cluster node script: on @user_script:1.",
        "ERR Attempted to access a non local key in a cluster node script: on @user_script:32.",
    ],
    Meaning.AGAIN_LATER: [
        "LOADING Redis is loading the dataset in memory",
        "LOADING Valkey is loading the dataset in memory",
        "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
        "CLUSTERDOWN The cluster is down",
        "CLUSTERDOWN Hash slot not served",
        "READONLY You can't write against a read only replica.",
        "READONLY You can't write against a read only replica. script: on @user_script:1.",
        "NOREPLICAS Not enough good replicas to write.",
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        "BUSY Valkey is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
        f"ERR Script killed by user with SCRIPT KILL... script: {SHA}, on @user_script:1.",
        "ERR Script killed by user with SCRIPT KILL. script: on @user_script:1.",
        "ERR max number of clients reached",
    ],
    Meaning.AMBIGUOUS: [
        "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
    ],
    Meaning.FATAL: [
        "CROSSSLOT Keys in request don't hash to the same slot",
        "ERR unknown command 'NOSUCH', with args beginning with:",
        "ERR DB index is out of range",
        "NOPROTO unsupported protocol version",
        "EXECABORT Transaction discarded because of previous errors.",
        # What a caller wrote must not change the meaning.
        "ERR unknown command 'OOM', with args beginning with: 'WRONGTYPE' 'ACL failure in script'",
        "",
    ],
}


@pytest.mark.parametrize(
    ("meaning", "text"), [(meaning, text) for meaning, texts in TEXTS.items() for text in texts]
)
def test_an_error_reply_means_the_same_on_each_server(meaning: Meaning, text: str) -> None:
    assert meaning_of(ReplyError(text)) is meaning


def test_what_servers_say_today_is_understood(each_server: Server) -> None:
    each_server.command("SET", "text", "x")
    lua_push = "return redis.call('LPUSH', KEYS[1], 'x')"
    full = "#!lua\nreturn redis.call('SET', KEYS[1], 'x')"
    each_server.command("ACL", "SETUSER", "limited", "on", ">pw", "~*", "+@all", "-lpush")

    assert _meaning(each_server, "LPUSH", "text", "x") is Meaning.WRONG_TYPE
    assert _meaning(each_server, "EVAL", lua_push, 1, "text") is Meaning.WRONG_TYPE
    assert _meaning(each_server, "EVALSHA", "0" * 40, 0) is Meaning.AGAIN_AT_ONCE
    assert _meaning(each_server, "AUTH", "limited", "wrong") is Meaning.DENIED
    assert _meaning(each_server, "NOSUCH") is Meaning.FATAL
    with _config(each_server, "maxmemory", 1):
        assert _meaning(each_server, "SET", "a", 1) is Meaning.CAPACITY
        assert _meaning(each_server, "EVAL", full, 1, "a") is Meaning.CAPACITY
    with _config(each_server, "min-replicas-to-write", 1):
        assert _meaning(each_server, "EVAL", full, 1, "a") is Meaning.AGAIN_LATER


def _meaning(server: Server, *args: str | int) -> Meaning:
    with pytest.raises(CommandError) as caught:
        server.command(*args)
    return meaning_of(ReplyError(str(caught.value)))


class _config:
    def __init__(self, server: Server, name: str, value: int) -> None:
        self.server, self.name, self.value = server, name, value

    def __enter__(self) -> None:
        self.server.command("CONFIG", "SET", self.name, self.value)

    def __exit__(self, *failure: object) -> None:
        self.server.command("CONFIG", "SET", self.name, 0)

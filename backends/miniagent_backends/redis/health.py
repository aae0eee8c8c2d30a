"""A look at a server: whether it takes writes, and whether it keeps what it took."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Any

from miniagent_backends.redis.scripts import source_of
from miniagent_backends.redis.wire.node import Node
from miniagent_backends.redis.wire.replies import ReplyError
from miniagent_store.errors import BackendUnavailableError, OutcomeUnknownError, StoreError
from miniagent_store.values import NO_CURE, Finding

# Seconds of a round trip, and bytes and seconds that a replica lags, which are worth a warning.
SLOW, FAR_BEHIND, LONG_SILENT = 0.1, 1 << 20, 5
# Seconds between two clocks, and the first version that has what the scripts use.
APART, OLDEST = 1.0, 7
NEARLY_FULL = 0.9
# Seconds for the timing of round trips.
MOST_TIMING = 1.0

Info = Mapping[str, str]


async def examine(node: Node, canary: str | None, replicas: int = 0, rounds: int = 1) -> list[Finding]:
    """What is good and bad about a server; never raises for one that is ill.

    Args:
        node: the server.
        canary: a key of ours on it, to be written and deleted; None to leave that out.
        replicas: how many are to acknowledge commits.
        rounds: how many round trips to time.
    """
    try:
        times: list[float] = []
        told: Any = None
        while len(times) < rounds and sum(times) < MOST_TIMING:
            started = time.perf_counter()
            # Not PING, which a server refuses that cannot save to its disk.
            (told,) = await node.exchange([("TIME",)])
            times.append(time.perf_counter() - started)
        asked = time.time() - times[-1] / 2
        apart = int(told[0]) + int(told[1]) / 1e6 - asked if isinstance(told, list) else 0.0
        value = os.urandom(8).hex()
        write = [("EVAL", source_of("canary"), 1, canary, value)] if canary else []
        role, info, fsync, save, *written = await node.exchange(
            [("ROLE",), ("INFO",), ("CONFIG", "GET", "appendfsync"), ("CONFIG", "GET", "save"), *write]
        )
    except OutcomeUnknownError as error:
        return [Finding("error", error.why, "see whether the server is running", "connection")]
    except BackendUnavailableError as error:
        what, cure = str(error).partition("; ")[0], "start it, or see what keeps it from answering"
        return [Finding("error", what, cure, "connection")]
    except StoreError as error:
        return [Finding.of(error, "connection")]
    look = _Look(node.name, fields_of(info), {**_setting(fsync), **_setting(save)})
    full = bool(written) and isinstance(written[0], ReplyError) and written[0].word == "OOM"
    check = "memory" if full else "scripts"
    found = [
        *look.checked("latency", look.latency(times)),
        *look.checked("role", look.role(role)),
        *look.checked(check, look.canary(written[0]) if written else ()),
    ]
    if not look.info:
        return [*found, *look.checked("rights", look.blind())]
    return [
        *found,
        *look.checked("version", look.version()),
        *look.checked("replicas", look.replicas(replicas)),
        *look.checked("eviction", look.eviction()),
        *look.checked("memory", look.memory()),
        *look.checked("persistence", look.persistence(replicas)),
        *look.checked("clock", look.clock(apart)),
    ]


class _Look:
    """The findings about one server.

    Args:
        name: of the server.
        info: what INFO told; nothing if it was denied.
        settings: what CONFIG GET told; nothing if it was denied.
    """

    def __init__(self, name: str, info: Info, settings: Info) -> None:
        self._name, self.info, self._settings = name, info, settings

    def checked(self, check: str, found: Iterable[Finding]) -> Iterator[Finding]:
        """The same, said to be of a check."""
        for each in found:
            yield replace(each, check=check)

    def _info(self, what: str, cure: str = NO_CURE) -> Finding:
        return Finding("info", f"{self._name}: {what}", cure)

    def _warning(self, what: str, cure: str) -> Finding:
        return Finding("warning", f"{self._name}: {what}", cure)

    def _error(self, what: str, cure: str) -> Finding:
        return Finding("error", f"{self._name}: {what}", cure)

    def _number(self, name: str) -> int:
        text = self.info.get(name, "0")
        return int(text) if text.lstrip("-").isdecimal() else 0

    def blind(self) -> Iterator[Finding]:
        yield self._info(
            "memory, replicas and persistence cannot be seen, since INFO is denied",
            "give the user the right +info to see them here",
        )

    def latency(self, times: Sequence[float]) -> Iterator[Finding]:
        what = f"a round trip takes {median(times) * 1000:.1f} ms"
        if len(times) > 1:
            what += f" (the longest of {len(times)}: {max(times) * 1000:.1f} ms)"
        if median(times) > SLOW:
            yield self._warning(what, "see what the server and the network are busy with (SLOWLOG GET)")
        else:
            yield self._info(what)

    def role(self, reply: Any) -> Iterator[Finding]:
        if isinstance(reply, ReplyError):
            yield self._info(f"its role cannot be seen: {reply.text}", "give the user the right +role")
        elif reply[0] == b"master":
            yield self._info("is a master")
        else:
            role = {"slave": "replica"}.get(told := reply[0].decode(), told)
            yield self._error(
                f"is a {role}, not a master, and takes no writes",
                "write the master's address, or redis+sentinel:// so that the master is found",
            )

    def version(self) -> Iterator[Finding]:
        name = "Valkey" if "valkey_version" in self.info else "Redis"
        version = self.info.get("valkey_version") or self.info.get("redis_version", "")
        major = version.partition(".")[0]
        if major.isdecimal() and int(major) < OLDEST:
            yield self._error(f"is {name} {version}", "use Redis 7 or Valkey 7.2, or later")
        else:
            yield self._info(f"is {name} {version}")

    def clock(self, apart: float) -> Iterator[Finding]:
        if abs(apart) > APART:
            yield self._warning(
                f"its clock is {abs(apart):.0f} s {'ahead of' if apart > 0 else 'behind'} this machine's",
                "set both by NTP: sessions expire, and locks end, by the server's clock",
            )

    def canary(self, reply: Any) -> Iterator[Finding]:
        if reply == 1:
            yield self._info("scripts run, and what they write can be read back")
            return
        if isinstance(reply, ReplyError) and reply.word in {"MOVED", "ASK", "TRYAGAIN"}:
            yield self._info("a slot of it moves, so that no write was tried", "look again later")
            return
        if not isinstance(reply, ReplyError):
            yield self._error("what was written could not be read back", "look into the server's log")
            return
        cures = {
            "OOM": "raise maxmemory, or delete sessions: nothing is evicted, as it should be",
            "MISCONF": "mend the disk that it saves to; the server's log says what is wrong with it",
            "READONLY": "write the master's address, or redis+sentinel:// so that the master is found",
            "NOREPLICAS": "bring its replicas back, or lower min-replicas-to-write",
            "LOADING": "wait until it has loaded its data",
            "NOPERM": "give the user the rights that the error of the next commit names",
            "CLUSTERDOWN": "bring the missing nodes of the Cluster back",
            "BUSY": "end the script that blocks it (SCRIPT KILL)",
        }
        cure = cures.get(reply.word, "use Redis 7 or Valkey 7.2, or later, with scripts allowed")
        yield self._error(f"a write was refused: {reply.text.rstrip('.')}", cure)

    def replicas(self, wanted: int) -> Iterator[Finding]:
        there = self._number("connected_slaves")
        if there < wanted:
            yield self._error(
                f"{there} of the {wanted} replicas that replicas= asks for are connected",
                "bring them back: until then commits are stored, and raise DurabilityError",
            )
        elif self.info.get("role") == "master" and there:
            yield self._info(f"{there} replicas are connected")
        elif self.info.get("role") == "master":
            yield self._info(
                "has no replica: what it holds is gone with its disk",
                "add one on another machine, behind Sentinel or in a Cluster, if that is too much",
            )
        end = self._number("master_repl_offset")
        for number in range(there):
            pairs = (each.partition("=") for each in self.info.get(f"slave{number}", "").split(","))
            replica = {name: value for name, _, value in pairs}
            where = f"the replica at {replica.get('ip')}:{replica.get('port')}"
            behind, silent = end - int(replica.get("offset", end)), int(replica.get("lag", 0))
            if replica.get("state") != "online" or behind > FAR_BEHIND or silent > LONG_SILENT:
                yield self._warning(
                    f"{where} is {replica.get('state')}, {behind} bytes behind, silent for {silent} s",
                    "what it lacks is lost if it is promoted; see to its link and its machine",
                )

    def eviction(self) -> Iterator[Finding]:
        limit, policy = self._number("maxmemory"), self.info.get("maxmemory_policy", "noeviction")
        set_policy = "CONFIG SET maxmemory-policy noeviction, and the same in its configuration file"
        limited = "" if limit else ", without effect as long as no maxmemory is set"
        if policy.startswith("allkeys"):
            level = self._error if limit else self._warning
            yield level(
                f"maxmemory-policy {policy}: when memory is short any key is evicted, a session or a part "
                f"of one among them{limited}",
                f"{set_policy}; {policy} is for caches: keep those on a server of their own",
            )
        elif policy.startswith("volatile"):
            mildest = " (volatile-ttl takes those first that would expire first)"
            level = self._warning if limit else self._info
            yield level(
                f"maxmemory-policy {policy}: when memory is short sessions that have a ttl are evicted "
                f"before their time{mildest if policy == 'volatile-ttl' else ''}{limited}",
                f"{set_policy}; a full server then refuses writes and loses nothing",
            )
        elif limit:
            yield self._info(f"maxmemory-policy {policy}: nothing is evicted; a full server refuses writes")
        else:
            yield self._info(
                f"maxmemory-policy {policy}, and no maxmemory: the machine's memory is the limit",
                "set maxmemory below what the machine has, so that writes are refused before it swaps",
            )
        if self._number("evicted_keys"):
            yield self._warning(
                f"{self._number('evicted_keys')} keys have been evicted since it was started",
                "sessions may be gone, or damaged, which every read of them tells; see maxmemory-policy",
            )

    def memory(self) -> Iterator[Finding]:
        limit, used = self._number("maxmemory"), self._number("used_memory")
        if limit and used > NEARLY_FULL * limit:
            yield self._warning(
                f"{used / limit:.0%} of maxmemory are used", "raise maxmemory, or give sessions a ttl"
            )
        elif used:
            share = f", {used / limit:.0%} of maxmemory" if limit else ""
            yield self._info(f"holds {used / (1 << 20):.1f} MiB{share}")

    def persistence(self, replicas: int) -> Iterator[Finding]:
        if self._number("loading"):
            yield self._error("is loading its data", "wait until it has")
        if self.info.get("rdb_last_bgsave_status", "ok") != "ok":
            yield self._warning("the last save to disk failed", "see the server's log, and mend the disk")
        if self.info.get("aof_last_write_status", "ok") != "ok":
            yield self._error("the append-only file cannot be written", "mend the disk")
        if self._number("aof_enabled"):
            yield self._append_only()
        elif "save" not in self._settings:
            yield self._info(
                "has no append-only file: a crash loses what came after the last save, if it saves at all",
                "set appendonly yes, unless replicas keep what it holds",
            )
        elif self._settings["save"]:
            # Who waits for replicas does not depend on this one's disk.
            level = self._info if replicas else self._warning
            yield level(
                "has no append-only file, and saves from time to time: a crash loses what came after that",
                "set appendonly yes (CONFIG SET, and the same in its configuration file)",
            )
        else:
            yield self._warning(
                "keeps nothing on disk: a restart loses everything, and a master that comes back empty "
                "empties its replicas",
                "set appendonly yes",
            )

    def _append_only(self) -> Finding:
        policy = self._settings.get("appendfsync")
        if policy == "always":
            return self._info("appendfsync always: what was acknowledged is on its disk")
        if policy == "everysec":
            return self._info(
                "appendfsync everysec: a crash of the machine loses up to two seconds",
                "set appendfsync always if that is too much",
            )
        if policy == "no":
            return self._warning(
                "appendfsync no: a crash of the machine loses what the system has not written yet",
                "set appendfsync everysec or always",
            )
        return self._info(
            "has an append-only file; how often it is synced cannot be seen",
            "CONFIG GET appendfsync says it to whoever may ask",
        )


def fields_of(reply: Any) -> Info:
    """INFO as a mapping; empty if it was refused."""
    if isinstance(reply, ReplyError):
        return {}
    lines = (line.partition(":") for line in reply.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon and not name.startswith("#")}


def _setting(reply: Any) -> Info:
    """CONFIG GET, a mapping in RESP3 and a list in RESP2; empty if it was refused."""
    if isinstance(reply, ReplyError):
        return {}
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=True)
    return {name.decode(): value.decode() for name, value in pairs}

"""What servers spent between two looks: CPU, commands, reads, bytes, by their own INFO."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from miniagent_store.testing.servers import Server


@dataclass(frozen=True, slots=True)
class Spent:
    """What one or more servers spent.

    Attributes:
        seconds: that passed.
        cpu: microseconds of CPU, user and system, of the whole process.
        reads: times that a server took bytes from a socket: for a lone caller, round trips.
        received, sent: bytes.
        calls: how often each command was called, those of scripts included.
    """

    seconds: float = 0.0
    cpu: float = 0.0
    reads: float = 0.0
    received: float = 0.0
    sent: float = 0.0
    calls: Counter[str] = field(default_factory=Counter)

    def since(self, before: Spent) -> Spent:
        """What was spent after `before`."""
        calls = Counter(self.calls)
        calls.subtract(before.calls)
        return Spent(
            self.seconds - before.seconds,
            self.cpu - before.cpu,
            self.reads - before.reads,
            self.received - before.received,
            self.sent - before.sent,
            calls,
        )


class Meter:
    """Looks at servers and takes off what its own looks cost.

    Args:
        servers: whose sums are told.
    """

    def __init__(self, *servers: Server) -> None:
        self._servers: Sequence[Server] = servers
        # The least of some, since others may use the server's core meanwhile.
        looks: list[Spent] = []
        for _ in range(20):
            before = self._look()
            looks.append(self._look().since(before))
        least = min(looks, key=lambda look: look.cpu)
        self._own = Spent(0.0, least.cpu, least.reads, least.received, least.sent)
        self._begun = self._look()

    def start(self) -> None:
        """Begin to count."""
        self._begun = self._look()

    def stop(self) -> Spent:
        """What was spent since `start`."""
        spent = self._look().since(self._begun)
        own = self._own
        return Spent(
            spent.seconds,
            max(spent.cpu - own.cpu, 0.0),
            spent.reads - own.reads,
            spent.received - own.received,
            spent.sent - own.sent,
            spent.calls,
        )

    def _look(self) -> Spent:
        cpu = reads = received = sent = 0.0
        calls: Counter[str] = Counter()
        for server in self._servers:
            lines = server.command("INFO", "ALL").decode().splitlines()
            info = dict(line.split(":", 1) for line in lines if ":" in line)
            cpu += (float(info["used_cpu_user"]) + float(info["used_cpu_sys"])) * 1e6
            reads += int(info["total_reads_processed"])
            received += int(info["total_net_input_bytes"])
            sent += int(info["total_net_output_bytes"])
            for name, value in info.items():
                if name.startswith("cmdstat_"):
                    command = name.removeprefix("cmdstat_")
                    calls[command] += int(value.partition(",")[0].removeprefix("calls="))
        calls.pop("info", None)
        return Spent(time.perf_counter(), cpu, reads, received, sent, calls)

"""Which values of the Host header are answered.

A page of a stranger can have its own name point at this machine after it was loaded (DNS rebinding); the
browser then takes both for one site. What it cannot do is send a name that is not its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
ANY_HOST = "*"
# Addresses written as numbers: no name that somebody else could have point here. "*" is more.
ANY_ADDRESS = "*.*.*.*"

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]{2,45}\]|[a-z0-9_.-]{1,253})(:[0-9]{1,5})?", re.IGNORECASE)


class Hosts:
    """The names under which this is served.

    Args:
        names: without ports, IPv6 addresses in brackets; `ANY_HOST`, `ANY_ADDRESS`.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = frozenset(name.lower() for name in names)

    def serve(self, values: Sequence[str]) -> bool:
        """Whether a request with these Host headers is answered; there must be one."""
        if len(values) != 1 or not (match := _HOST.fullmatch(values[0])):
            return False
        name = match["name"].lower()
        if ANY_HOST in self._names or name in self._names:
            return True
        return ANY_ADDRESS in self._names and _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True

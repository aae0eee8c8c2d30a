"""Where servers are, and what stands between the address that they announce and the one we can reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from miniagent_store.errors import ConfigurationError

Address = tuple[str, int]
Remap = Callable[[Address], Address]


def render(address: Address) -> str:
    """``host:port``, with brackets around an IPv6 address."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_address(text: str) -> Address:
    """The address that `render` wrote.

    Raises:
        ValueError: it is none.
    """
    host, _, port = text.strip().rpartition(":")
    host = host.strip("[]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"{text!r} is not host:port")
    return host, int(port)


def parse_remap(given: Any) -> Remap:
    """From ``address_remap=``: for servers that announce addresses behind NAT or inside of containers.

    Args:
        given: None, a function of (host, port), a mapping of such pairs or of texts, or a text such as
            ``10.0.0.1:7000=localhost:17000,10.0.0.2:7000=localhost:17001``.

    Raises:
        ConfigurationError: it is none of these.
    """
    if given is None:
        return lambda address: address
    if callable(given):
        return cast(Remap, given)
    problem = "write announced=reachable pairs, as 10.0.0.1:7000=localhost:17000,…"
    try:
        if isinstance(given, str):
            pairs = [pair.split("=") for pair in given.split(",") if pair.strip()]
            table = {parse_address(one): parse_address(other) for one, other in pairs}
        elif isinstance(given, Mapping):
            table = {_pair(one): _pair(other) for one, other in given.items()}
        else:
            table = {}
        if table:
            return lambda address: table.get(address, address)
    except (ValueError, TypeError) as error:
        problem = f"{error}; {problem}"
    raise ConfigurationError(f"option 'address_remap': {problem}")


def _pair(value: Any) -> Address:
    if isinstance(value, str):
        return parse_address(value)
    host, port = value
    return str(host), int(port)

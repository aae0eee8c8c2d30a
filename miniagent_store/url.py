"""A store's URL as a value: parse, redact, rebuild."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

from miniagent_store.errors import ConfigurationError

# Options that are never shown: another store's URL, and whatever is called so, also by a plugin.
_SECRET_OPTION = re.compile(r"cache_url|.*(password|secret|token).*")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*\Z")


@dataclass(frozen=True, slots=True, repr=False)
class StoreURL:
    """``scheme://[user:pass@]host[:port][,host[:port]…]/path?option=value``.

    `str()` and `repr()` never show a secret; `render()` does.

    Attributes:
        scheme: in lower case, such as "redis+sentinel".
        username, password: decoded, or None.
        hosts: pairs of host and port; the port is None where it was not given.
        path: decoded, with its leading slash, "" if there was none.
        query: options in their order, decoded; a "+" stays a "+".

    Example:
        >>> url = StoreURL.parse("redis://ada:secret@db:6379/0?ttl=1h")
        >>> str(url)
        'redis://ada:***@db:6379/0?ttl=1h'
        >>> url.options["ttl"]
        '1h'
    """

    scheme: str
    username: str | None = None
    password: str | None = None
    hosts: tuple[tuple[str, int | None], ...] = ()
    path: str = ""
    query: tuple[tuple[str, str], ...] = ()

    @classmethod
    def parse(cls, text: str) -> StoreURL:
        """Parse `text`.

        Raises:
            ConfigurationError: it is not a URL of this form; the message shows no secret.
        """
        scheme, separator, rest = text.partition("://")
        scheme = scheme.strip().lower()
        if not separator or not _SCHEME.match(scheme):
            raise ConfigurationError(
                f"not a store URL: {redact_text(text)!r}; write scheme://…, "
                "such as sqlite:///sessions.db or memory://"
            )
        rest, _, query = rest.partition("?")
        authority, slash, path = rest.partition("/")
        credentials, at, hosts = authority.rpartition("@")
        username: str | None = None
        password: str | None = None
        if at:
            user, colon, secret = credentials.partition(":")
            username = unquote(user) or None
            password = unquote(secret) if colon else None
        try:
            parsed_hosts = tuple(_parse_host(host) for host in hosts.split(",") if host)
        except ValueError as problem:
            raise ConfigurationError(f"{redact_text(text)}: {problem}") from None
        return cls(scheme, username, password, parsed_hosts, unquote(slash + path), _parse_query(query))

    @property
    def options(self) -> dict[str, str]:
        """The options by name; the last one wins."""
        return dict(self.query)

    def with_options(self, **options: str) -> StoreURL:
        """The same URL with `options` added or replaced."""
        return replace(self, query=tuple({**self.options, **options}.items()))

    def without_options(self) -> StoreURL:
        """The same URL with no options."""
        return replace(self, query=())

    def render(self) -> str:
        """The URL in full, secrets included: to connect with, not to show."""
        return self._text(show_secrets=True)

    def __str__(self) -> str:
        return self._text(show_secrets=False)

    def __repr__(self) -> str:
        return f"StoreURL({str(self)!r})"

    def _text(self, *, show_secrets: bool) -> str:
        credentials = ""
        if self.username is not None or self.password is not None:
            credentials = quote(self.username or "", safe="")
            if self.password is not None:
                credentials += ":" + (quote(self.password, safe="") if show_secrets else "***")
            credentials += "@"
        hosts = ",".join(_render_host(host, port) for host, port in self.hosts)
        options = "&".join(
            f"{quote(name, safe='')}="
            + ("***" if not show_secrets and _SECRET_OPTION.fullmatch(name) else quote(value, safe="+:/,@"))
            for name, value in self.query
        )
        return f"{self.scheme}://{credentials}{hosts}{quote(self.path)}" + (
            f"?{options}" if options else ""
        )


def redact_text(text: str) -> str:
    """`text` with everything that could be a password in a URL replaced by ``***``."""
    text = re.sub(r"((?:^|//)[^:@/?\s]*):(?!//)[^\s]*@", r"\1:***@", text)
    return re.sub(r"(?i)(\b[a-z_]*(?:password|secret|token)[a-z_]*=)[^&\s]*", r"\1***", text)


def _parse_host(text: str) -> tuple[str, int | None]:
    match = re.fullmatch(r"\[(?P<v6>[^\]]+)\](?::(?P<p6>.*))?|(?P<host>[^:]*)(?::(?P<port>.*))?", text)
    if match is None:
        raise ValueError("a host is written name, name:port or [IPv6]:port")
    host = match["v6"] or unquote(match["host"] or "")
    port = match["p6"] if match["v6"] else match["port"]
    if not port:
        return host, None
    if ";" in port:
        raise ValueError("hosts are separated by commas: a:26379,b:26379")
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"the port of {host!r} must be a number from 1 to 65535")
    return host, int(port)


def _render_host(host: str, port: int | None) -> str:
    name = f"[{host}]" if ":" in host else quote(host, safe="")
    return name if port is None else f"{name}:{port}"


def _parse_query(query: str) -> tuple[tuple[str, str], ...]:
    # Not parse_qsl: it turns "+", which joins the layers of a serializer, into a space.
    pairs = (piece.partition("=") for piece in query.split("&") if piece)
    return tuple((unquote(name), unquote(value)) for name, _, value in pairs)

"""Identifiers: what may be one, and how to make one out of several."""

from __future__ import annotations

import re
import secrets

from miniagent_store.errors import InvalidArgumentError, shorten

MAX_ID_BYTES = 512
MAX_STATE_NAME_BYTES = 1024
MAX_NAMESPACE = 255
_NAMESPACE = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_ESCAPED = re.compile(r"[%/{}]|[^ -~]")


def new_session_id() -> str:
    """A random session id of 32 hexadecimal digits."""
    return secrets.token_hex(16)


def join_id(*parts: str) -> str:
    """One id out of several, escaped so that no two combinations meet.

    Whatever an id may not hold (braces, control characters) is escaped too, so foreign ids pass.

    Args:
        *parts: texts, such as application, user and session.

    Raises:
        InvalidArgumentError: there are no parts, or the result is longer than an id may be.

    Example:
        >>> join_id("app", "a/b"), join_id("app/a", "b")
        ('app/a%2Fb', 'app%2Fa/b')
    """
    if not parts:
        raise InvalidArgumentError("join_id needs at least one part")
    for part in parts:
        if not isinstance(part, str):
            raise InvalidArgumentError(f"join_id takes texts, not {type(part).__name__}")
    # An empty part is written "%" alone, which no other part can give.
    joined = "/".join(_ESCAPED.sub(_escape, part) or "%" for part in parts)
    return check_id(joined, what="joined id")


def _escape(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass"))


def check_id(value: str, *, what: str = "session id", limit: int = MAX_ID_BYTES) -> str:
    """Return `value` if it may be an id: printable, no braces, 1 to `limit` bytes of UTF-8.

    Braces would break out of a Redis hash tag, control characters out of a line of a log.

    Raises:
        InvalidArgumentError: it may not; says why.
    """
    if type(value) is not str:
        raise InvalidArgumentError(f"a {what} is a str, not {type(value).__name__}")
    plain = value.isascii() and value.isprintable() and 0 < len(value) <= limit
    if plain and "{" not in value and "}" not in value:
        return value
    if "{" in value or "}" in value:
        raise InvalidArgumentError(
            f"{what} {shorten(value)!r} holds a brace, which is reserved; "
            "pass foreign ids through join_id()"
        )
    return check_name(value, what=what, limit=limit)


def check_name(value: str, *, what: str, limit: int = MAX_STATE_NAME_BYTES) -> str:
    """Return `value` if it is a printable text of 1 to `limit` bytes of UTF-8.

    Raises:
        InvalidArgumentError: it is not; says why.
    """
    if type(value) is not str:
        raise InvalidArgumentError(f"a {what} is a str, not {type(value).__name__}")
    if not value:
        raise InvalidArgumentError(f"a {what} must not be empty")
    if not value.isprintable():
        raise InvalidArgumentError(
            f"{what} {shorten(value)!r} holds a control or unprintable character; "
            "pass foreign ids through join_id()"
        )
    if len(value) > limit or (not value.isascii() and len(value.encode()) > limit):
        raise InvalidArgumentError(
            f"{what} {shorten(value)!r} has more than {limit} bytes; "
            "use a shorter one, such as a hash of it"
        )
    return value


def check_namespace(value: str) -> str:
    """Return `value` if it may be a namespace: 1 to 64 of ``A-Z a-z 0-9 _ -``.

    Raises:
        InvalidArgumentError: it may not.
    """
    if not isinstance(value, str) or not _NAMESPACE.match(value):
        raise InvalidArgumentError(
            f"namespace {shorten(str(value))!r} may hold 1 to 64 letters, digits, '_' and '-' only"
        )
    return value


def tenant_namespace(namespace: str, tenant: str) -> str:
    """The namespace of a tenant of `namespace` ("" for none).

    A namespace that may be given holds no ".", so a tenant of one is none of them.

    Raises:
        InvalidArgumentError: `tenant` may not be a namespace, or tenants are nested too deep.
    """
    check_namespace(tenant)
    if not namespace:
        return tenant
    nested = f"{namespace}.{tenant}"
    if len(nested) > MAX_NAMESPACE:
        raise InvalidArgumentError(
            f"the names of nested tenants have {len(nested)} characters together; {MAX_NAMESPACE} may be"
        )
    return nested

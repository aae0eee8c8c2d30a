"""TLS: what a URL says of it, as an `ssl.SSLContext`; and what is wrong when a handshake fails.

No failure here is mended by another try, but for a server that did not answer at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from miniagent_store.errors import (
    AccessDeniedError,
    BackendUnavailableError,
    ConfigurationError,
    StoreError,
)
from miniagent_store.options import parse_bool

FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
# Seconds in which a server tells that it refuses our certificate, after a handshake that seemed to succeed.
LISTEN = 0.5

# OpenSSL's numbers for what is wrong with a certificate (X509_V_ERR_…).
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNTRUSTED = {2, 18, 19, 20, 21, 27}
_OTHER_HOST = {62, 63, 64}
# Parts of OpenSSL's names for what a server says of ours.
_WANTED = "CERTIFICATE_REQUIRED"
_REFUSED = (
    *("UNKNOWN_CA", "CERTIFICATE_EXPIRED", "CERTIFICATE_REVOKED", "CERTIFICATE_UNKNOWN"),
    *("BAD_CERTIFICATE", "UNSUPPORTED_CERTIFICATE", "ALERT_ACCESS_DENIED", "ALERT_DECRYPT_ERROR"),
)
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG")


class TlsProblem(ConfigurationError):
    """Server and client do not agree on TLS."""


def tls_options(extra: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `redis.asyncio.SSLConnection` from those of a URL.

    Raises:
        ConfigurationError: a file cannot be read, or one is given without the other; names the option.
    """
    tls: dict[str, Any] = {name: str(extra[name]) for name in FILES if name in extra}
    for name, path in tls.items():
        with _naming(name, path):
            Path(path).open("rb").close()
    if "ssl_keyfile" in tls and "ssl_certfile" not in tls:
        raise ConfigurationError("option 'ssl_keyfile' is of no use without ssl_certfile=; give both")
    # Said always: redis-py 7 does not check host names by default, 8 does.
    tls["ssl_check_hostname"] = parse_bool(extra.get("ssl_check_hostname", True))
    return tls


def load_context(
    ca_certs: str | None, certfile: str | None, keyfile: str | None, check_hostname: bool
) -> ssl.SSLContext:
    """Read the files; to be called in a thread.

    Args:
        ca_certs: the only authorities to trust; None for the system's.
        certfile, keyfile: what to show to the server.
        check_hostname: whether the server's certificate must be for the host of the URL.

    Raises:
        ConfigurationError: a file cannot be used; names the option.
    """
    with _naming("ssl_ca_certs", ca_certs):
        context = ssl.create_default_context(cafile=ca_certs)
    context.check_hostname = check_hostname
    if certfile is not None:
        # OpenSSL does not say which of the two it cannot use.
        both = ("ssl_certfile", certfile) if keyfile is None else ("ssl_keyfile", f"{keyfile}, {certfile}")
        with _naming(*both):
            # A password, or OpenSSL would ask on the terminal for that of an encrypted key.
            context.load_cert_chain(certfile, keyfile, password="")
    return context


@contextlib.contextmanager
def _naming(option: str, path: str | None) -> Iterator[None]:
    problem = ""
    try:
        yield
    except ssl.SSLError as error:
        problem = _of_file(error)
    except OSError as error:
        problem = error.strerror or str(error)
    if problem:
        raise ConfigurationError(f"option {option!r}: {path} cannot be used: {problem}")


def _of_file(error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key does not belong to the certificate"
    if error.reason in {"NO_CERTIFICATE_OR_CRL_FOUND", "NO_START_LINE"}:
        return "it holds no certificate in PEM form"
    return "a certificate and its key, unencrypted, in PEM form are wanted"


async def explain(
    name: str, target: Mapping[str, Any], error: BaseException, timeout: float
) -> StoreError | None:
    """What was wrong when a connection could not be made; None if it had nothing to do with TLS.

    Args:
        name: of the server, for the message.
        target: as `make_connection` takes it.
        error: of the connection or its first command.
        timeout: seconds for asking the server once more.
    """
    host, tls = str(target.get("host", "")), target.get("tls")
    if tls is None:
        return _explain_plain(name, error) if host else None
    cause = _cause(error, ssl.SSLError)
    if cause is None and _closed(error):
        # Its reason was overtaken by the end of the connection; one that listens only will hear it.
        cause = await _listen(host, int(target.get("port", 0)), tls, min(timeout, LISTEN))
    if isinstance(cause, ssl.SSLError):
        return _explain_ssl(name, host, cause)
    if _closed(error):
        return BackendUnavailableError(f"{name} closed the connection right after the TLS handshake")
    if isinstance(error, TimeoutError) or _cause(error, TimeoutError):
        return BackendUnavailableError(
            f"{name} did not answer the TLS handshake in time; if it does not speak TLS on this port, "
            "write redis:// instead of rediss://"
        )
    return None


def _explain_ssl(name: str, host: str, error: ssl.SSLError) -> StoreError:
    reason = error.reason or ""
    if isinstance(error, ssl.SSLCertVerificationError):
        return TlsProblem(f"{name} is not trusted: {_of_certificate(host, error)}")
    if _WANTED in reason:
        return AccessDeniedError(
            f"{name} wants a client certificate that it trusts; give ssl_certfile= and ssl_keyfile="
        )
    if any(each in reason for each in _REFUSED):
        return AccessDeniedError(
            f"{name} refused our client certificate ({_words(reason)}); give another ssl_certfile= and "
            "ssl_keyfile=, of an authority that the server trusts"
        )
    if any(each in reason for each in _NO_TLS):
        return TlsProblem(
            f"{name} does not speak TLS on this port; write redis:// instead of rediss:// "
            "(redis+sentinel://, redis+cluster:// likewise), or give its TLS port"
        )
    return TlsProblem(
        f"{name} and this client cannot agree on TLS ({_words(reason)}); see which versions and ciphers "
        "the server takes, and whether it wants a client certificate (ssl_certfile=, ssl_keyfile=)"
    )


def _of_certificate(host: str, error: ssl.SSLCertVerificationError) -> str:
    code = error.verify_code
    if code == _EXPIRED:
        return "its certificate has expired; renew it on the server (or mend this machine's clock)"
    if code == _NOT_YET_VALID:
        return "its certificate is not yet valid; mend this machine's clock, or the server's certificate"
    if code in _OTHER_HOST:
        return (
            f"its certificate is not for the host {host!r}; use the name that the certificate is for in "
            "the URL, or have one made for this host; ssl_check_hostname=false is the last resort"
        )
    if code in _UNTRUSTED:
        return (
            f"no authority that is trusted here has signed its certificate ({error.verify_message}); "
            "check ssl_ca_certs, which names the file with the authority's certificate"
        )
    return f"its certificate does not pass ({error.verify_message})"


def _explain_plain(name: str, error: BaseException) -> StoreError | None:
    # A TLS server answers what is not TLS with an alert, whose first byte is 15 (hex), or hangs up.
    if "\\x15" in str(error):
        return TlsProblem(f"{name} speaks TLS on this port; write rediss:// instead of redis://")
    if _closed(error):
        return BackendUnavailableError(
            f"{name} closed the connection before its first answer; if it speaks TLS on this port, write "
            "rediss:// instead of redis://"
        )
    return None


async def _listen(host: str, port: int, tls: Mapping[str, Any], timeout: float) -> BaseException | None:
    """What the server says by itself after a handshake."""
    writer: asyncio.StreamWriter | None = None
    told: BaseException | None = None
    try:
        async with asyncio.timeout(timeout):
            authority, certificate, key = (tls.get(name) for name in FILES)
            check = bool(tls.get("ssl_check_hostname", True))
            context = await asyncio.to_thread(load_context, authority, certificate, key, check)
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            await reader.read(1)
    except (OSError, StoreError) as error:
        told = error
    finally:
        if writer is not None:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    return told


def _closed(error: BaseException) -> bool:
    lost = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError, asyncio.IncompleteReadError)
    return _cause(error, *lost) is not None or "closed by server" in str(error)


def _cause(error: BaseException | None, *kinds: type[BaseException]) -> BaseException | None:
    """The first of these kinds in what led to an error."""
    while error is not None and not isinstance(error, kinds):
        error = error.__cause__ or error.__context__
    return error


def _words(reason: str) -> str:
    _, _, said = reason.rpartition("ALERT_")
    return (said or "no reason given").lower().replace("_", " ")

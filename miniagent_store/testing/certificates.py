"""Throw-away certificates, for servers and proxies that speak TLS."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Certificates:
    """A throw-away authority and the certificates that it gave, as PEM files.

    Attributes:
        authority: what clients and servers trust.
        certificate: the server's.
        key: the server's.
        client_certificate: one that a client may show.
        client_key: the client's.
    """

    authority: Path
    certificate: Path
    key: Path
    client_certificate: Path
    client_key: Path


def make_certificates(
    folder: Path, *, hosts: Sequence[str] = ("localhost", "127.0.0.1"), expired: bool = False
) -> Certificates:
    """Make an authority, and certificates of a server and a client, valid for a day.

    Args:
        folder: where the files go; made if it is missing.
        hosts: the names and addresses that the server's certificate is for.
        expired: the server's certificate has been expired for a minute.

    Raises:
        ModuleNotFoundError: the package ``cryptography`` is not installed.
    """
    from datetime import UTC, datetime, timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.now(UTC)
    authority_key, server_key, client_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))

    def certificate(
        name: str, key: ec.EllipticCurvePrivateKey, until: datetime = now + timedelta(days=1)
    ) -> x509.CertificateBuilder:
        issuer = authority_key.public_key()
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(until)
            # Python 3.13 and later look for these two.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), False)
        )

    def general_name(host: str) -> x509.GeneralName:
        with contextlib.suppress(ValueError):
            return x509.IPAddress(ip_address(host))
        return x509.DNSName(host)

    def write(name: str, content: bytes) -> Path:
        path = folder / name
        path.write_bytes(content)
        return path

    def write_key(name: str, key: ec.EllipticCurvePrivateKey) -> Path:
        form, no_password = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return write(name, key.private_bytes(pem, form, no_password))

    usage = dict.fromkeys(
        (
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    authority = (
        certificate("test authority", authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .add_extension(
            x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **usage), True
        )
        .sign(authority_key, hashes.SHA256())
    )
    until = now - timedelta(minutes=1) if expired else now + timedelta(days=1)
    server = (
        certificate("test server", server_key, until)
        .add_extension(x509.SubjectAlternativeName([general_name(host) for host in hosts]), False)
        .sign(authority_key, hashes.SHA256())
    )
    client = certificate("test client", client_key).sign(authority_key, hashes.SHA256())
    folder.mkdir(parents=True, exist_ok=True)
    pem = serialization.Encoding.PEM
    return Certificates(
        authority=write("authority.pem", authority.public_bytes(pem)),
        certificate=write("server.pem", server.public_bytes(pem)),
        key=write_key("server.key", server_key),
        client_certificate=write("client.pem", client.public_bytes(pem)),
        client_key=write_key("client.key", client_key),
    )

"""A certificate authority for development: it signs the service's certificate and those of clients.

Keys are of the curve P-256. Nothing here reads or writes a file.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFETIME = timedelta(days=3650)
CERTIFICATE_LIFETIME = timedelta(days=397)
"""Browsers refuse certificates of servers that are valid for longer than 398 days."""
_BACKDATED = timedelta(hours=1)  # clocks of other machines may be behind
_COMMON_NAME_MAX = 64  # X.520, ub-common-name


@dataclass(frozen=True)
class Identity:
    """A certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> bytes:
        """The certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The private key as PEM (PKCS #8), not encrypted."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )

    def pfx(self, name: str, password: str) -> bytes:
        """Certificate and key as PKCS #12 (`.p12`, `.pfx`); an empty password encrypts nothing."""
        encryption = (
            serialization.BestAvailableEncryption(password.encode())
            if password
            else serialization.NoEncryption()
        )
        return pkcs12.serialize_key_and_certificates(
            name.encode(), self.key, self.certificate, None, encryption
        )


def load_identity(certificate_pem: bytes, key_pem: bytes) -> Identity:
    """The identity in these PEM texts. Raises ValueError."""
    key = serialization.load_pem_private_key(key_pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the key is not of an elliptic curve")
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    if certificate.public_key() != key.public_key():
        raise ValueError("the key does not belong to the certificate")
    return Identity(certificate, key)


def new_ca(now: datetime) -> Identity:
    """A new certificate authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Balcao development CA")
    builder = (
        _builder(name, key.public_key(), name, now, CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
    )
    return Identity(builder.sign(key, hashes.SHA256()), key)


def new_server(ca: Identity, hosts: Iterable[str], now: datetime) -> Identity:
    """A certificate for a server with these names and addresses."""
    names = [*dict.fromkeys(hosts)]
    return _issued(ca, names[0], ExtendedKeyUsageOID.SERVER_AUTH, names, now, CERTIFICATE_LIFETIME)


def new_client(
    ca: Identity, name: str, now: datetime, lifetime: timedelta = CERTIFICATE_LIFETIME
) -> Identity:
    """A certificate for a client of API Pix; the subject is its client id."""
    return _issued(ca, name, ExtendedKeyUsageOID.CLIENT_AUTH, [], now, lifetime)


def thumbprint(der: bytes) -> str:
    """The `x5t#S256` of a certificate in DER: base64url of its SHA-256 (RFC 8705, 3.1)."""
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


def thumbprint_of_pem(pem: bytes) -> str:
    """The thumbprint of the first certificate in a PEM text. Raises ValueError."""
    certificate = x509.load_pem_x509_certificate(pem)
    return thumbprint(certificate.public_bytes(serialization.Encoding.DER))


def _issued(
    ca: Identity,
    name: str,
    purpose: x509.ObjectIdentifier,
    hosts: list[str],
    now: datetime,
    lifetime: timedelta,
) -> Identity:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = ca.certificate.subject
    builder = (
        _builder(_name(name), key.public_key(), issuer, now, lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key()), critical=False
        )
    )
    if hosts:
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return Identity(builder.sign(ca.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:_COMMON_NAME_MAX])])


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )

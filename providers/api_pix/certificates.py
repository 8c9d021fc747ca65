"""Read the client certificate that a bank gave, in whichever form a person has it."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import pkcs12

from providers.api_pix.tls import load_client_pem

FILE_BYTES_MAX = 256 * 1024
CHAIN_MAX = 10

_BLOCK = re.compile(
    rb"-----BEGIN (?P<label>[A-Z0-9 ]{1,40})-----.+?-----END (?P=label)-----", re.DOTALL
)
_CERTIFICATE_LABELS = (b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE")


class CertificateProblem(ValueError):
    """The files cannot be used; the text is a sentence for a person, without parts of the key.

    `code` is stable, for translations: `too-large`, `no-certificate`, `no-key`, `unreadable`,
    `password-needed`, `password-wrong`, `other-key`, `authority`, `expired`, `not-yet-valid` or
    `unusable`.
    """

    def __init__(self, code: str, sentence: str) -> None:
        """`sentence` says what is wrong and what to do."""
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True)
class ClientCertificate:
    """A client certificate whose key and chain fit."""

    certificate_pem: str
    chain: tuple[str, ...]
    """The certificates of its authorities as PEM, from its issuer upwards; may be empty."""
    private_key_pem: str = field(repr=False)
    """PKCS #8, not encrypted."""
    not_before: datetime
    not_after: datetime
    subject: str

    @property
    def with_chain_pem(self) -> str:
        """The certificate and its chain, as `AccountSecrets.certificate_pem` has them."""
        return "".join((self.certificate_pem, *self.chain))


@dataclass
class _Contents:
    """What a person's files hold."""

    certificates: list[x509.Certificate] = field(default_factory=list)
    keys: list[PrivateKeyTypes] = field(default_factory=list)


def read_certificate(
    data: bytes,
    password: str | None = None,
    key_pem: bytes | None = None,
    *,
    at: datetime,
) -> ClientCertificate:
    """The client certificate in a PFX (PKCS #12), PEM or DER file.

    `data` may also have the key and the chain, in any order; `key_pem` is a separate file with the
    key. `password` opens a PFX or an encrypted key; None and an empty one are tried alike. `at` is
    the instant at which it must be valid. Raises CertificateProblem.
    """
    contents = _Contents()
    for file in (data, key_pem):
        if file is not None and file.strip():
            _read_file(file, password or "", contents)
    leaf, key = _pair(contents)
    _check_dates(leaf, at)
    certificate = ClientCertificate(
        certificate_pem=_pem(leaf),
        chain=tuple(_pem(one) for one in _chain(leaf, contents.certificates)),
        private_key_pem=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
        not_before=leaf.not_valid_before_utc,
        not_after=leaf.not_valid_after_utc,
        subject=leaf.subject.rfc4514_string(),
    )
    _try_in_tls(certificate)
    return certificate


def first_certificate(pem: str) -> x509.Certificate | None:
    """The first certificate of a PEM text; None for an empty one. Raises ValueError."""
    return x509.load_pem_x509_certificate(pem.encode()) if pem.strip() else None


def read_authorities(data: bytes) -> str:
    """The certificates of a bank's authorities as PEM, from a PEM or DER file.

    Raises CertificateProblem if there is none.
    """
    contents = _Contents()
    _read_file(data, "", contents)
    if not contents.certificates:
        raise CertificateProblem("no-certificate", "The file holds no certificate.")
    return "".join(_pem(one) for one in contents.certificates)


def _read_file(data: bytes, password: str, contents: _Contents) -> None:
    if len(data) > FILE_BYTES_MAX:
        raise CertificateProblem("too-large", "The file is too large for a certificate.")
    if b"-----BEGIN " in data:
        _read_pem(data, password, contents)
    else:
        _read_binary(data, password, contents)


def _read_pem(data: bytes, password: str, contents: _Contents) -> None:
    # Windows and mail programs change the ends of lines.
    text = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    blocks = list(_BLOCK.finditer(text))
    if not blocks:
        raise CertificateProblem("unreadable", "The PEM file is cut off.")
    for block in blocks:
        label, pem = block["label"], _trimmed_lines(block[0])
        if label in _CERTIFICATE_LABELS:
            pem = pem.replace(label, b"CERTIFICATE")
            try:
                contents.certificates.append(x509.load_pem_x509_certificate(pem))
            except ValueError:
                raise CertificateProblem(
                    "unreadable", "A certificate in the PEM file is damaged."
                ) from None
        elif label.endswith(b"PRIVATE KEY"):
            contents.keys.append(_read_key(pem, password))


def _trimmed_lines(pem: bytes) -> bytes:
    return b"\n".join(line.strip() for line in pem.split(b"\n")) + b"\n"


def _read_key(pem: bytes, password: str) -> PrivateKeyTypes:
    is_encrypted = b"ENCRYPTED" in pem.partition(b"\n\n")[0]
    if is_encrypted and not password:
        raise CertificateProblem(
            "password-needed", "The private key is encrypted: give its passphrase."
        )
    for secret in _spellings(password) if is_encrypted else (None,):
        with suppress(ValueError, TypeError, UnsupportedAlgorithm):
            return serialization.load_pem_private_key(pem, secret)
    if is_encrypted:
        raise CertificateProblem(
            "password-wrong",
            "The passphrase does not open the private key, or the key is damaged.",
        )
    raise CertificateProblem("unreadable", "The private key in the PEM file is damaged.")


def _read_binary(data: bytes, password: str, contents: _Contents) -> None:
    for secret in (*_spellings(password), None, b""):
        # TypeError: cryptography 50 answers so to a password that is not UTF-8.
        with suppress(ValueError, TypeError, UnsupportedAlgorithm):
            pfx = pkcs12.load_pkcs12(data, secret)
            contents.certificates += [one.certificate for one in (pfx.cert,) if one is not None]
            contents.certificates += [one.certificate for one in pfx.additional_certs]
            if pfx.key is not None:
                contents.keys.append(pfx.key)
            return
    with suppress(ValueError):
        contents.certificates.append(x509.load_der_x509_certificate(data))
        return
    for secret in (None, *_spellings(password)):
        with suppress(ValueError, TypeError, UnsupportedAlgorithm):
            contents.keys.append(serialization.load_der_private_key(data, secret))
            return
    # DER begins with a SEQUENCE; anything else is not a file of this kind at all.
    if data[:1] != b"\x30":
        raise CertificateProblem(
            "unreadable", "The file is neither PFX (PKCS #12) nor PEM. Export it again."
        )
    if password:
        raise CertificateProblem(
            "password-wrong", "The password does not open the PFX file, or the file is damaged."
        )
    raise CertificateProblem(
        "password-needed", "The PFX file needs its password, or the file is damaged."
    )


def _spellings(password: str) -> tuple[bytes, ...]:
    """The bytes that a password may mean: programs for Windows wrote Latin-1."""
    if not password:
        return ()
    return tuple(dict.fromkeys((password.encode(), password.encode("latin-1", errors="replace"))))


def _pair(contents: _Contents) -> tuple[x509.Certificate, PrivateKeyTypes]:
    """The certificate and the key that belong together. Raises CertificateProblem."""
    if not contents.certificates:
        raise CertificateProblem("no-certificate", "The file holds no certificate.")
    if all(_is_authority(one) for one in contents.certificates):
        raise CertificateProblem(
            "authority",
            "The file holds an authority's certificate only. Give the certificate that the bank "
            "issued for you.",
        )
    if not contents.keys:
        raise CertificateProblem(
            "no-key",
            "The private key is missing. Give the PFX file, or the key's file with the "
            "certificate.",
        )
    for key in contents.keys:
        public = _public_bytes(key.public_key())
        for certificate in contents.certificates:
            if not _is_authority(certificate) and _certified_key(certificate) == public:
                return certificate, key
    raise CertificateProblem(
        "other-key",
        "The private key does not belong to the certificate. Give the pair that was created "
        "together.",
    )


def _is_authority(certificate: x509.Certificate) -> bool:
    """Whether it is there to sign others.

    A certificate that signs itself, as `openssl req -x509` makes it, says so too, but has no key
    usage: some banks accept it from a client.
    """
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return constraints.value.ca and usage.value.key_cert_sign


def _certified_key(certificate: x509.Certificate) -> bytes | None:
    try:
        return _public_bytes(certificate.public_key())
    except (ValueError, UnsupportedAlgorithm):
        return None


def _public_bytes(key: object) -> bytes:
    data: bytes = key.public_bytes(  # type: ignore[attr-defined]  # every kind of key has it
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return data


def _check_dates(certificate: x509.Certificate, at: datetime) -> None:
    if certificate.not_valid_after_utc <= at:
        raise CertificateProblem(
            "expired",
            f"The certificate expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC. "
            "Get a new one from the bank.",
        )
    if certificate.not_valid_before_utc > at:
        raise CertificateProblem(
            "not-yet-valid",
            "The certificate is valid only from "
            f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC.",
        )


def _chain(
    leaf: x509.Certificate, certificates: Sequence[x509.Certificate]
) -> Iterable[x509.Certificate]:
    """The issuers of a certificate among these, each before its own issuer."""
    below, left = leaf, [one for one in certificates if one != leaf]
    for _ in range(CHAIN_MAX):
        issuer = next((one for one in left if _has_issued(one, below)), None)
        if issuer is None:
            return
        yield issuer
        left.remove(issuer)
        below = issuer


def _has_issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _try_in_tls(certificate: ClientCertificate) -> None:
    """Let TLS itself look at the pair: it refuses short keys and old signatures."""
    try:
        load_client_pem(
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            certificate.with_chain_pem,
            certificate.private_key_pem,
        )
    except (ssl.SSLError, OSError) as error:
        reason = str(getattr(error, "reason", None) or "unknown").replace("_", " ").lower()
        raise CertificateProblem(
            "unusable", f"TLS cannot use the certificate or its key: {reason}."
        ) from None

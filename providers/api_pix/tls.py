"""TLS to a bank: its certificate is always verified, and ours comes from memory.

Nothing in the environment decides whom to trust, except the variables of OpenSSL itself.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import urllib3

from providers.secrets import AccountSecrets

_OUR_CERTIFICATE = frozenset(
    {
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_NO_CERTIFICATE",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV1_ALERT_DECRYPT_ERROR",
        "TLSV1_ALERT_UNKNOWN_CA",
    }
)
"""Alerts by which a bank refuses the client's certificate, as OpenSSL names them."""


def bank_context(secrets: AccountSecrets) -> ssl.SSLContext:
    """A client's context of TLS 1.2 or newer. Raises ssl.SSLError for unusable PEM texts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificate and host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if secrets.ca_pem.strip():
        context.load_verify_locations(cadata=secrets.ca_pem)
        # Banks hand out the authority that issues, often without the root above it.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if secrets.certificate_pem.strip():
        load_client_pem(context, secrets.certificate_pem, secrets.private_key_pem)
    return context


def load_client_pem(context: ssl.SSLContext, certificate_pem: str, private_key_pem: str) -> None:
    """Load a client's certificate, with its chain, and its key. Raises ssl.SSLError."""
    text = f"{certificate_pem.strip()}\n{private_key_pem.strip()}\n"
    with _readable(text.encode()) as path:
        # A password that is needed would be asked for at the terminal.
        context.load_cert_chain(path, password=lambda: "")


@contextmanager
def _readable(data: bytes) -> Iterator[str]:
    """A path that only this process reads, and that ends with the block.

    OpenSSL reads keys from files only. Where the system can, the file is memory and has no name,
    so that a crash leaves no key behind.
    """
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
        try:
            os.write(handle, data)
            yield f"/proc/self/fd/{handle}"
        finally:
            os.close(handle)
        return
    with tempfile.TemporaryDirectory(prefix="balcao-") as folder:  # mode 0700
        path = Path(folder) / "client.pem"
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        yield str(path)


def check_address(name: str, url: str) -> None:
    """Raise ValueError, with a sentence, for an address that a bank cannot be reached at safely."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - it is checked when it is read
    except ValueError:
        raise ValueError(f"{name} is not an address: write https:// and a host.") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.fragment:
        raise ValueError(f"{name} is not an address: write https:// and a host.")
    if any(not sign.isprintable() or sign.isspace() for sign in url):
        raise ValueError(f"{name} has a space or a control character.")
    if "@" in parts.netloc:
        raise ValueError(f"{name} must not hold a user name or a password.")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError(
            f"{name} must begin with https://. Without encryption only this machine can be "
            "addressed (127.0.0.1, ::1 or localhost)."
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def names_our_certificate(error: BaseException, *, has_certificate: bool) -> bool:
    """Whether a failure of TLS is the bank's refusal of the client's certificate, or of its lack.

    urllib3 wraps the error of the standard library.
    """
    reason = _tls_error(error)
    if reason is None or isinstance(reason, ssl.SSLCertVerificationError):
        return False
    if reason.reason in _OUR_CERTIFICATE:
        return True
    # By TLS 1.2, a server ends the handshake like this if a certificate is missing.
    return not has_certificate and reason.reason == "SSLV3_ALERT_HANDSHAKE_FAILURE"


def is_about_the_banks_certificate(error: BaseException) -> bool:
    """Whether the certificate of the bank is the reason of a failure."""
    return isinstance(_tls_error(error), ssl.SSLCertVerificationError)


def _tls_error(error: BaseException) -> ssl.SSLError | None:
    cause: BaseException | None = error
    for _ in range(5):
        if isinstance(cause, ssl.SSLError):
            return cause
        if isinstance(cause, urllib3.exceptions.HTTPError):
            cause = next((one for one in cause.args if isinstance(one, BaseException)), None)
        else:
            return None
    return None

"""Check the operator's certificate for nginx; without one, create a self-signed certificate.

The one-shot `certificate` of the production file runs it, with PUBLIC_URL in the environment.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

FOLDER = Path("/certificates")
CHAIN, KEY = FOLDER / "fullchain.pem", FOLDER / "privkey.pem"
NGINX_GROUP = 101
LIFETIME = timedelta(days=90)


def main() -> int:
    """Check or create the certificate; return the exit status."""
    try:
        files_exist = [_is_readable(path) for path in (CHAIN, KEY)]
    except PermissionError as error:
        sys.stderr.write(f"{error.filename} must be readable for group {NGINX_GROUP} (nginx).\n")
        return 1
    if all(files_exist):
        sys.stdout.write(f"The certificate in {CHAIN} is used.\n")
        return 0
    if any(files_exist):
        sys.stderr.write("A certificate needs both files, fullchain.pem and privkey.pem.\n")
        return 1
    host = urlsplit(os.environ["PUBLIC_URL"]).hostname or "localhost"
    try:
        _make(host)
    except OSError as error:
        sys.stderr.write(f"There is no certificate, and none can be created: {error}.\n")
        return 1
    sys.stdout.write(
        f"There is no certificate, so a self-signed one for {host} was created. Browsers and "
        "banks will refuse it. Set CERTIFICATES to a folder with fullchain.pem and privkey.pem.\n"
    )
    return 0


def _is_readable(path: Path) -> bool:
    """Whether the file exists; raises PermissionError if nginx' group cannot read it."""
    try:
        path.open("rb").close()
    except FileNotFoundError:
        return False
    return True


def _make(host: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for path, content in ((KEY, private), (CHAIN, certificate.public_bytes(pem))):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        os.chown(path, -1, NGINX_GROUP)
        path.chmod(0o640)


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


if __name__ == "__main__":
    sys.exit(main())

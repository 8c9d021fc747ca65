"""Signed payloads: a location serves a compact JWS, so that nobody in between can change it.

Header and key set follow the Manual de Padrões para Iniciação do Pix §2.7 and RFC 7515 and 7517.
This module fetches no key set: the caller must first check the host that `jku` names.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from joserfc import jws
from joserfc.errors import DecodeError, InvalidHeaderValueError, JoseError
from joserfc.jwk import ECKey, RSAKey

ALGORITHMS = ("ES256", "PS256", "RS256")
"""Asymmetric algorithms only: `none` proves nothing, and with HS* every verifier could sign."""

CERTIFICATE_LIFETIME = timedelta(days=730)
TOKEN_CHARACTERS_MAX = 65_536

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_KEYS_MAX = 100
_CERTIFICATE_CHARACTERS_MAX = 16_384
_CLOCK_SKEW = timedelta(minutes=5)
_COMMON_NAME_MAX = 64  # X.520, ub-common-name
_RSA_BITS_MIN, _RSA_BITS_MAX = 2048, 8192

_PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class JwsError(Exception):
    """The token is not valid.

    `code` is `malformed`, `alg-not-allowed`, `key-not-found`, `certificate-mismatch`,
    `certificate-expired` or `signature-invalid`.
    """

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(f"{code}: {detail}")


@dataclass(frozen=True)
class SigningKey:
    """A private key, its certificate and the key id under which verifiers find it; PEM texts."""

    kid: str
    private_pem: str = field(repr=False)
    certificate_pem: str


def generate_key(subject_host: str, now: datetime) -> SigningKey:
    """A new P-256 key with a self-signed certificate, valid for about two years from `now`.

    `subject_host` is a host name or an IP address without a port. Raises ValueError otherwise.
    """
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject_host[:_COMMON_NAME_MAX])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + CERTIFICATE_LIFETIME)
        .add_extension(x509.SubjectAlternativeName([_general_name(subject_host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_digital_signature_only(), critical=True)
        .sign(private, hashes.SHA256())
    )
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return SigningKey(
        kid=secrets.token_urlsafe(16),
        private_pem=pem.decode(),
        certificate_pem=certificate.public_bytes(serialization.Encoding.PEM).decode(),
    )


def public_jwk(key: SigningKey) -> dict[str, Any]:
    """The public half as a JWK with its certificate: a member of a key set's `keys`."""
    certificate = x509.load_pem_x509_certificate(key.certificate_pem.encode())
    der = certificate.public_bytes(serialization.Encoding.DER)
    return {
        **_public_members(_public_key(certificate)),
        "kid": key.kid,
        "use": "sig",
        "alg": "ES256",
        **_thumbprints(certificate),
        "x5c": [base64.b64encode(der).decode()],
    }


def sign(key: SigningKey, payload: Mapping[str, Any], jku: str) -> str:
    """A compact ES256 JWS of the payload; `jku` is the URL at which readers find the key set.

    Raises ValueError when `jku` is no URL or the payload is no JSON.
    """
    private, thumbprint = _load_key(key)
    header = {
        "alg": "ES256",
        "kid": key.kid,
        "jku": jku,
        "x5t": thumbprint,
        "typ": "JOSE",
    }
    body = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return jws.serialize_compact(header, body.encode(), private, registry=_registry())
    except JoseError as error:
        raise ValueError(error.description) from None


def header_of(token: str) -> dict[str, Any]:
    """The header of a compact JWS, not verified yet.

    Raises JwsError `malformed`.
    """
    if len(token) > TOKEN_CHARACTERS_MAX:
        raise JwsError("malformed", f"The token is over {TOKEN_CHARACTERS_MAX} characters.")
    if not _COMPACT.fullmatch(token):
        raise JwsError("malformed", "The token is not three parts of base64url.")
    header = _json_object(_from_base64url(token.partition(".")[0]), "header")
    # `crit` names extensions that a verifier must support, and we support none (RFC 7515 §4.1.11);
    # `b64` changes what is signed (RFC 7797).
    if "crit" in header or "b64" in header:
        raise JwsError("malformed", "The header demands an extension that is not supported.")
    return header


def verify(token: str, jwks: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The payload of a token that a key of this set signed, with a certificate valid at `now`.

    Checks, in this order: form, algorithm, key by `kid`, thumbprint and contents of the leaf
    certificate, its dates, the signature. The certificate's issuer is not checked. Raises JwsError
    and no other error.
    """
    header = header_of(token)
    algorithm = header.get("alg")
    if algorithm not in ALGORITHMS:
        raise JwsError("alg-not-allowed", f"The algorithm must be one of {', '.join(ALGORITHMS)}.")
    jwk = _key_of(jwks, header.get("kid"))
    certificate = _leaf_certificate(jwk)
    public = _public_key(certificate)
    _check_certificate(certificate, public, header, jwk)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise JwsError("certificate-expired", "The certificate is not valid at this time.")
    return _json_object(_signed_payload(token, public), "payload")


def seal(private_pem: str, passphrase: str) -> str:
    """The private key as PEM encrypted with the passphrase (PKCS #8).

    The passphrase must be a random secret, because PKCS #8 hardly slows guessing down.
    Raises ValueError for an invalid private key and for an empty passphrase.
    """
    encryption = serialization.BestAvailableEncryption(passphrase.encode())
    return _reencrypt(private_pem, None, encryption)


def unseal(sealed_pem: str, passphrase: str) -> str:
    """The private key as plain PEM. Raises ValueError for a wrong passphrase or an invalid key."""
    return _reencrypt(sealed_pem, passphrase.encode(), serialization.NoEncryption())


def _reencrypt(
    pem: str, password: bytes | None, encryption: serialization.KeySerializationEncryption
) -> str:
    try:
        private = serialization.load_pem_private_key(pem.encode(), password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("not a private key, or sealed under another passphrase") from None
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    ).decode()


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _digital_signature_only() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _registry() -> jws.JWSRegistry:
    """joserfc's rules with our algorithms and sizes; unknown headers are ignored."""
    registry = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    registry.max_header_length = TOKEN_CHARACTERS_MAX
    registry.max_payload_length = TOKEN_CHARACTERS_MAX
    return registry


@lru_cache(maxsize=16)
def _load_key(key: SigningKey) -> tuple[ECKey, str]:
    """The parsed private key and the certificate's `x5t`; parsing costs more than signing."""
    certificate = x509.load_pem_x509_certificate(key.certificate_pem.encode())
    return ECKey.import_key(key.private_pem), _thumbprints(certificate)["x5t"]


def _thumbprints(certificate: x509.Certificate) -> dict[str, str]:
    """Both thumbprints of a certificate, named as header and JWK name them (RFC 7515 §4.1.7)."""
    return {
        # The standard defines `x5t` with SHA-1; the signature does not depend on it.
        "x5t": _to_base64url(certificate.fingerprint(hashes.SHA1())),  # noqa: S303
        "x5t#S256": _to_base64url(certificate.fingerprint(hashes.SHA256())),
    }


def _to_base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _from_base64url(segment: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except binascii.Error:
        raise JwsError("malformed", "The token is not three parts of base64url.") from None


def _json_object(data: bytes, part: str) -> dict[str, Any]:
    try:
        value = json.loads(data.decode())
        # Python accepts NaN and lone surrogates, which cannot be written out again.
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    # Deep nesting exhausts the stack; ValueError covers bad UTF-8, bad JSON and endless numerals.
    except (ValueError, RecursionError):
        raise JwsError("malformed", f"The {part} is not JSON.") from None
    if not isinstance(value, dict):
        raise JwsError("malformed", f"The {part} is not a JSON object.")
    return value


def _key_of(jwks: Mapping[str, Any], kid: object) -> Mapping[str, Any]:
    # The key set comes from the network too, so it may be any JSON.
    keys = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if isinstance(kid, str) and kid and isinstance(keys, list):
        for jwk in keys[:_KEYS_MAX]:
            if isinstance(jwk, dict) and jwk.get("kid") == kid:
                return jwk
    raise JwsError("key-not-found", "The key set has no key of this id.")


def _leaf_certificate(jwk: Mapping[str, Any]) -> x509.Certificate:
    chain = jwk.get("x5c")
    leaf = chain[0] if isinstance(chain, list) and chain else None
    if not isinstance(leaf, str) or len(leaf) > _CERTIFICATE_CHARACTERS_MAX:
        raise JwsError("certificate-mismatch", "The key comes without its certificate.")
    try:
        return x509.load_der_x509_certificate(base64.b64decode(leaf, validate=True))
    except (ValueError, x509.InvalidVersion):
        raise JwsError("certificate-mismatch", "The key's certificate is unreadable.") from None


def _check_certificate(
    certificate: x509.Certificate,
    public: _PublicKey,
    header: Mapping[str, Any],
    jwk: Mapping[str, Any],
) -> None:
    """Check that the header names the certificate, that it holds the JWK's key, and may sign."""
    thumbprints = _thumbprints(certificate)
    claimed = {name: header[name] for name in thumbprints if name in header}
    if not claimed or any(thumbprints[name] != value for name, value in claimed.items()):
        raise JwsError("certificate-mismatch", "The header names another certificate.")
    if any(jwk.get(name) != value for name, value in _public_members(public).items()):
        raise JwsError("certificate-mismatch", "The certificate belongs to another key.")
    if not _may_sign(certificate):
        raise JwsError("certificate-mismatch", "The certificate may not sign.")


def _public_key(certificate: x509.Certificate) -> _PublicKey:
    """The certificate's key. Raises JwsError where no allowed algorithm works with it."""
    try:
        public = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise JwsError("certificate-mismatch", "The certificate's key is unreadable.") from None
    if isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1):
        return public
    if isinstance(public, rsa.RSAPublicKey) and _RSA_BITS_MIN <= public.key_size <= _RSA_BITS_MAX:
        return public
    raise JwsError("certificate-mismatch", "The certificate's key is of an unsupported kind.")


def _public_members(public: _PublicKey) -> dict[str, str]:
    """`kty` and the numbers of a key, as a JWK writes them (RFC 7518 §6)."""
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        n, e = (
            _to_base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))
            for number in (numbers.n, numbers.e)
        )
        return {"kty": "RSA", "n": n, "e": e}
    point = public.public_numbers()
    # Coordinates keep their leading zeros: 32 bytes each (RFC 7518 §6.2.1.2).
    x, y = (_to_base64url(number.to_bytes(32, "big")) for number in (point.x, point.y))
    return {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def _signed_payload(token: str, public: _PublicKey) -> bytes:
    """The token's payload, after checking that this key signed it.

    The key comes from the certificate, so that no part of a hostile JWK is imported.
    """
    key = (
        RSAKey.import_key(public)
        if isinstance(public, rsa.RSAPublicKey)
        else ECKey.import_key(public)
    )
    try:
        return jws.deserialize_compact(token, key, registry=_registry()).payload
    except (DecodeError, InvalidHeaderValueError):
        raise JwsError("malformed", "The token's parts are malformed.") from None
    except (JoseError, ValueError):
        raise JwsError("signature-invalid", "The signature does not match the token.") from None


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return False
    return usage.digital_signature

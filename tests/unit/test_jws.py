"""Signed payloads: what a payer's bank accepts, and what it must refuse (RFC 7515, RFC 7517)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws as joserfc_jws
from joserfc.jwk import ECKey, RSAKey

from core.signing.jws import (
    CERTIFICATE_LIFETIME,
    TOKEN_CHARACTERS_MAX,
    JwsError,
    SigningKey,
    generate_key,
    header_of,
    public_jwk,
    seal,
    sign,
    unseal,
    verify,
)

NOW = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)
JKU = "https://pix.alice.example/qr/v2/jwks"
PAYLOAD = {"txid": "a" * 32, "status": "ATIVA", "valor": {"original": "54.90"}, "nome": "Café"}
ALICE = generate_key("pix.alice.example", NOW)
CHARLIE = generate_key("pix.charlie.example", NOW)
ALICE_JWK, CHARLIE_JWK = public_jwk(ALICE), public_jwk(CHARLIE)
KEY_SET = {"keys": [CHARLIE_JWK, ALICE_JWK]}
TOKEN = sign(ALICE, PAYLOAD, JKU)


def _segment(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _with_header(**changes: object) -> str:
    """Alice's token with another header, which makes it a forgery."""
    header = {name: value for name, value in (header_of(TOKEN) | changes).items() if value}
    return ".".join([_segment(header), *TOKEN.split(".")[1:]])


def _signed_by_alice(header: Mapping[str, Any], payload: bytes) -> str:
    """A token with any header and payload that Alice's key really signed."""
    key = ECKey.import_key(ALICE.private_pem)
    registry = joserfc_jws.JWSRegistry(algorithms=["ES256"], strict_check_header=False)
    return joserfc_jws.serialize_compact(dict(header), payload, key, registry=registry)


def _error(token: str, jwks: Any = KEY_SET, now: datetime = NOW) -> str:
    with pytest.raises(JwsError) as error:
        verify(token, jwks, now)
    assert error.value.detail.endswith(".")
    return error.value.code


# Signing


def test_a_signed_payload_is_read_back_by_every_holder_of_the_key_set() -> None:
    """So a payer's bank knows who asks for the money, and how much."""
    assert verify(TOKEN, KEY_SET, NOW) == PAYLOAD


def test_the_header_names_the_key_set_and_the_certificate() -> None:
    """The members that the Manual de Padrões para Iniciação do Pix §2.7 requires."""
    certificate = x509.load_pem_x509_certificate(ALICE.certificate_pem.encode())
    sha1 = hashlib.sha1(certificate.public_bytes(serialization.Encoding.DER)).digest()  # noqa: S324
    assert header_of(TOKEN) == {
        "alg": "ES256",
        "kid": ALICE.kid,
        "jku": JKU,
        "x5t": _segment(sha1),
        "typ": "JOSE",
    }


def test_the_jwk_holds_the_certificate_and_nothing_private() -> None:
    """Everybody can read the key set."""
    jwk = public_jwk(ALICE)
    assert set(jwk) == {"kty", "kid", "use", "alg", "crv", "x", "y", "x5t", "x5t#S256", "x5c"}
    assert (jwk["kty"], jwk["crv"], jwk["use"], jwk["kid"]) == ("EC", "P-256", "sig", ALICE.kid)
    der = base64.b64decode(jwk["x5c"][0], validate=True)
    assert jwk["x5t#S256"] == _segment(hashlib.sha256(der).digest())
    assert ECKey.import_key(jwk).public_key.public_numbers() == (
        x509.load_der_x509_certificate(der).public_key().public_numbers()  # type: ignore[union-attr]
    )


@pytest.mark.parametrize("host", ["pix.alice.example", "127.0.0.1", "a" * 60 + ".alice.example"])
def test_a_new_key_comes_with_a_certificate_for_its_host(host: str) -> None:
    """The certificate only allows signing, names its host, and lasts two years."""
    certificate = x509.load_pem_x509_certificate(generate_key(host, NOW).certificate_pem.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert [str(name.value) for name in names] == [host]
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert certificate.not_valid_after_utc == NOW + CERTIFICATE_LIFETIME
    assert certificate.not_valid_before_utc < NOW


def test_key_ids_cannot_be_guessed_and_private_keys_are_not_printed() -> None:
    """A dataclass in a log line must not reveal the key."""
    assert ALICE.kid != CHARLIE.kid
    assert len(ALICE.kid) == 22
    assert "PRIVATE" not in repr(ALICE)


def test_a_payload_that_is_no_json_and_a_jku_that_is_no_url_are_refused() -> None:
    """Our own mistakes are found when signing, not by the payer's bank."""
    with pytest.raises(ValueError, match="JSON"):
        sign(ALICE, {"valor": float("nan")}, JKU)
    with pytest.raises(ValueError, match="jku"):
        sign(ALICE, PAYLOAD, "pix.alice.example/jwks")


def test_a_sealed_key_needs_its_passphrase() -> None:
    """The private key is in the database and so in its backups."""
    sealed = seal(ALICE.private_pem, "correct horse")
    assert "ENCRYPTED" in sealed
    assert unseal(sealed, "correct horse") == ALICE.private_pem
    for pem, passphrase in [(sealed, "wrong"), (sealed, ""), ("garbage", "x"), ("\ud800", "x")]:
        with pytest.raises(ValueError, match="another passphrase"):
            unseal(pem, passphrase)
    with pytest.raises(ValueError, match="not a private key"):
        seal("garbage", "correct horse")
    with pytest.raises(ValueError, match=r"[Pp]assword"):
        seal(ALICE.private_pem, "")


# Refusals


def test_a_changed_payload_is_refused() -> None:
    """For example one centavo more, or another payee's key."""
    header, _, signature = TOKEN.split(".")
    richer = _segment(PAYLOAD | {"valor": {"original": "54.91"}})
    assert _error(f"{header}.{richer}.{signature}") == "signature-invalid"


def test_a_token_of_charlie_under_the_name_of_alice_is_refused() -> None:
    """Charlie can sign anything, but not with Alice's key."""
    forged = sign(SigningKey(ALICE.kid, CHARLIE.private_pem, ALICE.certificate_pem), PAYLOAD, JKU)
    assert _error(forged) == "signature-invalid"


@pytest.mark.parametrize("algorithm", ["none", "NONE", "HS256", "ES384", "RS512", "", ["ES256"], 5])
def test_an_algorithm_outside_the_list_is_refused(algorithm: object) -> None:
    """`none` proves nothing, and an attacker can choose the header."""
    assert _error(_with_header(alg=algorithm)) == "alg-not-allowed"


def test_a_public_key_cannot_be_used_as_a_shared_secret() -> None:
    """A known attack: HS256 with the public key, which everybody has, as the secret."""
    signed = f"{_segment(header_of(TOKEN) | {'alg': 'HS256'})}.{_segment(PAYLOAD)}"
    secret = ALICE_JWK["x5c"][0].encode()
    mac = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    assert _error(f"{signed}.{_segment(mac)}") == "alg-not-allowed"


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_an_algorithm_of_another_key_type_is_refused(algorithm: str) -> None:
    """The key, not the header, decides which algorithm is possible."""
    assert _error(_with_header(alg=algorithm)) == "signature-invalid"


@pytest.mark.parametrize("kid", [None, "unknown", 5, ["a"], {"a": 1}])
def test_a_key_that_is_not_in_the_set_is_not_found(kid: object) -> None:
    """Keys are found by their id: trying all keys would accept a retired key."""
    assert _error(_with_header(kid=kid)) == "key-not-found"


@pytest.mark.parametrize(
    "jwks", [{}, {"keys": None}, {"keys": {}}, {"keys": []}, {"keys": [None, 5, "x", []]}, [], None]
)
def test_a_key_set_of_any_shape_raises_only_jws_error(jwks: Any) -> None:
    """The key set comes from the network."""
    assert _error(TOKEN, jwks) == "key-not-found"


@pytest.mark.parametrize(
    "x5c", [None, [], "x", [5], ["%%%"], ["AAAA"], ["A" * 100_000], CHARLIE_JWK["x5c"]]
)
def test_a_key_without_its_own_certificate_is_refused(x5c: object) -> None:
    """A key alone does not say whose key it is."""
    assert _error(TOKEN, {"keys": [ALICE_JWK | {"x5c": x5c}]}) == "certificate-mismatch"


@pytest.mark.parametrize("member", ["kty", "crv", "x", "y"])
def test_a_certificate_must_be_of_the_key_beside_it(member: str) -> None:
    """Otherwise Charlie's key could come with Alice's certificate."""
    for value in (CHARLIE_JWK[member] + "A", None, 5):
        jwks = {"keys": [ALICE_JWK | {member: value}]}
        assert _error(TOKEN, jwks) == "certificate-mismatch"


@pytest.mark.parametrize(
    "x5t",
    [None, "AAAA", CHARLIE_JWK["x5t"], 5],
    ids=["absent", "short", "of another", "a number"],
)
def test_a_token_must_name_the_certificate(x5t: object) -> None:
    """So the token is bound to one certificate, even if a key has two."""
    assert _error(_with_header(x5t=x5t)) == "certificate-mismatch"


def test_the_newer_thumbprint_is_enough_and_must_not_contradict_the_older() -> None:
    """Banco Central's sandbox sends only `x5t#S256`; contradicting thumbprints prove nothing."""
    jwk = ALICE_JWK
    header = {"alg": "ES256", "kid": ALICE.kid, "x5t#S256": jwk["x5t#S256"]}
    assert verify(_signed_by_alice(header, b'{"a": 1}'), KEY_SET, NOW) == {"a": 1}
    both = _signed_by_alice(header | {"x5t": CHARLIE_JWK["x5t"]}, b'{"a": 1}')
    assert _error(both) == "certificate-mismatch"


def test_a_certificate_is_valid_between_its_dates_inclusively() -> None:
    """One second outside, the key may belong to somebody else."""
    certificate = x509.load_pem_x509_certificate(ALICE.certificate_pem.encode())
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    second = timedelta(seconds=1)
    assert verify(TOKEN, KEY_SET, first) == verify(TOKEN, KEY_SET, last) == PAYLOAD
    assert _error(TOKEN, now=first - second) == "certificate-expired"
    assert _error(TOKEN, now=last + second) == "certificate-expired"


_USAGE = x509.KeyUsage(
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
_TLS_USAGE = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=True,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
_GARBAGE_USAGE = x509.UnrecognizedExtension(x509.KeyUsage.oid, b"garbage")


def _certified(
    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    usage: x509.ExtensionType | None = _USAGE,
) -> x509.Certificate:
    """A certificate as other banks have, by default with the right key usage."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "pix.bank.example")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
    )
    if usage is not None:
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(private, hashes.SHA256())


def _foreign(
    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
    certificate: x509.Certificate,
    algorithm: str,
) -> tuple[str, dict[str, Any]]:
    """A token and a key set as another bank would create them."""
    key = (
        RSAKey(private, private)
        if isinstance(private, rsa.RSAPrivateKey)
        else ECKey(private, private)
    )
    der = certificate.public_bytes(serialization.Encoding.DER)
    header = {
        "alg": algorithm,
        "kid": "their-key",
        "x5t": _segment(certificate.fingerprint(hashes.SHA1())),  # noqa: S303
    }
    token = joserfc_jws.serialize_compact(header, b'{"a": 1}', key, algorithms=[algorithm])
    jwk = {
        **key.as_dict(private=False),
        "kid": "their-key",
        "x5c": [base64.b64encode(der).decode()],
    }
    return token, {"keys": [jwk]}


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    """One RSA key for all tests, because generating it takes a tenth of a second."""
    return rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_rsa_signatures_of_other_banks_are_read(rsa_key: rsa.RSAPrivateKey, algorithm: str) -> None:
    """We write ES256, but most participants sign with RSA."""
    token, jwks = _foreign(rsa_key, _certified(rsa_key), algorithm)
    assert verify(token, jwks, NOW) == {"a": 1}


@pytest.mark.parametrize("usage", [_TLS_USAGE, _GARBAGE_USAGE], ids=["tls", "garbage"])
def test_a_certificate_that_may_not_sign_is_refused(usage: x509.ExtensionType) -> None:
    """A TLS key is protected differently and must not ask for money."""
    private = ec.generate_private_key(ec.SECP256R1())
    token, jwks = _foreign(private, _certified(private, usage), "ES256")
    assert _error(token, jwks) == "certificate-mismatch"


def test_a_certificate_that_names_no_usage_may_sign() -> None:
    """RFC 5280 §4.2.1.3: the extension restricts a key; without it nothing is restricted."""
    private = ec.generate_private_key(ec.SECP256R1())
    token, jwks = _foreign(private, _certified(private, None), "ES256")
    assert verify(token, jwks, NOW) == {"a": 1}


def test_a_certificate_whose_key_is_no_point_of_the_curve_is_refused() -> None:
    """Such a key makes careless readers leak or crash; this reader refuses it."""
    x = base64.urlsafe_b64decode(ALICE_JWK["x"] + "=")
    der = base64.b64decode(ALICE_JWK["x5c"][0])
    assert der.count(x) == 1
    broken = base64.b64encode(der.replace(x, b"\xff" * 32)).decode()
    assert _error(TOKEN, {"keys": [ALICE_JWK | {"x5c": [broken]}]}) == "certificate-mismatch"


def test_a_weak_key_and_a_curve_of_no_allowed_algorithm_are_refused() -> None:
    """A signature is only as strong as its key."""
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - the point
    other_curve = ec.generate_private_key(ec.SECP384R1())
    signers: list[tuple[ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, str]] = [
        (weak, "RS256"),
        (other_curve, "ES384"),
    ]
    for private, algorithm in signers:
        token, jwks = _foreign(private, _certified(private), algorithm)
        forged = ".".join([_segment(header_of(token) | {"alg": "ES256"}), *token.split(".")[1:]])
        assert _error(forged, jwks) == "certificate-mismatch"


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "%%.%%.%%",
        "é.é.é",
        "\ud800.a.b",
        TOKEN.replace(".", "", 1),
        TOKEN + ".x",
        " " + TOKEN,
        TOKEN + "\n",
        f"{_segment([])}.{_segment({})}.AAAA",
        f"{_segment(b'{')}.{_segment({})}.AAAA",
        f"{_segment(bytes([255, 254]))}.{_segment({})}.AAAA",
        f"{_segment(b'[' * 20_000)}.{_segment({})}.AAAA",
        f"{_segment(b'9' * 20_000)}.{_segment({})}.AAAA",
        "A" * (TOKEN_CHARACTERS_MAX + 1),
        "." * 1_000_000,
        _with_header(crit=["b64"], b64=True),
        _with_header(b64=True),
        _with_header(crit=["exp"]),
        _with_header(jku=5),
        TOKEN.replace(".", ".=", 1),
    ],
    ids=range(26),
)
def test_any_other_text_is_a_malformed_token(token: str) -> None:
    """Only JwsError is raised, however large, deep or strange the text is."""
    assert _error(token) == "malformed"


@pytest.mark.parametrize(
    "payload",
    [
        *(b"[]", b"5", b"null", b"{", b"\xff", b"oi", b'{"a": NaN}', b'{"a": "\\ud800"}'),
        pytest.param(b'{"a":' * 20_000, id="deep"),
    ],
)
def test_a_signed_payload_that_is_no_object_is_malformed(payload: bytes) -> None:
    """A valid signature does not make the content valid."""
    header = {name: header_of(TOKEN)[name] for name in ("alg", "kid", "x5t")}
    assert _error(_signed_by_alice(header, payload)) == "malformed"


def test_unknown_headers_are_ignored() -> None:
    """RFC 7515 §4: unknown members must not break a reader."""
    header = header_of(TOKEN) | {"iat": 5, "vendor": {"a": "b" * 600}}
    assert verify(_signed_by_alice(header, b'{"a": 1}'), KEY_SET, NOW) == {"a": 1}


@settings(deadline=None)
@given(st.data())
def test_every_change_to_a_token_is_refused(data: st.DataObject) -> None:
    """Each character is signed, or is part of the signature."""
    index = data.draw(st.integers(0, len(TOKEN) - 1))
    other = data.draw(st.characters(codec=None).filter(lambda character: character != TOKEN[index]))
    assert _error(TOKEN[:index] + other + TOKEN[index + 1 :])
    assert _error(TOKEN[:index] + TOKEN[index + 1 :])
    assert _error(TOKEN[:index] + other + TOKEN[index:])


@settings(deadline=None)
@given(st.text(st.characters(codec=None), max_size=200))
def test_any_text_is_refused_by_a_jws_error(text: str) -> None:
    """Locations are fetched from hosts that a code names, so any text may come."""
    assert _error(text)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(ALICE_JWK.keys() - {"kid"})), _json))
def test_any_key_under_the_right_id_raises_only_jws_error(members: dict[str, Any]) -> None:
    """The server of the key set controls every member of the key."""
    jwk = ALICE_JWK | members
    unchanged = all(jwk[name] == ALICE_JWK[name] for name in ("kty", "crv", "x", "y", "x5c"))
    if unchanged:
        assert verify(TOKEN, {"keys": [jwk]}, NOW) == PAYLOAD
    else:
        assert _error(TOKEN, {"keys": [jwk]}) == "certificate-mismatch"

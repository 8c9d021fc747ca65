"""Check what a person has entered for an account, in a form or at the terminal.

Every fault names its field, so that a form shows it there, and has a stable code for translations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from core.errors import InvalidRequest
from core.pix.pix_key import normalise
from core.typed import clean
from db_models import Environment
from providers.api_pix.certificate_reader import authorities_of, certificate_of
from providers.api_pix.certificates import CertificateProblem, ClientCertificate
from providers.api_pix.profiles import (
    AccountProfile,
    BankProfile,
    ProfileError,
    load_profile,
    merged_profile,
)
from providers.api_pix.tls import check_address
from providers.enrolment import NAME_CHARACTERS_MAX, BankCredentials, NewAccount
from repository.database import now

FILE_BYTES_MAX = 65_536
"""A PFX with a chain of four has about 8 KB."""
SECRET_CHARACTERS_MAX = 2048
ADDRESS_CHARACTERS_MAX = 300


@dataclass(frozen=True)
class EntryFault:
    """A field that cannot be used; `detail` is an English sentence without the value."""

    field: str
    code: str
    detail: str


class EntryRefused(ValueError):
    """One or more fields cannot be used."""

    def __init__(self, faults: list[EntryFault]) -> None:
        """The faults, in the order of the form."""
        super().__init__(" ".join(fault.detail for fault in faults))
        self.faults = faults


@dataclass(frozen=True, repr=False)
class TypedCredentials:
    """How an account proves itself, as it was entered; empty members were left out."""

    client_id: str = ""
    client_secret: str = ""
    certificate: bytes = b""
    certificate_key: bytes = b""
    certificate_password: str = ""
    authorities: bytes = b""


@dataclass(frozen=True, repr=False)
class TypedAccount:
    """An account as it was entered."""

    profile: str
    environment: str
    pix_key: str
    credentials: TypedCredentials
    name: str = ""
    base_url: str = ""
    token_url: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)
    """The values of the profile's own fields."""
    rules: Mapping[str, Any] = field(default_factory=dict)
    """Values that replace those of the profile, by the names of `BankRules`."""


class _Faults:
    """Collects at most one fault for each field."""

    def __init__(self) -> None:
        self._faults: dict[str, EntryFault] = {}

    def add(self, name: str, code: str, detail: str) -> None:
        self._faults.setdefault(name, EntryFault(name, code, detail))

    def raise_any(self) -> None:
        if self._faults:
            raise EntryRefused(list(self._faults.values()))


def check_new(entry: TypedAccount) -> NewAccount:
    """The account, checked; no bank is asked. Raises EntryRefused."""
    faults = _Faults()
    profile = _profile(entry.profile, faults)
    environment = _environment(entry.environment, faults)
    pix_key = _pix_key(entry.pix_key, faults)
    faults.raise_any()
    if profile is None or environment is None or pix_key is None:
        raise AssertionError("each None has a fault")
    overrides = _overrides(entry, profile, environment, faults)
    credentials = _credentials(entry.credentials, faults)
    _require_proof(entry.credentials, _merged(entry, environment, overrides, faults), faults)
    faults.raise_any()
    name = " ".join(clean(entry.name).split())[:NAME_CHARACTERS_MAX]
    if not name:
        name = profile.title[:NAME_CHARACTERS_MAX]
    return NewAccount(entry.profile, environment, pix_key, name, credentials, overrides)


def check_renewal(entry: TypedCredentials) -> BankCredentials:
    """New credentials of an account, checked; empty members keep the stored ones.

    Raises EntryRefused, also if nothing was entered.
    """
    faults = _Faults()
    if entry == TypedCredentials(certificate_password=entry.certificate_password):
        faults.add("client_id", "empty", "Give the credentials that are new.")
    if entry.certificate_key and not entry.certificate:
        faults.add("certificate", "required", "Give the certificate that belongs to the key.")
    credentials = _credentials(entry, faults)
    faults.raise_any()
    return credentials


def _profile(name: str, faults: _Faults) -> BankProfile | None:
    try:
        return load_profile(name)
    except ProfileError:
        faults.add("profile", "unknown", "There is no such profile: `flask provider profiles`.")
        return None


def _environment(text: str, faults: _Faults) -> Environment | None:
    if text in tuple(Environment):
        return Environment(text)
    faults.add("environment", "unknown", "The environment is test or live.")
    return None


def _pix_key(text: str, faults: _Faults) -> str | None:
    try:
        return normalise(text)
    except InvalidRequest:
        faults.add("pix_key", "wrong", "This is not a Pix key.")
        return None


def _overrides(
    entry: TypedAccount, profile: BankProfile, environment: Environment, faults: _Faults
) -> dict[str, Any]:
    """The values that replace those of the profile, checked by its schema."""
    overrides: dict[str, Any] = dict(entry.rules)
    for name, member, text in (
        ("base_url", "base", entry.base_url.strip()),
        ("token_url", "token_url", entry.token_url.strip()),
    ):
        if not text:
            continue
        try:
            check_address("The address", text)
        except ValueError as error:
            faults.add(name, "address", str(error))
        if len(text) > ADDRESS_CHARACTERS_MAX:
            faults.add(name, "address", "The address is too long.")
        overrides[member] = text
    door = profile.live if environment is Environment.LIVE else profile.test
    if door is None:
        for name, member in (("base_url", "base"), ("token_url", "token_url")):
            if member not in overrides:
                faults.add(name, "required", "This profile has no address: give the bank's.")
    extra = {name: text.strip() for name, text in entry.extra.items() if text.strip()}
    if extra:
        overrides["extra"] = extra
    return overrides


def _merged(
    entry: TypedAccount, environment: Environment, overrides: Mapping[str, Any], faults: _Faults
) -> AccountProfile | None:
    """The profile with the account's values; None if they do not fit its schema."""
    try:
        return merged_profile(entry.profile, environment, overrides)
    except ProfileError as error:
        sentence = str(error)
        fields = [one.name for one in load_profile(entry.profile).client_fields]
        # The sentence names the field, if the fault is in one of the profile's own.
        at_fault = next((name for name in fields if repr(name) in sentence), None)
        others = "rule" if entry.rules else "base_url"
        name = f"extra.{at_fault}" if at_fault else others
        faults.add(name, "wrong", sentence)
        return None


def _credentials(entry: TypedCredentials, faults: _Faults) -> BankCredentials:
    for name, text in (("client_id", entry.client_id), ("client_secret", entry.client_secret)):
        if len(text) > SECRET_CHARACTERS_MAX or not text.isprintable():
            faults.add(name, "wrong", f"The {name} is too long or has a control character.")
    certificate = _certificate(entry, faults)
    ca_pem = ""
    if entry.authorities:
        try:
            ca_pem = authorities_of(entry.authorities)
        except CertificateProblem as problem:
            faults.add("authorities", problem.code, str(problem))
    return BankCredentials(
        client_id=entry.client_id.strip(),
        client_secret=entry.client_secret.strip(),
        certificate_pem="" if certificate is None else certificate.with_chain_pem,
        private_key_pem="" if certificate is None else certificate.private_key_pem,
        ca_pem=ca_pem,
        certificate_ends_at=None if certificate is None else certificate.not_after,
    )


def _certificate(entry: TypedCredentials, faults: _Faults) -> ClientCertificate | None:
    for name, data in (
        ("certificate", entry.certificate),
        ("certificate_key", entry.certificate_key),
    ):
        if len(data) > FILE_BYTES_MAX:
            faults.add(name, "too-large", "The file is too large for a certificate.")
            return None
    if not entry.certificate:
        return None
    try:
        return certificate_of(
            entry.certificate,
            entry.certificate_password,
            entry.certificate_key or None,
            at=now(),
        )
    except CertificateProblem as problem:
        faults.add(_FIELDS.get(problem.code, "certificate"), problem.code, str(problem))
        return None


_FIELDS = {
    "password-needed": "certificate_password",
    "password-wrong": "certificate_password",
    "no-key": "certificate_key",
    "other-key": "certificate_key",
}
"""Where a form shows a problem of the certificate that is not about its own file."""


def _require_proof(
    entry: TypedCredentials, profile: AccountProfile | None, faults: _Faults
) -> None:
    """Require what the bank asks for: client id, secret, certificate."""
    if not entry.client_id.strip():
        faults.add("client_id", "required", "Give the client id.")
    if profile is None:
        return
    if profile.token_style != "form_nosecret" and not entry.client_secret.strip():  # noqa: S105 - a form
        faults.add("client_secret", "required", "Give the client secret.")
    is_local = urlsplit(profile.base).scheme == "http"  # only this machine may have such a bank
    if profile.needs_certificate and not is_local and not entry.certificate:
        faults.add("certificate", "required", "This bank asks for a client certificate.")

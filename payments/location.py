"""The signed payload that the location inside a dynamic BR Code serves: who gets how much.

Source: API Pix 2.9.0, tag CobPayload; Manual de Padrões para Iniciação do Pix, 2.7.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from config import Settings, current_parts
from core.clock import rfc3339
from core.money import plain
from core.signing import jws
from core.signing.jws import SigningKey
from db_models import ChargeKind, Payment, SigningKeyRow
from repository.database import Work, in_unit_of_work, reading

log = structlog.get_logger()

ORIGINAL, INFO, WITHDRAWAL = "original_centavos", "info", "withdrawal"
"""Members of `Payment.charge_terms`: the amount without a withdrawal, and two of API Pix's own
objects, `infoAdicionais` and `retirada`."""
PUBLISHED_AFTER_RETIREMENT = timedelta(days=1)
"""A bank may cache a key set for an hour; a day also covers slower caches."""
RELOAD_AFTER = timedelta(seconds=60)
"""How long a process may sign before it reads the keys again: another may have made a new one."""
PUBLISHED_BEFORE_USE = timedelta(minutes=2)
"""How long a new key is published before it signs, so that every process and every bank that has
just fetched the key set knows the key."""
KEY_SET_MAX_AGE = timedelta(seconds=1)
KEY_LIFETIME = jws.CERTIFICATE_LIFETIME - timedelta(hours=1)
"""How long a key signs that nobody rotates; processes that loaded it sign a little longer."""


@dataclass(frozen=True)
class _OpenKey:
    """A decrypted key. It signs until `retired_at`."""

    key: SigningKey
    created_at: datetime
    retired_at: datetime | None


class KeyRing:
    """A cache of the signing keys in the database."""

    def __init__(self, settings: Settings) -> None:
        """The database stores keys encrypted with SECRET_KEY."""
        self._secret = settings.secret_key
        self._previous_secret = settings.secret_key_previous
        self._host = settings.location_base.split("/")[0].split(":")[0]
        self._loading = threading.Lock()
        self._making = threading.Lock()
        self._loaded_at: datetime | None = None
        self._open_keys: list[_OpenKey] = []
        self._public_keys: list[dict[str, Any]] = []

    def active(self, now: datetime) -> SigningKey:
        """The key that signs now. The first call on a new database creates the first key."""
        self._load(now, RELOAD_AFTER)
        key = self._signer(now)
        if key is None:
            with self._making:  # Other threads wait here, then find the new key.
                self._load(now, None)
                if self._signer(now) is None:
                    self.rotate()
                    self._load(now, None)
            key = self._signer(now)
        if key is None:
            raise RuntimeError("No signing key could be created or decrypted.")
        return key

    def key_set(self, now: datetime) -> dict[str, Any]:
        """The JWK Set: every key that signs, will sign, or was retired within the last day.

        At most a second old, because another process may already sign with a newer key.
        """
        self.active(now)
        self._load(now, KEY_SET_MAX_AGE)
        return {"keys": self._public_keys}

    def rotate(self) -> str:
        """Create a key and return its kid.

        The key signs after two minutes, or at once if no other key can sign.
        """
        return in_unit_of_work(self._rotate)

    def _rotate(self, work: Work) -> str:
        key = jws.generate_key(self._host, work.now)
        work.signing_keys.retire_all(work.now + PUBLISHED_BEFORE_USE)
        work.signing_keys.insert(
            {
                "kid": key.kid,
                "sealed_private_pem": jws.seal(key.private_pem, self._secret),
                "certificate_pem": key.certificate_pem,
                "created_at": work.now,
            }
        )
        return key.kid

    def _signer(self, now: datetime) -> SigningKey | None:
        """The newest key that was published for two minutes; else the oldest key."""
        keys = [one for one in self._open_keys if one.retired_at is None or now < one.retired_at]
        ready_keys = [one for one in keys if now - one.created_at >= PUBLISHED_BEFORE_USE]
        if ready_keys:
            return ready_keys[-1].key
        return keys[0].key if keys else None

    def _load(self, now: datetime, max_age: timedelta | None) -> None:
        """Read the keys unless the cache is younger than `max_age`.

        None reads always: a request that waited may have a `now` before the last read.
        """
        loaded_at = self._loaded_at
        # An age below zero counts as well: someone set the clock back since.
        if max_age is not None and loaded_at is not None and abs(now - loaded_at) < max_age:
            return
        with self._loading:
            with reading() as work:
                rows = work.signing_keys.oldest_first()
            rows = [row for row in rows if _is_published(row, now)]
            # Other threads read these lists, so each list is replaced, never changed.
            self._public_keys = [_public_jwk(row) for row in reversed(rows)]
            self._open_keys = [key for row in rows if (key := self._open(row, now)) is not None]
            self._loaded_at = now

    def _open(self, row: SigningKeyRow, now: datetime) -> _OpenKey | None:
        if row.retired_at is not None and row.retired_at <= now:
            return None
        if now - row.created_at >= KEY_LIFETIME:
            return None  # Banks will refuse its certificate: `active` creates a new key.
        try:
            private_pem = self._unseal(row.sealed_private_pem)
        except ValueError:
            # SECRET_KEY has changed since the key was stored: `active` creates a new key.
            log.warning("signing_key.unreadable", kid=row.kid)
            return None
        key = SigningKey(row.kid, private_pem, row.certificate_pem)
        return _OpenKey(key, row.created_at, row.retired_at)

    def _unseal(self, sealed_pem: str) -> str:
        """Decrypt under SECRET_KEY, else under the previous one. Raises ValueError."""
        try:
            return jws.unseal(sealed_pem, self._secret)
        except ValueError:
            if self._previous_secret is None:
                raise
        return jws.unseal(sealed_pem, self._previous_secret)

    def renewed(self, sealed_pem: str) -> str | None:
        """The key encrypted under the present SECRET_KEY; None if it is already.

        Raises ValueError if it can be decrypted under neither.
        """
        try:
            jws.unseal(sealed_pem, self._secret)
        except ValueError:
            return jws.seal(self._unseal(sealed_pem), self._secret)
        return None


def _is_published(row: SigningKeyRow, now: datetime) -> bool:
    return row.retired_at is None or now - row.retired_at <= PUBLISHED_AFTER_RETIREMENT


def _public_jwk(row: SigningKeyRow) -> dict[str, Any]:
    return jws.public_jwk(
        SigningKey(kid=row.kid, private_pem="", certificate_pem=row.certificate_pem)
    )


def key_ring() -> KeyRing:
    """The current app's key ring."""
    return current_parts().key_ring


def location_text(base: str, charge_kind: str, token: str) -> str:
    """The location in a BR Code, without `https://`: the payer's bank adds it.

    `base` is host and port. Source: Manual de Padrões para Iniciação do Pix, 2.7.
    """
    folder = "cobv/" if charge_kind == ChargeKind.COBV else ""
    return f"{base}/qr/v2/{folder}{token}"


def payload(payment: Payment, now: datetime) -> dict[str, Any]:
    """The payload of a payment that can be paid (API Pix 2.9.0, CobPayload).

    `recebedor` is not in the schema. Banks take the payee's name from DICT; without DICT, this
    member is its signed source. The payer's document stays with the shop.
    """
    lifetime = payment.expires_at - payment.created_at
    return {
        **common_members(payment),
        "calendario": {
            "criacao": rfc3339(payment.created_at),
            "apresentacao": rfc3339(now),
            "expiracao": int(lifetime.total_seconds()),
        },
        "valor": _value(payment),
        "recebedor": {"nome": payment.merchant.name, "cidade": payment.merchant.city},
    }


def common_members(payment: Payment) -> dict[str, Any]:
    """The members that the payloads of both kinds of charge share.

    `idPagamento` is not in the schema: it is the id by which a bank confirms the payment, if the
    merchant chose another txid.
    """
    body: dict[str, Any] = {
        "revisao": payment.revision,
        "txid": payment.pix_txid,
        "status": "ATIVA",
        "chave": payment.merchant.pix_key,
    }
    if payment.description:
        body["solicitacaoPagador"] = payment.description
    if payment.charge_txid is not None:
        body["idPagamento"] = payment.txid
    info = (payment.charge_terms or {}).get(INFO)
    if info:
        body["infoAdicionais"] = info
    return body


def _value(payment: Payment) -> dict[str, Any]:
    terms = payment.charge_terms or {}
    original = terms.get(ORIGINAL, payment.amount_centavos)
    may_change = payment.payer_sets_amount and WITHDRAWAL not in terms
    value = {"original": plain(original), "modalidadeAlteracao": int(may_change)}
    return {**value, "retirada": terms[WITHDRAWAL]} if WITHDRAWAL in terms else value


def sign_payload(body: dict[str, Any], now: datetime, public_url: str) -> str:
    """The payload as a compact JWS whose header points at our key set."""
    key = key_ring().active(now)
    return jws.sign(key, body, jku=f"{public_url}/qr/v2/jwks")

"""What the location inside a dynamic BR Code serves: a signed statement of who gets how much.

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
from db_models import Payment, SigningKeyRow
from repository.database import Work, in_unit_of_work, reading

log = structlog.get_logger()

PUBLISHED_AFTER_RETIREMENT = timedelta(days=1)
"""A bank may keep a key set for an hour; a day leaves room for slow ones."""
RELOAD_AFTER = timedelta(seconds=60)
"""How long a process may sign without looking whether another one made a new key."""
PUBLISHED_BEFORE_USE = timedelta(minutes=2)
"""How long a new key is only shown: a bank that just fetched the key set must have seen the key
that signs, and so must every process of ours."""
KEY_SET_KEPT = timedelta(seconds=1)


@dataclass(frozen=True)
class _Usable:
    """A key this process can sign with, until it is retired."""

    key: SigningKey
    created_at: datetime
    retired_at: datetime | None


class KeyRing:
    """The process's view of the signing keys; the database has the truth."""

    def __init__(self, settings: Settings) -> None:
        """Keys are sealed under SECRET_KEY."""
        self._secret = settings.secret_key
        self._host = settings.location_base.split("/")[0].split(":")[0]
        self._loading = threading.Lock()
        self._making = threading.Lock()
        self._loaded_at: datetime | None = None
        self._usable: list[_Usable] = []
        self._public: list[dict[str, Any]] = []

    def active(self, now: datetime) -> SigningKey:
        """The key that signs now; the first process ever to ask makes it."""
        self._load(now, RELOAD_AFTER)
        key = self._signer(now)
        if key is None:
            with self._making:  # those who asked meanwhile find the first one's key
                self._load(now, None)
                if self._signer(now) is None:
                    self.rotate()
                    self._load(now, None)
            key = self._signer(now)
        if key is None:
            raise RuntimeError("no signing key could be made or read")
        return key

    def key_set(self, now: datetime) -> dict[str, Any]:
        """The JWK Set: every key that signs, will sign, or was retired within the last day.

        Never older than a second: another process may sign with a key made since.
        """
        self.active(now)
        self._load(now, KEY_SET_KEPT)
        return {"keys": self._public}

    def rotate(self) -> str:
        """Make a new key, which signs once it was shown for two minutes; gives its kid.

        Where no other key can sign it does so at once.
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
        """The newest key that was shown long enough; else the oldest, which banks saw first."""
        able = [one for one in self._usable if one.retired_at is None or now < one.retired_at]
        shown = [one for one in able if now - one.created_at >= PUBLISHED_BEFORE_USE]
        if shown:
            return shown[-1].key
        return able[0].key if able else None

    def _load(self, now: datetime, not_older_than: timedelta | None) -> None:
        """Read the keys anew, unless what is known is young enough; None takes nothing for that.

        A request that began earlier and loads later must not be told that it is young enough.
        """
        known_at = self._loaded_at
        if not_older_than is not None and known_at is not None and now - known_at < not_older_than:
            return
        with self._loading:
            with reading() as work:
                rows = work.signing_keys.oldest_first()
            published = [row for row in rows if _is_published(row, now)]
            # Put in place whole: other threads read them meanwhile.
            self._public = [_public(row) for row in reversed(published)]
            self._usable = [one for row in published if (one := self._opened(row, now)) is not None]
            self._loaded_at = now

    def _opened(self, row: SigningKeyRow, now: datetime) -> _Usable | None:
        if row.retired_at is not None and row.retired_at <= now:
            return None
        try:
            private = jws.unseal(row.sealed_private_pem, self._secret)
        except ValueError:
            # SECRET_KEY changed: that key signs no more, a new one is made.
            log.warning("signing_key.unreadable", kid=row.kid)
            return None
        key = SigningKey(row.kid, private, row.certificate_pem)
        return _Usable(key, row.created_at, row.retired_at)


def _is_published(row: SigningKeyRow, now: datetime) -> bool:
    return row.retired_at is None or now - row.retired_at <= PUBLISHED_AFTER_RETIREMENT


def _public(row: SigningKeyRow) -> dict[str, Any]:
    return jws.public_jwk(
        SigningKey(kid=row.kid, private_pem="", certificate_pem=row.certificate_pem)
    )


def key_ring() -> KeyRing:
    """The present app's key ring."""
    return current_parts().key_ring


def payload(payment: Payment, now: datetime) -> dict[str, Any]:
    """The payload of a payment that can be paid (API Pix 2.9.0, CobPayload).

    `recebedor` stands beside the schema's fields: a bank shows the payee's name from DICT, and
    where no DICT exists this is the signed source of it.
    """
    lifetime = payment.expires_at - payment.created_at
    body: dict[str, Any] = {
        "revisao": payment.sequence - 1,
        "txid": payment.txid,
        "status": "ATIVA",
        "chave": payment.merchant.pix_key,
        "calendario": {
            "criacao": rfc3339(payment.created_at),
            "apresentacao": rfc3339(now),
            "expiracao": int(lifetime.total_seconds()),
        },
        "valor": {"original": plain(payment.amount_centavos), "modalidadeAlteracao": 0},
        "recebedor": {"nome": payment.merchant.name, "cidade": payment.merchant.city},
    }
    if payment.description:
        body["solicitacaoPagador"] = payment.description
    return body


def signed_payload(payment: Payment, now: datetime, public_url: str) -> str:
    """The payload as a compact JWS whose header points at our key set."""
    key = key_ring().active(now)
    return jws.sign(key, payload(payment, now), jku=f"{public_url}/qr/v2/jwks")

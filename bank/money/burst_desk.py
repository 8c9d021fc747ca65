"""The bank's side of a burst: one funded payer whose PIN is taken once, and what it paid.

Argon2 at every payment would measure Argon2. Development only.
"""

from __future__ import annotations

from dataclasses import dataclass

from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from bank.database import Database
from bank.errors import BurstRefused, UnknownPayer
from bank.identifiers import OPENING, is_identifier, new_identifier
from bank.models import BankPayer, Transfer
from bank.money import payers
from bank.money.demo import DEMO_PIN
from bank.money.ledger import open_account
from bank.settings import BankSettings
from core.clock import Clock

BURST_PAYER = "rajada"
FUNDS_CENTAVOS_MAX = 10**12
SESSION_SECONDS = 6 * 3600
PAGE_MAX = 200

_LIMIT_CENTAVOS = 10**9


@dataclass(frozen=True)
class BurstSession:
    """What a token vouches for: the payer, and the transfer that funded it."""

    payer: str
    opened_by: str


@dataclass(frozen=True)
class BurstPage:
    """Payments of a burst, oldest first, each with what was given back of it; `after` goes on."""

    payments: list[tuple[Transfer, int]]
    after: str | None


class BurstDesk:
    """Opens bursts and lists their payments; safe to share between threads."""

    def __init__(self, settings: BankSettings, database: Database, clock: Clock) -> None:
        """Nothing is opened yet; tokens survive a restart, since the bank's key signs them."""
        self._ispb = settings.ispb
        self._database = database
        self._clock = clock
        self._tokens = URLSafeTimedSerializer(settings.secret_key, salt="burst")

    def open(self, pin: str, funds_centavos: int) -> str:
        """Fund the burst's payer once its PIN was right; gives the token to pay with.

        Raises what a wrong PIN raises.
        """
        payer = self._payer()
        payers.check_pin(self._database, payer, pin)
        now = self._clock.now()
        source = open_account(self._database, "opening", "opening", now)
        funding = Transfer(
            identifier=new_identifier(OPENING, self._ispb, now),
            kind="opening",
            debit_account_id=source,
            credit_account_id=payer.account_id,
            amount_centavos=funds_centavos,
            made_at=now,
        )
        with self._database.writing() as work:
            work.add(funding)
        return str(self._tokens.dumps([payer.handle, funding.identifier]))

    def session(self, token: str) -> BurstSession:
        """What a token vouches for. Raises BurstRefused."""
        try:
            payer, opened_by = self._tokens.loads(token, max_age=SESSION_SECONDS)
        except (BadSignature, ValueError, TypeError):
            raise BurstRefused("Abra a rajada de novo com a senha.") from None
        return BurstSession(payer, opened_by)

    def payments(self, session: BurstSession, after: str | None, limit: int) -> BurstPage:
        """What the burst paid, as the ledger and the notices have it."""
        cursor = after if after is not None and is_identifier(after) else session.opened_by
        since = select(Transfer.id).where(Transfer.identifier == cursor).scalar_subquery()
        with self._database.reading() as work:
            payer = payers.payer_by_handle(work, session.payer)
            paid = select(Transfer).where(
                Transfer.debit_account_id == payer.account_id,
                Transfer.kind == "payment",
                Transfer.id > since,
            )
            rows = work.scalars(paid.order_by(Transfer.id).limit(limit + 1)).unique().all()
            shown = list(rows[:limit])
            returns = select(Transfer.reverses_id, Transfer.amount_centavos).where(
                Transfer.reverses_id.in_([row.id for row in shown])
            )
            returned = {row.reverses_id: row.amount_centavos for row in work.execute(returns)}
        payments = [(row, returned.get(row.id, 0)) for row in shown]
        return BurstPage(payments, shown[-1].identifier if len(rows) > limit else None)

    def _payer(self) -> BankPayer:
        try:
            with self._database.reading() as work:
                return payers.payer_by_handle(work, BURST_PAYER)
        except UnknownPayer:
            self._open_payer()
        with self._database.reading() as work:
            return payers.payer_by_handle(work, BURST_PAYER)

    def _open_payer(self) -> None:
        now = self._clock.now()
        account = open_account(self._database, f"payer:{BURST_PAYER}", "payer", now)
        payer = BankPayer(
            handle=BURST_PAYER,
            name="Rajada de Teste",
            document="39053344705",
            card_number="9990012345670091",
            pin_hash=payers.hash_pin(DEMO_PIN),
            limit_centavos=_LIMIT_CENTAVOS,
            account_id=account,
        )
        try:
            with self._database.writing() as work:
                work.add(payer)
        except IntegrityError:
            return  # another burst opened it in between

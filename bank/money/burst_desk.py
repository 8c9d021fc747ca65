"""The bank's side of a burst: a funded payer, a token to pay with, and the list of payments.

The PIN is checked once for the whole burst; else a burst would measure Argon2. Development only.
"""

from __future__ import annotations

from dataclasses import dataclass

from itsdangerous import BadSignature
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from bank.database import Database
from bank.errors import BurstRefused, UnknownPayer
from bank.identifiers import is_identifier
from bank.languages import translate as _
from bank.models import BankPayer, Transfer
from bank.money import payers
from bank.money.demo import DEMO_PIN, OPENING_ACCOUNT
from bank.money.ledger import open_account, opening_transfer
from bank.settings import BankSettings
from core.clock import Clock
from core.signing.timed_texts import TimedTexts

BURST_PAYER = "rajada"
FUNDS_CENTAVOS_MAX = 10**12
SESSION_SECONDS = 6 * 3600
PAGE_MAX = 200

_LIMIT_CENTAVOS = 10**9


@dataclass(frozen=True)
class BurstSession:
    """The content of a token: the payer's handle, and the id of the transfer that funded it."""

    payer: str
    funding_id: str


@dataclass(frozen=True)
class BurstPage:
    """Payments of a burst, oldest first, with their returned centavos, and the next cursor."""

    payments: list[tuple[Transfer, int]]
    after: str | None


class BurstDesk:
    """Opens bursts and lists their payments; thread-safe."""

    def __init__(self, settings: BankSettings, database: Database, clock: Clock) -> None:
        self._ispb = settings.ispb
        self._database = database
        self._clock = clock
        self._tokens = TimedTexts(settings.secret_key, salt="burst")

    def open(self, pin: str, funds_centavos: int) -> str:
        """Check the PIN, fund the burst's payer and return the token to pay with.

        Raises what `check_pin` raises.
        """
        payer = self._burst_payer()
        payers.check_pin(self._database, payer, pin)
        now = self._clock.now()
        source = open_account(self._database, OPENING_ACCOUNT, "opening", now)
        funding = opening_transfer(source, payer.account_id, funds_centavos, self._ispb, now)
        with self._database.writing() as work:
            work.add(funding)
        return str(self._tokens.dumps([payer.handle, funding.identifier]))

    def session(self, token: str) -> BurstSession:
        """Verify a token. Raises BurstRefused."""
        try:
            payer, funding_id = self._tokens.loads(token, max_age=SESSION_SECONDS)
        except (BadSignature, ValueError, TypeError):
            raise BurstRefused(_("Abra a rajada de novo com a senha.")) from None
        return BurstSession(payer, funding_id)

    def payments(self, session: BurstSession, after: str | None, limit: int) -> BurstPage:
        """The burst's payments after the cursor, or from the first one."""
        cursor = after if after is not None and is_identifier(after) else session.funding_id
        cursor_id = select(Transfer.id).where(Transfer.identifier == cursor).scalar_subquery()
        with self._database.reading() as work:
            payer = payers.payer_by_handle(work, session.payer)
            query = select(Transfer).where(
                Transfer.debit_account_id == payer.account_id,
                Transfer.kind == "payment",
                Transfer.id > cursor_id,
            )
            rows = work.scalars(query.order_by(Transfer.id).limit(limit + 1)).unique().all()
            page = list(rows[:limit])
            returns = select(Transfer.reverses_id, Transfer.amount_centavos).where(
                Transfer.reverses_id.in_([row.id for row in page])
            )
            returned_by_id = {row.reverses_id: row.amount_centavos for row in work.execute(returns)}
        payments = [(row, returned_by_id.get(row.id, 0)) for row in page]
        return BurstPage(payments, page[-1].identifier if len(rows) > limit else None)

    def _burst_payer(self) -> BankPayer:
        try:
            with self._database.reading() as work:
                return payers.payer_by_handle(work, BURST_PAYER)
        except UnknownPayer:
            self._create_payer()
        with self._database.reading() as work:
            return payers.payer_by_handle(work, BURST_PAYER)

    def _create_payer(self) -> None:
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
            return  # another burst has created the payer in the meantime

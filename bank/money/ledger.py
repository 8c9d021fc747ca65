"""Double entry: each transfer debits one account and credits another; balances are sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from bank.database import Database
from bank.errors import InsufficientFunds
from bank.identifiers import OPENING, new_identifier
from bank.languages import translate as _
from bank.models import BankAccount, Transfer


def balance_centavos(session: Session, account_id: int) -> int:
    """The account's credits less its debits."""
    credits = select(func.coalesce(func.sum(Transfer.amount_centavos), 0)).where(
        Transfer.credit_account_id == account_id
    )
    debits = select(func.coalesce(func.sum(Transfer.amount_centavos), 0)).where(
        Transfer.debit_account_id == account_id
    )
    return int(session.scalar(credits) or 0) - int(session.scalar(debits) or 0)


def open_account(database: Database, name: str, kind: str, now: datetime) -> int:
    """Return the id of the account with this name, and open the account if there is none.

    It commits a transaction of its own, so that two payments to a new key never wait for each
    other's debit.
    """
    with database.reading() as session:
        account_id = session.scalar(select(BankAccount.id).where(BankAccount.name == name))
    if account_id is not None:
        return account_id
    try:
        with database.writing() as session:
            account = BankAccount(name=name, kind=kind, opened_at=now)
            session.add(account)
            session.flush()
            return account.id
    except IntegrityError:  # another process has opened the account in the meantime
        with database.reading() as session:
            return session.scalars(select(BankAccount.id).where(BankAccount.name == name)).one()


def lock_account(session: Session, account_id: int) -> None:
    """Lock the account, so that other debits wait until this transaction ends."""
    session.execute(select(BankAccount.id).where(BankAccount.id == account_id).with_for_update())


def debit(session: Session, transfer: Transfer) -> None:
    """Add a transfer if the debited account's balance covers it. Raises InsufficientFunds.

    The account is locked before its balance is read, so that two payments at once cannot both
    spend the same money.
    """
    lock_account(session, transfer.debit_account_id)
    balance = balance_centavos(session, transfer.debit_account_id)
    if balance < transfer.amount_centavos:
        raise InsufficientFunds(_("O saldo da conta não cobre este pagamento. Nada foi pago."))
    session.add(transfer)
    session.flush()


def opening_transfer(
    debit_account_id: int, credit_account_id: int, amount_centavos: int, ispb: str, now: datetime
) -> Transfer:
    """The transfer of an opening balance, from the account `opening` to a payer's account."""
    return Transfer(
        identifier=new_identifier(OPENING, ispb, now),
        kind="opening",
        debit_account_id=debit_account_id,
        credit_account_id=credit_account_id,
        amount_centavos=amount_centavos,
        made_at=now,
    )


def whole_milliseconds(instant: datetime) -> datetime:
    """The instant without microseconds: the wire has milliseconds, and both sides must agree."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


@dataclass(frozen=True)
class Statement:
    """A page of an account's transfers, newest first; `after` is the next page's cursor."""

    transfers: Sequence[Transfer]
    after: str | None


def statement(session: Session, account_id: int, limit: int, after: str | None) -> Statement:
    """The account's transfers older than the one that `after` identifies, newest first."""
    # A return is shown with its reason, which the payment's notice holds.
    query = select(Transfer).options(joinedload(Transfer.reverses).joinedload(Transfer.notice))
    query = query.where(
        or_(Transfer.debit_account_id == account_id, Transfer.credit_account_id == account_id)
    )
    if after is not None:
        last = select(Transfer.id).where(Transfer.identifier == after).scalar_subquery()
        query = query.where(Transfer.id < last)
    rows = session.scalars(query.order_by(Transfer.id.desc()).limit(limit + 1)).unique().all()
    return Statement(rows[:limit], rows[limit - 1].identifier if len(rows) > limit else None)

"""Double entry: every transfer debits one account and credits another; balances are sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from bank.database import Database
from bank.errors import InsufficientFunds
from bank.models import BankAccount, Transfer


def balance_centavos(session: Session, account_id: int) -> int:
    """What transfers credited to an account, less what they debited."""
    credited = select(func.coalesce(func.sum(Transfer.amount_centavos), 0)).where(
        Transfer.credit_account_id == account_id
    )
    debited = select(func.coalesce(func.sum(Transfer.amount_centavos), 0)).where(
        Transfer.debit_account_id == account_id
    )
    return int(session.scalar(credited) or 0) - int(session.scalar(debited) or 0)


def open_account(database: Database, name: str, kind: str, now: datetime) -> int:
    """The id of the account of this name, opened if there was none; opens a transaction.

    It commits by itself, so that two payments to a new key never wait for each other's debit.
    """
    with database.reading() as session:
        found = session.scalar(select(BankAccount.id).where(BankAccount.name == name))
    if found is not None:
        return found
    try:
        with database.writing() as session:
            account = BankAccount(name=name, kind=kind, opened_at=now)
            session.add(account)
            session.flush()
            return account.id
    except IntegrityError:  # another process opened it in between
        with database.reading() as session:
            return session.scalars(select(BankAccount.id).where(BankAccount.name == name)).one()


def lock_account(session: Session, account_id: int) -> None:
    """Make others who would debit this account wait until the transaction ends."""
    session.execute(select(BankAccount.id).where(BankAccount.id == account_id).with_for_update())


def debit(session: Session, transfer: Transfer) -> None:
    """Add a transfer whose debited account must cover it.

    The account's row is locked first, so that of two payments at once the second one sees what
    the first one took. Raises InsufficientFunds.
    """
    lock_account(session, transfer.debit_account_id)
    held = balance_centavos(session, transfer.debit_account_id)
    if held < transfer.amount_centavos:
        raise InsufficientFunds("O saldo da conta não cobre este pagamento. Nada foi pago.")
    session.add(transfer)
    session.flush()


@dataclass(frozen=True)
class Statement:
    """A page of an account's transfers, newest first; `after` continues it."""

    transfers: Sequence[Transfer]
    after: str | None


def statement(session: Session, account_id: int, limit: int, after: str | None) -> Statement:
    """Transfers of an account that came before the one named by `after`, newest first."""
    # What was given back is shown with its reason, which stands at the payment's notice.
    query = select(Transfer).options(joinedload(Transfer.reverses).joinedload(Transfer.notice))
    query = query.where(
        or_(Transfer.debit_account_id == account_id, Transfer.credit_account_id == account_id)
    )
    if after is not None:
        last = select(Transfer.id).where(Transfer.identifier == after).scalar_subquery()
        query = query.where(Transfer.id < last)
    rows = session.scalars(query.order_by(Transfer.id.desc()).limit(limit + 1)).unique().all()
    return Statement(rows[:limit], rows[limit - 1].identifier if len(rows) > limit else None)

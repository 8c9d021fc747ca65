"""Adding everything up: what must be true of the whole ledger, read at one instant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from bank.database import Database
from bank.models import BankAccount, BankBase, BankRefund, Notice, Transfer
from bank.text import brl

FAULTS_MAX = 100
"""Of each kind; more are counted, not listed."""


@dataclass(frozen=True)
class LedgerAudit:
    """What was counted, and a sentence for each thing that is wrong."""

    accounts: int
    transfers: int
    notices: int
    refunds: int
    sums_centavos: dict[str, int]
    faults: tuple[str, ...]

    @property
    def total_centavos(self) -> int:
        """All accounts together; zero in a ledger where nothing was lost or made up."""
        return sum(self.sums_centavos.values())


def audit(database: Database) -> LedgerAudit:
    """Check the ledger as it stands at one instant, while payments may go on."""
    with database.snapshot() as session:
        sums = _sums(session)
        faults = [fault for check in _CHECKS for fault in _bounded(check, session)]
        if sum(sums.values()):
            faults.append(f"os saldos somam {brl(sum(sums.values()))}, e não zero")
        return LedgerAudit(
            accounts=_count(session, BankAccount),
            transfers=_count(session, Transfer),
            notices=_count(session, Notice),
            refunds=_count(session, BankRefund),
            sums_centavos=_sums_by_name(session, sums),
            faults=tuple(faults),
        )


def _count(session: Session, kind: type[BankBase]) -> int:
    return session.scalar(select(func.count()).select_from(kind)) or 0


def _bounded(check: Callable[[Session], Iterator[str]], session: Session) -> Iterator[str]:
    number = 0
    for number, fault in enumerate(check(session), start=1):
        if number <= FAULTS_MAX:
            yield fault
    if number > FAULTS_MAX:
        yield f"e mais {number - FAULTS_MAX} do mesmo tipo"


def _sums(session: Session) -> Counter[int]:
    """Credits less debits of each account id that any transfer names, or that exists."""
    sums: Counter[int] = Counter(dict.fromkeys(session.scalars(select(BankAccount.id)), 0))
    for side, sign in ((Transfer.credit_account_id, 1), (Transfer.debit_account_id, -1)):
        rows = session.execute(select(side, func.sum(Transfer.amount_centavos)).group_by(side))
        for account, amount in rows:
            sums[account] += sign * int(amount)
    return sums


def _sums_by_name(session: Session, sums: Counter[int]) -> dict[str, int]:
    names = {row.id: row.name for row in session.execute(select(BankAccount.id, BankAccount.name))}
    return {names.get(account, f"conta {account}"): amount for account, amount in sums.items()}


def _unbalanced_transfers(session: Session) -> Iterator[str]:
    """Two accounts that exist and differ, and an amount."""
    known = set(session.scalars(select(BankAccount.id)))
    rows = select(
        Transfer.identifier,
        Transfer.debit_account_id,
        Transfer.credit_account_id,
        Transfer.amount_centavos,
    ).order_by(Transfer.id)
    for identifier, debit, credit, amount in session.execute(rows):
        if amount <= 0:
            yield f"{identifier}: o valor é {amount}"
        if debit == credit or not {debit, credit} <= known:
            yield f"{identifier}: debita {debit} e credita {credit}, que não são duas contas"


def _overdrawn(session: Session) -> Iterator[str]:
    """Only where balances came from may be below zero."""
    sums = _sums(session)
    rows = (
        select(BankAccount.id, BankAccount.name)
        .where(BankAccount.kind != "opening")
        .order_by(BankAccount.id)
    )
    for account, name in session.execute(rows):
        if sums[account] < 0:
            yield f"{name}: saldo negativo, {brl(sums[account])}"


def _strays(session: Session) -> Iterator[str]:
    """Each notice belongs to one payment of a charge, and each such payment has its notice."""
    rows = select(Notice.message_id, Transfer.kind).outerjoin(
        Transfer, Transfer.id == Notice.transfer_id
    )
    for message_id, kind in session.execute(rows.order_by(Notice.id)):
        if kind != "payment":
            yield f"aviso {message_id}: não é de nenhum pagamento"
    charged = (
        select(Transfer.identifier)
        .outerjoin(Notice, Notice.transfer_id == Transfer.id)
        .where(Transfer.kind == "payment", Transfer.txid.is_not(None), Notice.id.is_(None))
    )
    for identifier in session.scalars(charged.order_by(Transfer.id)):
        yield f"{identifier}: pagamento de uma cobrança, sem aviso"


def _wrong_returns(session: Session) -> Iterator[str]:
    """A refused payment went back once, less its refunds; what was not refused did not."""
    back = aliased(Transfer)
    rows = (
        select(Transfer, Notice.verdict, back)
        .outerjoin(Notice, Notice.transfer_id == Transfer.id)
        .outerjoin(back, back.reverses_id == Transfer.id)
        .where(Transfer.kind != "opening", Transfer.reverses_id.is_(None))
        .order_by(Transfer.id)
    )
    refunded = _refunded(session)
    seen: Counter[int] = Counter()
    for paid, verdict, given in session.execute(rows).unique():
        seen[paid.id] += 1
        if seen[paid.id] > 1:
            yield f"{paid.identifier}: voltou {seen[paid.id]} vezes"
        if verdict == "returned":
            back_centavos = (given.amount_centavos if given else 0) + refunded[paid.id]
            if back_centavos != paid.amount_centavos:
                yield f"{paid.identifier}: recusado, mas voltaram {brl(back_centavos)}"
        elif given is not None:
            yield f"{paid.identifier}: voltou sem ter sido recusado"
        if given is not None and not _mirrors(given, paid):
            yield f"{given.identifier}: não volta pelo caminho de {paid.identifier}"


def _wrong_refunds(session: Session) -> Iterator[str]:
    """Each refund that is done moved its amount back; together never more than was paid."""
    moved = aliased(Transfer)
    rows = (
        select(BankRefund, Transfer, moved)
        .outerjoin(Transfer, Transfer.id == BankRefund.payment_id)
        .outerjoin(moved, moved.id == BankRefund.transfer_id)
        .order_by(BankRefund.id)
    )
    for refund, paid, transfer in session.execute(rows).unique():
        if refund.status != "done":
            continue
        right = (
            paid is not None
            and transfer is not None
            and (transfer.kind, transfer.refunds_id) == ("refund", paid.id)
            and transfer.amount_centavos == refund.amount_centavos
            and _mirrors(transfer, paid)
        )
        if not right:
            yield f"devolução {refund.refund_id}: feita, mas o valor não voltou por ela"
    known = select(BankRefund.transfer_id).where(BankRefund.transfer_id.is_not(None))
    stray = select(Transfer.identifier).where(Transfer.kind == "refund", Transfer.id.not_in(known))
    for identifier in session.scalars(stray.order_by(Transfer.id)):
        yield f"{identifier}: devolução que ninguém pediu"
    for payment, amount in _refunded(session).items():
        of = session.get(Transfer, payment)
        if of is not None and amount > of.amount_centavos:
            yield f"{of.identifier}: devolveram {brl(amount)}, mais do que foi pago"


def _refunded(session: Session) -> Counter[int]:
    rows = (
        select(BankRefund.payment_id, func.sum(BankRefund.amount_centavos))
        .where(BankRefund.status != "failed")
        .group_by(BankRefund.payment_id)
    )
    return Counter({payment: int(amount) for payment, amount in session.execute(rows)})


def _mirrors(back: Transfer, paid: Transfer) -> bool:
    there = (paid.debit_account_id, paid.credit_account_id)
    return (back.credit_account_id, back.debit_account_id) == there


_CHECKS: tuple[Callable[[Session], Iterator[str]], ...] = (
    _unbalanced_transfers,
    _overdrawn,
    _strays,
    _wrong_returns,
    _wrong_refunds,
)

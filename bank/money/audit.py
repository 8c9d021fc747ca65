"""Checks the invariants of the whole ledger in one snapshot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from bank.database import Database
from bank.mandates.tables import BankCollection
from bank.models import BankAccount, BankBase, BankRefund, Notice, Transfer
from bank.text import brl

FAULTS_MAX = 100
"""How many faults of each kind are listed; further ones are only counted."""


@dataclass(frozen=True)
class LedgerAudit:
    """The numbers of rows, the balances, and a sentence for each fault."""

    accounts: int
    transfers: int
    notices: int
    refunds: int
    balances_centavos: dict[str, int]
    faults: tuple[str, ...]

    @property
    def total_centavos(self) -> int:
        """The sum of all balances, which double entry keeps at zero."""
        return sum(self.balances_centavos.values())


def audit(database: Database) -> LedgerAudit:
    """Check the ledger in one snapshot; payments may go on meanwhile."""
    with database.snapshot() as session:
        balances = _balances(session)
        faults = [fault for check in _CHECKS for fault in _limit_faults(check, session)]
        if sum(balances.values()):
            faults.append(f"os saldos somam {brl(sum(balances.values()))}, e não zero")
        return LedgerAudit(
            accounts=_count(session, BankAccount),
            transfers=_count(session, Transfer),
            notices=_count(session, Notice),
            refunds=_count(session, BankRefund),
            balances_centavos=_balances_by_name(session, balances),
            faults=tuple(faults),
        )


def _count(session: Session, table: type[BankBase]) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


def _limit_faults(check: Callable[[Session], Iterator[str]], session: Session) -> Iterator[str]:
    number = 0
    for number, fault in enumerate(check(session), start=1):
        if number <= FAULTS_MAX:
            yield fault
    if number > FAULTS_MAX:
        yield f"e mais {number - FAULTS_MAX} do mesmo tipo"


def _balances(session: Session) -> Counter[int]:
    """Credits less debits by account id, also of ids that only transfers name."""
    balances: Counter[int] = Counter(dict.fromkeys(session.scalars(select(BankAccount.id)), 0))
    for side, sign in ((Transfer.credit_account_id, 1), (Transfer.debit_account_id, -1)):
        rows = session.execute(select(side, func.sum(Transfer.amount_centavos)).group_by(side))
        for account, amount in rows:
            balances[account] += sign * int(amount)
    return balances


def _balances_by_name(session: Session, balances: Counter[int]) -> dict[str, int]:
    names = {row.id: row.name for row in session.execute(select(BankAccount.id, BankAccount.name))}
    return {names.get(account, f"conta {account}"): amount for account, amount in balances.items()}


def _unbalanced_transfers(session: Session) -> Iterator[str]:
    """Transfers whose amount is not positive, or whose accounts are not two existing ones."""
    account_ids = set(session.scalars(select(BankAccount.id)))
    rows = select(
        Transfer.identifier,
        Transfer.debit_account_id,
        Transfer.credit_account_id,
        Transfer.amount_centavos,
    ).order_by(Transfer.id)
    for identifier, debit, credit, amount in session.execute(rows):
        if amount <= 0:
            yield f"{identifier}: o valor é {amount}"
        if debit == credit or not {debit, credit} <= account_ids:
            yield f"{identifier}: debita {debit} e credita {credit}, que não são duas contas"


def _overdrawn_accounts(session: Session) -> Iterator[str]:
    """Accounts with a negative balance, which only `opening` may have."""
    balances = _balances(session)
    rows = (
        select(BankAccount.id, BankAccount.name)
        .where(BankAccount.kind != "opening")
        .order_by(BankAccount.id)
    )
    for account, name in session.execute(rows):
        if balances[account] < 0:
            yield f"{name}: saldo negativo, {brl(balances[account])}"


def _unpaired_notices(session: Session) -> Iterator[str]:
    """Notices without a payment, and payments of a charge without a notice."""
    rows = select(Notice.message_id, Transfer.kind).outerjoin(
        Transfer, Transfer.id == Notice.transfer_id
    )
    for message_id, kind in session.execute(rows.order_by(Notice.id)):
        if kind != "payment":
            yield f"aviso {message_id}: não é de nenhum pagamento"
    without_notice = (
        select(Transfer.identifier)
        .outerjoin(Notice, Notice.transfer_id == Transfer.id)
        .where(Transfer.kind == "payment", Transfer.txid.is_not(None), Notice.id.is_(None))
    )
    for identifier in session.scalars(without_notice.order_by(Transfer.id)):
        yield f"{identifier}: pagamento de uma cobrança, sem aviso"


def _wrong_returns(session: Session) -> Iterator[str]:
    """Refused payments not returned exactly once (less refunds); returns of other payments."""
    reversal = aliased(Transfer)
    rows = (
        select(Transfer, Notice.verdict, reversal)
        .outerjoin(Notice, Notice.transfer_id == Transfer.id)
        .outerjoin(reversal, reversal.reverses_id == Transfer.id)
        .where(Transfer.kind != "opening", Transfer.reverses_id.is_(None))
        .order_by(Transfer.id)
    )
    refunds = _refunded_centavos(session)
    reversal_counts: Counter[int] = Counter()
    for payment, verdict, returned_transfer in session.execute(rows).unique():
        reversal_counts[payment.id] += 1
        if reversal_counts[payment.id] > 1:
            yield f"{payment.identifier}: voltou {reversal_counts[payment.id]} vezes"
        if verdict == "returned":
            back_centavos = refunds[payment.id]
            if returned_transfer is not None:
                back_centavos += returned_transfer.amount_centavos
            if back_centavos != payment.amount_centavos:
                yield f"{payment.identifier}: recusado, mas voltaram {brl(back_centavos)}"
        elif returned_transfer is not None:
            yield f"{payment.identifier}: voltou sem ter sido recusado"
        if returned_transfer is not None and not _mirrors(returned_transfer, payment):
            yield f"{returned_transfer.identifier}: não volta pelo caminho de {payment.identifier}"


def _wrong_refunds(session: Session) -> Iterator[str]:
    """Refunds without their transfer, transfers without a refund, and refunds above the payment."""
    refund_transfer = aliased(Transfer)
    rows = (
        select(BankRefund, Transfer, refund_transfer)
        .outerjoin(Transfer, Transfer.id == BankRefund.payment_id)
        .outerjoin(refund_transfer, refund_transfer.id == BankRefund.transfer_id)
        .order_by(BankRefund.id)
    )
    for refund, payment, transfer in session.execute(rows).unique():
        if refund.status != "done":
            continue
        is_consistent = (
            payment is not None
            and transfer is not None
            and (transfer.kind, transfer.refunds_id) == ("refund", payment.id)
            and transfer.amount_centavos == refund.amount_centavos
            and _mirrors(transfer, payment)
        )
        if not is_consistent:
            yield f"devolução {refund.refund_id}: feita, mas o valor não voltou por ela"
    requested_ids = select(BankRefund.transfer_id).where(BankRefund.transfer_id.is_not(None))
    without_request = select(Transfer.identifier).where(
        Transfer.kind == "refund", Transfer.id.not_in(requested_ids)
    )
    for identifier in session.scalars(without_request.order_by(Transfer.id)):
        yield f"{identifier}: devolução que ninguém pediu"
    for payment_id, amount in _refunded_centavos(session).items():
        refunded_payment = session.get(Transfer, payment_id)
        if refunded_payment is not None and amount > refunded_payment.amount_centavos:
            yield f"{refunded_payment.identifier}: devolveram {brl(amount)}, mais do que foi pago"


def _wrong_collections(session: Session) -> Iterator[str]:
    """Charges of mandates whose status and money disagree."""
    rows = select(
        BankCollection.end_to_end_id,
        BankCollection.status,
        BankCollection.amount_centavos,
        BankCollection.transfer_id,
        Transfer.id,
        Transfer.amount_centavos,
    ).outerjoin(Transfer, Transfer.identifier == BankCollection.end_to_end_id)
    for identifier, status, amount, transfer_id, paid_id, paid in session.execute(
        rows.order_by(BankCollection.id)
    ):
        if status != "paid" and paid_id is not None:
            yield f"{identifier}: cobrança {status}, mas o dinheiro saiu"
        elif status == "paid" and (transfer_id, amount) != (paid_id, paid):
            yield f"{identifier}: cobrança paga, mas não por um pagamento de {brl(amount)}"


def _refunded_centavos(session: Session) -> Counter[int]:
    rows = (
        select(BankRefund.payment_id, func.sum(BankRefund.amount_centavos))
        .where(BankRefund.status != "failed")
        .group_by(BankRefund.payment_id)
    )
    return Counter({payment_id: int(amount) for payment_id, amount in session.execute(rows)})


def _mirrors(returned_transfer: Transfer, payment: Transfer) -> bool:
    accounts = (payment.debit_account_id, payment.credit_account_id)
    return (returned_transfer.credit_account_id, returned_transfer.debit_account_id) == accounts


_CHECKS: tuple[Callable[[Session], Iterator[str]], ...] = (
    _unbalanced_transfers,
    _overdrawn_accounts,
    _unpaired_notices,
    _wrong_returns,
    _wrong_refunds,
    _wrong_collections,
)

"""The part of an audit that compares returns of money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from core.money import plain
from db_models import Refund, RefundStatus
from payments.at_bank.findings import AuditRule, Findings
from payments.at_bank.limit_waits import patiently
from providers.port import BankMoney, BankReturn, Provider, ReturnState
from repository.provider_audits import StoredReturn

_STATES: Mapping[ReturnState, RefundStatus] = {
    ReturnState.PROCESSING: RefundStatus.PROCESSING,
    ReturnState.DONE: RefundStatus.DONE,
    ReturnState.FAILED: RefundStatus.FAILED,
}


def id_at_bank(refund: Refund) -> str:
    """The id by which the bank knows the return."""
    return refund.refund_id if refund.by_bank else refund.bank_refund_id


def check_returns(
    findings: Findings, money: BankMoney, refunds: Sequence[Refund], late: datetime
) -> None:
    """Compare the returns in a Pix with the refunds of its payment.

    A return that changed after `late` may still be on its way here.
    """
    stored = {id_at_bank(refund): refund for refund in refunds}
    for one in money.returns:
        refund = stored.get(one.id)
        is_recent = one.settled_at is not None and one.settled_at >= late
        if refund is None:
            # A return that failed at the bank moved nothing.
            if one.state is not ReturnState.FAILED and not is_recent:
                detail = f"{plain(one.amount_centavos)} BRL, {money.end_to_end_id}"
                findings.add(AuditRule.RETURN_UNKNOWN, one.id, detail)
            continue
        is_recent = is_recent or refund.requested_at >= late
        _compare(findings, one, refund, is_recent=is_recent)


def check_returns_done(findings: Findings, provider: Provider, stored: StoredReturn) -> None:
    """Look up a refund that counts as done, whose Pix may be older than the audit."""
    refund = stored.refund
    bank_return = patiently(lambda: provider.find_return(stored.end_to_end_id, id_at_bank(refund)))
    if bank_return is None:
        findings.add(AuditRule.RETURN_MISSING, id_at_bank(refund), stored.end_to_end_id)
    else:
        _compare(findings, bank_return, refund, is_recent=False)


def _compare(findings: Findings, one: BankReturn, refund: Refund, *, is_recent: bool) -> None:
    if one.amount_centavos != refund.amount_centavos:
        detail = f"{plain(one.amount_centavos)} there, {plain(refund.amount_centavos)} here"
        findings.add(AuditRule.RETURN_DIFFERS, one.id, detail)
    # The bank is asked again and again about a refund in progress, so `processing` here is early.
    if _STATES[one.state] != refund.status and not is_recent:
        findings.add(AuditRule.RETURN_DIFFERS, one.id, f"{one.state} there, {refund.status} here")

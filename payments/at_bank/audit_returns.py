"""The part of an audit that compares returns of money."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from core.money import plain
from db_models import Refund, RefundStatus
from payments.at_bank.findings import AuditRule, Findings
from payments.at_bank.limit_waits import patiently
from payments.refund_reports import foreign_ids
from providers.port import BankMoney, BankReturn, Provider, ReturnState
from repository.provider_audits import StoredReturn

_STATES: Mapping[ReturnState, RefundStatus] = {
    ReturnState.PROCESSING: RefundStatus.PROCESSING,
    ReturnState.DONE: RefundStatus.DONE,
    ReturnState.FAILED: RefundStatus.FAILED,
}


def check_returns(
    findings: Findings, money: BankMoney, refunds: Sequence[Refund], late: datetime
) -> set[int]:
    """Compare the returns in a Pix with the refunds of its payment; the row ids of those compared.

    A return that changed after `late` may still be on its way here.
    """
    compared: set[int] = set()
    for one in money.returns:
        refund = _refund_of(refunds, one)
        is_recent = one.settled_at is not None and one.settled_at >= late
        if refund is not None:
            compared.add(refund.id)
            _compare(findings, one, refund, is_recent=is_recent or refund.requested_at >= late)
        # A return that is processed or has failed has moved nothing yet.
        elif one.state is ReturnState.DONE and not is_recent:
            detail = f"{plain(one.amount_centavos)} BRL, {money.end_to_end_id}"
            findings.add(AuditRule.RETURN_UNKNOWN, one.id, detail)
    return compared


def check_returns_done(findings: Findings, provider: Provider, stored: StoredReturn) -> None:
    """Look up a refund that counts as done, whose Pix may be older than the audit."""
    refund, end_to_end_id = stored.refund, stored.end_to_end_id
    if refund.by_bank:  # only a hash of a long id is stored, so the return is found by its Pix
        money = patiently(lambda: provider.find_money(end_to_end_id))
        entries = () if money is None else money.returns
        bank_return = next(
            (one for one in entries if refund.refund_id in foreign_ids(one.id)), None
        )
    else:
        bank_return = patiently(lambda: provider.find_return(end_to_end_id, refund.bank_refund_id))
    if bank_return is None:
        findings.add(AuditRule.RETURN_MISSING, refund.refund_id, end_to_end_id)
    else:
        _compare(findings, bank_return, refund, is_recent=False)


def _refund_of(refunds: Sequence[Refund], one: BankReturn) -> Refund | None:
    """The refund that the bank means, the bank's own first: ours may have failed before."""
    ids = foreign_ids(one.id)
    # The newest first: an earlier one of the same id has failed.
    foreign = (it for it in reversed(refunds) if it.by_bank and it.refund_id in ids)
    own = (refund for refund in refunds if refund.bank_refund_id == one.id)
    return next(foreign, None) or next(own, None)


def _compare(findings: Findings, one: BankReturn, refund: Refund, *, is_recent: bool) -> None:
    if one.amount_centavos != refund.amount_centavos:
        detail = f"{plain(one.amount_centavos)} there, {plain(refund.amount_centavos)} here"
        findings.add(AuditRule.RETURN_DIFFERS, one.id, detail)
    # The bank is asked again and again about a refund in progress, so `processing` here is early.
    if _STATES[one.state] != refund.status and not is_recent:
        findings.add(AuditRule.RETURN_DIFFERS, one.id, f"{one.state} there, {refund.status} here")

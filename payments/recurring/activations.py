"""The third journey of Pix Automático: a payer accepts a recurrence by paying its charge.

Payment and acceptance are two messages of the payer's bank, in any order. The acceptance counts
when the payment is stored. Source: API Pix 2.9.0, RecAtivacao.
"""

from __future__ import annotations

from core.merchant_errors import ActivationUnpaid, ActivationWrong, RecurrenceTaken
from db_models import Payment, PaymentStatus, Receipt, Recurrence
from payments.recurring.recurrences import Acceptance
from repository.database import Work

_MASK = "*"


def check_paid(work: Work, recurrence: Recurrence, payer: Acceptance, txid: str | None) -> None:
    """Raise unless this payer has paid the recurrence's charge, and the charge has this txid.

    Raises ActivationUnpaid while the payment may still arrive: also after the deadline, because
    what was paid in time counts. Raises ActivationWrong for another charge and for a removed one,
    and RecurrenceTaken if somebody else has paid.
    """
    if txid is None or txid != recurrence.activation_txid:
        raise ActivationWrong("The recurrence does not name this charge.")
    payment, receipt = _charge_of(work, recurrence, txid)
    if payment is None or payment.status == PaymentStatus.CANCELLED:
        raise ActivationWrong("The merchant has removed the charge.")
    if payment.status != PaymentStatus.CONFIRMED:
        raise ActivationUnpaid("The payment of the charge has not arrived yet.")
    # A masked document, or none, cannot be compared: the payer's bank has signed both messages.
    document = (receipt.payer_document if receipt is not None else None) or _MASK
    if _MASK not in document and document != payer.payer_document:
        raise RecurrenceTaken("Another payer has paid the charge.")


def _charge_of(
    work: Work, recurrence: Recurrence, txid: str
) -> tuple[Payment | None, Receipt | None]:
    """The merchant's charge, and the receipt that confirmed it."""
    merchant = work.accounts.find(recurrence.merchant_id)
    if merchant is None:
        return None, None
    payment, pix = work.charges.find_with_pix(merchant, txid)
    return payment, None if pix is None else pix.receipt

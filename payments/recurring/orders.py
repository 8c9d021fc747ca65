"""Orders to the payer's bank: stored by the transaction that needs them, and sent by a job.

    add ── insert the row with the change ──▶ sent until the bank answers ──▶ row deleted, and what
                                                                             the handler changes

`order_sender` sends them; `order_handlers` knows where each kind goes and what an answer changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from db_models import OrderKind
from providers.accounts import signing_bank_of
from repository.database import Work


def add(
    work: Work, merchant_id: int, kind: OrderKind, subject: str, members: Mapping[str, Any]
) -> None:
    """Store an order in the transaction of the caller; the job sends it after the commit.

    `subject` is the id of the request, of the recurrence, or of the collection: a later order with
    the same subject waits for the earlier one. `members` is the body, as it is sent. The order
    goes to the bank of the merchant's half; nothing is stored if there is none.
    """
    bank = signing_bank_of(merchant_id)
    if bank is not None:
        work.payer_bank_orders.insert(kind, subject, members, work.now, is_test=bank.is_test)

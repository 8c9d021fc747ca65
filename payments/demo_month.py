"""A month of an invented shop, for the first look at the portal. Development only.

`plan_month` draws the sales; `play_month` runs the usual verbs for them, each at its own time.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from core.clock import rfc3339
from core.money import plain
from core.signing.signatures import VerifiedMessage
from db_models import Account, Payment, Receipt, Refund, RefundStatus, Verdict
from payments import receiving, refunds, service
from payments.refund_reports import RefundReport
from payments.schemas import Confirmation, NewPayment, NewRefund
from repository.database import Work
from repository.receipts import ReceiptFilters

DAYS = 30
LIFETIME = timedelta(minutes=30)
STATIC = "static"
FATES = {
    "paid": 76,
    "expired": 9,
    "cancelled": 4,
    "wrong-amount": 2,
    "late": 2,
    "twice": 1,
    "refunded": 2,
    "refunded-in-part": 2,
    STATIC: 8,
}
"""What becomes of a sale, with weights."""
_ACCEPTED = ReceiptFilters(verdict=Verdict.ACCEPTED)
_PAGE = 500
_ZONE = ZoneInfo("America/Sao_Paulo")
_OPENS_AT = 8
_WEIGHTS_OF_HOURS = (2, 4, 6, 8, 10, 7, 4, 4, 6, 9, 10, 5)
"""From eight to eight: most people buy before lunch and after work."""
_SALES_OF_DAYS = (16, 15, 17, 20, 28, 34, 9)
"""From Monday to Sunday."""
_QUIET_BEFORE = timedelta(minutes=50)
"""The newest sale is older than this, so that each sale has ended."""
_LETTERS = string.ascii_letters + string.digits
_GOODS = (
    ("Café da serra", 3490),
    ("Queijo meia cura", 5490),
    ("Mel silvestre", 2890),
    ("Pão de queijo, 1 kg", 3200),
    ("Cesta da feira", 8990),
    ("Doce de leite", 2450),
    ("Geleia de jabuticaba", 2190),
)
_PEOPLE = (
    *("Ana Souza", "Bruno Lima", "Carla Dias", "Diego Rocha", "Elisa Nunes", "Fábio Alves"),
    *("Gabriela Melo", "Heitor Costa", "Iara Campos", "João Pires", "Lúcia Prado", "Otávio Reis"),
)


@dataclass(frozen=True)
class Sale:
    """One sale of the month. `pause` is the time from the code to the money, or to the end."""

    number: int
    at: datetime
    fate: str
    description: str
    centavos: int
    payer: str
    pause: timedelta
    transfer_ids: tuple[str, str, str]
    """The endings of the ids of two transfers and of a refund."""


@dataclass(frozen=True)
class PaidSale:
    """Money that a merchant has accepted, as the bank must know it to refund it."""

    merchant: Account
    receipt: Receipt
    refunds: tuple[Refund, ...]


Step = tuple[datetime, int, Callable[[Work], None]]
"""When, a number that orders steps of one instant, and what."""


def plan_month(seed: int, end: datetime) -> list[Sale]:
    """The sales of the thirty days before `end`; the same seed gives the same sales."""
    rng = random.Random(f"balcao-{seed}")  # noqa: S311 - invented sales, not a secret
    last_day = end.astimezone(_ZONE).date()
    sales: list[Sale] = []
    for back in range(DAYS - 1, -1, -1):
        day = last_day - timedelta(days=back)
        hours = rng.choices(
            range(len(_WEIGHTS_OF_HOURS)), _WEIGHTS_OF_HOURS, k=_SALES_OF_DAYS[day.weekday()]
        )
        opening = datetime.combine(day, time(_OPENS_AT), _ZONE)
        starts = sorted(timedelta(hours=hour, seconds=rng.randrange(3600)) for hour in hours)
        of_the_day = [_draw(rng, len(sales) + n, opening + start) for n, start in enumerate(starts)]
        sales += [sale for sale in of_the_day if sale.at <= end - _QUIET_BEFORE]
    return sales


def _draw(rng: random.Random, number: int, at: datetime) -> Sale:
    (fate,) = rng.choices(list(FATES), list(FATES.values()))
    description, price = rng.choice(_GOODS)
    count = rng.choice((1, 1, 1, 2, 3))
    first, second, third = (rng.choices(_LETTERS, k=11) for _ in range(3))
    return Sale(
        number,
        at,
        # The first sale is paid: its order says that the month is there.
        "paid" if number == 0 else fate,
        description if count == 1 else f"{count} × {description}",
        price * count,
        rng.choice(_PEOPLE),
        timedelta(seconds=min(20 + rng.expovariate(1 / 70), 900)),
        ("".join(first), "".join(second), "".join(third)),
    )


def order_of(seed: int, number: int) -> str:
    """The order of a sale."""
    return f"{seed}-{number + 1:04}"


def paid_sales(work: Work, merchant: Account) -> list[PaidSale]:
    """All money that this merchant has accepted, with the refunds of it that are done."""
    sales: list[PaidSale] = []
    after: str | None = None
    while True:
        page = work.receipts.of_merchant(merchant.id, _ACCEPTED, after, _PAGE)
        ids = [one.receipt.payment_id for one in page.items if one.receipt.payment_id is not None]
        done_refunds = work.refunds.done_of(ids)
        for one in page.items:
            of_sale = done_refunds.get(one.receipt.payment_id or 0, [])
            sales.append(PaidSale(merchant, one.receipt, tuple(of_sale)))
        if page.next is None:
            return sales
        after = page.next


def play_month(work: Work, merchant: Account, seed: int, location_base: str) -> int:
    """Store the month before `work.now`; returns how many sales, 0 if the month is there.

    Nothing is announced: these events are history.
    """
    end = work.now
    if work.payments.live_of_order(merchant.id, order_of(seed, 0)) is not None:
        return 0
    sales = plan_month(seed, end)
    steps: list[Step] = []
    for sale in sales:
        steps += _Life(merchant, sale, order_of(seed, sale.number), location_base, end).steps()
    for at, _, do in sorted(steps, key=lambda step: step[:2]):
        work.now = at
        do(work)
    work.now = end
    work.flush_deferred()
    ids = [event.id for event in work.recorded_events]
    for first in range(0, len(ids), 500):
        work.events.mark_announced(ids[first : first + 500])
    work.recorded_events.clear()
    return len(sales)


class _Life:
    """The steps of one sale."""

    def __init__(
        self, merchant: Account, sale: Sale, order_id: str, location_base: str, end: datetime
    ) -> None:
        self._merchant = merchant
        self._sale = sale
        self._order_id = order_id
        self._location_base = location_base
        self._end = end
        self._txid = ""
        self._refund_row = 0

    def steps(self) -> Iterator[Step]:
        """Each step of this sale, all before the end of the month."""
        sale, paid_at = self._sale, self._sale.at + self._sale.pause
        if sale.fate == STATIC:
            yield self._step(paid_at, self._pay)
            return
        yield self._step(sale.at, self._create)
        if sale.fate == "cancelled":
            yield self._step(paid_at, self._cancel)
            return
        if sale.fate in ("expired", "late"):
            yield self._step(sale.at + LIFETIME + timedelta(seconds=1), self._expire)
            if sale.fate == "late":
                yield self._step(sale.at + LIFETIME + timedelta(minutes=9), self._pay)
            return
        if sale.fate == "wrong-amount":
            yield self._step(sale.at + sale.pause / 2, self._pay_too_little)
        yield self._step(paid_at, self._pay)
        if sale.fate == "twice":
            yield self._step(paid_at + timedelta(seconds=15), self._pay_again)
        if sale.fate.startswith("refunded"):
            refunded_at = min(paid_at + 40 * sale.pause, paid_at + (self._end - paid_at) / 2)
            yield self._step(refunded_at, self._request_refund)
            yield self._step(refunded_at + timedelta(seconds=2), self._settle_refund)

    def _step(self, at: datetime, do: Callable[[Work], None]) -> Step:
        return at, self._sale.number, do

    def _create(self, work: Work) -> None:
        new_payment = NewPayment.of(
            self._sale.centavos, description=self._sale.description, order_id=self._order_id
        )
        payment = service.create(
            work, self._merchant, new_payment, ttl=LIFETIME, location_base=self._location_base
        )
        self._txid = payment.txid

    def _cancel(self, work: Work) -> None:
        service.cancel(work, self._current(work), self._merchant)

    def _expire(self, work: Work) -> None:
        payment = self._current(work)
        service.expire(work, payment)
        work.reconciliations.schedule_look_ups({payment.id: None})

    def _pay(self, work: Work) -> None:
        self._report(work, self._sale.centavos, 0)

    def _pay_too_little(self, work: Work) -> None:
        self._report(work, self._sale.centavos - 100, 1)

    def _pay_again(self, work: Work) -> None:
        self._report(work, self._sale.centavos, 1)

    def _request_refund(self, work: Work) -> None:
        is_whole = self._sale.fate == "refunded"
        value = None if is_whole else plain(self._sale.centavos // 2)
        new_refund = NewRefund.model_validate({"value": value})
        refund, _ = refunds.request_refund(work, self._current(work), new_refund, self._merchant)
        self._refund_row = refund.id

    def _settle_refund(self, work: Work) -> None:
        return_id = f"D99999004{work.now:%Y%m%d%H%M}{self._sale.transfer_ids[2]}"
        report = RefundReport(RefundStatus.DONE, return_id, None, work.now)
        refunds.settle(work, self._refund_row, report)

    def _report(self, work: Work, centavos: int, number: int) -> None:
        """Take the bank's report of this money."""
        target: dict[str, Any] = {"pix_key": self._merchant.pix_key}
        if self._txid:
            target = {"bank_payment_id": self._txid}
        end_to_end_id = f"E99999004{work.now:%Y%m%d%H%M}{self._sale.transfer_ids[number]}"
        confirmation = Confirmation.model_validate(
            {
                **target,
                "value": plain(centavos),
                "end_to_end_id": end_to_end_id,
                "paid_at": rfc3339(work.now - timedelta(seconds=1)),
                "payer": {"name": self._sale.payer, "document": "***.456.789-**"},
            }
        )
        receiving.take(work, confirmation, VerifiedMessage(end_to_end_id, work.now))

    def _current(self, work: Work) -> Payment:
        """The payment as it is stored."""
        return work.payments.by_txid(self._txid)

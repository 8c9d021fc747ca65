"""The values of the payment page and the receipt, computed for the templates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from flask import request

from config import Settings
from core.outcome_link import with_outcome
from core.pix.due_amounts import AmountDue
from db_models import ChargeKind, Payment, PaymentStatus
from payments import charge_terms, due_charges
from payments.at_bank.drafts import awaits_code
from payments.charge_terms import CashWithdrawal
from payments.lifecycle import remaining_ms, sequence_at, status_at
from payments.presenter import QR_PREFIX
from payments.standing import Action, PaymentState, State
from payments.standing_words import StandingWords, not_yet, words_of
from providers.accounts import signing_bank_of
from web.page_patterns import Fact, PageView
from web.pages import brl, language_args_to, language_query
from web.pages import translate as _
from web.zones import clock, day, days_between, moment

REFRESH_SECONDS = 10
"""How often a page without JavaScript reloads."""
_DAY = 86_400
COUNTDOWN_MS_MAX = 2 * _DAY * 1000 - 999
"""From here on, rounded up to seconds, a page writes the days that are left."""
NEAR_MS, LAST_MS = 300_000, 60_000
"""A deadline is near, and a minute is the last one, below these."""
LONG_AMOUNT_CHARACTERS = 12
"""A longer amount needs smaller letters."""
DAYS = {0: Fact("today"), 1: Fact("tomorrow")}
"""The names of days of a deadline, by the midnights until then; other days have no name."""
_LATER, _NO_DAY = Fact("later"), Fact("")
_GET, _POST = Fact("get"), Fact("post")


@dataclass(frozen=True)
class PaymentView(PageView):
    """The values of a payment for its page."""

    id: str
    status_page: Fact
    words: StandingWords
    is_refused: bool
    """Whether money for the payment was refused and goes back."""
    not_yet: str
    """What the page says after *Já paguei* while no money has come."""
    sequence: int
    amount_centavos: int
    """What is to be paid today, or was paid."""
    amount_text: str
    """That amount as the page writes it; *valor livre* if the charge proposes none."""
    is_amount_long: bool
    """Whether that text needs smaller letters."""
    payer_sets_amount: bool
    withdrawal: CashWithdrawal | None
    """The split of an amount with a withdrawal of cash; None without one."""
    info: list[tuple[str, str]]
    """The merchant's lines for the payer: name and value."""
    sums: AmountDue | None
    """What that amount is made of; None if it is the original one."""
    due_date: date | None
    next_amount_ms: int | None
    """Milliseconds until the amount may change; None for never."""
    refunded_centavos: int
    refunding_centavos: int
    pix_code: str
    is_opening: bool
    """Whether a bank makes the code right now."""
    is_recurring: bool
    """Whether the payer's bank pays by itself, as the payer has authorised."""
    description: str | None
    order_id: str | None
    created_at: datetime
    expires_at: datetime
    remaining_ms: int
    is_near: bool
    is_last: bool
    """Whether less than five minutes are left, and less than one."""
    deadline_day: Fact
    """`today`, `tomorrow` or `later`, in the viewer's zone; empty if the payment is not pending."""
    paid_at: datetime | None
    end_to_end_id: str | None
    payer_name: str | None
    payment_url: str
    receipt_url: str
    qr_svg_url: str
    qr_png_url: str
    status_url: str
    check_url: str
    proof_url: str
    """The page on which the shopper sends a proof to the shop."""
    renew_url: str | None
    """None if the service would refuse to renew."""
    paid_elsewhere_url: str | None
    return_url: str | None
    """The shop's address after a confirmation, with the outcome; None while it is not paid."""
    cancel_url: str | None
    """The shop's address for a payment that cannot be paid, with the outcome."""

    @property
    def amount_brl(self) -> str:
        """The amount that was paid, as text."""
        return brl(self.amount_centavos)

    @property
    def deadline_time(self) -> str:
        """`14:35`."""
        return clock(self.expires_at)

    @property
    def deadline_date(self) -> str:
        """`24 nov.`"""
        return day(self.expires_at)

    @property
    def time_left(self) -> str:
        """As mm:ss, h:mm:ss, or days from two days on; countdown.js writes the same shapes."""
        if self.remaining_ms >= COUNTDOWN_MS_MAX:
            return _("%(days)s dias") % {"days": -(-self.remaining_ms // 1000) // _DAY}
        return countdown(self.remaining_ms)

    @property
    def created_moment(self) -> str:
        """When the payment was created, as text."""
        return moment(self.created_at)

    @property
    def paid_moment(self) -> str:
        """When the payment was paid, as text."""
        return "" if self.paid_at is None else moment(self.paid_at)


@dataclass(frozen=True)
class Tool(PageView):
    """One button of the test strip."""

    key: Fact
    label: str
    url: str
    method: Fact


@dataclass(frozen=True)
class TestStrip(PageView):
    """Says that no money is real; the tools pay the payment at the simulated bank."""

    tools: list[Tool]


WAITING = Fact("waiting")
PAGES = {
    State.PAID: Fact("confirmed"),
    State.PART_REFUNDED: Fact("confirmed"),
    State.REFUNDED: Fact("refunded"),
    State.WAITING: WAITING,
    State.EXPIRED: Fact("expired"),
    State.REFUSED: Fact("refused"),
    State.CANCELLED: Fact("cancelled"),
    State.PAID_ELSEWHERE: Fact("cancelled"),
    State.REPLACED: Fact("cancelled"),
}
"""The page that is drawn for each state; only the browser draws `checking`."""


def status_page(payment_state: PaymentState) -> Fact:
    """The page for a state; a refused amount leaves the code payable, so it still waits."""
    if payment_state.status is PaymentStatus.PENDING:
        return WAITING
    return PAGES[payment_state.state]


def can_ask_about(payment: Payment) -> bool:
    """Whether there is a bank to ask about the payment: a real one, or the simulated one."""
    if payment.provider_account_id is not None:
        return True
    return signing_bank_of(payment.merchant_id) is not None


def payment_view(
    payment_state: PaymentState,
    *,
    payer_name: str | None = None,
    paid_elsewhere: Payment | None = None,
) -> PaymentView:
    """The view of a payment; addresses are relative to the host of the request."""
    payment, now = payment_state.payment, payment_state.at
    base = f"{request.script_root}/payments/pix"
    own = f"{base}/{payment.txid}"
    lang = language_query()
    image = f"{base}/qr_code/{QR_PREFIX}{payment.txid}"
    confirmed = payment.status == PaymentStatus.CONFIRMED
    terms = due_charges.due_terms_of(payment)
    sums = due_charges.components_at(payment, now)
    change_at = due_charges.next_amount_at(payment, now)
    amount_centavos = payment.amount_centavos if sums is None else sums.final_centavos
    amount_text = charge_terms.centavos_text(payment, amount_centavos)
    left = remaining_ms(payment, now)
    return PaymentView(
        id=payment.txid,
        status_page=status_page(payment_state),
        words=words_of(payment_state),
        is_refused=payment_state.state is State.REFUSED,
        not_yet=not_yet(can_ask=can_ask_about(payment)),
        sequence=sequence_at(payment, now),
        amount_centavos=amount_centavos,
        amount_text=amount_text,
        is_amount_long=len(amount_text) > LONG_AMOUNT_CHARACTERS,
        payer_sets_amount=payment.payer_sets_amount,
        withdrawal=charge_terms.withdrawal_of(payment),
        info=charge_terms.info_lines(payment),
        sums=sums if sums and sums.final_centavos != sums.original_centavos else None,
        due_date=terms.due_date if terms else None,
        next_amount_ms=(change_at - now) // timedelta(milliseconds=1) if change_at else None,
        refunded_centavos=payment.refunded_centavos,
        refunding_centavos=payment.refunding_centavos,
        pix_code=payment.pix_code,
        is_opening=awaits_code(payment),
        is_recurring=payment.charge_kind == ChargeKind.COBR,
        description=payment.description,
        order_id=payment.order_id,
        created_at=payment.created_at,
        expires_at=payment.expires_at,
        remaining_ms=left,
        is_near=left < NEAR_MS,
        is_last=left < LAST_MS,
        deadline_day=_deadline_day(payment_state),
        paid_at=payment_state.paid_at,
        end_to_end_id=payment.end_to_end_id,
        payer_name=payer_name,
        payment_url=f"{own}{lang}",
        receipt_url=f"{own}/receipt{lang}",
        qr_svg_url=f"{image}.svg{payment.picture_query}",
        qr_png_url=f"{image}.png{payment.picture_query}",
        status_url=f"{own}/status",
        check_url=f"{own}/check{lang}",
        proof_url=f"{own}/proof{lang}",
        renew_url=f"{own}/renew{lang}" if payment_state.action is Action.RENEW else None,
        paid_elsewhere_url=f"{base}/{paid_elsewhere.txid}/receipt{lang}"
        if paid_elsewhere
        else None,
        return_url=_shop_link(payment_state, payment.return_url if confirmed else None),
        cancel_url=_shop_link(payment_state, None if confirmed else payment.cancel_url),
    )


def _deadline_day(payment_state: PaymentState) -> Fact:
    if payment_state.status is not PaymentStatus.PENDING:
        return _NO_DAY
    days = days_between(payment_state.at, payment_state.payment.expires_at)
    return DAYS.get(days, _LATER)


def _shop_link(payment_state: PaymentState, url: str | None) -> str | None:
    """The shop's address with the payment's outcome; None while the payment is pending."""
    if url is None or payment_state.status is PaymentStatus.PENDING:
        return None
    return with_outcome(url, payment_state.payment.txid, str(payment_state.status))


def countdown(remaining_ms: int) -> str:
    """The milliseconds as mm:ss or h:mm:ss, rounded up."""
    seconds = max(-(-remaining_ms // 1000), 0)
    clock_text = f"{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{seconds // 3600}:{clock_text}" if seconds >= 3600 else clock_text


def mail_subject(payment: Payment) -> str:
    """The subject of a shopper's e-mail to the shop."""
    return mail_subject_form(payment) % {"order": payment.order_id, "id": payment.txid}


def mail_subject_form(payment: Payment) -> str:
    """The same with `%(order)s` or `%(id)s` in place of the payment's own."""
    return _("Pagamento %(id)s") if payment.order_id is None else _("Pedido %(order)s")


def masked_name(name: str | None) -> str | None:
    """A payer's name for a page whose link may be passed on: first name and initials."""
    if not name or not name.split():
        return None
    first, *others = name.split()
    return " ".join([first, *(f"{other[0]}." for other in others)])


def test_strip(
    settings: Settings, payment: Payment, now: datetime, *, is_live: bool
) -> TestStrip | None:
    """The strip of a payment without real money; None if its money is real."""
    if is_live:
        return None
    return TestStrip(_tools(settings, payment, now))


def _tools(settings: Settings, payment: Payment, now: datetime) -> list[Tool]:
    """What the simulated bank can do to the payment; nothing if it cannot be paid there."""
    is_payable = status_at(payment, now) is PaymentStatus.PENDING and payment.has_location
    # Without real money a payment is of development or of a test half.
    bank = settings.bank_to_ask(is_test_half=True)
    if not is_payable or payment.provider_account_id is not None or bank is None:
        return []
    pay = bank.page_of_code(payment.br_code, **language_args_to(bank.url))

    def at_the_bank(key: str, label: str, scenario: str) -> Tool:
        return Tool(Fact(key), label, f"{pay}&scenario={scenario}", _GET)

    tools = [
        at_the_bank("pay", _("Pagar agora"), "normal"),
        at_the_bank("pay-less", _("Pagar menos"), "pay-less"),
        at_the_bank("double", _("Duplicar aviso"), "double"),
        at_the_bank("late", _("Atrasar"), "late"),
    ]
    if settings.is_development:
        own = f"{request.script_root}/payments/pix/{payment.txid}"
        tools.append(Tool(Fact("expire"), _("Expirar em 10 s"), f"{own}/expire-soon", _POST))
    return tools

"""Page, receipt and recovery say the same of the same payment at the same instant."""

from __future__ import annotations

import re
from html import unescape

import pytest

from tests.recovery.conftest import ask
from tests.support.service import BankInTest

PAGE = re.compile(r'data-page="([a-z]+)" data-sequence=')


def paid(here):
    """Money arrived and stays."""
    return here.paid()


def refunded_whole(here):
    """The shop gave everything back."""
    payment = here.paid()
    here.refund(payment)
    return payment


def refunded_in_part(here):
    """The shop gave a part back."""
    payment = here.paid()
    here.refund(payment, value=40)
    return payment


def paid_less(here):
    """A wrong amount came; the code can still be paid."""
    payment = here.create()
    here.pay(payment, scenario="pay-less")
    return payment


def paid_less_and_expired(here):
    """A wrong amount came, and then the time was over."""
    payment = paid_less(here)
    here.clock.advance(seconds=1801)
    return payment


def paid_too_late(here):
    """The bank took the money after the deadline."""
    payment = here.create(expires_in=10)
    here.pay(payment, scenario="paid-after-deadline")
    here.clock.advance(seconds=60)
    return payment


def expired(here):
    """Nobody paid."""
    payment = here.create(expires_in=10)
    here.clock.advance(seconds=11)
    return payment


def cancelled(here):
    """The shop cancelled."""
    payment = here.create()
    here.client().post(f"/payments/pix/{payment['id']}/cancel")
    return payment


def paid_elsewhere(here):
    """The order's older payment expired, and a newer one was paid."""
    payment = here.create(expires_in=10, order_id="1042")
    here.clock.advance(seconds=11)
    here.pay(here.create(order_id="1042"))
    return payment


SITUATIONS = {
    paid: ("confirmed", "Pagamento confirmado", "Pago"),
    refunded_whole: ("refunded", "Valor devolvido", "Devolvido"),
    refunded_in_part: ("confirmed", "Pagamento confirmado", "Pago · R$ 40,00 devolvidos"),
    paid_less: ("waiting", "O valor pago não confere e está voltando", "Valor a caminho de volta"),
    paid_less_and_expired: (
        "refused",
        "O valor pago não confere e está voltando",
        "Valor a caminho de volta",
    ),
    expired: ("expired", "O prazo deste código acabou", "Prazo encerrado"),
    cancelled: ("cancelled", "A loja cancelou este pagamento", "Cancelado"),
    paid_elsewhere: (
        "cancelled",
        "Este pedido já foi pago com outro código",
        "Código encerrado",
    ),
}


def page_of(here, payment, path=""):
    """A page in Portuguese, with its spaces made plain."""
    answer = here.client().get(
        f"/payments/pix/{payment['id']}{path}",
        headers={"Accept": "text/html", "Accept-Language": "pt-BR"},
    )
    assert answer.status_code == 200, path
    return unescape(answer.text).replace("\u00a0", " ")


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.__name__)
def test_page_and_recovery_say_the_same_of_a_payment(here, situation):
    """A payer who hears two things pays twice, or loses heart."""
    page_name, title, line = SITUATIONS[situation]
    payment = situation(here)

    answer = ask(here, "verify-qr", payment["pix_code"], **{"Accept-Language": "pt-BR"}).get_json()
    page = page_of(here, payment)

    assert answer["title"] == title
    assert PAGE.findall(page) == [page_name]
    assert title in page
    assert f'data-line="{line}"' in page
    body = answer["message"].removeprefix(f"{title}. ").replace("\u00a0", " ")
    if situation is not paid:
        assert body.split(" Se não pagou, ")[0] in page


@pytest.mark.parametrize("situation", [refunded_whole, refunded_in_part])
def test_a_refund_is_said_on_page_tab_and_receipt(here, situation):
    """A green tick for money that went back is a lie; the time of its arrival is the answer."""
    payment = situation(here)
    _, title, line = SITUATIONS[situation]

    page, receipt = page_of(here, payment), page_of(here, payment, "/receipt")

    tab = re.search(r"<title>(.*?) · ", page)
    assert tab
    assert tab[1] == (title if situation is refunded_whole else f"✓ {line.split(' · ')[0]}")
    assert line in receipt
    assert re.search(r"o valor voltou para a sua conta \(\d\d/\d\d/\d{4} às \d\d:\d\d\)", page)
    assert ("receipt__paid--back" in receipt) is (situation is refunded_whole)


def test_a_wrong_amount_is_said_without_a_second_request(here):
    """The poll of the open page already knows it, and the code can still be paid."""
    payment = here.create()
    before = here.client().get(f"/payments/pix/{payment['id']}/status").get_json()
    here.pay(payment, scenario="pay-less")
    after = here.client().get(f"/payments/pix/{payment['id']}/status").get_json()
    assert (before["refusal"], after["refusal"]) == (None, "amount-mismatch")
    assert after["sequence"] > before["sequence"]
    assert after["status"] == "pending"
    here.pay(payment)
    assert here.payment(payment)["status"] == "confirmed"
    assert "Pagamento confirmado" in page_of(here, payment)


def test_money_for_a_cancelled_payment_is_said_to_go_back(here, bank_of):
    """The shop cancelled while the payer was paying."""
    payment = cancelled(here)
    assert bank_of(here).confirm(payment).status_code == 409
    page = page_of(here, payment)
    assert "A loja cancelou este pagamento e o valor está voltando" in page
    assert PAGE.findall(page) == ["refused"]


@pytest.fixture
def bank_of():
    """A bank that signs notifications itself."""
    return lambda here: BankInTest(here.client(), here.clock)

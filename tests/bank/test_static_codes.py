"""Codes without a charge: anyone can write them, no bank signs them, the payee's key gets them."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

import pytest

from bank.money.audit import audit
from core.clock import rfc3339
from core.pix import br_code
from tests.bank.conftest import hidden_fields
from tests.bank.service_double import PAYEE_KEY

FREE = br_code.encode_static(PAYEE_KEY, "Barraca", "Olinda", txid="MESA7")
FIXED = br_code.encode_static(PAYEE_KEY, "Barraca", "Olinda", amount_centavos=1250)


@pytest.mark.parametrize(
    ("text", "centavos"),
    [
        ("12,50", 1250),
        ("12,5", 1250),
        ("12", 1200),
        ("R$ 1.234,56", 123_456),
        ("12.50", 1250),
        ("r$ 12", 1200),
        ("1,234.56", 123_456),
    ],
)
def test_the_payer_types_the_amount_as_brazil_writes_it(bank, text, centavos):
    """The page asks for the amount first, then for the PIN."""
    bank.log_in()
    review_page = bank.client.get("/pay", query_string={"code": FREE}).text
    review = bank.client.get("/pay", query_string={"code": FREE, "value": text}).text

    receipt = bank.client.post("/pay", data={**hidden_fields(review), "pin": "1234"})

    assert "Quanto você quer pagar?" in review_page
    assert 'name="pin"' not in review_page
    assert receipt.status_code == 303
    assert bank.balance() == 482_350 - centavos


@pytest.mark.parametrize(
    "text", ["0", "-1", "1e3", "12,345", "abc", "9" * 12, "1,2,3", "\x00", "\u0661", "54 90"]
)
def test_an_invalid_amount_is_asked_for_again(bank, text):
    """The error stands beside the field, and nothing is paid."""
    bank.log_in()

    page = bank.client.get("/pay", query_string={"code": FREE, "value": text})

    assert page.status_code == 400
    assert "Escreva o valor em reais" in page.text
    assert "Quanto você quer pagar?" in page.text


def test_a_static_payment_is_told_to_the_service_by_key_and_reference(any_bank, service):
    """The merchant hears of money for a poster too; the notice names no charge."""
    any_bank.log_in()
    code = br_code.encode_static(PAYEE_KEY, "Barraca", "Olinda", amount_centavos=1250, txid="MESA7")
    review = any_bank.client.get("/pay", query_string={"code": code}).text

    receipt = any_bank.client.post("/pay", data={**hidden_fields(review), "pin": "1234"})
    receipt = any_bank.client.get(receipt.location).text

    assert "recebeu e já sabe" in receipt
    assert any_bank.balance() == 482_350 - 1250
    (notice,) = service.notices
    body = notice.members
    assert (body["pix_key"], body["reference"], body["value"]) == (PAYEE_KEY, "MESA7", 12.5)
    assert "bank_payment_id" not in body
    assert body["payer"]["name"] == "Bia Andrade"
    assert "código sem cobrança" in any_bank.client.get("/").text
    assert audit(any_bank.branch.database).faults == ()


def test_a_code_without_a_txid_is_told_by_its_key_alone(bank, service):
    """Codes of other programs often have `***`, which refers to nothing."""
    bank.pay(FIXED)

    (notice,) = service.notices
    assert notice.members["pix_key"] == PAYEE_KEY
    assert "reference" not in notice.members


def test_money_for_a_key_of_no_merchant_comes_back(any_bank, service):
    """The service does not know the key; the payer reads why, and nothing is lost."""
    service.answers = [(404, "payment-not-found")]
    any_bank.log_in()

    receipt = any_bank.pay(FIXED).get_json()
    page = any_bank.client.get(f"/transfers/{receipt['end_to_end_id']}").text

    assert receipt["status"] == "returned"
    assert any_bank.balance() == 482_350
    assert "Nenhuma loja conhece esta cobrança ou esta chave." in page
    assert "voltou para você" in any_bank.client.get("/").text
    assert audit(any_bank.branch.database).faults == ()


def test_a_lost_notice_of_a_static_code_leaves_the_payment_in_the_list(bank, service):
    """The service finds the payment when it asks for the settled ones."""
    receipt = bank.client.post(
        "/api/pay", json={"code": FIXED, "pin": "1234", "scenario": "lost"}
    ).get_json()
    start = bank.clock.now() - timedelta(minutes=1)
    query = urlencode({"from": rfc3339(start), "to": rfc3339(start + timedelta(minutes=2))})

    (entry,) = bank.signed_get(f"/api/settled?{query}").get_json()["data"]

    assert not service.notices
    assert (entry["end_to_end_id"], entry["status"]) == (receipt["end_to_end_id"], "sent")
    assert (entry["txid"], entry["key"], entry["value"]) == (None, PAYEE_KEY, 12.5)


def test_the_name_is_confirmed_once_a_bank_signed_it_for_that_key(bank, service):
    """The code says Barraca; the bank that has the key says Loja da Alice."""
    bank.log_in()
    before = bank.client.get("/pay", query_string={"code": FREE}).text
    bank.pay(service.charge(bank.clock.now())[0])

    after = bank.client.get("/pay", query_string={"code": FREE}).text

    assert "não confirmado" in before
    assert "Barraca" in before
    assert "não confirmado" not in after
    assert "Loja da Alice" in after


def test_no_other_host_can_rename_a_key(bank, service):
    """Only the bank that first named the owner of a key may rename it."""
    offer = bank.branch.reader.read(service.charge(bank.clock.now())[0], bank.clock.now())
    directory = bank.branch.reader._directory
    directory.learn(offer.charge, "pix.evil.example", bank.clock.now())

    renamed_charge = offer.charge.__class__(**{**vars(offer.charge), "payee_name": "Charlie"})
    directory.learn(renamed_charge, "pix.evil.example", bank.clock.now())

    assert directory.find(PAYEE_KEY).name == "Loja da Alice"
    directory.learn(renamed_charge, service.host, bank.clock.now())
    assert directory.find(PAYEE_KEY).name == "Charlie"


def test_a_static_code_never_pays_a_charge(bank, service):
    """Charlie writes the txid of Alice's charge into a code for his own key."""
    _, txid = service.charge(bank.clock.now())
    own_key = "c0ffee00-e12b-12d3-a456-426655440000"
    forged_code = br_code.encode_static(
        own_key, "Charlie", "Recife", amount_centavos=5490, txid=txid[:25]
    )

    receipt = bank.pay(forged_code).get_json()

    assert receipt["status"] == "confirmed"
    assert bank.lookup(txid) == []
    assert bank.lookup(txid[:25]) == []
    (notice,) = service.notices
    assert "bank_payment_id" not in notice.members
    assert notice.members["pix_key"] == own_key


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"code": FREE}, "invalid-request"),
        ({"code": FREE, "value": "0"}, "invalid-request"),
        ({"code": FREE, "value": True}, "invalid-request"),
        ({"code": FREE, "value": [1]}, "invalid-request"),
        ({"code": FIXED, "value": 1}, "amount-changed"),
        ({"code": FREE, "value": 1, "scenario": "pay-less"}, "code-not-payable-here"),
        ({"code": FREE, "value": 1, "scenario": "paid-after-deadline"}, "code-not-payable-here"),
        ({"code": FREE, "value": 6000}, "over-limit"),
        ({"code": FREE, "value": 40, "payer": "dora"}, "insufficient-funds"),
        ({"code": FREE, "value": 40, "pin": "9999"}, "pin-refused"),
    ],
)
def test_an_impossible_static_payment_gets_its_own_code(bank, changes, code):
    """The rules are those of other payments, and nothing is paid."""
    answer = bank.client.post("/api/pay", json={"pin": "1234", **changes})

    assert answer.get_json()["code"] == code
    assert bank.balance() == 482_350


def test_one_static_payment_sent_twice_is_paid_once(bank):
    """The form carries an idempotency key here too."""
    bank.log_in()
    review = bank.client.get("/pay", query_string={"code": FIXED}).text
    form = {**hidden_fields(review), "pin": "1234"}

    answers = [bank.client.post("/pay", data=form).location for _ in range(2)]

    assert answers[0] == answers[1]
    assert bank.balance() == 482_350 - 1250

"""Charges with a due date in the payer's bank: it asks for the sums of today."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bank.errors import CodeRefused
from core.pix.business_days import brasilia_day
from core.pix.due_terms import DueTerms
from tests.bank.service_double import due_payload


def refusal(bank, code):
    """The code of the error with which the bank refuses this BR Code."""
    with pytest.raises(CodeRefused) as caught:
        bank.branch.reader.read(code, bank.clock.now())
    return caught.value.code


def test_the_bank_asks_for_the_sums_of_today(bank, service):
    """`DPP` is the day in Brasília; without it the receiver's bank assumes the due date."""
    code, txid = service.due_charge(bank.clock.now())

    offer = bank.branch.reader.read(code, bank.clock.now())

    assert service.queries[0] == f"DPP={brasilia_day(bank.clock.now())}"
    assert (offer.amount_centavos, offer.charge.txid) == (10_500, txid)
    assert offer.charge.due_sums.original_centavos == 10_000
    assert (offer.charge.due_sums.fine_centavos, offer.charge.due_sums.interest_centavos) == (
        300,
        200,
    )


def test_the_final_sum_is_taken_as_it_is(bank, service):
    """A payer's bank does not compute it again; the receiver's bank may round in another way."""
    code, _ = service.due_charge(bank.clock.now(), value={"final": "105.01"})

    assert bank.branch.reader.read(code, bank.clock.now()).amount_centavos == 10_501


def test_a_payload_may_have_the_final_sum_alone(bank, service):
    """The standard requires no other sum, and thirty days are the default."""
    payload = due_payload(bank.clock.now())
    payload["valor"] = {"final": "7.00"}
    del payload["calendario"]["validadeAposVencimento"]
    due = brasilia_day(bank.clock.now()) - timedelta(days=10)
    service.charges["f" * 32] = lambda: service.signed_payload(payload)

    charge = bank.branch.reader.read(service.code_for(f"cobv/{'f' * 32}"), bank.clock.now()).charge

    assert (charge.amount_centavos, charge.due_sums.original_centavos) == (700, 700)
    assert charge.expires_at == DueTerms(due, 30).deadline()


def test_the_charge_is_payable_until_the_end_of_its_last_day(bank, service):
    """Midnight in Brasília; both sides."""
    code, _ = service.due_charge(bank.clock.now())
    deadline = bank.branch.reader.read(code, bank.clock.now()).charge.expires_at

    assert bank.branch.reader.read(code, deadline).is_payable
    with pytest.raises(CodeRefused) as caught:
        bank.branch.reader.read(code, deadline + timedelta(milliseconds=1))
    assert caught.value.code == "charge-expired"


@pytest.mark.parametrize(
    "changes",
    [
        {"calendar": {"dataDeVencimento": "2026-02-30"}},
        {"calendar": {"dataDeVencimento": "20260801"}},
        {"calendar": {"dataDeVencimento": "1999-08-01"}},
        {"calendar": {"dataDeVencimento": "9999-12-31"}},
        {"calendar": {"dataDeVencimento": None}},
        {"calendar": {"validadeAposVencimento": -1}},
        {"calendar": {"validadeAposVencimento": 2**31}},
        {"calendar": {"criacao": None}},
        {"value": {"final": None}},
        {"value": {"final": "0.00"}},
        {"value": {"final": "140,45"}},
        {"value": {"multa": 3}},
        {"value": {"juros": "-1.00"}},
        {"valor": None},
        {"txid": None},
    ],
)
def test_a_payload_with_a_missing_or_wrong_field_is_malformed(bank, service, changes):
    """A valid signature does not make the content valid."""
    code, _ = service.due_charge(bank.clock.now(), **changes)

    assert refusal(bank, code) == "payload-malformed"


def test_an_immediate_charge_at_such_a_location_is_malformed(bank, service):
    """The path says which payload to expect."""
    code, _ = service.charge(bank.clock.now())
    token = code.partition("/qr/v2/")[2][:32]

    assert refusal(bank, service.code_for(f"cobv/{token}")) == "payload-malformed"


def test_the_payer_sees_what_the_amount_is_made_of(bank, service):
    """Due date, original amount, fine and interest, before the PIN."""
    bank.log_in()
    code, _ = service.due_charge(bank.clock.now())

    page = bank.client.get("/pay", query_string={"code": code}).get_data(as_text=True)

    due = brasilia_day(bank.clock.now()) - timedelta(days=10)
    for text in (f"{due:%d/%m/%Y}", "Valor original", "Multa", "Juros", "105,00", "23:59:59"):
        assert text in page
    assert "Desconto" not in page


def test_a_payment_tells_the_receiver_the_final_sum(bank, service):
    """The notice has the amount that left the payer's account."""
    code, txid = service.due_charge(bank.clock.now())

    answer = bank.pay(code)

    assert answer.status_code == 200
    assert service.notices[0].members["value"] == 105.0
    assert service.notices[0].members["bank_payment_id"] == txid

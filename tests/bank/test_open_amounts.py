"""Charges whose payer may change the amount, and charges with a withdrawal of cash."""

from __future__ import annotations

import pytest

from bank.errors import AmountChanged, CodeRefused
from bank.money.paying import PaymentOrder
from tests.bank.service_double import charge_payload


def offer_of(bank, service, **members):
    """What the bank shows for a charge with these members."""
    payload = charge_payload(bank.clock.now(), **members)
    return bank.branch.reader.read(
        service.serve(lambda: service.signed_payload(payload)), bank.clock.now()
    )


def withdrawal(**members):
    return {"modalidadeAgente": "AGTEC", "prestadorDoServicoDeSaque": "12345678", **members}


def test_an_open_amount_is_typed_by_the_payer(bank, service):
    offer = offer_of(bank, service, valor={"original": "0.00", "modalidadeAlteracao": 1})
    assert (offer.amount_centavos, offer.charge.payer_sets_amount) == (None, True)
    offer = offer_of(bank, service, valor={"original": "5.00", "modalidadeAlteracao": "1"})
    assert (offer.amount_centavos, offer.charge.amount_centavos) == (None, 500)


def test_a_withdrawal_is_part_of_the_amount(bank, service):
    troco = {"troco": withdrawal(valor="20.00")}
    offer = offer_of(bank, service, valor={"original": "5.00", "retirada": troco})
    assert (offer.amount_centavos, offer.charge.payer_sets_amount) == (2500, False)
    saque = {"saque": withdrawal(valor="50.00", modalidadeAlteracao=1)}
    offer = offer_of(bank, service, valor={"original": "0.00", "retirada": saque})
    assert (offer.amount_centavos, offer.charge.amount_centavos) == (None, 5000)


@pytest.mark.parametrize(
    "valor",
    [
        {"original": "0.00"},
        {"original": "0.00", "modalidadeAlteracao": 0},
        {"original": "0.00", "modalidadeAlteracao": 2},
        {"original": "1.00", "retirada": {}},
        {"original": "1.00", "retirada": {"saque": {}, "troco": {}}},
        {"original": "1.00", "retirada": {"troco": {"valor": "1"}}},
        {"original": "9999999999.99", "retirada": {"troco": {"valor": "0.01"}}},
    ],
)
def test_an_amount_that_cannot_be_is_malformed(bank, service, valor):
    with pytest.raises(CodeRefused) as refusal:
        offer_of(bank, service, valor=valor)
    assert refusal.value.code == "payload-malformed"


def test_the_service_may_have_an_id_besides_the_txid(bank, service):
    offer = offer_of(bank, service, idPagamento="f" * 32)
    assert offer.charge.payment_id == "f" * 32
    assert offer.charge.txid != offer.charge.payment_id
    for other in (None, 7, "short", {"a": 1}):
        charge = offer_of(bank, service, idPagamento=other).charge
        assert charge.payment_id == charge.txid


def test_a_proposal_that_changed_is_not_paid_unseen(bank, service):
    """A wallet's holder agreed to 10.00 and typed nothing; the merchant has revised it since."""
    value = {"original": "20.00", "modalidadeAlteracao": 1}
    payload = charge_payload(bank.clock.now(), valor=value)
    code = service.serve(lambda: service.signed_payload(payload))
    with pytest.raises(AmountChanged):
        bank.branch.teller.pay(PaymentOrder(code, "1234", agreed_centavos=1000))
    paid = bank.branch.teller.pay(PaymentOrder(code, "1234", agreed_centavos=2000))
    assert paid.transfer.amount_centavos == 2000


def test_a_charge_may_be_payable_for_decades(bank, service):
    """`expiracao` is an int32 of seconds (API Pix 2.9.0)."""
    offer = offer_of(bank, service, seconds=2**31 - 1)
    assert offer.charge.expires_at.year == 2094

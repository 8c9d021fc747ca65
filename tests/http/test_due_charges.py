"""Charges with a due date: the location computes a day's sums, and money must be that day's.

The clock stands at Friday, 20 November 2026, 12:00 in Brasília, a national holiday.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from core.pix.due_terms import (
    Abatement,
    AbatementMode,
    DatedDiscount,
    Discount,
    DiscountMode,
    Fine,
    FineMode,
    Interest,
    InterestMode,
)
from core.signing import jws
from tests.http.checks import pix_problem, problem
from tests.support.due_payments import open_due_charge

MONDAY = date(2026, 11, 23)
LATE: dict[str, Any] = {
    "fine": Fine(FineMode.REAIS, Decimal("3.00")),
    "interest": Interest(InterestMode.REAIS_PER_DAY, Decimal("1.00")),
}


GONE = (410, "CobPayloadNaoEncontrado")


def sums(client, clock, charge, **query):
    """`valor` of the payload, whose signature is checked."""
    answer = client.get(f"/qr/v2/cobv/{charge['token']}", query_string=query)
    assert answer.status_code == 200, answer.text
    keys = client.get("/qr/v2/jwks").get_json()
    return jws.verify(answer.text, keys, clock.now())["valor"]


def payment_of(client, charge):
    """The payment as JSON."""
    answer = client.get(f"/payments/pix/{charge['id']}", headers={"Accept": "application/json"})
    return answer.get_json()["payment"]


def test_the_payload_has_the_standards_fields(app, client, clock):
    """API Pix 2.9.0, CobVPayload; the code carries `/cobv/` in its location."""
    charge = open_due_charge(app, MONDAY, days_after_due=5)
    assert f"/qr/v2/cobv/{charge['token']}" in charge["code"]
    clock.advance(seconds=5)

    answer = client.get(f"/qr/v2/cobv/{charge['token']}")

    assert answer.content_type == "application/jose"
    assert answer.headers["Cache-Control"] == "no-store"
    payload = jws.verify(answer.text, client.get("/qr/v2/jwks").get_json(), clock.now())
    assert payload["txid"] == charge["id"]
    assert (payload["status"], payload["revisao"]) == ("ATIVA", 0)
    assert payload["calendario"] == {
        "criacao": "2026-11-20T15:00:00.000Z",
        "apresentacao": "2026-11-20T15:00:05.000Z",
        "dataDeVencimento": "2026-11-23",
        "validadeAposVencimento": 5,
    }
    assert payload["valor"] == {"original": "100.00", "final": "100.00"}
    assert payload["devedor"] == {"cpf": "12345678909", "nome": "Bia Lima"}
    assert payload["recebedor"]["nome"] == "Feira da Vila"


def test_the_sums_are_those_of_the_planned_day(app, client, clock):
    """Fine once, interest for each day after the due date."""
    charge = open_due_charge(app, MONDAY, **LATE)

    assert sums(client, clock, charge, DPP="2026-11-23") == {
        "original": "100.00",
        "final": "100.00",
    }
    assert sums(client, clock, charge, DPP="2026-11-25") == {
        "original": "100.00",
        "multa": "3.00",
        "juros": "2.00",
        "final": "105.00",
    }


def test_without_a_day_the_due_date_counts_and_later_today(app, client, clock):
    """So a discount for paying early shows only with `DPP`."""
    discount = Discount(DiscountMode.REAIS_PER_DAY, Decimal("1.00"))
    abatement = Abatement(AbatementMode.REAIS, Decimal("10.00"))
    charge = open_due_charge(app, MONDAY, discount=discount, abatement=abatement, **LATE)

    assert sums(client, clock, charge)["final"] == "90.00"
    assert sums(client, clock, charge, DPP="2026-11-20") == {
        "original": "100.00",
        "abatimento": "10.00",
        "desconto": "3.00",
        "final": "87.00",
    }
    clock.advance(days=4)  # Tuesday
    assert sums(client, clock, charge)["final"] == "94.00"


def test_the_payers_municipality_brings_local_holidays(app, client, clock):
    """30 November is a holiday in the Federal District."""
    charge = open_due_charge(app, date(2026, 11, 30), **LATE)

    assert sums(client, clock, charge, DPP="2026-12-01")["final"] == "104.00"
    assert sums(client, clock, charge, DPP="2026-12-01", codMun="5300108")["final"] == "100.00"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"DPP": "2026-11-19"}, ["DPP"]),
        ({"DPP": "2026-12-24"}, ["DPP"]),
        ({"DPP": "2026-02-30"}, ["DPP"]),
        ({"DPP": "20261123"}, ["DPP"]),
        ({"DPP": ""}, ["DPP"]),
        ({"DPP": "9999-12-31"}, ["DPP"]),
        ({"codMun": "3550300"}, ["codMun"]),
        ({"codMun": "0000000"}, ["codMun"]),
        ({"codMun": ""}, ["codMun"]),
        ({"codMun": "x", "DPP": "x"}, ["codMun", "DPP"]),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(app, client, query, names):
    """CobPayloadOperacaoInvalida; the last payable day, 23 December, is good."""
    charge = open_due_charge(app, MONDAY)

    assert client.get(f"/qr/v2/cobv/{charge['token']}?DPP=2026-12-23").status_code == 200
    answer = client.get(f"/qr/v2/cobv/{charge['token']}", query_string=query)

    assert pix_problem(answer) == (400, "CobPayloadOperacaoInvalida")
    assert [one["propriedade"] for one in answer.get_json()["violacoes"]] == names


def test_each_kind_of_charge_has_its_own_path(app, client, make_payment):
    """A bank must not take one payload for the other."""
    charge, payment = open_due_charge(app, MONDAY), make_payment()

    assert pix_problem(client.get(f"/qr/v2/{charge['token']}")) == (404, "CobPayloadNaoEncontrado")
    for token in (payment["watch_code"], "x", "0" * 32):
        answer = client.get(f"/qr/v2/cobv/{token}")
        assert pix_problem(answer) == (404, "CobPayloadNaoEncontrado")


def test_a_charge_is_gone_after_its_last_payable_day(app, client, clock):
    """At midnight in Brasília; in a state with a holiday, a day later."""
    charge = open_due_charge(app, MONDAY, days_after_due=7)  # until 30 November
    url = f"/qr/v2/cobv/{charge['token']}"
    clock.instant = datetime(2026, 12, 1, 2, 59, 59, 999_000, tzinfo=UTC)
    assert client.get(url).status_code == 200

    clock.advance(milliseconds=1)

    assert pix_problem(client.get(url)) == GONE
    assert client.get(f"{url}?codMun=5300108").status_code == 200
    assert client.get(f"/payments/pix/{charge['id']}/status").get_json()["status"] == "expired"
    clock.advance(days=1)
    assert pix_problem(client.get(f"{url}?codMun=5300108")) == GONE


def test_a_paid_charge_is_gone(app, client, clock, bank):
    """No second payer is asked for money."""
    charge = open_due_charge(app, MONDAY)
    assert bank.confirm(charge, value=100.0).status_code == 200

    assert pix_problem(client.get(f"/qr/v2/cobv/{charge['token']}")) == GONE


@pytest.mark.parametrize(
    ("paid_at", "value", "status"),
    [
        ("2026-11-24T02:59:59Z", 100.0, 200),  # Monday, one second before midnight
        ("2026-11-24T02:59:59Z", 104.0, 400),
        ("2026-11-24T03:00:00Z", 104.0, 200),  # Tuesday
        ("2026-11-24T03:00:00Z", 100.0, 400),
        ("2026-11-26T12:00:00Z", 106.0, 200),
        ("2026-11-26T12:00:00Z", 106.01, 400),
    ],
)
def test_the_money_must_be_that_of_the_day_of_payment(
    app, client, clock, bank, paid_at, value, status
):
    """The day of `paid_at` in Brasília, not the day on which the bank told of it."""
    charge = open_due_charge(app, MONDAY, **LATE)
    clock.advance(days=10)

    answer = bank.confirm(charge, value=value, paid_at=paid_at)

    assert answer.status_code == status, answer.text
    if status == 200:
        receipt = payment_of(client, charge)
        assert (receipt["value"], receipt["status"]) == (value, "confirmed")
    else:
        problem(answer, 400, "amount-mismatch")


def test_money_without_interest_is_right_where_banks_were_closed(app, clock, bank):
    """A notice does not say where the payer is; on 30 November banks of Brasília are closed."""
    charges = [open_due_charge(app, date(2026, 11, 30), **LATE) for _ in range(3)]
    clock.advance(days=12)
    tuesday = "2026-12-01T12:00:00Z"

    assert bank.confirm(charges[0], value=104.0, paid_at=tuesday).status_code == 200
    assert bank.confirm(charges[1], value=100.0, paid_at=tuesday).status_code == 200
    problem(bank.confirm(charges[2], value=101.0, paid_at=tuesday), 400, "amount-mismatch")


def test_money_after_the_last_payable_day_is_refused(app, clock, bank):
    """Except where a local holiday moved that day."""
    charges = [open_due_charge(app, MONDAY, days_after_due=7) for _ in range(2)]
    clock.advance(days=20)

    # In Brasília 30 November is a holiday, so there the last payable day is 1 December.
    assert bank.confirm(charges[0], value=100.0, paid_at="2026-12-01T12:00:00Z").status_code == 200
    late = bank.confirm(charges[1], value=100.0, paid_at="2026-12-02T03:00:00Z")
    problem(late, 409, "paid-too-late")


def test_the_page_shows_the_amount_of_today(app, client, clock):
    """With what it is made of; and it says how long this amount holds."""
    charge = open_due_charge(app, MONDAY, **LATE)
    page = client.get(f"/payments/pix/{charge['id']}", headers={"Accept": "text/html"}).text
    assert "Vencimento: 23 de nov. de 2026" in page
    assert "100,00" in page
    assert "Multa" not in page
    assert 'data-amount-ms="43200000"' in page  # twelve hours until midnight

    clock.advance(days=4)
    page = client.get(f"/payments/pix/{charge['id']}", headers={"Accept": "text/html"}).text

    for text in ("104,00", "Valor original", "Multa", "Juros"):
        assert text in page


def test_a_discount_is_shown_until_its_last_day(app, client, clock):
    """Sunday is not a business day, so the discount holds on Monday, too."""
    dates = (DatedDiscount(date(2026, 11, 22), Decimal("10.00")),)
    discount = Discount(DiscountMode.REAIS_UNTIL_DATE, dates=dates)
    charge = open_due_charge(app, date(2026, 11, 25), discount=discount)

    values = []
    for _ in range(5):
        payment = payment_of(client, charge)
        values.append(payment["value"])
        clock.advance(days=1)

    assert values == [90, 90, 90, 90, 100]


def test_an_expired_charge_is_not_renewed(app, client, clock):
    """Its days do not come again, and a new amount is for the merchant to say."""
    charge = open_due_charge(app, MONDAY)
    clock.advance(days=60)

    page = client.get(f"/payments/pix/{charge['id']}", headers={"Accept": "text/html"}).text
    answer = client.post(f"/payments/pix/{charge['id']}/renew")

    assert "Gerar novo código" not in page
    problem(answer, 409, "not-renewable")

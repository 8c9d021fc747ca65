"""A charge with a due date at the simulated bank: the sum of the day is paid, shown and listed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.pix.business_days import brasilia_day, roll
from tests.pix_api.charges import EVER
from tests.pix_api.clients import demo_client
from tests.support.api_pix import PixApi
from tests.support.town import PIN, town

TXID, OTHER = "a" * 30, "b" * 30


@pytest.fixture
def here(any_database_url, tmp_path):
    """The service and the bank on each engine."""
    with town(any_database_url, tmp_path) as new_town:
        yield new_town


def calls(here):
    """The demo merchant's calls, with a token of the present hour."""
    return PixApi(client=here.client(), token=demo_client(here.app).token(here.app))


def charge_body(here, due):
    """100.00, a discount of 5.00 until the due date, then 2 % and 1.00 a day."""
    return {
        "calendario": {"dataDeVencimento": str(due), "validadeAposVencimento": 30},
        "devedor": {"cnpj": "12345678000195", "nome": "Cafe Ltda"},
        "valor": {
            "original": "100.00",
            "multa": {"modalidade": 2, "valorPerc": "2.00"},
            "juros": {"modalidade": 1, "valorPerc": "1.00"},
            "abatimento": {"modalidade": 1, "valorPerc": "10.00"},
            "desconto": {
                "modalidade": 1,
                "descontoDataFixa": [{"data": str(due), "valorPerc": "5.00"}],
            },
        },
        "chave": here.app.config["BALCAO"].demo_pix_key,
    }


def test_the_sum_of_the_day_is_paid_and_its_components_are_shown(here):
    """In time with the discount, late with fine and interest; both are concluded."""
    due = roll(brasilia_day(here.clock.now()) + timedelta(days=1))
    codes = {
        txid: calls(here).put(f"/cobv/{txid}", charge_body(here, due)).json["pixCopiaECola"]
        for txid in (TXID, OTHER)
    }

    here.pay({"pix_code": codes[TXID]})
    while brasilia_day(here.clock.now()) < due + timedelta(days=1):
        here.clock.advance(days=1)
    days = (brasilia_day(here.clock.now()) - due).days
    here.pay({"pix_code": codes[OTHER]})

    api = calls(here)
    in_time, late = (api.get(f"/cobv/{txid}").json for txid in (TXID, OTHER))
    assert (in_time["status"], late["status"]) == ("CONCLUIDA", "CONCLUIDA")
    assert in_time["valor"] == late["valor"] == charge_body(here, due)["valor"]
    assert in_time["pix"][0]["valor"] == "85.00"
    assert in_time["pix"][0]["componentesValor"] == {
        "original": {"valor": "100.00"},
        "abatimento": {"valor": "10.00"},
        "desconto": {"valor": "5.00"},
    }
    assert late["pix"][0]["valor"] == f"{90 + 1.8 + days:.2f}"
    assert late["pix"][0]["componentesValor"] == {
        "original": {"valor": "100.00"},
        "abatimento": {"valor": "10.00"},
        "multa": {"valor": "1.80"},
        "juros": {"valor": f"{days}.00"},
    }
    listed = api.get("/pix", **EVER).json["pix"]
    assert [pix["componentesValor"] for pix in listed] == [
        charge["pix"][0]["componentesValor"] for charge in (in_time, late)
    ]
    assert [charge["pix"] for charge in api.get("/cobv", **EVER).json["cobs"]] == [
        in_time["pix"],
        late["pix"],
    ]
    end_to_end_id = late["pix"][0]["endToEndId"]
    whole = api.put(f"/pix/{end_to_end_id}/devolucao/all", {"valor": late["pix"][0]["valor"]})
    assert whole.status == 201
    assert here.audit().faults == ()


def test_a_paid_charge_takes_no_second_payer(here):
    """Its location is gone, so the bank pays nothing."""
    due = roll(brasilia_day(here.clock.now()) + timedelta(days=1))
    api = calls(here)
    charge = api.put(f"/cobv/{TXID}", charge_body(here, due)).json
    here.pay({"pix_code": charge["pixCopiaECola"]})

    order = {"code": charge["pixCopiaECola"], "pin": PIN}
    second = here.bank_app.test_client().post("/api/pay", json=order)
    assert second.get_json()["code"] == "location-gone"
    assert api.put(f"/cobv/{TXID}", charge_body(here, due)).violations == ["cobv.status"]

"""The stand-in bank: without it no other test of a dialect proves anything."""

from __future__ import annotations

import json
from typing import Any

import pytest
import urllib3

from core.pix.br_code import decode
from tests.providers.stand_in import CLIENT_ID, CLIENT_SECRET, PIX_KEY, Fault, StandInBank

TXID = "c3e0e7a4e7f1469a9f782d3d4999343c"
CHARGE = {"calendario": {"expiracao": 600}, "valor": {"original": "12.34"}, "chave": PIX_KEY}


def token_of(bank: StandInBank) -> str:
    form = {"grant_type": "client_credentials"}
    headers = urllib3.make_headers(basic_auth=f"{CLIENT_ID}:{CLIENT_SECRET}")
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    answer = urllib3.request(
        "POST", f"{bank.origin}/oauth/token", body="&".join(f"{n}={t}" for n, t in form.items()),
        headers=headers, retries=False,
    )  # fmt: skip
    assert answer.status == 200
    return str(answer.json()["access_token"])


def call(bank: StandInBank, method: str, path: str, body: Any = None) -> Any:
    headers = {"Authorization": f"Bearer {token_of(bank)}"}
    data = None if body is None else json.dumps(body)
    url = bank.origin + bank.dialect.base + path
    return urllib3.request(method, url, body=data, headers=headers, retries=False)


def test_a_charge_is_created_read_paid_and_listed():
    with StandInBank() as bank:
        answer = call(bank, "PUT", f"/cob/{TXID}", CHARGE)
        assert answer.status == 201
        assert decode(answer.json()["pixCopiaECola"]).url == answer.json()["location"]

        end_to_end_id = bank.book.pay(TXID)
        assert call(bank, "GET", f"/cob/{TXID}").json()["status"] == "CONCLUIDA"
        window = "inicio=2020-01-01T00:00:00Z&fim=2020-01-02T00:00:00Z"
        assert call(bank, "GET", f"/pix?{window}").json()["pix"] == []
        assert call(bank, "GET", f"/pix/{end_to_end_id}").json()["valor"] == "12.34"
        assert call(bank, "GET", "/nothing").status == 404
        assert bank.book.puts == [TXID]


def test_a_call_without_token_is_refused():
    with StandInBank() as bank:
        answer = urllib3.request("GET", f"{bank.origin}/v2/cob/{TXID}", retries=False)
        assert answer.status == 401


@pytest.mark.parametrize("after", [True, False])
def test_an_answer_is_lost(after: bool):
    with StandInBank(faults=[Fault("put-cob", "close", after=after)]) as bank:
        with pytest.raises(urllib3.exceptions.HTTPError):
            call(bank, "PUT", f"/cob/{TXID}", CHARGE)
        assert bank.book.puts == ([TXID] if after else [])
        assert call(bank, "PUT", f"/cob/{TXID}", CHARGE).status == 201


def test_a_certificate_is_required():
    with StandInBank(mutual=True) as bank:
        authority = bank.authority.certificate_pem.decode()
        pool = urllib3.PoolManager(ca_cert_data=authority, retries=False)
        with pool, pytest.raises(urllib3.exceptions.HTTPError):
            pool.request("GET", f"{bank.origin}/v2/pix")
        assert bank.requests == []

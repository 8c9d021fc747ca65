"""Races of charges of API Pix, on every engine."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest

from tests.db.crowd import at_once
from tests.pix_api.charges import DemoCalls

CROWD = 32
TXID, OTHER = "a" * 30, "b" * 30


@pytest.fixture
def calls(processes):
    """The demo merchant's calls in each of the apps: `calls[n]`."""
    every = [DemoCalls(processes.app(number)) for number in range(4)]
    return [every[number % 4] for number in range(CROWD)]


@pytest.mark.slow
def test_32_puts_of_one_txid_make_one_charge(calls, processes):
    answers = at_once([partial(call, "PUT", f"/cob/{TXID}", call.body()) for call in calls])
    assert Counter(answer.status_code for answer in answers) == {201: CROWD}
    assert len({answer.json["location"] for answer in answers}) == 1
    assert {answer.json["revisao"] for answer in answers} == {0}
    assert len(processes.app().test_client().get("/payments/pix").json["data"]) == 1


@pytest.mark.slow
def test_32_revisions_have_32_numbers(calls):
    """None is lost, and each old one can be read."""
    calls[0].create(TXID)
    bodies = [call.body(valor={"original": f"{n + 20}.00"}) for n, call in enumerate(calls)]
    answers = at_once(
        [
            partial(call, "PUT", f"/cob/{TXID}", body)
            for call, body in zip(calls, bodies, strict=True)
        ]
    )
    counts = Counter(answer.status_code for answer in answers)
    assert set(counts) <= {201, 503}  # a client repeats after 503
    numbers = sorted(answer.json["revisao"] for answer in answers if answer.status_code == 201)
    assert numbers == list(range(1, len(numbers) + 1))
    for number in range(len(numbers) + 1):
        assert calls[0]("GET", f"/cob/{TXID}?revisao={number}").json["revisao"] == number


@pytest.mark.slow
def test_a_revision_and_a_payment_agree_about_the_amount(calls, processes):
    """Either the money was asked for, or it goes back: never a charge paid with another sum."""
    for round_ in range(8):
        txid = f"{round_}" * 30
        calls[0].create(txid)
        payment = processes.app().test_client().get("/payments/pix").json["data"][0]
        change = {"valor": {"original": "99.00"}}
        revision, confirmation = at_once(
            [
                partial(calls[0], "PATCH", f"/cob/{txid}", change),
                partial(processes.bank(1).confirm, payment),
            ]
        )
        charge = calls[0]("GET", f"/cob/{txid}").json
        if confirmation.status_code == 200:
            assert (charge["status"], charge["valor"]["original"]) == ("CONCLUIDA", "10.00")
            assert revision.status_code == 400
            assert charge["pix"][0]["valor"] == "10.00"
        else:
            assert (confirmation.status_code, revision.status_code) == (400, 200)
            assert (charge["status"], charge["valor"]["original"]) == ("ATIVA", "99.00")


@pytest.mark.slow
def test_one_location_shows_one_of_32_charges(calls):
    number = calls[0]("POST", "/loc", {"tipoCob": "cob"}).json["id"]
    answers = at_once(
        [
            partial(call, "PUT", f"/cob/{f'{n:02d}' * 15}", call.body(loc={"id": number}))
            for n, call in enumerate(calls)
        ]
    )
    counts = Counter(answer.status_code for answer in answers)
    assert counts[201] == 1
    assert set(counts) <= {201, 400, 503}
    txid = calls[0]("GET", f"/loc/{number}").json["txid"]
    assert [a.json["txid"] for a in answers if a.status_code == 201] == [txid]


@pytest.mark.slow
def test_a_renewal_and_a_later_deadline_leave_one_code(calls, processes):
    """The payer of two codes for one purchase pays twice."""
    for _ in range(8):
        charge = calls[0]("POST", "/cob", calls[0].body(calendario={"expiracao": 60})).json
        processes.clock.advance(seconds=70)
        processes.sweep()
        later = {"calendario": {"expiracao": 200}}
        renewal, revision = at_once(
            [
                partial(
                    processes.app(1).test_client().post, f"/payments/pix/{charge['txid']}/renew"
                ),
                partial(calls[0], "PATCH", f"/cob/{charge['txid']}", later),
            ]
        )
        outcome = (renewal.status_code, revision.status_code)
        assert outcome in {(201, 400), (409, 200)}
        payments = processes.app().test_client().get("/payments/pix").json["data"]
        assert [one["status"] for one in payments].count("pending") == 1
        processes.clock.advance(seconds=250)
        processes.sweep()

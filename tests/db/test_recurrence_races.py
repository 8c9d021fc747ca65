"""Races of recurrences, on every engine."""

from __future__ import annotations

import json
from collections import Counter
from functools import partial

import pytest

from core.merchant_errors import RecurrenceUnchangeable
from core.pix.recurrence_rules import OFFER_DAYS_AFTER_FIRST
from payments.recurring import offers, recurrences
from tests.db.crowd import at_once
from tests.pix_api.charges import DemoCalls
from tests.pix_api.recurrences import PAYER, REJECTION, accept, change, offer, rec_body, reserve
from tests.support.service import BankInTest

CROWD = 12
OTHER_PAYER = "12345678909"


@pytest.fixture
def calls(processes):
    """The demo merchant's calls in each of the apps: `calls[n]`."""
    every = [DemoCalls(processes.app(number)) for number in range(4)]
    return [every[number % 4] for number in range(CROWD)]


def words(call, rec):
    """The status, and the statuses of the history."""
    body = call("GET", f"/rec/{rec['idRec']}").get_json()
    return body["status"], [step["status"] for step in body["atualizacao"]]


def expire_offers(app):
    """Run the job once; return how many offers it expired."""
    with app.app_context():
        return offers.run()


def is_done(verb):
    """Whether the verb was not too late."""
    try:
        verb()
    except RecurrenceUnchangeable:
        return False
    return True


@pytest.mark.slow
def test_a_cancellation_and_an_acceptance_agree_about_what_came_first(calls, processes):
    """An acceptance after the cancellation is refused; one before it is in the history."""
    for _ in range(4):
        rec = offer(calls[0], processes.clock)
        cancellation, is_accepted = at_once(
            [
                partial(calls[0], "PATCH", f"/rec/{rec['idRec']}", {"status": "CANCELADA"}),
                partial(is_done, partial(accept, processes.app(1), rec["idRec"])),
            ]
        )
        assert cancellation.status_code == 200
        before = ["CRIADA", "APROVADA"] if is_accepted else ["CRIADA"]
        assert words(calls[1], rec) == ("CANCELADA", [*before, "CANCELADA"])


@pytest.mark.slow
def test_an_acceptance_and_an_expiry_agree_about_what_came_first(calls, processes):
    """An acceptance after the expiry is refused with its reason; one before it prevents it."""
    recs = [offer(calls[0], processes.clock) for _ in range(4)]
    processes.clock.advance(days=10 + OFFER_DAYS_AFTER_FIRST + 1)
    late_calls = DemoCalls(processes.app(3))  # the old token has expired
    jobs = [partial(expire_offers, processes.app(number)) for number in (0, 1)]
    answers = [
        partial(tell_acceptance, processes.app(2), processes.clock, rec, PAYER) for rec in recs
    ]
    results = at_once([jobs[0], *answers[:2], jobs[1], *answers[2:]])
    statuses = [answer.status_code for answer in (*results[1:3], *results[4:])]
    assert results[0] + results[3] + statuses.count(200) == len(recs)
    for rec, status in zip(recs, statuses, strict=True):
        word = "APROVADA" if status == 200 else "EXPIRADA"
        assert words(late_calls, rec) == (word, ["CRIADA", word])
        again = tell_acceptance(processes.app(3), processes.clock, rec, PAYER)
        code = "recurrence-ended" if status != 200 else None
        assert (again.status_code, again.get_json().get("code")) == (status, code)


@pytest.mark.slow
def test_one_of_many_answers_of_the_payer_counts(calls, processes):
    """And one of many cancellations: each status is in the history once."""
    rec = offer(calls[0], processes.clock)
    verbs = [partial(accept, processes.app(n), rec["idRec"]) for n in range(0, CROWD, 2)]
    verbs += [
        partial(change, processes.app(n), rec["idRec"], recurrences.reject, REJECTION)
        for n in range(1, CROWD, 2)
    ]
    results = at_once([partial(is_done, verb) for verb in verbs])
    assert Counter(results) == {True: 1, False: CROWD - 1}
    word = "APROVADA" if any(results[: CROWD // 2]) else "REJEITADA"
    assert words(calls[0], rec) == (word, ["CRIADA", word])
    rec = offer(calls[0], processes.clock)
    body = {"status": "CANCELADA"}
    answers = at_once([partial(call, "PATCH", f"/rec/{rec['idRec']}", body) for call in calls])
    assert Counter(answer.status_code for answer in answers) == {200: 1, 400: CROWD - 1}
    assert words(calls[0], rec) == ("CANCELADA", ["CRIADA", "CANCELADA"])


@pytest.mark.slow
def test_one_location_shows_one_of_many_recurrences(calls, processes):
    """Bound when they are created, and afterwards."""
    number = reserve(calls[0])["id"]
    body = rec_body(processes.clock, loc=number)
    answers = at_once([partial(call, "POST", "/rec", body) for call in calls])
    counts = Counter(answer.status_code for answer in answers)
    assert (counts[201], set(counts) <= {201, 400, 503}) == (1, True)
    [winner] = [answer.get_json()["idRec"] for answer in answers if answer.status_code == 201]
    assert calls[0]("GET", f"/locrec/{number}").get_json()["idRec"] == winner
    second = reserve(calls[0])["id"]
    recs = [offer(calls[0], processes.clock)["idRec"] for _ in range(4)]
    answers = at_once(
        [
            partial(call, "PATCH", f"/rec/{id_rec}", {"loc": second})
            for call, id_rec in zip(calls, recs, strict=False)
        ]
    )
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400]


@pytest.mark.slow
def test_one_of_two_payers_gets_a_recurrence_and_the_other_hears_why(calls, processes):
    """Both banks told their acceptance at once, each several times, through every app."""
    for _ in range(4):
        rec = offer(calls[0], processes.clock)
        answers = at_once(
            [
                partial(tell_acceptance, processes.app(number % 4), processes.clock, rec, payer)
                for number in range(CROWD // 2)
                for payer in (PAYER, OTHER_PAYER)
            ]
        )
        of = {PAYER: answers[::2], OTHER_PAYER: answers[1::2]}
        winner = calls[1]("GET", f"/rec/{rec['idRec']}").get_json()["pagador"]["cpf"]
        [loser] = of.keys() - {winner}
        assert {answer.status_code for answer in of[winner]} == {200}
        assert Counter(answer.get_json()["duplicate"] for answer in of[winner])[False] == 1
        assert {answer.get_json()["code"] for answer in of[loser]} == {"recurrence-taken"}
        assert words(calls[2], rec) == ("APROVADA", ["CRIADA", "APROVADA"])


def tell_acceptance(app, clock, rec, payer):
    """The signed acceptance of this payer."""
    body = {
        "id_rec": rec["idRec"],
        "answer": "accepted",
        "journey": 2,
        "payer": {"document": payer},
        "ispb": "99999004",
    }
    client = app.test_client()
    data = json.dumps(body).encode()
    headers = BankInTest(client, clock).headers(data)
    return client.post("/payments/pix/recurrences/answer", data=data, headers=headers)

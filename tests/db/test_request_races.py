"""Requests to payers on every engine: request and recurrence agree, and people are erased."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa

from db_models import RecurrenceRequest, RequestStatus
from payments.privacy import erase_payer
from payments.recurring import requests
from repository.database import in_unit_of_work
from repository.recurrence_requests import RecurrenceRequests
from tests.db.crowd import at_once
from tests.pix_api.charges import DemoCalls
from tests.pix_api.recurrences import PAYER, accept, offer, request_body, request_of, tell_decision
from tests.support.plugin import SERVERS

ROUNDS = 2


@pytest.fixture
def calls(processes):
    """The demo merchant's calls in each of the apps."""
    return [DemoCalls(processes.app(number)) for number in range(4)]


def sent_request(processes, call):
    """The ids of a recurrence and of its request, which the payer's bank has."""
    rec = offer(call, processes.clock)["idRec"]
    request = request_of(call, processes.clock, rec)["idSolicRec"]

    def begin(work):
        requests._move(work, work.recurrence_requests.by_id(request), RequestStatus.SENT)

    with processes.app().app_context():
        in_unit_of_work(begin)
    return rec, request


def states(call, rec, request):
    """The statuses of both, and those of their histories without the first."""
    bodies = [call("GET", f"/rec/{rec}").get_json(), call("GET", f"/solicrec/{request}").get_json()]
    steps = [[step["status"] for step in body["atualizacao"]][1:] for body in bodies]
    return [body["status"] for body in bodies], steps


@pytest.mark.slow
def test_a_cancellation_and_an_acceptance_agree(calls, processes):
    """By the merchant, of the request or of the recurrence; exactly one of the first two wins."""
    body = {"status": "CANCELADA"}
    for _ in range(ROUNDS):
        rec, request = sent_request(processes, calls[0])
        answers = at_once(
            [
                partial(calls[0], "PATCH", f"/solicrec/{request}", body),
                partial(tell_decision, processes.bank(1), rec, request=request),
                partial(tell_decision, processes.bank(2), rec, request=request),
            ]
        )
        took_back, *others = [answer.status_code for answer in answers]
        is_accepted = took_back == 400
        assert (took_back, others) in ((400, [200, 200]), (201, [409, 409]))
        both, steps = states(calls[3], rec, request)
        assert both == (["APROVADA", "ACEITA"] if is_accepted else ["CRIADA", "CANCELADA"])
        assert steps == [["APROVADA"] if is_accepted else [], ["ENVIADA", both[1]]]

        rec, request = sent_request(processes, calls[0])
        cancellation, acceptance = at_once(
            [
                partial(calls[0], "PATCH", f"/rec/{rec}", body),
                partial(tell_decision, processes.bank(1), rec, request=request),
            ]
        )
        assert cancellation.status_code == 200
        is_accepted = acceptance.status_code == 200
        both, steps = states(calls[3], rec, request)
        assert both == ["CANCELADA", "ACEITA" if is_accepted else "CANCELADA"]
        assert steps[0] == (["APROVADA", "CANCELADA"] if is_accepted else ["CANCELADA"])


@pytest.mark.parametrize("has_request", [True, False])
@pytest.mark.parametrize("answer", ["accepted", "refused"])
@pytest.mark.parametrize("any_database_url", SERVERS, indirect=True)  # SQLite has one writer
def test_an_answer_that_another_process_has_just_stored_is_a_repetition(
    calls, processes, monkeypatch, answer, has_request
):
    """A bank that sends it twice must not hear that the recurrence has ended.

    Also if the first names no request, as in a code that the payer has read: that cancels it.
    """
    rec, request = sent_request(processes, calls[0])
    find = RecurrenceRequests.by_id
    first: list[Any] = []

    def find_after_the_other(queries, id_solic_rec):
        first.append(None)
        if len(first) == 1:
            names = {"request": request} if has_request else {"journey": 2}
            first.append(tell_decision(processes.bank(1), rec, answer, **names))
        return find(queries, id_solic_rec)

    monkeypatch.setattr(RecurrenceRequests, "by_id", find_after_the_other)
    second = tell_decision(processes.bank(2), rec, answer, request=request)
    answers = [next(one for one in first if one is not None), second]
    assert [one.status_code for one in answers] == [200, 200]
    assert [one.json["duplicate"] for one in answers] == [False, True]


def test_a_payer_cannot_refuse_what_the_bank_has_refused(calls, processes):
    """The request has ended, and its recurrence stays open: nothing is read again for ever."""
    rec, request = sent_request(processes, calls[0])

    def refuse(work):
        requests.reject(work, work.recurrence_requests.by_id(request), "AP03")

    with processes.app().app_context():
        in_unit_of_work(refuse)
    answer = tell_decision(processes.bank(1), rec, "refused", request=request)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "request-ended")
    assert states(calls[3], rec, request)[0] == ["CRIADA", "REJEITADA"]


@pytest.mark.slow
def test_an_expiry_and_an_acceptance_agree(calls, processes):
    """Also if the clock of the process that expires is ahead: the row decides."""

    def expire(request):
        def write(work):
            work.now += timedelta(days=2)
            return requests.end_late(work, work.recurrence_requests.by_id(request))

        with processes.app(2).app_context():
            return in_unit_of_work(write)

    for _ in range(ROUNDS):
        rec, request = sent_request(processes, calls[0])
        answer, is_expired = at_once(
            [
                partial(tell_decision, processes.bank(1), rec, request=request),
                partial(expire, request),
            ]
        )
        assert (answer.status_code, is_expired) in ((200, False), (409, True))
        both, _ = states(calls[3], rec, request)
        assert both == (["CRIADA", "EXPIRADA"] if is_expired else ["APROVADA", "ACEITA"])


@pytest.mark.slow
def test_one_of_many_requests_is_open_and_none_outlives_its_recurrence(calls, processes):
    """A request that is created while the payer accepts a code is refused or closed."""
    for _ in range(ROUNDS):
        rec = offer(calls[0], processes.clock)["idRec"]
        body = request_body(processes.clock, rec)
        posts = [partial(call, "POST", "/solicrec", body) for call in calls]
        answers = at_once([*posts, partial(accept, processes.app(1), rec)])[:-1]
        counts = Counter(answer.status_code for answer in answers)
        assert counts[201] <= 1, counts
        assert set(counts) <= {201, 400}, counts
        assert calls[0]("GET", f"/rec/{rec}").get_json()["status"] == "APROVADA"
    statuses = processes.tables.rows(sa.select(RecurrenceRequest.status))
    assert {row.status for row in statuses} <= {"cancelled"}


def test_a_person_is_erased_from_requests_and_waiting_orders(calls, processes):
    """By the payer's document: the request keeps its row, and the order that asks goes."""
    rec = offer(calls[0], processes.clock)["idRec"]
    request_of(calls[0], processes.clock, rec)
    with processes.app().app_context():
        for count in (2, 0):
            assert in_unit_of_work(partial(erase_payer, person=PAYER)) == count

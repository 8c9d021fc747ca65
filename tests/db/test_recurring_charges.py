"""Recurring charges on every engine: races with one winner, and callbacks in order."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from functools import partial

import pytest

from core.clock import rfc3339
from payments.recurring import charges
from payments.sweep import expire_batch
from repository.database import in_unit_of_work
from tests.db.crowd import at_once
from tests.pix_api.charges import DemoCalls
from tests.pix_api.recurring_charges import (
    RETRIES,
    approved,
    charged,
    cobr_body,
    day_after,
    fail,
    pay,
    read,
    words,
)
from tests.support.api_pix import check_cobr_callback
from tests.webhooks.shops import open_shop, send_all

CROWD = 8
CANCELLATION = {"status": "CANCELADA"}


@pytest.fixture
def calls(processes):
    """The demo merchant's calls in each of the apps: `calls[n]`."""
    every = [DemoCalls(processes.app(number)) for number in range(4)]
    return [every[number % 4] for number in range(CROWD)]


@pytest.fixture
def rec(processes, calls):
    """A recurrence whose charges may be tried again."""
    return approved(processes.app(), calls[0], processes.clock, politicaRetentativa=RETRIES)


def schedule(app, cobr):
    """The payer's bank takes the order for the newest attempt; returns the order's members."""
    end_to_end_id = cobr["tentativas"][-1]["endToEndId"]
    with app.app_context():
        in_unit_of_work(lambda work: charges.schedule(work, end_to_end_id))
    value = cobr["valor"]["original"]
    return {"txid": cobr["txid"], "end_to_end_id": end_to_end_id, "value": value}


@pytest.mark.slow
def test_of_a_cancellation_and_the_money_one_wins(processes, calls, rec):
    """Money that comes after the cancellation is refused, so the bank gives it back."""
    clock = processes.clock
    for _ in range(3):
        cobr = charged(calls[0], rec, day_after(clock, 3))
        order = schedule(processes.app(), cobr)
        path = f"/cobr/{cobr['txid']}"
        actions = [partial(pay, processes.app(number), clock, order) for number in range(2)]
        actions += [partial(calls[number], "PATCH", path, CANCELLATION) for number in (2, 3)]
        answers = [answer.status_code for answer in at_once(actions)]
        end = read(calls[1], cobr)
        history, [attempt] = words(end)
        assert history == ["CRIADA", "ATIVA", end["status"]]
        if end["status"] == "CONCLUIDA":
            assert (answers, attempt[-1]) == ([200, 200, 400, 400], "PAGA")
            assert len(end["pix"]) == 1
            clock.advance(days=31)  # the next cycle
        else:
            assert (answers[:2], sorted(answers[2:])) == ([409, 409], [200, 400])
            assert (end["status"], attempt[-1]) == ("CANCELADA", "CANCELADA")
            assert "pix" not in end


@pytest.mark.slow
def test_a_cycle_gets_one_charge_and_a_charge_one_open_attempt(processes, calls, rec):
    clock, due_day = processes.clock, day_after(processes.clock, 2)
    body = cobr_body(rec, due_day)
    answers = at_once([partial(call, "POST", "/cobr", body) for call in calls])
    assert Counter(answer.status_code for answer in answers) == {201: 1, 400: CROWD - 1}
    [cobr] = [answer.get_json() for answer in answers if answer.status_code == 201]
    order = schedule(processes.app(), cobr)
    clock.advance(days=2)
    at_once([partial(fail, processes.app(n), clock, order, "no-funds") for n in range(4)])
    days = [due_day + timedelta(days=1 + number % 4) for number in range(CROWD)]
    path = f"/cobr/{cobr['txid']}/retentativa"
    tries = [partial(call, "POST", f"{path}/{day}") for call, day in zip(calls, days, strict=True)]
    answers = at_once(tries)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 400: CROWD - 1}
    assert [len(steps) for steps in words(read(calls[0], cobr))[1]] == [3, 1]
    # The end of the recurrence waits for a charge that is being created, and cancels it too.
    ends = [
        partial(calls[0], "PATCH", f"/rec/{rec['idRec']}", CANCELLATION),
        *[
            partial(calls[n], "POST", "/cobr", cobr_body(rec, day_after(clock, 31 * n + 4)))
            for n in range(1, 4)
        ],
    ]
    _, *created = at_once(ends)
    every = [answer.get_json() for answer in created if answer.status_code == 201]
    assert {read(calls[1], one)["status"] for one in [cobr, *every]} == {"CANCELADA"}


def test_each_step_is_told_in_order_as_it_stood(processes, calls, rec):
    """Charge and attempt at once; a retry has the same bytes; the debtor's contact is not told."""
    app, clock, call = processes.app(), processes.clock, calls[0]
    with open_shop(clock) as shop:
        url = {"webhookUrl": f"{shop.url}?ignorar="}
        assert call("PUT", "/webhookcobr", url).status_code == 200
        cobr = charged(call, rec, day_after(clock, 2))
        send_all(app, clock)
        assert shop.events == []  # the merchant's own creation is no news
        shop.answer = lambda _: (500, {})
        order = schedule(app, cobr)
        active = read(call, cobr)
        send_all(app, clock)
        clock.advance(days=2)
        fail(app, clock, order, "no-funds")
        call("POST", f"/cobr/{cobr['txid']}/retentativa/{day_after(clock, 1)}")
        order = schedule(app, read(call, cobr))
        paid_at = rfc3339(clock.now() + timedelta(days=1))
        clock.advance(days=8)
        with app.app_context():
            assert expire_batch(10) == (1, 1)
        assert pay(app, clock, order, paid_at=paid_at).status_code == 200
        shop.answer = lambda _: (200, {})
        for _ in range(3):
            clock.advance(hours=2)
            send_all(app, clock)
        for event in shop.events:
            check_cobr_callback(event)
        entries = [one for event in shop.events for one in event["cobsr"]]
        assert entries[0] == {name: active[name] for name in entries[0]}
        steps = [one for number, one in enumerate(entries) if one not in entries[:number]]
        assert [
            (one["status"], [attempt["status"] for attempt in one["tentativas"]]) for one in steps
        ] == [
            ("ATIVA", ["AGENDADA"]),
            ("ATIVA", ["EXPIRADA"]),
            ("ATIVA", ["EXPIRADA", "SOLICITADA"]),
            ("ATIVA", ["EXPIRADA", "AGENDADA"]),
            ("EXPIRADA", ["EXPIRADA", "EXPIRADA"]),
            ("CONCLUIDA", ["EXPIRADA", "PAGA"]),
        ]
        assert entries[-1]["pix"][0]["endToEndId"] == order["end_to_end_id"]
        assert set(shop.paths) == {"/hook?ignorar=/cobr"}
        assert b"ana@example.com" not in b"".join(shop.bodies)

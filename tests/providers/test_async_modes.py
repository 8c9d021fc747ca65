"""Real banks in each async mode: the service as a process, mutual TLS, and all ways to learn.

Between the processes is a real network of loopback. Clocks move, and nothing else is pretended.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from itertools import count

import pytest

from tests.providers.shop_process import PFX_PASSWORD, ShopProcess
from tests.providers.stand_in import CLIENT_SECRET, Fault, StandInBank

CALLS = 30
"""More at once than one account's bank gets calls (`payments.at_bank.calls.AT_ONCE`)."""
HELD = 8
_keys = (f"key {number}" for number in count())


@pytest.fixture(scope="module", params=["eventlet", "gevent", "threading"])
def mode(request) -> str:
    """The async mode of the process."""
    return str(request.param)


@pytest.fixture(scope="module")
def shop(mode, tmp_path_factory) -> Iterator[ShopProcess]:
    """The shop with its account; at the end both sides agree, and the log is clean."""
    with (
        StandInBank("standard", mutual=True) as bank,
        ShopProcess(
            tmp_path_factory.mktemp(mode), bank, ASYNC_MODE=mode, LOG_LEVEL="debug"
        ) as shop,
    ):
        shop.note_account(shop.command(*shop.add_words()))
        yield shop
        assert "No broken rule." in shop.command("audit", "--days", "1")
        log = shop.process.log()
        for text in ("Traceback", CLIENT_SECRET, PFX_PASSWORD, shop.callback_token, *bank.tokens):
            assert text not in log


def test_the_check_and_the_registration_of_callbacks_work(shop):
    """The operator's commands reach the bank with the certificate that was added."""
    assert "FAIL" not in shop.command("check", shop.account_id)
    assert shop.bank.count("token") == 1
    assert "Registered" in shop.command("register", shop.account_id)
    assert shop.bank.count("put-callback") == 1


def test_a_callback_tells_of_money_and_a_part_of_it_goes_back(shop):
    """The code is the bank's own; the refund settles when the bank says so."""
    payment = shop.create(next(_keys))
    charge = shop.bank.book.charges[payment["id"]]
    assert charge["valor"] == {"original": "54.90"}
    assert charge["location"].removeprefix("https://") in payment["pix_code"]
    pix = shop.bank.book.pay(payment["id"])
    assert shop.bank.post_callback(shop.callback_url, pix) == 200
    shop.wait_until_paid(payment)
    assert shop.way_of(pix) == "callback"

    shop.bank.book.returns_settle = False
    path = f"/payments/pix/{payment['id']}/refunds"
    status, refund = shop.post(path, {"refund_id": "r1", "value": "4.90"})
    assert (status, refund["status"]) == (201, "processing")
    shop.wait_until(lambda: bool(shop.bank.book.get_money(pix)[1]["devolucoes"]))
    [entry] = shop.bank.book.get_money(pix)[1]["devolucoes"]
    assert entry["valor"] == "4.90"
    shop.bank.book.settle_return(pix, entry["id"])
    shop.advance(minutes=2)
    shop.wait_until(lambda: [one["status"] for one in shop.refunds(payment)] == ["done"])
    assert shop.bank.count("put-return") == 1


def test_a_lost_callback_is_made_up_for_by_the_charges_own_look_up(shop):
    """Nobody tells the shop, so it asks about the charge."""
    payment = shop.create(next(_keys))
    pix = shop.bank.book.pay(payment["id"])
    shop.advance(seconds=30)
    shop.wait_until_paid(payment)
    assert shop.way_of(pix) == "poll"


def test_the_list_tells_of_money_when_the_charge_cannot_be_asked_about(shop):
    """A callback that names something strange makes the shop read the bank's list."""
    payment = shop.create(next(_keys))
    fault = Fault("get-cob", "status", count=1000, status=503)
    shop.bank.faults.append(fault)
    pix = shop.bank.book.pay(payment["id"])
    manual = shop.bank.book.receive(shop.bank.book.get_money(pix)[1]["chave"], 1234)
    assert shop.bank.post_callback(shop.callback_url, manual) == 200
    shop.wait_until_paid(payment)
    shop.bank.faults.remove(fault)
    assert (shop.way_of(pix), shop.way_of(manual)) == ("callback", "callback")
    assert shop.bank.count("list-pix") >= 1


def test_an_abandoned_charge_is_closed_at_the_bank(shop):
    """From the deadline on nobody shall be able to pay it, also by the bank's own app."""
    payment = shop.create(next(_keys))
    shop.advance(hours=3)
    shop.wait_until(lambda: shop.status_of(payment) == "expired")
    shop.wait_until(
        lambda: shop.bank.book.charges[payment["id"]]["status"] == "REMOVIDA_PELO_USUARIO_RECEBEDOR"
    )


def test_a_bank_that_hangs_holds_up_nobody_else(shop):
    """Until other requests of the process have their answers, the bank answers none."""
    person = {"username": "bob-the-baker", "password": "a long password of Bob"}
    assert shop.post("/users/", person)[0] == 201
    form = b"username=bob-the-baker&password=a+long+password+of+Bob"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    hang = Fault("put-cob", "hang", count=1000)
    shop.bank.faults.append(hang)
    before, charges = shop.bank.count("put-cob"), len(shop.bank.book.charges)
    payments: dict[str, str] = {}

    def create(key: str) -> None:
        payments[key] = shop.create(key)["id"]

    threads = [threading.Thread(target=create, args=(f"hangs {n}",)) for n in range(CALLS)]
    try:
        for thread in threads:
            thread.start()
        shop.wait_until(lambda: shop.bank.count("put-cob") - before >= HELD)
        assert shop.process.get("/healthz")[0] == 200
        status, answer, _ = shop.process.request("POST", "/token", form, kind)
        assert status == 200, answer
        bearer = f"Bearer {json.loads(answer)['access_token']}"
        status, body = shop.post("/payments/pix", {"value": "1.00"}, Authorization=bearer)
        assert status == 201, body
        assert payments == {}
    finally:
        hang.end.set()
        shop.bank.faults.remove(hang)
    for thread in threads:
        thread.join(30)
    assert len(payments) == len(set(payments.values())) == CALLS
    assert len(shop.bank.book.charges) == charges + CALLS

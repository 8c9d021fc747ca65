"""A cancellation waits for the bank's answer, and needs credentials that are valid after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from accounts import oauth_clients, refusals, service, sign_ins, tokens
from accounts.keys import key_uses
from db_models import Account, ApiKey, RefusedRequest
from providers.port import HeldCharge
from repository import recent_callers
from repository.database import Work, in_unit_of_work, reading
from tests.accounts.people import bearer
from tests.pix_api.clients import PixClient, new_client
from tests.portal.signing import CONFIRMED, PASSWORD, Browser, make_account, sign_in
from tests.providers.bank_rows import BankRows
from tests.providers.conftest import use_bank
from tests.providers.scripted_bank import ScriptedBank
from tests.support.service import close_app, ready_app, settings_for

SCOPES = ["payments:read", "payments:write"]
PAGE_OF_OURS = {"Sec-Fetch-Site": "same-origin"}
"""What browsers say of a form that a page of this service sends."""


class SlowBank(ScriptedBank):
    """Something happens at the service while the bank looks for a charge."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def find_charge(self, txid: str) -> HeldCharge | None:
        self.meanwhile()
        return super().find_charge(txid)


@dataclass
class Shop:
    """Alice, whose charges are at the bank."""

    app: Flask
    rows: BankRows
    bank: SlowBank
    provider_id: int

    def payment(self) -> str:
        """The txid of a pending payment whose charge is open at the bank."""
        payment = self.rows.payment(self.provider_id)
        self.bank.charges[payment.txid] = self.rows.charge(payment.txid)
        return str(payment.txid)

    def key(self) -> tuple[str, str]:
        """The public id of a new API key, and the key itself."""
        row, key = self.do(
            lambda work, alice: service.make_key(work, alice, "till", SCOPES, by=None)
        )
        return row.public_id, key

    def token(self) -> str:
        """The access token of a program that has signed in."""
        form = {"username": "alice", "password": PASSWORD}
        answer = self.app.test_client().post("/token", data=form)
        assert answer.status_code == 200, answer.text
        return str(answer.get_json()["access_token"])

    def do(self, change: Callable[[Work, Account], Any]) -> Any:
        """Change something of Alice's in a unit of work."""
        with self.app.app_context():
            return in_unit_of_work(lambda work: change(work, work.accounts.by_login("alice")))

    def meanwhile(self, change: Callable[[Work, Account], Any]) -> None:
        """Let this change be committed while the bank is asked."""
        self.bank.meanwhile = partial(self.do, change)

    def cancel(self, txid: str, credential: str) -> Any:
        """The answer to a cancellation by this key or token."""
        path = f"/payments/pix/{txid}/cancel"
        return self.app.test_client().post(path, headers=bearer(credential))

    def states(self, txid: str) -> tuple[str, str]:
        """The statuses of the payment and of its charge at the bank."""
        return self.rows.payment_row(txid).status, self.rows.charge_row(txid).status


def shop_of(app: Flask, clock: Any) -> Shop:
    """Alice's shop in this app."""
    make_account(app, "alice")
    rows, bank = BankRows(app, clock), SlowBank(clock)
    with app.app_context(), reading() as work:
        alice = work.accounts.by_login("alice")
    return Shop(app, rows, bank, use_bank(app, rows, bank, merchant_id=alice.id))


@pytest.fixture
def shop(app, clock):
    """Alice's shop."""
    return shop_of(app, clock)


OPEN, CANCELLED = ("pending", "open"), ("cancelled", "closing")


def end_sign_ins(work, alice):
    """End every sign-in of Alice's."""
    assert sign_ins.end_others(work, alice, "signed-out", None) > 0


# --- programs -----------------------------------------------------------------------------------


def test_a_valid_key_cancels_and_is_looked_up_again(shop, clock):
    """Its use is noted at the second look-up, and written once."""
    _public_id, key = shop.key()
    txid = shop.payment()
    shop.bank.meanwhile = lambda: clock.advance(seconds=2)
    answer = shop.cancel(txid, key)
    assert (answer.status_code, shop.states(txid)) == (200, CANCELLED)
    with shop.app.app_context():
        assert key_uses().write() == 1
        with reading() as work:
            (used_at,) = work.session.scalars(sa.select(ApiKey.last_used_at)).all()
    assert used_at == clock.now()


def test_a_key_that_was_revoked_meanwhile_cancels_nothing(shop):
    """A cancellation cannot be undone, and the key may have been stolen."""
    public_id, key = shop.key()
    txid = shop.payment()
    shop.meanwhile(lambda work, alice: service.revoke_key(work, alice, public_id))
    answer = shop.cancel(txid, key)
    assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthorized")
    assert shop.states(txid) == OPEN
    assert shop.bank.calls == ["find"]


def test_a_key_that_another_process_has_revoked_cancels_nothing_on_every_engine(
    any_database_url, tmp_path, clock, monkeypatch
):
    """Nobody tells this process, and its memory of the key is fresh."""
    monkeypatch.setattr(recent_callers, "CALLERS_SECONDS", 3600.0)
    monkeypatch.setattr(recent_callers, "_AGE_MAX", timedelta(hours=1))
    app = ready_app(settings_for(any_database_url, tmp_path), clock)
    engine = sa.create_engine(any_database_url)
    try:
        shop = shop_of(app, clock)
        _public_id, key = shop.key()
        first, second = shop.payment(), shop.payment()
        assert shop.cancel(first, key).status_code == 200

        def revoke() -> None:
            with engine.begin() as connection:
                connection.execute(sa.update(ApiKey).values(revoked_at=clock.now()))

        shop.bank.meanwhile = revoke
        answer = shop.cancel(second, key)
        assert (answer.status_code, shop.states(second)) == (401, OPEN)
    finally:
        engine.dispose()
        close_app(app)


def test_a_key_that_lost_its_scope_meanwhile_cancels_nothing(shop):
    """It is answered as any request of a key without the scope."""
    public_id, key = shop.key()
    txid = shop.payment()
    narrow = sa.update(ApiKey).where(ApiKey.public_id == public_id).values(scopes="payments:read")
    shop.meanwhile(lambda work, _alice: work.connection.execute(narrow))
    answer = shop.cancel(txid, key)
    assert (answer.status_code, answer.get_json()["code"]) == (403, "forbidden")
    assert shop.states(txid) == OPEN


@pytest.mark.parametrize("end", [end_sign_ins, service.disable])
def test_a_token_whose_sign_in_has_ended_meanwhile_cancels_nothing(shop, end):
    """By its owner, or because an administrator has disabled the account."""
    token = shop.token()
    txid = shop.payment()
    shop.meanwhile(end)
    path = f"/transactions/{txid}"
    answer = shop.app.test_client().put(path, json={"status": "cancelled"}, headers=bearer(token))
    assert (answer.status_code, shop.states(txid)) == (401, OPEN)


def test_a_refusal_after_the_wait_is_noted_for_the_merchant(shop):
    """The portal lists the request as it lists others of a revoked key."""
    public_id, key = shop.key()
    txid = shop.payment()
    shop.meanwhile(lambda work, alice: service.revoke_key(work, alice, public_id))
    assert shop.cancel(txid, key).status_code == 401
    with shop.app.app_context():
        assert refusals.refusal_notes().write() == 1
        with reading() as work:
            (row,) = work.session.scalars(sa.select(RefusedRequest)).all()
    assert (row.status, row.code) == (401, "unauthorized")


def remove(shop: Shop, client: PixClient, txid: str) -> Any:
    """The answer of API Pix to the removal of a charge, by a token that was issued before."""
    body = {"status": "REMOVIDA_PELO_USUARIO_RECEBEDOR"}
    headers = bearer(client.token(shop.app))
    return shop.app.test_client().patch(f"/api-pix/cob/{txid}", json=body, headers=headers)


def test_a_client_of_api_pix_that_is_valid_removes_its_charge(shop):
    """Its token is checked before and after the bank was asked."""
    client = new_client(shop.app, "alice")
    txid = shop.payment()
    answer = remove(shop, client, txid)
    assert (answer.status_code, shop.states(txid)) == (200, CANCELLED), answer.text


def test_a_client_of_api_pix_that_was_revoked_meanwhile_removes_nothing(shop):
    """Each unit of work of API Pix looks the token's client up."""
    client = new_client(shop.app, "alice")
    txid = shop.payment()
    shop.meanwhile(lambda work, alice: oauth_clients.revoke_client(work, alice, client.client_id))
    assert remove(shop, client, txid).status_code == 401
    assert shop.states(txid) == OPEN


# --- browsers -----------------------------------------------------------------------------------


@pytest.fixture
def alice(shop):
    """Alice's browser, signed in."""
    return sign_in(shop.app, "alice")


def page_of(txid: str, place: str) -> str:
    """The address to which the portal sends a cancellation, with a payment or at the counter."""
    return f"/portal/{place}/{txid}/cancel"


def access_cookie(browser: Browser) -> Any:
    """The browser's access token; None once it was deleted."""
    return browser.client.get_cookie(tokens.ACCESS_COOKIE)


places = pytest.mark.parametrize("place", ["payments", "counter/payments"])


@places
def test_a_merchant_who_stays_signed_in_cancels(shop, alice, place):
    """The second look-up needs no second CSRF token, and changes no cookie."""
    txid = shop.payment()
    answer = alice.post(page_of(txid, place), CONFIRMED)
    assert (answer.status_code, shop.states(txid)) == (303, CANCELLED)
    assert answer.headers.getlist("Set-Cookie") == []


@places
def test_a_merchant_whose_sign_in_ended_meanwhile_cancels_nothing(shop, alice, place):
    """The browser is led to the sign-in page, and loses its cookies."""
    txid = shop.payment()
    shop.meanwhile(end_sign_ins)
    answer = alice.post(page_of(txid, place), CONFIRMED)
    assert (answer.status_code, answer.location.partition("?")[0]) == (303, "/login")
    assert shop.states(txid) == OPEN
    assert access_cookie(alice) is None


def test_a_form_whose_sign_in_ended_meanwhile_is_shown_again(shop, alice):
    """As every form of a session that has ended: nothing has to be typed twice."""
    txid = shop.payment()
    shop.meanwhile(end_sign_ins)
    answer = alice.post(page_of(txid, "payments"), CONFIRMED, headers=PAGE_OF_OURS)
    assert answer.status_code == 401
    assert "Sua sessão terminou" in answer.text
    assert shop.states(txid) == OPEN


def test_a_token_that_expires_meanwhile_ends_no_sign_in(shop, alice, monkeypatch):
    """The browser renews it with its next request; the sign-in itself is open."""
    txid = shop.payment()
    shop.bank.meanwhile = partial(monkeypatch.setattr, tokens, "CLOCK_LEEWAY", timedelta(days=-1))
    answer = alice.post(page_of(txid, "payments"), CONFIRMED)
    assert (answer.status_code, shop.states(txid)) == (303, CANCELLED)
    assert access_cookie(alice) is not None


def test_renewed_cookies_are_handed_over_after_the_wait(shop, alice):
    """The request's own new token is used twice, and its refresh token only once."""
    txid = shop.payment()
    alice.client.delete_cookie(tokens.ACCESS_COOKIE)
    answer = alice.post(page_of(txid, "payments"), CONFIRMED)
    assert (answer.status_code, shop.states(txid)) == (303, CANCELLED)
    assert access_cookie(alice) is not None
    assert alice.get("/portal/payments").status_code == 200

"""The wall: the test bank's messages move money of test halves alone, the live bank's never do."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from accounts.halves import ensure_test_half
from accounts.keys import SCOPES
from accounts.service import make_key
from config import parts_of
from core.pix.business_days import brasilia_day
from core.pix.recurrence_rules import Periodicity, RecurrenceTerms
from core.runtime.bank_peer import TEST_BANK_ISPB
from core.signing import signatures
from core.signing.failures import FAILURES_MIN, SPREAD_MIN
from db_models import PayerBankOrder, Payment, Receipt
from payments import bank_signature, look_ups
from payments.recurring import charges, recurrences
from providers.accounts import signing_bank_of, signing_banks
from providers.port import BankMoney
from repository.database import in_unit_of_work, reading
from tests.accounts.people import Person
from tests.http.checks import problem
from tests.support.service import (
    PIX_KEY,
    SECRET,
    TEST_BANK_SECRET,
    BankInTest,
    close_app,
    end_to_end_id,
    ready_app,
    settings_for,
)

LIVE, TEST = "live", "test"
SECRETS = {LIVE: SECRET, TEST: TEST_BANK_SECRET}
OTHER = {LIVE: TEST, TEST: LIVE}
PAYER = {"document": "12345678909"}


@pytest.fixture
def app(fresh_database, tmp_path, clock):
    """A service in production with a bank for tests, and one for live money that nobody asks."""
    app = ready_app(
        settings_for(
            fresh_database("sqlite"),
            tmp_path,
            app_env="production",
            sign_up="open",
            public_url="https://shop.example",
            test_bank_url="https://shop.example/bank",
            test_bank_webhook_secret=TEST_BANK_SECRET,
        ),
        clock,
    )
    Person(app, "alice").sign_up()
    with app.app_context():
        in_unit_of_work(
            lambda work: work.accounts.change(
                work.accounts.by_login("alice").id, {"pix_key": PIX_KEY}
            )
        )
    yield app
    close_app(app)


@pytest.fixture
def client(app):
    """A client behind https."""
    client = app.test_client()
    client.environ_base["wsgi.url_scheme"] = "https"
    return client


@pytest.fixture
def banks(client, clock):
    """Both banks, by half."""
    return {half: BankInTest(client, clock, secret) for half, secret in SECRETS.items()}


@pytest.fixture
def keys(app):
    """Alice's keys, by half; `keys` are read once, so both halves exist."""

    def make(work):
        merchant = work.accounts.by_login("alice")
        half = ensure_test_half(work, merchant)
        accounts = {LIVE: merchant, TEST: half}
        return {
            name: make_key(work, account, "tests", tuple(SCOPES), by=None)[1]
            for name, account in accounts.items()
        }

    with app.app_context():
        return in_unit_of_work(make)


@pytest.fixture
def create(client, keys):
    """Create a payment of a half."""

    def make(half, **fields):
        headers = {"Authorization": f"Bearer {keys[half]}"}
        answer = client.post("/payments/pix", json={"value": 54.9, **fields}, headers=headers)
        assert answer.status_code == 201, answer.json
        return answer.json["payment"]

    return make


def rows_of(app, table):
    """All columns of all rows."""
    with app.app_context(), reading() as work:
        connection = work.payments._unit.connection
        return [dict(row) for row in connection.execute(sa.select(table)).mappings()]


@pytest.mark.parametrize("half", [LIVE, TEST])
def test_each_bank_confirms_payments_of_its_own_half(create, banks, half):
    payment = create(half)
    assert payment["livemode"] is (half == LIVE)
    answer = banks[half].confirm(payment)
    assert answer.status_code == 200
    assert answer.json["payment"]["status"] == "confirmed"


@pytest.mark.parametrize("half", [LIVE, TEST])
def test_the_other_bank_gets_the_answer_for_an_unknown_payment(app, client, create, banks, half):
    """Word for word, and nothing changes: not the row, not the page, not the events."""
    payment = create(half)
    before = rows_of(app, Payment.__table__)
    page = client.get(f"/payments/pix/{payment['id']}").json
    unknown = problem(banks[OTHER[half]].confirm({**payment, "id": "0" * 32}), 404)
    refusal = problem(banks[OTHER[half]].confirm(payment), 404, unknown["code"])
    assert refusal["detail"].replace(payment["id"], "0" * 32) == unknown["detail"]
    assert rows_of(app, Payment.__table__) == before
    assert client.get(f"/payments/pix/{payment['id']}").json == page
    receipts = rows_of(app, Receipt.__table__)
    assert [(row["payment_id"], row["merchant_id"]) for row in receipts] == [(None, None)] * 2
    assert banks[half].confirm(payment).status_code == 200


def test_a_test_does_not_hide_that_messages_of_the_live_bank_fail(
    app, client, create, banks, clock
):
    """Somebody always tests, and meanwhile no merchant is paid."""
    tested, real = create(TEST), create(LIVE)
    stranger = BankInTest(client, clock, signatures.new_secret())
    failures, one_id = parts_of(app).signature_failures, end_to_end_id()
    for _ in range(FAILURES_MIN):
        problem(stranger.confirm(real), 401)
        assert banks[TEST].confirm(tested, end_to_end_id=one_id).status_code == 200
        clock.advance(seconds=SPREAD_MIN.total_seconds() / 3)
    assert failures.problem(clock.now()) is not None
    assert banks[LIVE].confirm(real).status_code == 200
    assert failures.problem(clock.now()) is None


@pytest.mark.parametrize("half", [LIVE, TEST])
def test_money_for_a_key_reaches_its_own_half_alone(app, keys, banks, half):
    """The key of a static code names an account, and an account has one half."""
    assert keys
    with app.app_context(), reading() as work:
        account = account_in(work, half)
    body = {"pix_key": account.pix_key, "value": 5, "end_to_end_id": end_to_end_id()}
    problem(banks[OTHER[half]].tell({**body, "end_to_end_id": end_to_end_id()}), 404)
    assert [row["merchant_id"] for row in rows_of(app, Receipt.__table__)] == [None]
    assert banks[half].tell(body).status_code == 200
    assert [row["merchant_id"] for row in rows_of(app, Receipt.__table__)] == [None, account.id]


def test_a_test_cannot_occupy_the_id_of_real_money(app, create, banks):
    """Otherwise money that arrives later would be a repetition of the test's."""
    real_id = "E60746948202611201500abcdefghijk"
    tested, real = create(TEST), create(LIVE)
    for _ in range(2):
        assert banks[TEST].confirm(tested, end_to_end_id=real_id).status_code == 200
    assert banks[LIVE].confirm(real, end_to_end_id=real_id).status_code == 200
    ids = [row["end_to_end_id"] for row in rows_of(app, Receipt.__table__)]
    assert len(ids) == 2
    assert ids[0].startswith("test:")
    assert ids[1] == real_id


@pytest.mark.parametrize("half", [LIVE, TEST])
def test_a_repeated_id_of_the_other_half_says_nothing_of_it(create, banks, half):
    """Neither that it was paid, nor that the amount differs."""
    one_id = end_to_end_id()
    payment = create(half)
    assert banks[half].confirm(payment, end_to_end_id=one_id).status_code == 200
    for changes in ({}, {"value": 1}):
        answer = banks[OTHER[half]].confirm(payment, end_to_end_id=one_id, **changes)
        assert problem(answer, 404)["detail"] == f"There is no payment {payment['id']}."


def test_one_txid_of_both_halves_names_the_payment_of_the_banks_half(app, create, banks):
    """Shops number their tests as they number their sales."""
    payments = {half: create(half) for half in SECRETS}
    with app.app_context():

        def number(work):
            for payment in payments.values():
                row = work.payments.by_txid(payment["id"])
                work.payments.change(row, [row.status], {"charge_txid": "sale0001" * 4})

        in_unit_of_work(number)
    for half, payment in payments.items():
        answer = banks[half].confirm({**payment, "id": "sale0001" * 4})
        assert answer.status_code == 200, answer.json
        assert answer.json["payment"]["id"] == payment["id"]


def test_a_look_up_of_a_bank_settles_its_own_half_alone(app, clock, create):
    """What a bank lists is believed as much as what it signs."""
    tested, real = create(TEST), create(LIVE)
    with app.app_context():
        for payment in (real, tested):
            money = BankMoney(end_to_end_id(), payment["id"], None, 5490, clock.now())
            result = look_ups.settle(money, is_test=True)
            assert result is not None
            assert (result.refusal is not None) is (payment is real)


def test_each_half_asks_its_own_bank(app, create, keys):
    """In this service there is none to ask about live money: its confirmations are awaited."""
    tested, real = create(TEST), create(LIVE)
    with app.app_context(), reading() as work:
        rows = {
            half: work.payments.by_txid(one["id"]) for half, one in ((TEST, tested), (LIVE, real))
        }
    with app.app_context():
        assert [bank.is_test for bank in signing_banks()] == [True]
        bank = signing_bank_of(rows[TEST].merchant_id)
        assert bank is not None
        assert (bank.is_test, bank.half) == (True, True)
        assert signing_bank_of(rows[LIVE].merchant_id) is None
        assert look_ups.inquire(real["id"]) is look_ups.Inquiry.NOBODY


@pytest.mark.parametrize("half", [LIVE, TEST])
def test_a_recurrence_is_decided_by_the_bank_of_its_half(app, client, banks, keys, half):
    """Acceptance, refusal and cancellation: the other bank hears of no such recurrence."""
    assert keys
    id_rec = insert_recurrence(app, half).recurrence.id_rec
    unknown_id = id_rec[:-1] + ("0" if id_rec[-1] != "0" else "1")
    for answer in ("accepted", "refused", "cancelled"):
        body = decision(id_rec, answer)
        refusal = problem(send(client, banks[OTHER[half]], "recurrences/answer", body), 404)
        unknown = send(client, banks[half], "recurrences/answer", {**body, "id_rec": unknown_id})
        assert words_of(refusal) == words_of(problem(unknown, 404))
    body = decision(id_rec, "accepted")
    assert send(client, banks[half], "recurrences/answer", body).status_code == 200


@pytest.mark.parametrize("half", [LIVE, TEST])
def test_a_failed_collection_is_told_by_the_bank_of_its_half(app, client, banks, keys, half):
    """The other bank could otherwise end charges of people who pay."""
    assert keys
    id_rec = insert_recurrence(app, half).recurrence.id_rec
    accepted = decision(id_rec, "accepted")
    assert send(client, banks[half], "recurrences/answer", accepted).status_code == 200
    record = insert_charge(app, half, id_rec)
    attempt_id = record.attempts[-1].end_to_end_id
    assert attempt_id.startswith(f"E{TEST_BANK_ISPB}") is (
        half == TEST or app.config["BALCAO"].bank_ispb == TEST_BANK_ISPB
    )
    body = {"txid": record.payment.txid, "end_to_end_id": attempt_id, "code": "no-funds"}
    unknown = {**body, "end_to_end_id": "E" + "9" * 31}
    refusal = problem(send(client, banks[OTHER[half]], "collections/failed", body), 404)
    same = problem(send(client, banks[half], "collections/failed", unknown), 404)
    assert words_of(refusal) == words_of(same)
    answer = send(client, banks[half], "collections/failed", body)
    assert answer.json["duplicate"] is False, answer.json


def test_an_order_to_a_payer_waits_for_the_bank_of_its_half(app, keys):
    """Nothing is stored for a half whose bank cannot be asked."""
    assert keys
    for half in (LIVE, TEST):
        record = insert_recurrence(app, half)
        with app.app_context():

            def cancel(work, id_rec=record.recurrence.id_rec):
                found_record = work.recurrences.by_id_rec(id_rec)
                assert found_record is not None
                return recurrences.cancel(work, found_record, recurrences.BY_PAYEE)

            in_unit_of_work(cancel)
    rows = rows_of(app, PayerBankOrder.__table__)
    assert [(row["kind"], row["is_test"]) for row in rows] == [("mandate-cancel", True)]
    with app.app_context(), reading() as work:
        assert work.payer_bank_orders.ids_due(work.now, 9, is_test=False) == []
        assert len(work.payer_bank_orders.ids_due(work.now, 9, is_test=True)) == 1


def test_every_signed_route_has_a_test_above():
    """A new one needs a wall, too."""
    signed = {
        path.name
        for path in (Path(bank_signature.__file__).parent).rglob("*.py")
        if "security=bank_signature.SIGNED" in path.read_text(encoding="utf-8")
    }
    assert signed == {"confirmation_routes.py", "answer_routes.py", "collection_routes.py"}


def words_of(body):
    """What the answer tells a bank."""
    return body["code"], body["detail"]


def decision(id_rec, answer):
    """What a payer's bank tells of a payer who has read a code."""
    journey = {"journey": 2} if answer == "accepted" else {}
    return {"id_rec": id_rec, "answer": answer, "payer": PAYER, "ispb": "99999004", **journey}


def send(client, bank, path, body):
    """Post a signed body to a route of the bank."""
    data = json.dumps(body).encode()
    return client.post(f"/payments/pix/{path}", data=data, headers=bank.headers(data))


def account_in(work, half):
    """Alice's account of this half."""
    merchant = work.accounts.by_login("alice")
    return merchant if half == LIVE else work.accounts.find_test_half(merchant.id)


def insert_recurrence(app, half):
    """An offer of Alice's half, from today on."""

    def insert(work):
        terms = RecurrenceTerms(
            brasilia_day(work.now), Periodicity.MONTHLY, allows_retries=True, fixed_centavos=3500
        )
        new = recurrences.NewRecurrence(terms, "63100862", "Ana Souza", "12345678909")
        return recurrences.create(work, account_in(work, half), new, None)

    with app.app_context():
        return in_unit_of_work(insert)


def insert_charge(app, half, id_rec):
    """A charge of the recurrence, due in three days, whose first attempt is ordered."""

    def insert(work):
        account = account_in(work, half)
        record = work.recurrences.find(account.id, id_rec)
        assert record is not None
        day = brasilia_day(work.now) + timedelta(days=3)
        new = charges.NewRecurringCharge(3500, day, False, "12345", "CORRENTE", "1")
        return charges.create(work, account, record.recurrence, new, None)

    with app.app_context():
        return in_unit_of_work(insert)

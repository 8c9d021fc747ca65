"""Personal data of payers: masked in answers, erased after PAYER_DATA_DAYS or on request."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import func, select

from core.documents import mask_document
from db_models import AuditEntry, IdempotentRequest, Receipt, Signal, SignalKind
from payments import privacy
from payments.privacy import PayerDataEraser
from repository.database import in_unit_of_work, reading

BOB, CAROL = "12345678909", "52998224725"
DAY = 86_400


def payers(app):
    """Name and document of every receipt, oldest first."""
    with app.app_context(), reading() as work:
        query = select(Receipt.payer_name, Receipt.payer_document).order_by(Receipt.id)
        return [tuple(row) for row in work.session.execute(query)]


def erase_old(app, settings, eraser=None):
    """Run the hourly job once; return how many rows lost their payer."""
    with app.app_context():
        return (eraser or PayerDataEraser(settings)).run(lambda: True)


@pytest.fixture
def run(app):
    """Run `flask privacy …`."""
    return lambda *arguments, **options: app.test_cli_runner().invoke(
        args=["privacy", *arguments], **options
    )


@pytest.mark.parametrize(
    ("document", "masked"),
    [
        ("12345678909", "***.456.789-**"),
        ("12345678000195", "**.345.678/0001-**"),
        ("12ABC34501DE35", "**.ABC.345/01DE-**"),
        ("***.456.789-**", "***.456.789-**"),
        ("123456789", "*********"),
    ],
)
def test_a_document_is_shown_without_its_first_and_last_digits(document, masked):
    """As Brazilian banks show another person's; what a bank masked stays as it is."""
    assert mask_document(document) == masked


def test_an_answer_shows_a_payers_document_only_masked(make_payment, bank, client, app):
    """Whoever reads the shop's logs or screens must not get a list of CPFs."""
    bank.confirm(make_payment())
    answer = client.get("/payments/pix/receipts")
    assert answer.json["data"][0]["payer"] == {
        "name": "Bob de Souza",
        "document": "***.456.789-**",
    }
    assert BOB not in answer.text
    assert payers(app) == [("Bob de Souza", BOB)]


def test_a_payer_is_erased_after_the_days_of_the_setting(
    make_payment, bank, client, app, settings, clock
):
    """Kept to the last second, then erased; the money stays in the books."""
    old = make_payment()
    bank.confirm(old)
    clock.advance(seconds=settings.payer_data_days * DAY - 1)
    bank.confirm(make_payment())
    clock.advance(seconds=1)
    assert erase_old(app, settings) == 0
    clock.advance(seconds=1)
    assert erase_old(app, settings) == 1
    assert payers(app) == [(None, None), ("Bob de Souza", BOB)]
    newest, oldest = client.get("/payments/pix/receipts").json["data"]
    assert (oldest["payer"], oldest["amount_centavos"]) == (None, 5490)
    assert newest["payer"]["name"] == "Bob de Souza"
    assert client.get(f"/payments/pix/{old['id']}/receipt").status_code == 200


def test_the_job_goes_on_where_it_stopped(make_payment, bank, app, settings, clock, monkeypatch):
    """It reads old receipts once per process, in small transactions."""
    monkeypatch.setattr(privacy, "BATCH", 2)
    eraser = PayerDataEraser(settings)
    for _ in range(5):
        bank.confirm(make_payment())
    clock.advance(seconds=settings.payer_data_days * DAY + 1)
    bank.confirm(make_payment())
    assert erase_old(app, settings, eraser) == 5
    clock.advance(seconds=settings.payer_data_days * DAY)
    assert erase_old(app, settings, eraser) == 0
    clock.advance(seconds=1)
    assert erase_old(app, settings, eraser) == 1
    assert payers(app) == [(None, None)] * 6


def test_a_stop_ends_the_job_between_two_batches(make_payment, bank, app, settings, clock):
    """A stopping process must not wait for years of receipts."""
    bank.confirm(make_payment())
    clock.advance(seconds=settings.payer_data_days * DAY + 1)
    with app.app_context():
        assert PayerDataEraser(settings).run(lambda: False) == 0
    assert payers(app) == [("Bob de Souza", BOB)]


def test_a_signal_of_a_payer_is_deleted_with_the_payers_data(
    make_payment, bank, app, settings, clock
):
    """Its subject is the document."""
    payment = make_payment()
    bank.confirm(payment)
    add_signal(app, payment)
    clock.advance(seconds=settings.payer_data_days * DAY)
    assert erase_old(app, settings) == 0
    clock.advance(seconds=1)
    assert erase_old(app, settings) == 2
    with app.app_context(), reading() as work:
        assert work.session.scalar(select(func.count()).select_from(Signal)) == 0


def add_signal(app, payment):
    """A signal of refused money of Bob's."""

    def insert(work):
        row = work.payments.by_txid(payment["id"])
        work.signals.insert(
            {
                "merchant_id": row.merchant_id,
                "kind": SignalKind.REFUSED_PAYER,
                "subject": BOB,
                "payment_id": row.id,
                "times": 3,
                "threshold": 3,
                "window_seconds": 600,
                "window_at": work.now,
                "first_at": work.now,
                "last_at": work.now,
            }
        )

    with app.app_context():
        in_unit_of_work(insert)


def buyers(client):
    """The payers of all payments as the shop sent them, newest first."""
    return [one["payer"] for one in client.get("/payments/pix").json["data"]]


def test_a_payer_sent_by_the_shop_is_erased_after_the_days_of_the_setting(
    make_payment, client, app, settings, clock
):
    """Paid or not; the rest of the payment stays."""
    make_payment(payer={"name": "Carol Dias", "document": CAROL}, order_id="7")
    make_payment(payer={"name": "Dora"})
    make_payment()
    clock.advance(seconds=settings.payer_data_days * DAY)
    assert erase_old(app, settings) == 0
    clock.advance(seconds=1)
    make_payment(payer={"document": CAROL})
    assert erase_old(app, settings) == 2
    assert buyers(client) == [{"name": None, "document": "***.982.247-**"}, None, None, None]
    assert client.get("/payments/pix").json["data"][3]["order_id"] == "7"


def test_a_payer_sent_by_the_shop_is_exported_and_erased(make_payment, bank, client, app, run):
    """Also from the answer that is stored for a repeated request."""
    body = {"value": 1, "payer": {"name": "Carol Dias", "document": CAROL}}
    headers = {"Idempotency-Key": "k1"}
    payment = client.post("/payments/pix", json=body, headers=headers).json["payment"]
    other = make_payment(payer={"name": "Bob", "document": BOB})
    bank.confirm(other)
    result = run("export", CAROL)
    data = json.loads(result.stdout[result.stdout.index("{") :])
    assert data["receipts"] == []
    assert data["payments"] == [
        {
            "payment_id": payment["id"],
            "merchant": "Feira da Vila",
            "value": 1.0,
            "created_at": "2026-11-20T15:00:00.000Z",
            "payer_name": "Carol Dias",
            "payer_document": CAROL,
        }
    ]

    assert "Erased: 1 rows." in run("erase", CAROL, "--yes").output

    assert buyers(client) == [{"name": "Bob", "document": "***.456.789-**"}, None]
    again = client.post("/payments/pix", json=body, headers=headers)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json["payment"] == {**payment, "payer": None}
    with app.app_context(), reading() as work:
        stored = work.session.scalars(select(IdempotentRequest)).all()
        assert CAROL not in json.dumps([[one.request, one.answer] for one in stored])
    assert "Nothing is stored" in run("erase", CAROL, "--yes").output


@pytest.mark.parametrize(
    "person",
    [BOB, "123.456.789-09", " 123.456.789\u201309\u200b", "CPF: 123.456.789\u201109", "end-to-end"],
)
def test_one_persons_data_is_exported_whole(make_payment, bank, app, run, person):
    """The person has a right to all of it, and to nobody else's."""
    payment = make_payment()
    notification = bank.body(payment)
    bank.tell(notification)
    add_signal(app, payment)
    bank.confirm(make_payment(), payer={"name": "Carol Dias", "document": CAROL})
    money = notification["end_to_end_id"]
    argument = f"{money[:9]} {money[9:]}\u200b" if person == "end-to-end" else person

    result = run("export", argument)

    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout[result.stdout.index("{") :])
    assert data["receipts"] == [
        {
            "end_to_end_id": notification["end_to_end_id"],
            "payment_id": payment["id"],
            "merchant": "Feira da Vila",
            "value": 54.9,
            "paid_at": "2026-11-20T15:00:00.000Z",
            "payer_name": "Bob de Souza",
            "payer_document": BOB,
            "payer_message": None,
            "verdict": "accepted",
            "reason": None,
        }
    ]
    times = [signal["times"] for signal in data["signals"]]
    assert times == ([] if person == "end-to-end" else [3])
    assert "Carol" not in result.stdout


def test_one_persons_data_is_erased_and_sums_stay(make_payment, bank, client, app, run):
    """The command says what it did; the audit log has no document in it."""
    payment = make_payment()
    bank.confirm(payment)
    add_signal(app, payment)
    bank.confirm(make_payment(), payer={"name": "Carol Dias", "document": CAROL})

    refused = run("erase", BOB, input="n\n")
    assert refused.exit_code == 1
    assert payers(app)[0] == ("Bob de Souza", BOB)
    result = run("erase", "123.456.789-09", "--yes")

    assert "Erased: 2 rows." in result.output
    assert payers(app) == [(None, None), ("Carol Dias", CAROL)]
    amounts = [one["amount_centavos"] for one in client.get("/payments/pix/receipts").json["data"]]
    assert amounts == [5490, 5490]
    newest = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)
    with app.app_context(), reading() as work:
        entry = work.session.scalars(newest).one()
    assert (entry.action, entry.subject, entry.details) == (
        "payer.erased",
        "***.456.789-**",
        {"rows": 2},
    )
    assert "Nothing is stored" in run("erase", BOB, "--yes").output

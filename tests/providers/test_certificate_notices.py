"""A certificate's end is announced 30, 7 and 1 days ahead, once each, and measured all the time."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from db_models import OutgoingMail, ProviderAccount
from db_models.base import db
from providers import certificate_notices, enrolment
from providers.certificate_notices import due_warning
from repository.database import in_unit_of_work, reading
from tests.providers.enrolled import change, enrol, new_account, stored

DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)


def warn(app):
    with app.app_context():
        return certificate_notices.warn()


def mails(app):
    with app.app_context():
        return list(db.session.scalars(select(OutgoingMail).order_by(OutgoingMail.id)))


@pytest.mark.parametrize(
    ("remaining", "warned", "due"),
    [
        (30 * DAY + SECOND, None, None),
        (30 * DAY, None, 30),
        (7 * DAY + SECOND, None, 30),
        (7 * DAY + SECOND, 30, None),
        (7 * DAY, 30, 7),
        (DAY, 7, 1),
        (DAY, None, 1),
        (SECOND, 1, None),
        (0 * DAY, 1, 0),
        (-9 * DAY, 0, None),
        (-9 * DAY, None, 0),
    ],
)
def test_a_warning_is_due_from_its_day_on(app, clock, remaining, warned, due):
    """Both sides of each edge; a service that was stopped gives the nearest warning alone."""
    account = enrol(app, new=new_account(ends_at=clock.now() + remaining))
    account.warned_days = warned
    assert due_warning(account, clock.now()) == due


def test_each_warning_is_given_once(app, clock):
    """The job runs every hour, in every process."""
    account = enrol(app, new=new_account(ends_at=clock.now() + 29 * DAY))
    enrol(app)  # has no certificate
    assert [warn(app), warn(app)] == [1, 0]
    clock.advance(days=23)
    assert [warn(app), warn(app)] == [1, 0]
    assert stored(app, account).warned_days == 7
    with app.app_context():
        in_unit_of_work(lambda work: certificate_notices._warn_of(work, account.id))
    assert stored(app, account).warned_days == 7


def test_a_removed_account_warns_nobody(app, clock):
    account = enrol(app, new=new_account(ends_at=clock.now() + DAY))
    change(app, account, removed_at=clock.now())
    assert warn(app) == 0


@pytest.mark.parametrize("status", ["opening", "open", "closing", "closed"])
def test_a_removed_account_warns_until_its_charges_are_finished(app, rows, clock, status):
    """Without its certificate nobody could see whether an open charge was paid, or close it."""
    row = rows.account(certificate_ends_at=clock.now() + DAY)
    rows.payment(row, charge={"status": status})
    rows.write(ProviderAccount, row, removed_at=clock.now())
    assert warn(app) == (status != "closed")
    with app.app_context(), reading() as work:
        troubled = work.provider_accounts.troubled(clock.now() + 30 * DAY, 10)
    assert len(troubled) == (status != "closed")


def test_the_merchant_gets_an_e_mail_if_there_is_a_server(app, clock, monkeypatch):
    """It names the account, the day and the page, and no secret."""
    monkeypatch.setattr(certificate_notices, "can_send", lambda: True)
    with app.app_context():
        in_unit_of_work(
            lambda work: work.accounts.change(
                work.accounts.by_login("demo").id, {"email": "dono@feira.example"}
            )
        )
    account = enrol(app, new=new_account(ends_at=clock.now() + 5 * DAY, name="Conta do Efí"))
    assert warn(app) == 1
    [mail] = mails(app)
    assert (mail.kind, mail.recipient) == ("provider-notice", "dono@feira.example")
    assert mail.subject == "O certificado da conta Conta do Efí vence em 5 dias"
    assert f"/portal/provider/{account.public_id}" in mail.body


def test_without_a_server_nothing_waits_for_one(app, clock):
    enrol(app, new=new_account(ends_at=clock.now() + DAY))
    assert warn(app) == 1
    assert mails(app) == []


def test_the_gauges_follow_the_rows(app, client, clock):
    """Days left, the last fault, and the age of the last answer; none of a removed account."""
    account = enrol(app, new=new_account(ends_at=clock.now() + 36 * timedelta(hours=1)))
    change(app, account, fault="timeout", answered_at=clock.now() - timedelta(seconds=90))
    label = f'{{account="{account.public_id}"}}'

    def series():
        with app.app_context():
            certificate_notices.measure()
        lines = client.get("/metrics").text.splitlines()
        return [line for line in lines if label in line]

    assert sorted(series()) == [
        f"balcao_provider_account_fault{label} 1.0",
        f"balcao_provider_answer_age_seconds{label} 90.0",
        f"balcao_provider_certificate_days{label} 1.5",
    ]
    with app.app_context(), reading() as work:
        demo = work.accounts.by_login("demo")
    with app.app_context():
        in_unit_of_work(lambda work: enrolment.remove(work, demo, account))
    assert series() == []

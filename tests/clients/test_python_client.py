"""The Python client against the running service."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from balcao import Balcao, Provider, Receipt, errors
from balcao.testing.errors import wait_until
from tests.support.service import DEMO_PASSWORD, ServiceProcess

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One service for all tests of this file; each makes payments of its own."""
    with ServiceProcess(tmp_path_factory.mktemp("client")) as running:
        yield running


def api_key(service: ServiceProcess, *scopes: str) -> str:
    """A new API key of the demo merchant, made as a developer makes one."""
    transport = Balcao(service.url).transport
    form = {"username": "demo", "password": DEMO_PASSWORD}
    token = transport.request("POST", "/token", form=form).json()["access_token"]
    signed_in = Balcao(service.url, token).transport
    body = {"label": "client", "scopes": list(scopes)} if scopes else {"label": "client"}
    return str(signed_in.request("POST", "/api/keys", body=body).json()["key"])


@pytest.fixture(scope="module")
def shop(service: ServiceProcess) -> Balcao:
    """Alice's shop, with an API key that may also refund."""
    key = api_key(service, "payments:read", "payments:write", "refunds:write")
    return Balcao(service.url, key)


def test_a_payment_is_created_paid_and_refunded(service: ServiceProcess, shop: Balcao):
    """The whole life of a payment, with exact money at each step."""
    payment = shop.payments.create(
        Decimal("54.90"), order_id="py-1", description="Queijo", metadata={"cart": "7"}
    )
    assert (payment.status, payment.amount_centavos) == ("pending", 5490)
    assert payment.metadata == {"cart": "7"}
    assert payment.provider == Provider("simulated", None, payment.id, "open")

    assert service.tell({"id": payment.id, "value": str(payment.value)})[0] == 200
    paid = shop.payments.get(payment.id)
    assert paid.paid
    assert paid.confirmed_at is not None
    assert paid.sequence > payment.sequence

    with pytest.raises(errors.RefundExceedsPayment):
        shop.payments.refund(payment.id, "54.91")
    refund = shop.payments.refund(payment.id, "14.90", description="one cheese less")
    assert (refund.value, refund.payment_id) == (Decimal("14.90"), payment.id)
    assert (refund.by_bank, refund.nature) == (False, None)
    assert [one.id for one in shop.payments.refunds(payment.id)] == [refund.id]


def test_the_receipt_of_an_event_is_read(service: ServiceProcess, shop: Balcao):
    """Money of another amount: the simulated bank gives it back."""
    payment = shop.payments.create(10)
    assert service.tell({"id": payment.id, "value": "9.00"})[0] == 400

    def refused() -> list[Receipt]:
        events = [one for one in shop.events.list(after="start") if one.type == "receipt.refused"]
        receipts = [Receipt.from_raw(one.data) for one in events]
        return [one for one in receipts if one.payment_id == payment.id]

    wait_until(lambda: bool(refused()), 20, lambda: "No receipt came.")
    [receipt] = refused()
    assert (receipt.value, receipt.verdict) == (Decimal("9.00"), "refused")
    assert (receipt.reason, receipt.misfit) == ("amount-mismatch", None)


def test_an_order_has_one_payment_and_the_error_says_so(shop: Balcao):
    """The class is what a shop catches to show the payment that exists."""
    first = shop.payments.create(10, order_id="py-2")

    with pytest.raises(errors.OrderAlreadyHasPayment):
        shop.payments.create(10, order_id="py-2")

    assert shop.payments.cancel(first.id).status == "cancelled"
    assert shop.payments.cancel(first.id).status == "cancelled"
    assert [one.id for one in shop.payments.list(order_id="py-2")] == [first.id]


def test_one_key_creates_once_and_another_body_is_a_conflict(shop: Balcao):
    """A program that crashed repeats its own key after the restart."""
    first = shop.payments.create(10, idempotency_key="py-key-3")
    assert shop.payments.create(10, idempotency_key="py-key-3").id == first.id

    with pytest.raises(errors.IdempotencyConflict) as conflict:
        shop.payments.create(11, idempotency_key="py-key-3")
    assert [problem.field for problem in conflict.value.errors] == ["value"]


def test_all_invalid_fields_are_named(shop: Balcao):
    """A developer corrects them in one go."""
    with pytest.raises(errors.InvalidRequest) as refusal:
        shop.payments.create(0, order_id="x" * 65)

    assert {problem.field for problem in refusal.value.errors} == {"value", "order_id"}
    assert refusal.value.request_id


def test_a_payment_with_test_pays_itself(shop: Balcao):
    """Nobody has to go to the bank; an empty dict means all defaults."""
    payment = shop.payments.create(10, test={"scenario": "double", "pay_after": 0})
    assert payment.raw["test"] == {"scenario": "double", "pay_after": 0, "late_seconds": 10}
    plain = shop.payments.create(10, test={})
    assert plain.raw["test"]["scenario"] == "normal"

    wait_until(
        lambda: all(shop.payments.get(one.id).paid for one in (payment, plain)),
        20,
        lambda: "Nobody paid.",
    )
    with pytest.raises(errors.InvalidRequest):
        shop.payments.create(10, test={"scenario": "unheard-of"})


def test_a_list_is_followed_over_its_pages(shop: Balcao):
    """Three payments over pages of two, newest first, none twice."""
    ids = [shop.payments.create(10, description="py page").id for _ in range(3)]

    listed = [one.id for one in shop.payments.list(q="py page", limit=2)]

    assert listed == ids[::-1]


def test_a_stranger_and_a_weak_key_are_told_apart(service: ServiceProcess, shop: Balcao):
    """Charlie's key must be replaced; a key without the scope must be made anew."""
    payment = shop.payments.create(10)
    reader = Balcao(service.url, api_key(service, "payments:read"))

    with pytest.raises(errors.Unauthorized):
        Balcao(service.url, "balcao_test_unknown").payments.create(10)
    with pytest.raises(errors.Forbidden, match="payments:write"):
        reader.payments.cancel(payment.id)
    with pytest.raises(errors.PaymentNotFound):
        shop.payments.get("0" * 32)


def test_every_code_with_a_class_is_a_code_of_the_service():
    """A code that was renamed would raise its family, and nobody would notice."""
    rows = re.findall(
        r"^\| `([a-z-]+)` \| (\d{3}) \|", (DOCS / "errors.md").read_text("utf-8"), re.M
    )
    statuses = {code: int(status) for code, status in rows}

    for code, error in errors.CLASS_OF_CODE.items():
        family = type(errors.error_from(statuses[code], {}, None, None))
        assert issubclass(error, family), code

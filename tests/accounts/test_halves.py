"""A merchant's test half: made once, described as the merchant is, and never live."""

from __future__ import annotations

import pytest

from accounts import halves, service
from config import parts_of
from repository.database import in_unit_of_work, reading
from tests.accounts.people import Person


@pytest.fixture
def alice(production_app):
    """Alice, a merchant in production."""
    person = Person(production_app, "alice")
    person.sign_up()
    return person


@pytest.fixture
def pair(production_app, alice):
    """Alice's account and her test half, as they are stored now."""

    def read():
        with production_app.app_context():
            return in_unit_of_work(_both_of_alice)

    return read


@pytest.fixture
def do(production_app, alice):
    """Run something in a unit of work."""

    def run(what):
        with production_app.app_context():
            return in_unit_of_work(what)

    return run


def _both_of_alice(work):
    merchant = work.accounts.by_login("alice")
    return merchant, halves.ensure_test_half(work, merchant)


def test_it_is_made_once_and_nobody_can_sign_in_to_it(pair, do):
    merchant, first = pair()
    _, again = pair()
    assert (first.id, first.role, first.password_hash) == (again.id, "merchant", None)
    assert first.is_test_half
    assert not merchant.is_test_half
    assert merchant.pix_key != first.pix_key
    assert do(lambda work: halves.ensure_test_half(work, first)).id == first.id
    assert do(lambda work: halves.owner_of(work, first)).id == merchant.id
    assert do(lambda work: halves.owner_of(work, merchant)).id == merchant.id


def test_it_is_described_as_the_merchant_is(pair, do):
    """The name, too, and it takes no name from other shops."""
    merchant, _ = pair()
    do(lambda work: service.rename(work, merchant, "Feira da Vila"))
    values = {"city": "Recife", "brand_color": "#00aa33", "pix_key": "a@shop.example"}
    do(lambda work: work.accounts.change(merchant.id, values))
    merchant, half = pair()
    assert (half.name, half.city, half.brand_color) == ("Feira da Vila", "Recife", "#00aa33")
    assert half.name_key is None
    assert half.pix_key != merchant.pix_key == "a@shop.example"


def test_it_is_disabled_and_enabled_with_the_merchant(pair, do):
    merchant, _ = pair()
    assert do(lambda work: service.disable(work, merchant))
    assert pair()[1].disabled_at is not None
    assert do(lambda work: service.enable(work, merchant))
    assert pair()[1].disabled_at is None


def test_its_money_is_never_real(pair, production_app):
    presenter = parts_of(production_app).presenter
    merchant, half = pair()
    with production_app.app_context():
        assert (halves.is_live(merchant), halves.is_live(half)) == (True, False)
        assert (presenter.livemode(merchant.id), presenter.livemode(half.id)) == (True, False)


def test_in_development_nobody_has_one(app):
    """All money is simulated there."""
    with app.app_context(), reading() as work:
        demo = work.accounts.by_login("demo")
        with pytest.raises(RuntimeError, match="development"):
            halves.ensure_test_half(work, demo)

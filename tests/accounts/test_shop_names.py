"""A shop's name is its own: payers read it before they pay."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from db_models import Account
from repository.database import in_unit_of_work
from tests.accounts.people import PASSWORD, Person

TWINS = ["Queijaria da Alice", "QUEIJARIA da alice", "Queijaria  da\u00a0Alice"]
SETTINGS = {"city": "Cunha", "brand_color": "#04694f", "grace_seconds": "0"}
TAKEN = "Outra loja já tem este nome. Escolha um nome diferente."


@pytest.fixture
def cheese(person):
    """Alice's shop."""
    return person("alice", name="Queijaria da Alice")


def sign_up(app, **fields):
    """The answer to a sign-up by Charlie."""
    body = {"username": "charlie", "password": PASSWORD, **fields}
    return Person(app, "charlie").post("/users/", json=body)


def rename(shop, name):
    """The answer of the settings' form."""
    browser = shop.enter()
    fields = {**SETTINGS, "name": name, "csrf_token": shop.csrf}
    return browser.post("/portal/settings/shop", data=fields, headers={"Accept": "text/html"})


@pytest.mark.parametrize("name", ["Queijaria da Alice", "QUEIJARIA da alice"])
def test_a_stranger_cannot_sign_up_under_the_name_of_a_shop(app, cheese, name):
    """The payment page and the bank show only the name."""
    answer = sign_up(app, name=name)
    assert (answer.status_code, answer.get_json()["code"]) == (409, "shop-name-taken")
    assert [error["field"] for error in answer.get_json()["errors"]] == ["name"]
    assert sign_up(app, name="Queijaria dá Alice").status_code == 201


def test_the_sign_up_page_says_it_at_the_field(app, cheese):
    """The person reads what to change, and the rest of the form stays."""
    browser = app.test_client()
    token = browser.get("/signup").text.split('name="csrf_token" value="')[1].split('"')[0]
    fields = {"username": "charlie", "name": TWINS[1], "password": PASSWORD, "csrf_token": token}
    answer = browser.post("/signup", data=fields, headers={"Accept": "text/html"})
    assert answer.status_code == 409
    assert TAKEN in answer.text
    assert 'value="charlie"' in answer.text


def test_a_login_without_a_name_is_a_name_too(app, person):
    """Without a name payers see the login."""
    person("alice", name="Charlie")
    assert sign_up(app).get_json()["code"] == "shop-name-taken"


def test_a_payer_may_have_the_name_of_a_shop(app, cheese):
    """People share names; nobody pays a payer."""
    assert sign_up(app, name="Queijaria da Alice", role="payer").status_code == 201


@pytest.mark.parametrize("name", TWINS)
def test_a_shop_cannot_be_renamed_to_another_ones_name(app, person, cheese, name):
    """The settings say it at the field and save nothing."""
    other = person("charlie", name="Longe")
    answer = rename(other, name)
    assert answer.status_code == 409
    assert TAKEN in answer.text
    assert other.get("/users/me/", other.bearer()).get_json()["name"] == "Longe"


def test_a_shop_may_write_its_own_name_anew(cheese):
    """It is no twin of itself, and the old name is free afterwards."""
    assert rename(cheese, "QUEIJARIA DA ALICE").status_code == 303
    assert rename(cheese, "Laticínios").status_code == 303
    assert sign_up(cheese.app, name="Queijaria da Alice").status_code == 201


def test_old_twins_keep_their_name_and_save_their_settings(app, person, cheese):
    """They had it before names were compared."""
    other = person("charlie", name="Longe")
    twin = {"name": "Queijaria da Alice", "name_key": "queijaria da alice"}
    with app.app_context():
        change = sa.update(Account).where(Account.login == "charlie").values(**twin)
        in_unit_of_work(lambda work: work.session.execute(change))
    assert rename(other, "Queijaria da Alice").status_code == 303
    assert rename(cheese, "Queijaria da Alice").status_code == 303

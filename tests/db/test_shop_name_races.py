"""Shops that take one name at the same instant: one gets it, on every engine."""

from __future__ import annotations

import zlib
from collections import Counter
from functools import partial

import pytest

from accounts import service
from core.merchant_errors import ShopNameTaken
from repository.database import LostRace, in_unit_of_work, unit_of_work
from tests.accounts.people import PASSWORD
from tests.db.crowd import at_once

CROWD = 6
ROUNDS = 4
SPELLINGS = ("Queijaria da Alice", "QUEIJARIA da alice")


def sign_up(processes, number, login, name):
    """The status and code of a sign-up at one of the processes."""
    body = {"username": login, "password": PASSWORD, "name": name}
    # A network of its own: sign-ups have a limit per network.
    network = {"REMOTE_ADDR": f"10.{zlib.crc32(login.encode()) % 250}.{number}.1"}
    client = processes.app(number).test_client()
    answer = client.post("/users/", json=body, environ_overrides=network)
    return answer.status_code, answer.get_json().get("code")


def make_shops(app, names):
    """Create shops under these names, by the login `shop-<number>`."""
    with app.app_context(), unit_of_work() as work:
        for number, name in enumerate(names):
            service.create(
                work, login=f"shop-{number}", role="merchant", name=name, password_hash=None
            )


def rename(app, login, name):
    """Rename a shop; whether it got the name."""
    with app.app_context():
        try:
            in_unit_of_work(
                lambda work: service.rename(work, work.accounts.by_login(login), name), attempts=1
            )
        except (ShopNameTaken, LostRace):
            return False
    return True


def test_of_sign_ups_with_one_name_one_gets_it(processes):
    """Payers read only the name; the others are told that it is taken, and may choose another."""
    for round_ in range(ROUNDS):
        answers = at_once(
            [
                partial(
                    sign_up,
                    processes,
                    number,
                    f"shop-{round_}-{number}",
                    f"{SPELLINGS[number % 2]} {round_}",
                )
                for number in range(CROWD)
            ]
        )
        assert Counter(answers) == {(201, None): 1, (409, "shop-name-taken"): CROWD - 1}


def test_of_sign_ups_with_one_login_one_gets_it(processes):
    """A lost race for the login still names the login."""
    answers = at_once(
        [partial(sign_up, processes, number, "alice", f"Loja {number}") for number in range(CROWD)]
    )
    assert Counter(answers) == {(201, None): 1, (409, "login-taken"): CROWD - 1}


def test_of_shops_renamed_to_one_name_one_gets_it(processes):
    """The settings are the other way to a name."""
    make_shops(processes.app(0), [f"Loja {number}" for number in range(CROWD)])
    for round_ in range(ROUNDS):
        got = at_once(
            [
                partial(
                    rename,
                    processes.app(number),
                    f"shop-{number}",
                    f"{SPELLINGS[number % 2]} {round_}",
                )
                for number in range(CROWD)
            ]
        )
        assert sum(got) == 1


def test_the_index_decides_where_two_shops_saw_the_name_free(processes, monkeypatch):
    """The check alone lets both pass: each reads before the other has written."""
    make_shops(processes.app(0), ["Longe", "Perto"])
    monkeypatch.setattr(
        "repository.accounts.Accounts.is_shop_name_taken", lambda *_args, **_names: False
    )
    assert rename(processes.app(0), "shop-0", SPELLINGS[0])
    assert not rename(processes.app(1), "shop-1", SPELLINGS[1])


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_name_that_its_holder_gave_up_is_free(processes, spelling):
    """The key moves with the name."""
    make_shops(processes.app(0), [SPELLINGS[0], "Longe"])
    assert rename(processes.app(0), "shop-0", "Perto")
    assert rename(processes.app(0), "shop-1", spelling)

"""`flask accounts` and `flask merchant`: what the operator does at the terminal."""

from __future__ import annotations

import pytest

from core.pix import br_code
from repository.database import reading
from tests.accounts.people import Person, actions, bearer
from tests.support.service import PIX_KEY

KEY = "123e4567-e89b-42d3-a456-426655440099"
PASSWORD = "a password from a pipe"
PIPED = f"{PASSWORD}\n"


@pytest.fixture
def run(app):
    """Run `flask …`: run("accounts", "create", "root", input=…) → result."""

    def invoke(*arguments, **options):
        return app.test_cli_runner().invoke(args=[*arguments], **options)

    return invoke


@pytest.mark.parametrize("role", ["merchant", "payer", "admin"])
def test_an_account_of_any_role_is_made(app, run, role):
    """Administrators come from here alone."""
    done = run("accounts", "create", "root", "--role", role, "--password-stdin", input=PIPED)
    assert done.exit_code == 0, done.output
    assert PASSWORD not in done.output
    root = Person(app, "root", password=PASSWORD)
    assert root.get("/users/me/", root.bearer()).get_json()["role"] == role
    assert actions(app, "root")[0] == "account.created"


def test_the_password_is_asked_twice_where_none_is_piped(app, run):
    """A typing mistake would lock the operator out of a new server."""
    done = run("accounts", "create", "root", input=f"{PIPED}something else\n{PIPED}{PIPED}")
    assert done.exit_code == 0, done.output
    assert PASSWORD not in done.output
    assert Person(app, "root", password=PASSWORD).ask_tokens().status_code == 200


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("accounts", "create", "demo", "--password-stdin"), "The login demo is taken."),
        (("accounts", "create", "a b", "--password-stdin"), "LOGIN must be 1 to 64 letters"),
        (("accounts", "create", "-", "--password-stdin"), "LOGIN must be 1 to 64 letters"),
        (
            ("accounts", "create", "shop", "--name", "北京", "--password-stdin"),
            "name must hold letters or digits",
        ),
        (("accounts", "password", "nobody", "--password-stdin"), "There is no account"),
        (("accounts", "disable", "nobody"), "There is no account"),
        (("merchant", "key", "nobody"), "There is no account"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(run, arguments, said):
    """No trace, and an exit status that a script sees."""
    done = run(*arguments, input=PIPED)
    assert done.exit_code == 1
    assert said in done.output
    assert "Traceback" not in done.output


def test_a_short_password_is_refused(run):
    """The terminal is no way around the rule."""
    done = run("accounts", "create", "root", "--password-stdin", input="short\n")
    assert (done.exit_code, "8 to 256 characters" in done.output) == (1, True)


def test_a_password_set_here_signs_the_account_out_everywhere(app, run, alice):
    """The way back for whoever forgot it, or fears that somebody knows it."""
    header = alice.bearer()
    done = run("accounts", "password", "alice", "--password-stdin", input=PIPED)
    assert (done.exit_code, "1 sessions ended" in done.output) == (0, True)
    assert alice.get("/users/me/", header).status_code == 401
    assert alice.ask_tokens().status_code == 401
    assert Person(app, "alice", password=PASSWORD).ask_tokens().status_code == 200


def test_a_merchant_is_added_with_its_own_key_and_can_be_given_a_password(app, run):
    """As before there were accounts; the two ways meet in the same row."""
    done = run("merchant", "add", "sitio", "--name", "Sítio", "--city", "Cunha", "--pix-key", KEY)
    assert done.exit_code == 0, done.output
    header = bearer(done.output.strip())
    client = app.test_client()
    made = client.post("/payments/pix", json={"value": 1}, headers=header)
    assert made.status_code == 201
    assert client.get("/users/me/", headers=header).get_json()["pix_key"] == KEY
    static = client.get("/generate_qr/sitio")
    assert static.status_code == 200
    sitio = Person(app, "sitio", password=PASSWORD)
    assert sitio.ask_tokens().status_code == 401  # no password, no sign-in
    run("accounts", "password", "sitio", "--password-stdin", input=PIPED)
    assert sitio.ask_tokens().status_code == 200


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--name", "Sítio", "--city", "Cunha", "--pix-key", "not a key"), "The Pix key"),
        (("--name", "北京", "--city", "Cunha", "--pix-key", KEY), "Name or city"),
        (("--name", "Sítio", "--city", "Cunha", "--pix-key", PIX_KEY), "this login or this key"),
    ],
)
def test_a_merchant_that_could_not_be_paid_is_not_added(app, run, more, said):
    """It would fail at each payment; it fails here."""
    done = run("merchant", "add", "sitio", *more)
    assert (done.exit_code, said in done.output) == (1, True), done.output
    with app.app_context(), reading() as work:
        assert work.accounts.find_by_login("sitio") is None


def test_a_key_made_here_may_do_everything_unless_it_says_less(app, run, alice):
    """And is noted like any other."""
    full = run("merchant", "key", "alice").output.strip()
    less = run("merchant", "key", "alice", "--scope", "payments:read").output.strip()
    body = {"json": {"value": 1}}
    assert alice.post("/payments/pix", headers=bearer(full), **body).status_code == 201
    assert alice.post("/payments/pix", headers=bearer(less), **body).status_code == 403
    assert actions(app, "alice").count("key.created") == 2


def test_a_payer_gets_no_key(run, person):
    """Keys are for programs that sell."""
    person("bob", role="payer")
    done = run("merchant", "key", "bob")
    assert (done.exit_code, "is not a merchant" in done.output) == (1, True)


def test_a_payer_has_no_static_code(app, person):
    """Nobody can pay an account that receives nothing."""
    person("bob", role="payer")
    assert app.test_client().get("/generate_qr/bob").status_code == 404
    person("alice@shop.example")
    code = app.test_client().get("/generate_qr/alice@shop.example")
    assert code.status_code == 200
    assert br_code.CHARACTERS_MAX

"""`flask accounts` and `flask merchant`: the operator's commands."""

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
def test_an_account_of_any_role_is_created(app, run, role):
    """Administrators are created only here."""
    result = run("accounts", "create", "root", "--role", role, "--password-stdin", input=PIPED)
    assert result.exit_code == 0, result.output
    assert PASSWORD not in result.output
    root = Person(app, "root", password=PASSWORD)
    assert root.get("/users/me/", root.bearer()).get_json()["role"] == role
    assert actions(app, "root")[0] == "account.created"


def test_the_password_is_asked_for_twice_without_a_pipe(app, run):
    """A typing mistake would lock the operator out of a new server."""
    result = run("accounts", "create", "root", input=f"{PIPED}something else\n{PIPED}{PIPED}")
    assert result.exit_code == 0, result.output
    assert PASSWORD not in result.output
    assert Person(app, "root", password=PASSWORD).ask_tokens().status_code == 200


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("accounts", "create", "demo", "--password-stdin"), "The login demo is taken."),
        (("accounts", "create", "a b", "--password-stdin"), "LOGIN must be 1 to 64 letters"),
        (("accounts", "create", "-", "--password-stdin"), "LOGIN must be 1 to 64 letters"),
        (
            ("accounts", "create", "shop", "--name", "🌽🍉", "--password-stdin"),
            "name must hold letters or digits",
        ),
        (("accounts", "password", "nobody", "--password-stdin"), "There is no account"),
        (("accounts", "disable", "nobody"), "There is no account"),
        (("merchant", "key", "nobody"), "There is no account"),
    ],
)
def test_an_error_is_one_sentence(run, arguments, message):
    """No traceback, and an exit status that a script can test."""
    result = run(*arguments, input=PIPED)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_short_password_is_refused(run):
    """The rule also holds at the terminal."""
    result = run("accounts", "create", "root", "--password-stdin", input="short\n")
    assert (result.exit_code, "8 to 256 characters" in result.output) == (1, True)


def test_a_password_set_here_signs_the_account_out_everywhere(app, run, alice):
    """For a forgotten password, or one that somebody else may know."""
    header = alice.bearer()
    result = run("accounts", "password", "alice", "--password-stdin", input=PIPED)
    assert (result.exit_code, "1 sessions ended" in result.output) == (0, True)
    assert alice.get("/users/me/", header).status_code == 401
    assert alice.ask_tokens().status_code == 401
    assert Person(app, "alice", password=PASSWORD).ask_tokens().status_code == 200


def test_a_merchant_is_added_with_its_own_key_and_can_be_given_a_password(app, run):
    """A merchant with a key and no password can get a password later."""
    result = run("merchant", "add", "sitio", "--name", "Sítio", "--city", "Cunha", "--pix-key", KEY)
    assert result.exit_code == 0, result.output
    header = bearer(result.output.strip())
    client = app.test_client()
    answer = client.post("/payments/pix", json={"value": 1}, headers=header)
    assert answer.status_code == 201
    assert client.get("/users/me/", headers=header).get_json()["pix_key"] == KEY
    static = client.get("/generate_qr/sitio")
    assert static.status_code == 200
    sitio = Person(app, "sitio", password=PASSWORD)
    assert sitio.ask_tokens().status_code == 401  # no password, no sign-in
    run("accounts", "password", "sitio", "--password-stdin", input=PIPED)
    assert sitio.ask_tokens().status_code == 200


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--name", "Sítio", "--city", "Cunha", "--pix-key", "not a key"), "The Pix key"),
        (("--name", "🌽🍉", "--city", "Cunha", "--pix-key", KEY), "Name or city"),
        (("--name", "Sítio", "--city", "Cunha", "--pix-key", PIX_KEY), "this login or key"),
    ],
)
def test_a_merchant_that_could_not_be_paid_is_not_added(app, run, more, message):
    """Otherwise each of its payments would fail."""
    result = run("merchant", "add", "sitio", *more)
    assert (result.exit_code, message in result.output) == (1, True), result.output
    with app.app_context(), reading() as work:
        assert work.accounts.find_by_login("sitio") is None


def test_a_key_made_here_may_do_everything_unless_it_says_less(app, run, alice):
    """And it has a row in the audit log."""
    full = run("merchant", "key", "alice").output.strip()
    less = run("merchant", "key", "alice", "--scope", "payments:read").output.strip()
    body = {"json": {"value": 1}}
    assert alice.post("/payments/pix", headers=bearer(full), **body).status_code == 201
    assert alice.post("/payments/pix", headers=bearer(less), **body).status_code == 403
    assert actions(app, "alice").count("key.created") == 2


def test_a_payer_gets_no_key(run, person):
    """Only merchants have API keys."""
    person("bob", role="payer")
    result = run("merchant", "key", "bob")
    assert (result.exit_code, "is not a merchant" in result.output) == (1, True)


def test_a_payer_has_no_static_code(app, person):
    """A payer's account cannot receive money."""
    person("bob", role="payer")
    assert app.test_client().get("/generate_qr/bob").status_code == 404
    person("alice@shop.example")
    code = app.test_client().get("/generate_qr/alice@shop.example")
    assert code.status_code == 200
    assert br_code.CHARACTERS_MAX

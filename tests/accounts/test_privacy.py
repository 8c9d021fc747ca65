"""`flask privacy … --login`: the data of an account holder is exported and erased."""

from __future__ import annotations

import json

import pytest

from tests.accounts.people import Person


@pytest.fixture
def run(app):
    """Run `flask privacy …`."""
    return lambda *arguments: app.test_cli_runner().invoke(args=["privacy", *arguments])


def exported(run, login):
    """The JSON that `export` prints."""
    output = run("export", login, "--login").stdout
    return json.loads(output[output.index("{") :])


def test_a_holders_data_is_exported(app, run):
    """Everything that the service stores about the person."""
    bob = Person(app, "bob")
    bob.sign_up(role="payer", email="bob@example.com")
    bob.bearer()
    data = exported(run, "bob")
    assert (data["login"], data["role"], data["email"]) == ("bob", "payer", "bob@example.com")
    assert len(data["sign_ins"]) >= 1
    assert data["sign_ins"][0]["address"] == "127.0.0.1"
    assert "session.started" in [entry["action"] for entry in data["audit_entries"]]


def test_a_payers_account_is_erased_and_cannot_sign_in(app, run):
    """The row stays, because the audit log refers to it, but it names nobody."""
    bob = Person(app, "bob")
    account = bob.sign_up(role="payer", email="bob@example.com")
    headers = bob.bearer()
    result = run("erase", "bob", "--login", "--yes")
    assert result.exit_code == 0, result.output
    assert bob.get("/users/me/", headers).status_code == 401
    assert bob.ask_tokens().status_code == 401
    assert "There is no account" in run("export", "bob", "--login").output
    left = exported(run, f"erased-{account['id']}")
    assert "bob" not in json.dumps(left)
    assert {row["address"] for row in left["sign_ins"]} == {""}


@pytest.mark.parametrize("role", ["merchant", "admin"])
def test_only_a_payers_account_can_be_erased(app, run, role):
    """The records of a shop must be kept."""
    app.test_cli_runner().invoke(
        args=["accounts", "create", "alice", "--role", role, "--password-stdin"],
        input="a long password\n",
    )
    result = run("erase", "alice", "--login", "--yes")
    assert result.exit_code == 1
    assert "only a payer's account can be erased" in result.output
    assert exported(run, "alice")["login"] == "alice"

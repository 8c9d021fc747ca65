"""Guarded pages: visitors are redirected to the sign-in, other roles are refused."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask, g, jsonify

from accounts.access import (
    acting_account,
    acting_admin,
    acting_payer,
    page_guard,
    signed_in_merchant,
)
from core.errors import Unauthorized
from repository.database import reading
from tests.accounts.people import Person, bearer
from tests.support.service import close_app, ready_app

PAGE = {"Accept": "text/html"}


def refuse_password():
    """A view that refuses something else than the sign-in."""
    raise Unauthorized("The password was just changed elsewhere: sign in again.")


@pytest.fixture
def app(settings, clock) -> Iterator[Flask]:
    """The service with a page and a JSON route for each role."""
    app = ready_app(settings, clock)

    def page(role):
        @page_guard(role)
        def view() -> object:
            with reading() as work:
                return jsonify(login=acting_account(work).login, row=g.account_id)

        return view

    def answer(acting):
        def view() -> object:
            with reading() as work:
                return jsonify(login=acting(work).login)

        return view

    acts = {"merchant": signed_in_merchant, "payer": acting_payer, "admin": acting_admin}
    for role, acting in acts.items():
        app.add_url_rule(f"/for/{role}", f"page-{role}", page(role))
        app.add_url_rule(f"/as/{role}", f"as-{role}", answer(acting))
    app.add_url_rule("/for/all", "page-all", page_guard()(lambda: "everybody"))
    app.add_url_rule("/for/nobody", "page-nobody", page_guard()(refuse_password))
    yield app
    close_app(app)


@pytest.fixture
def everybody(app):
    """One person of each role."""
    people = {role: Person(app, login) for role, login in (("merchant", "alice"), ("payer", "bob"))}
    for role, person in people.items():
        person.sign_up(role=role)
    root = Person(app, "root")
    result = app.test_cli_runner().invoke(
        args=["accounts", "create", "root", "--role", "admin", "--password-stdin"],
        input=f"{root.password}\n",
    )
    assert result.exit_code == 0, result.output
    return {**people, "admin": root}


def test_each_role_sees_its_own_pages_and_no_other(everybody):
    """By cookie and by token."""
    for role, person in everybody.items():
        browser = person.enter()
        header = person.bearer()
        for other in everybody:
            expected = 200 if other == role else 403
            assert browser.get(f"/for/{other}", headers=PAGE).status_code == expected
            by_token = person.get(f"/for/{other}", header)
            assert (by_token.status_code, by_token.get_json()["code"]) == (403, "people-only")
            assert browser.get(f"/as/{other}").status_code == expected
            assert person.get(f"/as/{other}", header).status_code == expected
        assert browser.get("/for/all", headers=PAGE).text == "everybody"
        assert browser.get(f"/for/{role}").get_json()["login"] == person.login


def test_a_visitor_is_redirected_to_the_sign_in_and_back(app, everybody):
    """With the whole URL, including the query."""
    stranger = app.test_client()
    answer = stranger.get("/for/merchant?state=paid&q=ol%C3%A1%26x", headers=PAGE)
    assert answer.status_code == 303
    to = urlsplit(answer.headers["Location"])
    assert (to.path, to.netloc) == ("/login", "")
    next_path = parse_qs(to.query)["next"][0]
    fields = {"username": "alice", "password": everybody["merchant"].password, "next": next_path}
    sign_in = stranger.post("/api/login", data=fields, headers=PAGE)
    assert sign_in.status_code == 303
    assert stranger.get(sign_in.headers["Location"], headers=PAGE).status_code == 200
    assert "q=ol%C3%A1%26x" in sign_in.headers["Location"]


def test_a_view_that_refuses_something_else_answers_itself(everybody):
    """Only a sign-in that has ended leads to the sign-in page."""
    answer = everybody["merchant"].enter().get("/for/nobody")
    assert answer.status_code == 401
    assert answer.get_json()["detail"].startswith("The password was just changed elsewhere")


def test_a_guarded_route_without_credentials_never_acts_for_the_demo_merchant(app):
    """The demo merchant without credentials is for trying the API, not for the portal."""
    for role in ("merchant", "payer", "admin"):
        answer = app.test_client().get(f"/as/{role}")
        assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthorized")
    assert app.test_client().get("/payments/pix").status_code == 200


def test_a_request_looks_up_its_account_once(app, everybody):
    """The guard and the view need only one statement together."""
    from sqlalchemy import event

    from repository.database import ledger

    header = everybody["merchant"].bearer()
    browser = everybody["merchant"].enter()
    with app.app_context():
        engines = {ledger().engine, ledger().reading_engine}
    statements: list[str] = []

    def hear(_connection, _cursor, statement, _parameters, _context, _many):
        if statement.upper().startswith(("SELECT", "INSERT", "UPDATE", "DELETE")):
            statements.append(statement)

    for engine in engines:
        event.listen(engine, "before_cursor_execute", hear)
    try:
        assert browser.get("/for/merchant").status_code == 200
        assert len(statements) == 1, statements
        statements.clear()
        creation = app.test_client().post("/payments/pix", json={"value": 1}, headers=header)
        assert creation.status_code == 201
        assert len(statements) <= 4, statements
        statements.clear()
        key = everybody["merchant"].key("payments:write", "payments:read")["key"]
        statements.clear()
        assert app.test_client().get("/payments/pix", headers=bearer(key)).status_code == 200
        assert len([text for text in statements if "accounts" in text]) == 1, statements
        assert not any(text.upper().startswith(("INSERT", "UPDATE")) for text in statements), (
            statements
        )
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", hear)

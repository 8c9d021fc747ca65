"""`/token`: the password grant, rotation, and refresh tokens that are used twice."""

from __future__ import annotations

import base64
import json

import jwt
import pytest

from accounts.sign_ins import ROTATION_OVERLAP
from tests.accounts.people import Person, actions, bearer, open_sign_ins
from tests.support.service import SECRET_KEY, close_app, ready_app, settings_for


def claims_of(token):
    """The claims of a token, not verified."""
    return jwt.decode(token, options={"verify_signature": False})


def refresh(person, token):
    """Refresh by the OAuth2 form."""
    return person.ask_tokens(grant_type="refresh_token", refresh_token=token)


def me(person, token):
    """The status of `GET /users/me/` with the token."""
    return person.get("/users/me/", bearer(token)).status_code


def test_the_password_grant_answers_as_oauth2_requires(alice, settings):
    """OAuth2 libraries read these members (RFC 6749, 5.1)."""
    answer = alice.ask_tokens()
    assert answer.status_code == 200
    body = answer.get_json()
    assert set(body) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (body["token_type"], body["expires_in"]) == ("bearer", 900)
    assert answer.headers["Cache-Control"] == "no-store"
    assert me(alice, body["access_token"]) == 200
    claims = claims_of(body["access_token"])
    assert claims["exp"] - claims["iat"] == 900
    assert (claims["iss"], claims["aud"]) == (settings.public_url, "balcao")
    assert jwt.get_unverified_header(body["access_token"])["alg"] == "HS256"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_the_algorithm_comes_from_the_settings(tmp_path, fresh_database, clock, algorithm):
    """The key is long enough for each, or the service would not start."""
    settings = settings_for(fresh_database("sqlite"), tmp_path, algorithm=algorithm)
    app = ready_app(settings, clock)
    try:
        alice = Person(app, "alice")
        alice.sign_up()
        token = alice.tokens()["access_token"]
        assert jwt.get_unverified_header(token)["alg"] == algorithm
        assert me(alice, token) == 200
    finally:
        close_app(app)


@pytest.mark.parametrize(
    ("form", "status", "field"),
    [
        ({"username": "alice"}, 400, "password"),
        ({"password": "x"}, 400, "username"),
        ({"grant_type": "refresh_token"}, 400, "refresh_token"),
        ({"grant_type": "client_credentials", "username": "a", "password": "b"}, 400, "grant_type"),
        ({"username": "alice", "password": "wrong"}, 401, None),
        ({"username": "nobody", "password": "wrong"}, 401, None),
        ({"username": "", "password": ""}, 400, "username"),
        ({"username": "a\x00b", "password": "x"}, 400, None),
        ({"grant_type": "refresh_token", "refresh_token": "nonsense"}, 401, None),
    ],
)
def test_an_invalid_form_is_refused(alice, form, status, field):
    """400 for an invalid form, 401 for wrong credentials, never a 500."""
    answer = alice.ask_tokens(**form)
    assert answer.status_code == status, answer.text
    if field is not None:
        assert field in [error["field"] for error in answer.get_json()["errors"]]
    if status == 401:
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert open_sign_ins(alice.app) == 0


@pytest.mark.parametrize("expiry", [10**12, 10**15, 10**30, float("inf"), float("nan")])
@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_an_expiry_that_is_no_time_is_refused(alice, expiry, kind):
    """The signature is valid, for example by another program with this SECRET_KEY: no 500."""
    token = alice.tokens()[kind]
    claims = {**claims_of(token), "exp": expiry}
    forged = jwt.encode(claims, alice.app.config["JWT_SECRET_KEY"], algorithm="HS256")
    if kind == "access_token":
        answer = alice.get("/users/me/", bearer(forged))
    else:
        answer = refresh(alice, forged)
    assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthorized")
    words = "at no time that exists" if isinstance(expiry, int) else "not issued by this service"
    assert words in answer.get_json()["detail"]


@pytest.mark.parametrize("issued_at", [-(10**30), -(10**15), 10**12, 10**15, 10**30, 1e300])
def test_a_strange_time_of_issue_does_not_matter(alice, issued_at):
    """Only the expiry counts, and only the signature tells who has issued the token."""
    claims = claims_of(alice.tokens()["access_token"])
    forged = {**claims, "iat": issued_at, "nbf": issued_at}
    key = alice.app.config["JWT_SECRET_KEY"]
    assert me(alice, jwt.encode(forged, key, algorithm="HS256")) == 200


def test_an_unknown_login_is_answered_like_a_wrong_password(alice):
    """Otherwise the answers would reveal which logins exist."""
    wrong_password = alice.ask_tokens(username="alice", password="wrong").get_json()
    unknown_login = alice.ask_tokens(username="nobody", password="wrong").get_json()
    for answer in (wrong_password, unknown_login):
        answer.pop("request_id")
    assert wrong_password == unknown_login


def test_unknown_fields_are_ignored_and_repeated_fields_refused(alice):
    """As RFC 6749, 3.2 says. Swagger UI sends empty fields, and an Authorization header."""
    basic = base64.b64encode(b":").decode()
    fields = {"grant_type": "password", "username": "alice", "password": alice.password}
    more = {"scope": "", "client_id": "", "client_secret": "", "audience": "x"}
    answer = alice.post("/token", data=fields | more, headers={"Authorization": f"Basic {basic}"})
    assert answer.status_code == 200
    doubled = alice.post("/token", data={**fields, "username": ["alice", "bob"]})
    assert doubled.status_code == 400


def test_a_json_body_is_a_415(alice):
    """OAuth2 requires a form."""
    answer = alice.post("/token", json={"username": "alice", "password": alice.password})
    assert answer.status_code == 415


def test_a_refresh_gives_new_tokens_and_replaces_the_old_one(alice, clock):
    """Only the newest refresh token works."""
    first = alice.tokens()
    second = refresh(alice, first["refresh_token"]).get_json()
    assert second["refresh_token"] != first["refresh_token"]
    assert me(alice, second["access_token"]) == 200
    assert me(alice, first["access_token"]) == 200  # valid until it expires, after 15 minutes
    third = alice.post("/token/refresh", json={"refresh_token": second["refresh_token"]})
    assert third.status_code == 200
    assert open_sign_ins(alice.app) == 1


def test_a_refresh_token_used_again_ends_the_sign_in(alice, clock):
    """There is a copy, and nobody can tell who is the thief: both are signed out."""
    first = alice.tokens()
    second = refresh(alice, first["refresh_token"]).get_json()
    clock.advance(seconds=ROTATION_OVERLAP.total_seconds() + 0.001)
    again = refresh(alice, first["refresh_token"])
    assert (again.status_code, again.get_json()["code"]) == (401, "unauthorized")
    assert refresh(alice, second["refresh_token"]).status_code == 401
    assert me(alice, first["access_token"]) == 401
    assert me(alice, second["access_token"]) == 401
    assert open_sign_ins(alice.app) == 0
    assert actions(alice.app, "alice")[-1] == "session.ended"


def test_two_tabs_that_refresh_at_the_same_moment_both_go_on(alice, clock):
    """The second tab gets the same refresh token as the first."""
    first = alice.tokens()
    one = refresh(alice, first["refresh_token"]).get_json()
    clock.advance(seconds=ROTATION_OVERLAP.total_seconds())
    other = refresh(alice, first["refresh_token"])
    assert other.status_code == 200
    claims = claims_of(other.get_json()["refresh_token"])
    assert claims["jti"] == claims_of(one["refresh_token"])["jti"]
    assert refresh(alice, one["refresh_token"]).status_code == 200


def test_a_token_from_two_rotations_ago_does_not_count_as_a_second_tab(alice):
    """The overlap excuses only the token before the last rotation."""
    first = alice.tokens()
    second = refresh(alice, first["refresh_token"]).get_json()
    assert refresh(alice, second["refresh_token"]).status_code == 200
    assert refresh(alice, first["refresh_token"]).status_code == 401
    assert open_sign_ins(alice.app) == 0


def test_the_end_of_one_sign_in_leaves_the_others_open(alice, clock):
    """Alice's till stays signed in if a token of her telephone was stolen."""
    till, phone = alice.tokens(), alice.tokens()
    refresh(alice, phone["refresh_token"])
    clock.advance(seconds=60)
    assert refresh(alice, phone["refresh_token"]).status_code == 401
    assert me(alice, phone["access_token"]) == 401
    assert me(alice, till["access_token"]) == 200
    assert refresh(alice, till["refresh_token"]).status_code == 200


def test_refreshing_does_not_prolong_a_sign_in(alice, clock, settings):
    """It ends thirty days after the password was entered, to the second."""
    first = alice.tokens()
    clock.advance(seconds=settings.refresh_token_seconds - 1)
    last = refresh(alice, first["refresh_token"])
    assert last.status_code == 200
    assert last.get_json()["expires_in"] == 1
    clock.advance(seconds=1)
    assert refresh(alice, last.get_json()["refresh_token"]).status_code == 401
    assert me(alice, last.get_json()["access_token"]) == 401


def test_a_token_contains_no_row_ids(alice):
    """Everybody who has a token can read its claims."""
    claims = claims_of(alice.tokens()["access_token"])
    assert all(len(claims[name]) == 32 for name in ("sub", "sid", "csrf"))
    assert not any(
        isinstance(value, int) and value < 1000
        for value in claims.values()
        if not isinstance(value, bool)
    )


def _segment(value):
    data = json.dumps(value).encode() if isinstance(value, dict) else value
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forged_tokens(good, key):
    """Tokens with one fault each, by the fault."""
    claims, head = claims_of(good), jwt.get_unverified_header(good)
    signature = good.split(".")[2]
    body = good.split(".")[1]
    past = {"iat": claims["iat"] - 7200, "nbf": claims["nbf"] - 7200, "exp": claims["exp"] - 7200}

    def signed(changes, with_key=key, algorithm="HS256"):
        forged_claims = {
            name: value for name, value in {**claims, **changes}.items() if value is not None
        }
        return jwt.encode(forged_claims, with_key, algorithm=algorithm)

    return {
        "no algorithm": f"{_segment({**head, 'alg': 'none'})}.{body}.",
        "no algorithm, in capitals": f"{_segment({**head, 'alg': 'NONE'})}.{body}.",
        "no algorithm, signed": f"{_segment({**head, 'alg': 'none'})}.{body}.{signature}",
        "another key": signed({}, b"k" * 64),
        "the setting itself as key": signed({}, SECRET_KEY.encode()),
        "another algorithm": signed({}, algorithm="HS512"),
        "expired": signed(past),
        "not yet": signed({"nbf": claims["nbf"] + 600}),
        "another audience": signed({"aud": "garoa"}),
        "no audience": signed({"aud": None}),
        "another issuer": signed({"iss": "https://elsewhere.example"}),
        "no issuer": signed({"iss": None}),
        "a refresh token's kind": signed({"type": "refresh"}),
        "no such kind": signed({"type": "id"}),
        "another account": signed({"sub": "0" * 32}),
        "another sign-in": signed({"sid": "0" * 32}),
        "a sign-in that is no text": signed({"sid": 7}),
        "no sign-in": signed({"sid": None}),
        "no account": signed({"sub": None}),
        "changed by hand": ".".join(
            (good.split(".")[0], _segment({**claims, "role": "admin"}), signature)
        ),
        "cut": good[:-4],
        "without signature": ".".join(good.split(".")[:2]) + ".",
        "in two parts": ".".join(good.split(".")[:2]),
        "empty": "",
        "endless": "e" * 5000,
        "not ASCII": "é" * 40,
        "words": "open sesame",
    }


def test_forged_tokens_are_refused(alice):
    """Each has one fault only; the token without a fault shows that the others could work."""
    good = alice.tokens()["access_token"]
    key = alice.app.config["JWT_SECRET_KEY"]
    assert me(alice, jwt.encode(claims_of(good), key, algorithm="HS256")) == 200
    for what, token in forged_tokens(good, key).items():
        answer = alice.app.test_client().get(
            "/users/me/", headers=[("Authorization", f"Bearer {token}")]
        )
        assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthorized"), what
        creation = alice.app.test_client().post(
            "/payments/pix", json={"value": 1}, headers={"Authorization": f"Bearer {token}"}
        )
        assert creation.status_code == 401, what


def ahead(token, key, seconds):
    """The same token, issued by a clock that was ahead."""
    claims = claims_of(token)
    moved = {name: claims[name] + seconds for name in ("iat", "nbf", "exp")}
    return jwt.encode({**claims, **moved}, key, algorithm="HS256")


def test_tokens_issued_before_the_clock_was_set_back_are_valid(alice):
    """Nobody must sign in again; `iat` says when a token was issued, and proves nothing."""
    key = alice.app.config["JWT_SECRET_KEY"]
    issued = alice.tokens()
    assert me(alice, ahead(issued["access_token"], key, 3600)) == 200
    assert refresh(alice, ahead(issued["refresh_token"], key, 3600)).status_code == 200


def test_a_new_password_ends_tokens_from_before_the_clock_was_set_back(alice, clock):
    """The rows of the sign-ins end, so no instant in a token decides."""
    key = alice.app.config["JWT_SECRET_KEY"]
    issued = alice.tokens()
    access, renewal = (ahead(issued[name], key, 3600) for name in ("access_token", "refresh_token"))
    clock.advance(seconds=-3600)
    browser = alice.tokens()["access_token"]
    body = {"current_password": alice.password, "new_password": "a new long password"}
    answer = alice.post("/users/me/password", json=body, headers=bearer(browser))
    assert answer.status_code == 200, answer.text
    assert me(alice, access) == 401
    assert refresh(alice, renewal).status_code == 401
    assert me(alice, browser) == 200


def test_a_new_password_ends_sign_ins_that_a_wrong_clock_had_expired(alice, clock, settings):
    """The clock was a year ahead while the password changed; set right, it must open none again."""
    old = alice.tokens()
    clock.advance(seconds=settings.refresh_token_seconds + 1)
    body = {"current_password": alice.password, "new_password": "a new long password"}
    browser = alice.tokens()["access_token"]
    answer = alice.post("/users/me/password", json=body, headers=bearer(browser))
    assert answer.status_code == 200, answer.text
    clock.advance(seconds=-settings.refresh_token_seconds - 1)
    assert me(alice, old["access_token"]) == 401
    assert refresh(alice, old["refresh_token"]).status_code == 401


def test_a_clock_set_back_makes_no_second_tab_of_a_thief(alice, clock):
    """A token that was used before ends the sign-in, however the clock stands."""
    first = alice.tokens()
    second = refresh(alice, first["refresh_token"]).get_json()
    clock.advance(seconds=-ROTATION_OVERLAP.total_seconds() - 0.001)
    assert refresh(alice, first["refresh_token"]).status_code == 401
    assert refresh(alice, second["refresh_token"]).status_code == 401


def test_access_and_refresh_tokens_cannot_replace_each_other(alice):
    """A refresh token lasts a month: access must not last as long."""
    issued = alice.tokens()
    assert me(alice, issued["refresh_token"]) == 401
    assert refresh(alice, issued["access_token"]).status_code == 401
    assert me(alice, issued["access_token"]) == 200  # the mistake did not end the sign-in


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer ", "Token abc", "", "bearer"])
def test_another_kind_of_authorization_is_a_401_and_never_the_demo_merchant(client, header):
    """Wrong credentials are refused in every profile."""
    answer = client.post("/payments/pix", json={"value": 1}, headers={"Authorization": header})
    assert answer.status_code == 401


def test_a_disabled_accounts_credentials_are_refused(alice):
    """`flask accounts disable` must work at once."""
    issued, key = alice.tokens(), alice.key("payments:read")
    ran = alice.app.test_cli_runner().invoke(args=["accounts", "disable", "alice"])
    assert ran.exit_code == 0, ran.output
    assert me(alice, issued["access_token"]) == 401
    assert me(alice, key["key"]) == 401
    assert refresh(alice, issued["refresh_token"]).status_code == 401
    assert alice.ask_tokens().status_code == 401
    ran = alice.app.test_cli_runner().invoke(args=["accounts", "enable", "alice"])
    assert ran.exit_code == 0, ran.output
    assert me(alice, key["key"]) == 200
    assert me(alice, issued["access_token"]) == 401
    assert alice.ask_tokens().status_code == 200

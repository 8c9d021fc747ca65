"""`/token`: the password grant, rotation, and what happens to a token that is used twice."""

from __future__ import annotations

import base64
import json

import jwt
import pytest

from accounts.sign_ins import ROTATION_OVERLAP
from tests.accounts.people import Person, actions, bearer, open_sign_ins
from tests.support.service import close_app, ready_app, settings_for


def claims_of(token):
    """What stands in a token, unchecked."""
    return jwt.decode(token, options={"verify_signature": False})


def refresh(person, token):
    """Change a refresh token, by the OAuth2 form."""
    return person.ask_tokens(grant_type="refresh_token", refresh_token=token)


def me(person, token):
    """The status of asking who one is."""
    return person.get("/users/me/", bearer(token)).status_code


def test_the_password_gives_tokens_as_oauth2_says(alice, settings):
    """What a client of the usual libraries reads (RFC 6749, 5.1)."""
    answer = alice.ask_tokens()
    assert answer.status_code == 200
    given = answer.get_json()
    assert set(given) == {"access_token", "token_type", "expires_in", "refresh_token"}
    assert (given["token_type"], given["expires_in"]) == ("bearer", 900)
    assert answer.headers["Cache-Control"] == "no-store"
    assert me(alice, given["access_token"]) == 200
    said = claims_of(given["access_token"])
    assert said["exp"] - said["iat"] == 900
    assert (said["iss"], said["aud"]) == (settings.public_url, "balcao")
    assert jwt.get_unverified_header(given["access_token"])["alg"] == "HS256"


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_the_algorithm_is_the_one_of_the_settings(tmp_path, fresh_database, clock, algorithm):
    """And the key is long enough for each, or the service would not start."""
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
def test_what_is_missing_or_wrong_is_said(alice, form, status, field):
    """400 for what is no question, 401 for a wrong answer to ours; never a 500."""
    answer = alice.ask_tokens(**form)
    assert answer.status_code == status, answer.text
    if field is not None:
        assert field in [error["field"] for error in answer.get_json()["errors"]]
    if status == 401:
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert open_sign_ins(alice.app) == 0


def test_an_unknown_login_is_answered_like_a_wrong_password(alice):
    """Else a list of customers could be read off the answers."""
    known = alice.ask_tokens(username="alice", password="wrong").get_json()
    unknown = alice.ask_tokens(username="nobody", password="wrong").get_json()
    for answer in (known, unknown):
        answer.pop("request_id")
    assert known == unknown


def test_fields_of_other_clients_are_ignored_and_doubled_ones_refused(alice):
    """RFC 6749, 3.2: unknown parameters are ignored, none comes twice. Swagger UI sends empty ones,
    and an Authorization header of its own."""
    basic = base64.b64encode(b":").decode()
    fields = {"grant_type": "password", "username": "alice", "password": alice.password}
    more = {"scope": "", "client_id": "", "client_secret": "", "audience": "x"}
    answer = alice.post("/token", data=fields | more, headers={"Authorization": f"Basic {basic}"})
    assert answer.status_code == 200
    doubled = alice.post("/token", data={**fields, "username": ["alice", "bob"]})
    assert doubled.status_code == 400


def test_a_json_body_is_a_415(alice):
    """The OAuth2 form is a form."""
    answer = alice.post("/token", json={"username": "alice", "password": alice.password})
    assert answer.status_code == 415


def test_a_refresh_gives_new_tokens_and_uses_the_old_one_up(alice, clock):
    """The rotation: whoever has the newest is the one who goes on."""
    first = alice.tokens()
    second = refresh(alice, first["refresh_token"]).get_json()
    assert second["refresh_token"] != first["refresh_token"]
    assert me(alice, second["access_token"]) == 200
    assert me(alice, first["access_token"]) == 200  # good until it ends, a quarter of an hour
    third = alice.post("/token/refresh", json={"refresh_token": second["refresh_token"]})
    assert third.status_code == 200
    assert open_sign_ins(alice.app) == 1


def test_a_refresh_token_used_again_ends_the_whole_family(alice, clock):
    """A copy was made, by whom nobody can tell: neither its owner nor the thief goes on."""
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
    """A browser with two tabs is no thief: the second is given what the first was given."""
    first = alice.tokens()
    one = refresh(alice, first["refresh_token"]).get_json()
    clock.advance(seconds=ROTATION_OVERLAP.total_seconds())
    other = refresh(alice, first["refresh_token"])
    assert other.status_code == 200
    given = claims_of(other.get_json()["refresh_token"])
    assert given["jti"] == claims_of(one["refresh_token"])["jti"]
    assert refresh(alice, one["refresh_token"]).status_code == 200


def test_a_token_from_two_rotations_ago_is_no_second_tab(alice):
    """Within the moment of overlap only the token just before is excused."""
    first = alice.tokens()
    second = refresh(alice, first["refresh_token"]).get_json()
    assert refresh(alice, second["refresh_token"]).status_code == 200
    assert refresh(alice, first["refresh_token"]).status_code == 401
    assert open_sign_ins(alice.app) == 0


def test_the_end_of_one_family_leaves_the_others(alice, clock):
    """Alice's till stays signed in when a token of her telephone was stolen."""
    till, phone = alice.tokens(), alice.tokens()
    refresh(alice, phone["refresh_token"])
    clock.advance(seconds=60)
    assert refresh(alice, phone["refresh_token"]).status_code == 401
    assert me(alice, phone["access_token"]) == 401
    assert me(alice, till["access_token"]) == 200
    assert refresh(alice, till["refresh_token"]).status_code == 200


def test_a_sign_in_ends_by_itself_however_often_it_is_refreshed(alice, clock, settings):
    """Thirty days after the password was last given, to the second."""
    given = alice.tokens()
    clock.advance(seconds=settings.refresh_token_seconds - 1)
    last = refresh(alice, given["refresh_token"])
    assert last.status_code == 200
    assert last.get_json()["expires_in"] == 1
    clock.advance(seconds=1)
    assert refresh(alice, last.get_json()["refresh_token"]).status_code == 401
    assert me(alice, last.get_json()["access_token"]) == 401


def test_a_token_names_nobody_by_a_number(alice):
    """Its claims can be read by whoever holds it."""
    said = claims_of(alice.tokens()["access_token"])
    assert all(len(said[name]) == 32 for name in ("sub", "sid", "csrf"))
    assert not any(
        isinstance(value, int) and value < 1000
        for value in said.values()
        if not isinstance(value, bool)
    )


def _segment(value):
    raw = json.dumps(value).encode() if isinstance(value, dict) else value
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forged(good, key):
    """Tokens that are each wrong in one way, by what is wrong."""
    said, head = claims_of(good), jwt.get_unverified_header(good)
    signature = good.split(".")[2]
    body = good.split(".")[1]
    past = {"iat": said["iat"] - 7200, "nbf": said["nbf"] - 7200, "exp": said["exp"] - 7200}

    def signed(changes, with_key=key, algorithm="HS256"):
        left = {name: value for name, value in {**said, **changes}.items() if value is not None}
        return jwt.encode(left, with_key, algorithm=algorithm)

    return {
        "no algorithm": f"{_segment({**head, 'alg': 'none'})}.{body}.",
        "no algorithm, in capitals": f"{_segment({**head, 'alg': 'NONE'})}.{body}.",
        "no algorithm, signed": f"{_segment({**head, 'alg': 'none'})}.{body}.{signature}",
        "another key": signed({}, b"k" * 64),
        "the setting itself as key": signed({}, b"k" * 48),
        "another algorithm": signed({}, algorithm="HS512"),
        "expired": signed(past),
        "not yet": signed({"nbf": said["nbf"] + 600}),
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
            (good.split(".")[0], _segment({**said, "role": "admin"}), signature)
        ),
        "cut": good[:-4],
        "without signature": ".".join(good.split(".")[:2]) + ".",
        "in two parts": ".".join(good.split(".")[:2]),
        "empty": "",
        "endless": "e" * 5000,
        "not ASCII": "é" * 40,
        "words": "open sesame",
    }


def test_what_was_not_made_here_opens_nothing(alice):
    """Each is wrong in one way alone; the one that is right shows that the others could be."""
    good = alice.tokens()["access_token"]
    key = alice.app.config["JWT_SECRET_KEY"]
    assert me(alice, jwt.encode(claims_of(good), key, algorithm="HS256")) == 200
    for what, token in forged(good, key).items():
        answer = alice.app.test_client().get(
            "/users/me/", headers=[("Authorization", f"Bearer {token}")]
        )
        assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthorized"), what
        made = alice.app.test_client().post(
            "/payments/pix", json={"value": 1}, headers={"Authorization": f"Bearer {token}"}
        )
        assert made.status_code == 401, what


def test_a_refresh_token_is_no_access_token_and_the_other_way_round(alice):
    """The one lives for a month: what it opened would stay open for a month."""
    given = alice.tokens()
    assert me(alice, given["refresh_token"]) == 401
    assert refresh(alice, given["access_token"]).status_code == 401
    assert me(alice, given["access_token"]) == 200  # and the mistake ended nothing


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer ", "Token abc", "", "bearer"])
def test_another_kind_of_authorization_is_a_401_and_never_the_demo_merchant(client, header):
    """Wrong credentials are refused in every profile."""
    answer = client.post("/payments/pix", json={"value": 1}, headers={"Authorization": header})
    assert answer.status_code == 401


def test_a_token_of_a_disabled_account_opens_nothing(alice):
    """`flask accounts disable` is for the moment when it is urgent."""
    given, key = alice.tokens(), alice.key("payments:read")
    ran = alice.app.test_cli_runner().invoke(args=["accounts", "disable", "alice"])
    assert ran.exit_code == 0, ran.output
    assert me(alice, given["access_token"]) == 401
    assert me(alice, key["key"]) == 401
    assert refresh(alice, given["refresh_token"]).status_code == 401
    assert alice.ask_tokens().status_code == 401
    ran = alice.app.test_cli_runner().invoke(args=["accounts", "enable", "alice"])
    assert ran.exit_code == 0, ran.output
    assert me(alice, key["key"]) == 200
    assert me(alice, given["access_token"]) == 401
    assert alice.ask_tokens().status_code == 200

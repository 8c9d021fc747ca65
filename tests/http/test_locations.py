"""The location of a dynamic code: a signed payload, as long as the payment can be paid."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from core.signing import jws
from core.signing.jws import JwsError
from payments.location import KeyRing
from tests.http.checks import pix_problem, problem


def fetch(client, payment):
    """Fetch the payload as a payer's bank does."""
    return client.get(f"/qr/v2/{payment['watch_code']}")


def verified_payload(client, payment, clock):
    """The payload, once its signature has been checked as a payer's bank does."""
    answer = fetch(client, payment)
    assert answer.status_code == 200, answer.text
    return jws.verify(answer.text, client.get("/qr/v2/jwks").get_json(), clock.now())


def test_it_serves_a_signed_payload_with_the_standards_fields(make_payment, client, clock):
    """API Pix 2.9.0, CobPayload: payee, amount and deadline."""
    payment = make_payment(description="Queijo", expires_in=600)
    clock.advance(seconds=5)
    payload = verified_payload(client, payment, clock)
    assert payload["txid"] == payment["id"]
    assert payload["revisao"] == 0
    assert payload["status"] == "ATIVA"
    assert payload["chave"] == "123e4567-e12b-12d1-a456-426655440000"
    assert payload["calendario"] == {
        "criacao": "2026-11-20T15:00:00.000Z",
        "apresentacao": "2026-11-20T15:00:05.000Z",
        "expiracao": 600,
    }
    assert payload["valor"] == {"original": "54.90", "modalidadeAlteracao": 0}
    assert payload["solicitacaoPagador"] == "Queijo"
    assert payload["recebedor"]["nome"] == "Feira da Vila"


def test_without_a_description_the_field_is_absent(make_payment, client, clock):
    """In the standard, an optional field is absent and not empty."""
    assert "solicitacaoPagador" not in verified_payload(client, make_payment(), clock)


def test_the_answer_is_jose_and_names_its_key_set(make_payment, client, clock):
    """`application/jose`, ES256, and the key set's URL; no cache may store a payload."""
    answer = fetch(client, make_payment())
    assert answer.content_type == "application/jose"
    assert answer.headers["Cache-Control"] == "no-store"
    header = jws.header_of(answer.text)
    assert header["alg"] == "ES256"
    assert header["jku"] == "http://127.0.0.1:5000/qr/v2/jwks"
    keys = client.get("/qr/v2/jwks").get_json()["keys"]
    assert header["kid"] in [key["kid"] for key in keys]
    assert all("d" not in key and key["x5c"] for key in keys)


def test_a_changed_payload_fails_the_verification(make_payment, client, clock):
    """Nobody between service and bank may change payee or amount."""
    head, body, signature = fetch(client, make_payment()).text.split(".")
    other = fetch(client, make_payment(value=1)).text.split(".")[1]
    keys = client.get("/qr/v2/jwks").get_json()
    assert jws.verify(f"{head}.{body}.{signature}", keys, clock.now())["valor"]
    with pytest.raises(JwsError) as caught:
        jws.verify(f"{head}.{other}.{signature}", keys, clock.now())
    assert caught.value.code == "signature-invalid"


def test_the_location_of_a_payment_that_cannot_be_paid_is_gone(make_payment, client, clock, bank):
    """Paid, cancelled or expired: the payer's bank must not offer it."""
    paid, cancelled, expired = make_payment(), make_payment(), make_payment(expires_in=10)
    bank.confirm(paid)
    client.post(f"/payments/pix/{cancelled['id']}/cancel")
    clock.advance(seconds=10)
    assert fetch(client, expired).status_code == 200
    clock.advance(milliseconds=1)
    for payment in (paid, cancelled, expired):
        assert pix_problem(fetch(client, payment)) == (410, "CobPayloadNaoEncontrado")


@pytest.mark.parametrize("token", ["0" * 32, "x", "A" * 32, "0" * 33, "jwks2", "..%2fjwks"])
def test_an_unknown_location_is_a_404(client, token):
    """Also if the token has the wrong format."""
    answer = client.get(f"/qr/v2/{token}")
    assert pix_problem(answer) == (404, "CobPayloadNaoEncontrado")


def test_a_payments_id_is_not_its_location(make_payment, client):
    """The id, as in a shop's log, must not reveal the code, nor the code the id."""
    payment = make_payment()
    answer = client.get(f"/qr/v2/{payment['id']}")
    assert pix_problem(answer) == (404, "CobPayloadNaoEncontrado")
    problem(client.get(f"/payments/pix/{payment['watch_code']}/status"), 404)


def rotate(app):
    """Run the operator's command; return the new kid."""
    result = app.test_cli_runner().invoke(args=["keys", "rotate"])
    assert result.exit_code == 0, result.output
    return result.output.split()[-1]


def test_after_a_rotation_new_tokens_verify_and_so_do_old_ones(make_payment, client, clock, app):
    """A bank that fetched a token before the rotation still finds its key."""
    payment = make_payment()
    old = fetch(client, payment).text
    kid = rotate(app)
    clock.advance(minutes=2)
    fresh = fetch(client, payment).text
    assert jws.header_of(fresh)["kid"] == kid
    assert jws.header_of(old)["kid"] != kid
    keys = client.get("/qr/v2/jwks").get_json()
    for token in (old, fresh):
        assert jws.verify(token, keys, clock.now())["txid"] == payment["id"]


def test_a_key_whose_certificate_ends_is_replaced(make_payment, client, clock):
    """Nobody rotated the key for two years: payers' banks would refuse every code."""
    before = jws.header_of(fetch(client, make_payment()).text)["kid"]

    clock.advance(days=729)
    assert jws.header_of(fetch(client, make_payment()).text)["kid"] == before
    clock.advance(days=1)
    payment = make_payment()
    assert verified_payload(client, payment, clock)["txid"] == payment["id"]
    assert jws.header_of(fetch(client, payment).text)["kid"] != before


def test_a_new_key_is_shown_two_minutes_before_it_signs(make_payment, client, clock, app):
    """A bank that fetched the key set a moment ago would otherwise refuse a true payload."""
    payment = make_payment()
    clock.advance(minutes=3)
    old = jws.header_of(fetch(client, payment).text)["kid"]
    kid = rotate(app)
    clock.advance(seconds=1)
    assert [key["kid"] for key in client.get("/qr/v2/jwks").get_json()["keys"]] == [kid, old]
    clock.advance(seconds=118)
    assert jws.header_of(fetch(client, payment).text)["kid"] == old
    clock.advance(seconds=1)
    assert jws.header_of(fetch(client, payment).text)["kid"] == kid


def test_the_key_set_contains_a_key_that_another_process_just_created(app, settings, clock):
    """The key set may come from one process and the signature from another."""
    with app.app_context():
        here, there = KeyRing(settings), KeyRing(settings)
        here.key_set(clock.now())
        clock.advance(seconds=1)
        kid = there.rotate()
        assert kid in [key["kid"] for key in here.key_set(clock.now())["keys"]]
        clock.advance(minutes=2)
        signed_by = there.active(clock.now()).kid
        assert signed_by == kid == here.active(clock.now()).kid


def test_a_key_of_another_process_is_published_after_the_clock_was_set_back(app, settings, clock):
    """The keys in memory would else count as just read for as long as the jump."""
    with app.app_context():
        here, there = KeyRing(settings), KeyRing(settings)
        here.key_set(clock.now())
        clock.advance(minutes=-10)
        kid = there.rotate()
        assert kid in [key["kid"] for key in here.key_set(clock.now())["keys"]]


def test_many_simultaneous_requests_create_one_first_key(app, settings, clock):
    """A bank that fetched the key set before would not know a further key."""
    ring = KeyRing(settings)

    def ask(_):
        with app.app_context():
            return ring.active(clock.now()).kid

    with ThreadPoolExecutor(8) as pool:
        signers = set(pool.map(ask, range(8)))
    with app.app_context():
        kids = [key["kid"] for key in ring.key_set(clock.now())["keys"]]
    assert signers == set(kids)
    assert len(kids) == 1


def test_a_retired_key_leaves_the_set_after_a_day(make_payment, client, clock, app):
    """The key set must not grow for ever."""
    old = jws.header_of(fetch(client, make_payment()).text)["kid"]
    rotate(app)

    def published():
        return [key["kid"] for key in client.get("/qr/v2/jwks").get_json()["keys"]]

    clock.advance(hours=24)
    assert old in published()
    clock.advance(minutes=3)
    assert old not in published()
    assert len(published()) == 1


def test_the_key_set_may_be_kept_for_an_hour(client):
    """It exists before the first payment."""
    answer = client.get("/qr/v2/jwks")
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "public, max-age=3600"
    assert len(answer.get_json()["keys"]) == 1

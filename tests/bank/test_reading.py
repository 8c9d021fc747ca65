"""What a payer's bank checks before it shows an amount: each failed check is one named refusal."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from werkzeug.wrappers import Response

from bank.errors import CodeRefused
from core.pix import br_code
from core.signing import jws
from tests.bank.service_double import PAYEE_KEY, charge_payload


def refusal(bank, code):
    """The stable code with which the bank refuses to read this one."""
    with pytest.raises(CodeRefused) as refused:
        bank.branch.reader.read(code, bank.clock.now())
    assert "ago" in refused.value.detail or refused.value.detail.endswith(".")
    return refused.value.code


def test_a_signed_charge_shows_who_gets_how_much(bank, service):
    """Name, key and amount come from the signed payload, not from the code's own text."""
    code, txid = service.charge(bank.clock.now(), recebedor={"nome": "Alice Livros"})

    offer = bank.branch.reader.read(f"  {code}\n", bank.clock.now())

    assert (offer.payee_name, offer.key, offer.amount_centavos) == ("Alice Livros", PAYEE_KEY, 5490)
    assert offer.charge.txid == txid
    assert offer.is_payable


def test_without_a_name_in_the_payload_the_codes_name_is_shown(bank, service):
    """API Pix puts no payee into an immediate charge."""
    code, _ = service.charge(bank.clock.now(), recebedor=None)

    assert bank.branch.reader.read(code, bank.clock.now()).payee_name == "Loja da Alice"


def test_a_static_code_has_a_name_that_nobody_confirmed(bank, service):
    """No bank signed it, so what stands in it is shown as hearsay."""
    code = br_code.encode_static(PAYEE_KEY, "Loja da Alice", "Recife", amount_centavos=1000)

    offer = bank.branch.reader.read(code, bank.clock.now())

    assert (offer.payee_name, offer.amount_centavos) == ("Loja da Alice", 1000)
    assert (offer.charge, offer.is_confirmed, offer.is_payable) == (None, False, True)


@pytest.mark.parametrize("text", ["", "oi", "0" * 3000, "\ud800", "000201\x00", "💸" * 40])
def test_what_is_no_code_is_called_unreadable(bank, text):
    """A payer pastes anything; the screen says so and nothing else happens."""
    assert refusal(bank, text) == "code-unreadable"


def test_a_code_with_one_changed_letter_is_unreadable(bank, service):
    """The checksum stands between a slip and a payment to somebody else."""
    code, _ = service.charge(bank.clock.now())

    assert refusal(bank, code.replace("Recife", "Recifo")) == "code-unreadable"


def test_a_location_of_no_participant_is_never_fetched(bank, service):
    """A code must not make the bank call any address it names."""
    code = service.code_for("0" * 32, host="10.0.0.1:80")

    assert refusal(bank, code) == "unknown-participant"
    assert not service.fetched


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (lambda: Response("", 404), "location-not-found"),
        (lambda: Response("", 410), "location-gone"),
        (lambda: Response("", 500), "location-refused"),
        (lambda: Response("", 302, {"Location": "/qr/v2/jwks"}), "location-refused"),
        (lambda: Response("{}", 200, mimetype="application/json"), "payload-type-wrong"),
        (lambda: Response("a" * 70_000, 200, mimetype="application/jose"), "payload-too-large"),
        (lambda: Response("a.b", 200, mimetype="application/jose"), "payload-signature-refused"),
        (
            lambda: Response("\xff" * 9, 200, mimetype="application/jose"),
            "payload-signature-refused",
        ),
    ],
)
def test_a_location_that_serves_no_charge_is_refused(bank, service, answer, code):
    """Each kind of wrong answer has its own name, so that a merchant can find the fault."""
    assert refusal(bank, service.serve(answer)) == code


def test_a_location_that_does_not_answer_is_unreachable(bank, service):
    """The payer may try again: nothing was paid."""
    code, _ = service.charge(bank.clock.now())
    service.__exit__(None, None, None)

    assert refusal(bank, code) == "location-unreachable"


def test_a_payload_signed_by_an_unpublished_key_is_refused(bank, service):
    """Whoever serves the location must also hold the key of the set."""
    stranger = jws.generate_key("127.0.0.1", datetime.now(UTC))
    payload = charge_payload(bank.clock.now())

    code = service.serve(lambda: service.signed(payload, key=stranger))

    assert refusal(bank, code) == "payload-signature-refused"


def test_a_payload_changed_after_signing_is_refused(bank, service):
    """One signature must not vouch for another amount."""
    good = service.signed(charge_payload(bank.clock.now())).get_data(as_text=True).split(".")
    other = service.signed(charge_payload(bank.clock.now(), amount="0.01"))
    swapped = ".".join([good[0], other.get_data(as_text=True).split(".")[1], good[2]])

    code = service.serve(lambda: Response(swapped, mimetype="application/jose"))

    assert refusal(bank, code) == "payload-signature-refused"


def test_keys_at_an_unknown_host_are_never_fetched(bank, service):
    """`jku` is written by whoever signed, so it must not choose whom the bank calls."""
    payload = charge_payload(bank.clock.now())

    code = service.serve(lambda: service.signed(payload, jku="https://evil.example/jwks"))

    assert refusal(bank, code) == "key-set-refused"


def test_keys_are_fetched_once_an_hour_and_again_for_a_new_key(bank, service):
    """The cache spares the other bank, and a rotated key still works at once."""
    code, _ = service.charge(bank.clock.now())
    for _ in range(3):
        bank.branch.reader.read(code, bank.clock.now())
    assert service.fetched["/qr/v2/jwks"] == 1

    service.key = jws.generate_key("127.0.0.1", datetime.now(UTC))
    service.published.append(service.key)
    bank.clock.advance(6)
    bank.branch.reader.read(code, bank.clock.now())
    assert service.fetched["/qr/v2/jwks"] == 2

    bank.clock.advance(3601 - 1800)
    bank.clock.advance(1800)
    fresh, _ = service.charge(bank.clock.now())
    bank.branch.reader.read(fresh, bank.clock.now())
    assert service.fetched["/qr/v2/jwks"] == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"txid": None},
        {"txid": "short"},
        {"status": None},
        {"revisao": True},
        {"chave": "tab\tkey"},
        {"valor": {}},
        {"valor": "54.90"},
        {"amount": "54.9"},
        {"amount": 54.9},
        {"amount": "0.00"},
        {"valor": {"original": "1.00", "retirada": {"saque": {}}}},
        {"seconds": -1},
        {"seconds": 1e400},
        {"seconds": 10**18},
        {"calendario": {"criacao": "2026-01-01T00:00:00", "expiracao": 60}},
        {"calendario": []},
    ],
)
def test_a_payload_that_lacks_something_is_malformed(bank, service, changes):
    """A signature says who wrote it, not that it makes sense."""
    payload = charge_payload(bank.clock.now(), **changes)
    if payload["calendario"] and payload["calendario"]["expiracao"] == float("inf"):
        payload["calendario"]["expiracao"] = "1e400"

    assert refusal(bank, service.serve(lambda: service.signed(payload))) == "payload-malformed"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("CONCLUIDA", "charge-paid"),
        ("REMOVIDA_PELO_USUARIO_RECEBEDOR", "charge-removed"),
        ("REMOVIDA_PELO_PSP", "charge-removed"),
        ("EM_PROCESSAMENTO", "charge-removed"),
    ],
)
def test_only_an_active_charge_is_payable(bank, service, status, code):
    """A bank may serve a charge with its final status instead of 404."""
    text, _ = service.charge(bank.clock.now(), status=status)

    assert refusal(bank, text) == code


def test_a_charge_is_payable_until_its_very_last_second(bank, service):
    """Both sides of the deadline: creation plus expiration."""
    now = bank.clock.now()
    created_at = now.replace(microsecond=0)
    code, _ = service.charge(now, created_at=created_at, seconds=60)
    deadline = bank.branch.reader.read(code, now).charge.expires_at

    assert bank.branch.reader.read(code, deadline).is_payable
    bank.clock.advance(62)
    assert refusal(bank, code) == "charge-expired"


def test_names_from_outside_lose_what_no_screen_shows(bank, service):
    """A line break or a right-to-left mark in a name must not dress up a receipt."""
    name = "Loja\x00 da\u202e Alice\n" + "x" * 300
    code, _ = service.charge(bank.clock.now(), recebedor={"nome": name})

    shown = bank.branch.reader.read(code, bank.clock.now()).payee_name

    assert shown.startswith("Loja da Alice")
    assert len(shown) <= 100
    assert shown.isprintable()

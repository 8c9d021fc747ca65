"""The checks of a payer's bank before it shows an amount; each failed check has its own code."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from werkzeug.wrappers import Response

from bank.errors import CodeRefused
from core.pix import br_code
from core.signing import jws
from tests.bank.service_double import PAYEE_KEY, charge_payload


def refusal(bank, code):
    """The code of the error with which the bank refuses this BR Code."""
    with pytest.raises(CodeRefused) as caught:
        bank.branch.reader.read(code, bank.clock.now())
    assert "ago" in caught.value.detail or caught.value.detail.endswith(".")
    return caught.value.code


def test_a_signed_charge_shows_payee_and_amount(bank, service):
    """Name, key and amount come from the signed payload, not from the code's text."""
    code, txid = service.charge(bank.clock.now(), recebedor={"nome": "Alice Livros"})

    offer = bank.branch.reader.read(f"  {code}\n", bank.clock.now())

    assert (offer.payee_name, offer.key, offer.amount_centavos) == ("Alice Livros", PAYEE_KEY, 5490)
    assert offer.charge.txid == txid
    assert offer.is_payable


def test_without_a_name_in_the_payload_the_codes_name_is_shown(bank, service):
    """API Pix puts no payee into an immediate charge."""
    code, _ = service.charge(bank.clock.now(), recebedor=None)

    assert bank.branch.reader.read(code, bank.clock.now()).payee_name == "Loja da Alice"


def test_the_name_in_a_static_code_is_not_confirmed(bank, service):
    """No bank has signed it, and the page says so."""
    code = br_code.encode_static(PAYEE_KEY, "Loja da Alice", "Recife", amount_centavos=1000)

    offer = bank.branch.reader.read(code, bank.clock.now())

    assert (offer.payee_name, offer.amount_centavos) == ("Loja da Alice", 1000)
    assert (offer.charge, offer.is_confirmed, offer.is_payable) == (None, False, True)


@pytest.mark.parametrize("text", ["", "oi", "0" * 3000, "\ud800", "000201\x00", "💸" * 40])
def test_text_that_is_not_a_code_is_unreadable(bank, text):
    """A payer may paste anything."""
    assert refusal(bank, text) == "code-unreadable"


def test_a_code_with_one_changed_letter_is_unreadable(bank, service):
    """The checksum keeps a typing error from paying somebody else."""
    code, _ = service.charge(bank.clock.now())

    assert refusal(bank, code.replace("Recife", "Recifo")) == "code-unreadable"


def test_a_location_at_an_unknown_host_is_never_fetched(bank, service):
    """A code must not make the bank send requests to any address."""
    code = service.code_for("0" * 32, host="10.0.0.1:80")

    assert refusal(bank, code) == "unknown-participant"
    assert not service.request_counts


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
    """Each kind of wrong answer has its own code, so that a merchant can find the fault."""
    assert refusal(bank, service.serve(answer)) == code


def test_a_location_that_does_not_answer_is_unreachable(bank, service):
    """The payer may try again, because nothing was paid."""
    code, _ = service.charge(bank.clock.now())
    service.__exit__(None, None, None)

    assert refusal(bank, code) == "location-unreachable"


def test_a_payload_signed_by_an_unpublished_key_is_refused(bank, service):
    """The key must be in the key set of the receiver's bank."""
    stranger = jws.generate_key("127.0.0.1", datetime.now(UTC))
    payload = charge_payload(bank.clock.now())

    code = service.serve(lambda: service.signed_payload(payload, key=stranger))

    assert refusal(bank, code) == "payload-signature-refused"


def test_a_payload_changed_after_signing_is_refused(bank, service):
    """A signature must not be valid for another amount."""
    good = (
        service.signed_payload(charge_payload(bank.clock.now())).get_data(as_text=True).split(".")
    )
    other = service.signed_payload(charge_payload(bank.clock.now(), amount="0.01"))
    forged_token = ".".join([good[0], other.get_data(as_text=True).split(".")[1], good[2]])

    code = service.serve(lambda: Response(forged_token, mimetype="application/jose"))

    assert refusal(bank, code) == "payload-signature-refused"


def test_keys_at_an_unknown_host_are_never_fetched(bank, service):
    """The signer writes `jku`, so it must not choose where the bank sends requests."""
    payload = charge_payload(bank.clock.now())

    code = service.serve(lambda: service.signed_payload(payload, jku="https://evil.example/jwks"))

    assert refusal(bank, code) == "key-set-refused"


def test_keys_are_fetched_once_an_hour_and_again_for_a_new_key(bank, service):
    """The cache spares the other bank, and a rotated key works at once."""
    code, _ = service.charge(bank.clock.now())
    for _ in range(3):
        bank.branch.reader.read(code, bank.clock.now())
    assert service.request_counts["/qr/v2/jwks"] == 1

    service.key = jws.generate_key("127.0.0.1", datetime.now(UTC))
    service.published_keys.append(service.key)
    bank.clock.advance(6)
    bank.branch.reader.read(code, bank.clock.now())
    assert service.request_counts["/qr/v2/jwks"] == 2

    bank.clock.advance(3601 - 1800)
    bank.clock.advance(1800)
    new_code, _ = service.charge(bank.clock.now())
    bank.branch.reader.read(new_code, bank.clock.now())
    assert service.request_counts["/qr/v2/jwks"] == 3


def test_a_new_key_is_fetched_after_the_clock_was_set_back(bank, service):
    """An age below zero is no young age, or new codes would be refused for as long as the jump."""
    code, _ = service.charge(bank.clock.now())
    bank.branch.reader.read(code, bank.clock.now())
    bank.clock.advance(-600)
    service.key = jws.generate_key("127.0.0.1", bank.clock.now())
    service.published_keys.append(service.key)

    new_code, _ = service.charge(bank.clock.now())
    bank.branch.reader.read(new_code, bank.clock.now())

    assert service.request_counts["/qr/v2/jwks"] == 2


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
def test_a_payload_with_a_missing_or_wrong_field_is_malformed(bank, service, changes):
    """A valid signature does not make the content valid."""
    payload = charge_payload(bank.clock.now(), **changes)
    if payload["calendario"] and payload["calendario"]["expiracao"] == float("inf"):
        payload["calendario"]["expiracao"] = "1e400"

    assert (
        refusal(bank, service.serve(lambda: service.signed_payload(payload))) == "payload-malformed"
    )


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
    """A bank may serve a charge with its final status instead of a 404."""
    text, _ = service.charge(bank.clock.now(), status=status)

    assert refusal(bank, text) == code


def test_a_charge_is_payable_until_its_last_second(bank, service):
    """Both sides of the deadline: creation plus expiration."""
    now = bank.clock.now()
    created_at = now.replace(microsecond=0)
    code, _ = service.charge(now, created_at=created_at, seconds=60)
    deadline = bank.branch.reader.read(code, now).charge.expires_at

    assert bank.branch.reader.read(code, deadline).is_payable
    bank.clock.advance(62)
    assert refusal(bank, code) == "charge-expired"


def test_names_from_outside_lose_invisible_characters(bank, service):
    """A line break or a right-to-left mark in a name must not falsify a receipt."""
    name = "Loja\x00 da\u202e Alice\n" + "x" * 300
    code, _ = service.charge(bank.clock.now(), recebedor={"nome": name})

    payee_name = bank.branch.reader.read(code, bank.clock.now()).payee_name

    assert payee_name.startswith("Loja da Alice")
    assert len(payee_name) <= 100
    assert payee_name.isprintable()


@pytest.mark.parametrize(
    "paste",
    [
        lambda code: f"  {code}\n",
        lambda code: code[:80] + "\n" + code[80:],
        lambda code: code[:80] + "\r\n" + code[80:],
        lambda code: code[:80] + " " + code[80:],
        lambda code: " ".join(code[at : at + 30] for at in range(0, 90, 30)) + code[90:],
        lambda code: code[:-20] + " " + code[-20:],
        lambda code: "\u200b" + code,
        lambda code: code + "\u2060",
        lambda code: "\ufeff" + code,
        lambda code: f"\u202a{code}\u202c",
        lambda code: code.replace(" ", "\u00a0"),
        lambda code: code.replace("Loja da Alice", "Loja da\nAlice"),
        lambda code: "Pix Copia e Cola: " + code,
        lambda code: code + " Valor R$ 54,90",
        lambda code: f"```{code}```",
        lambda code: f'"{code}"',
        lambda code: code.replace(" ", "%20"),
        lambda code: "Pix: " + code.replace(" ", "%20") + " obrigada",
    ],
)
def test_a_pasted_code_is_read_as_the_code_in_it(bank, service, paste):
    """The recovery page reads these forms too; the offer has the code without what was added."""
    code, _ = service.charge(bank.clock.now())

    offer = bank.branch.reader.read(paste(code), bank.clock.now())

    assert (offer.code, offer.amount_centavos) == (code, 5490)


def test_a_pasted_code_without_one_letter_is_refused(bank, service):
    """Only what was added is left out; a code that lost a letter could pay somebody else."""
    code, _ = service.charge(bank.clock.now())
    assert refusal(bank, f"Pix: {code[:70]}{code[71:]} obrigada") == "code-unreadable"

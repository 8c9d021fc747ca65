"""A whole code that its maker wrote wrongly is told apart from a code that was cut."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bank.codes.reader import CodeReader
from bank.errors import CodeUnreadable
from blueprints.recovery.reading import Kind
from core.pix.br_code import ERROR_CODES, crc16
from core.pix.br_code.fault_words import CHECKSUM_WRONG, fault_of_maker
from tests.recovery.conftest import ask
from tests.recovery.texts import read

HEAD = "00020126360014br.gov.bcb.pix0114+5571999990000"
PAYEE = "5909Ana Souza6008SALVADOR"
FAULTY = {
    "a length in bytes": "5204000053039865802BR5911João & Cia6007Maceió62070503***",
    "a name of 28 letters": "5204000053039865802BR5928Carla Exemplo Lima Ribeiro P6006Maceio"
    "62070503***",
    "a city of 21 letters": "5204000053039865802BR5909Ana Souza6021SAO JOSE DO RIO PRETO"
    "62070503***",
    "a comma of thousands": f"52040000530398654081,000.005802BR{PAYEE}62070503***",
    "a decimal comma": f"520400005303986540412,05802BR{PAYEE}62070503***",
    "an amount of zero": f"52040000530398654040.005802BR{PAYEE}62070503***",
    "an empty txid": f"5204000053039865802BR{PAYEE}62040500",
    "a category of three digits": f"520300053039865802BR{PAYEE}62070503***",
    "no txid": f"5204000053039865802BR{PAYEE}",
    "another country": f"5204000053039865802PT{PAYEE}62070503***",
}
"""Makers' mistakes, as people reported them about real shops."""


def with_crc(rest: str) -> str:
    """The code with the CRC that its maker computed, which is right."""
    text = f"{HEAD}{rest}6304"
    return text + crc16(text)


def bank_sentence(text: str) -> str:
    """What the bank's page says about a code that it cannot read."""
    reader = CodeReader(None, None)  # type: ignore[arg-type]  # an unreadable code asks nobody
    with pytest.raises(CodeUnreadable) as caught:
        reader.read(text, datetime(2026, 1, 1, tzinfo=UTC))
    return str(caught.value.detail)


@pytest.mark.parametrize("rest", FAULTY.values(), ids=FAULTY)
def test_a_whole_code_with_a_faulty_field_names_its_maker_in_the_same_words(one_town, rest):
    """A payer who hears that a part is missing copies the same code for ever."""
    code = with_crc(rest)

    answer = ask(one_town, "verify-qr", code, **{"Accept-Language": "pt-BR"}).get_json()

    assert answer["kind"] == Kind.FAULTY_PIX
    assert answer["detail"].startswith("O código está inteiro, mas foi feito errado: ")
    assert answer["detail"].endswith("O erro é da loja ou do app que fez o código; peça outro.")
    assert bank_sentence(code) == bank_sentence(f"Pague aqui: {code} obrigada") == answer["detail"]


def test_a_whole_code_with_a_changed_letter_does_not_lack_a_part(one_town):
    """All lengths add up, so the payer must copy again or ask, and look for no missing end."""
    code = with_crc(f"5204000053039865802BR{PAYEE}62070503***").replace("Ana", "Ane")

    answer = ask(one_town, "verify-qr", code, **{"Accept-Language": "pt-BR"}).get_json()

    assert (answer["kind"], answer["detail"]) == (Kind.DAMAGED_PIX, CHECKSUM_WRONG)
    assert bank_sentence(code) == CHECKSUM_WRONG


@pytest.mark.parametrize("rest", FAULTY.values(), ids=FAULTY)
def test_a_cut_code_still_lacks_a_part(rest):
    """Without its end, nobody knows whether its maker made a mistake."""
    code = with_crc(rest)

    for length in (len(code) - 1, len(code) - 4, len(code) - 9, 60):
        assert read(code[:length]).kind is Kind.DAMAGED_PIX, length
        assert "incompleto" in bank_sentence(code[:length]), length


def test_every_fault_of_a_whole_code_has_its_words():
    """A fault without a sentence would be an error of the page."""
    for code in set(ERROR_CODES) - {"crc_mismatch"}:
        assert fault_of_maker(code)


def test_a_faulty_code_of_another_country_is_no_faulty_pix():
    """Its rules are others, and its maker may have kept them."""
    text = "000201010211" + "26190009SG.PAYNOW010212" + "520400005303702"
    text += "5802SG5900Shop6009Singapore6304"
    reading = read(text + crc16(text))

    assert (reading.kind, reading.country) == (Kind.OTHER_EMV, "SG")

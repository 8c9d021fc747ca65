"""Foreign texts get their kind; among several texts, ours comes first."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from blueprints.recovery.reading import MAY_BE_OURS, TEXT_MAX, Kind, is_ours, read_text, read_texts
from core.errors import InvalidRequest
from core.pix.br_code import crc16, encode_static
from tests.recovery.texts import BASE, CODE, ID, TOKEN, read

ROOT = Path(__file__).resolve().parents[2]
BR_CODES = [
    vector
    for vector in json.loads((ROOT / "tests" / "data" / "brcode-vectors.json").read_text("utf-8"))[
        "vectors"
    ]
    if vector["verdict"] == "valid"
]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", Kind.EMPTY),
        (" \n\t\u200b", Kind.EMPTY),
        ("WIFI:T:WPA;S:Loja;P:bemvindo;;", Kind.WIFI),
        ("https://www.example.com/cardapio?x=1", Kind.WEB_ADDRESS),
        ("example.com.br/loja", Kind.WEB_ADDRESS),
        ("BEGIN:VCARD\nVERSION:4.0\nFN:Charlie\nEND:VCARD", Kind.CONTACT),
        ("MECARD:N:Charlie;TEL:1;;", Kind.CONTACT),
        ("BEGIN:VEVENT\nSUMMARY:x\nEND:VEVENT", Kind.EVENT),
        ("tel:+5511999998888", Kind.PHONE),
        ("(11) 99999-8888", Kind.PHONE),
        ("+5511999998888", Kind.PHONE),
        ("mailto:charlie@example.com", Kind.EMAIL),
        ("charlie@example.com", Kind.EMAIL),
        ("SMSTO:+5511999998888:oi", Kind.MESSAGE),
        ("geo:-23.5,-46.6", Kind.PLACE),
        ("23793.38128 60007.827136 95000.063305 9 84660000012345", Kind.BOLETO),
        ("23799846600000123453381260007827139500006330", Kind.BOLETO),
        ("836200000005 667800481000 180975657313 001589636081", Kind.BOLETO),
        ("bitcoin:bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq?amount=1", Kind.CRYPTO),
        ("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", Kind.CRYPTO),
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", Kind.CRYPTO),
        ("0x52908400098527886E0F7030069857D2E4169EE7", Kind.CRYPTO),
        ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", Kind.PLAIN_TEXT),
        ("529.982.247-25", Kind.PIX_KEY),
        ("52998224725", Kind.PIX_KEY),
        ("123e4567-e89b-42d3-a456-426614174000", Kind.PIX_KEY),
        (encode_static("charlie@example.com", "Charlie", "Recife"), Kind.STATIC_PIX),
        ("00020101021226", Kind.DAMAGED_PIX),
        ("pedido 000201", Kind.PLAIN_TEXT),
        ("Meu pedido não chegou.", Kind.PLAIN_TEXT),
    ],
)
def test_a_foreign_text_gets_its_kind(text: str, kind: Kind):
    """The page can then tell the payer what the text is."""
    reading = read(text)

    assert (reading.kind, reading.may_be_ours) == (kind, False)
    assert (reading.payment_id, reading.watch_code, reading.transaction_id) == (None, None, None)


def test_a_code_of_another_country_names_the_country():
    """The code is complete, but no Pix."""
    text = "000201010211" + "26190009SG.PAYNOW010212" + "520400005303702"
    text += "5802SG5904Shop6009Singapore6304"
    reading = read(text + crc16(text))

    assert (reading.kind, reading.country, reading.is_whole) == (Kind.OTHER_EMV, "SG", True)


@pytest.mark.parametrize("vector", BR_CODES, ids=lambda vector: vector["id"])
def test_published_pix_codes_are_foreign_and_whole(vector):
    """Each has a location, a key, or a recurrence."""
    reading = read(vector["payload"])

    assert reading.kind in (Kind.OTHER_PIX, Kind.STATIC_PIX, Kind.PIX_RECURRENCE)
    assert reading.pix_key == vector["fields"]["key"]
    assert reading.is_whole


@pytest.mark.parametrize(
    ("key", "txid", "amount"), [("charlie@example.com", None, None), ("52998224725", "x1", 500)]
)
def test_a_static_code_yields_its_key_and_amount(key, txid, amount):
    """The page can show whose code it is."""
    reading = read(encode_static(key, "C", "R", amount_centavos=amount, txid=txid))

    assert (reading.pix_key, reading.amount_centavos) == (key, amount)


# --- several texts, limits, and everything else ---------------------------------------------------


def test_ours_is_first_among_a_pictures_texts():
    """A poster shows the shop's site beside the code to pay; each text is listed once."""
    texts = ["https://www.example.com", "WIFI:S:x;;", ID, CODE, CODE, "\0binary", "x" * 9999]
    kinds = [reading.kind for reading in read_texts(texts, location_base=BASE)]

    assert kinds == [
        Kind.OUR_CODE,
        Kind.PAYMENT_ID,
        Kind.WEB_ADDRESS,
        Kind.WIFI,
        Kind.PLAIN_TEXT,
    ]


def test_a_text_that_may_name_a_payment_is_ours():
    """The decoder stops at such a text; an invalid text is not ours."""
    assert is_ours(CODE, location_base=BASE)
    assert is_ours(ID, location_base=BASE)
    assert not is_ours(CODE, location_base="other.example")
    assert not is_ours("\0", location_base=BASE)
    assert set(Kind) > MAY_BE_OURS


def test_the_text_may_have_4096_characters_and_no_more():
    """The limit bounds every search in the text."""
    assert read("x" * TEXT_MAX).kind is Kind.PLAIN_TEXT
    with pytest.raises(InvalidRequest):
        read("x" * (TEXT_MAX + 1))


@pytest.mark.parametrize("text", ["a\0b", "\ud800", CODE + "\udfff"])
def test_a_text_that_cannot_be_stored_is_refused(text: str):
    """Neither the database nor MD5 accepts such a text."""
    with pytest.raises(InvalidRequest):
        read(text)


PIECES = st.sampled_from(
    [
        CODE,
        CODE[:80],
        CODE[60:],
        "000201",
        "0002010102",
        "6304",
        "6304ABCD",
        f"https://{BASE}/payments/pix/",
        f"{BASE}/qr/v2/",
        TOKEN,
        ID,
        "KHQR:order_id=",
        ":transaction_id=",
        ":amount=",
        "ORDER_",
        "_",
        "https://[",
        "https://x:99999/",
        "%",
        "%FF",
        "5802",
        "29180014a@b",
        " ",
        "\n",
        "\u2028",
        "İ",
    ]
)


@settings(max_examples=600, deadline=500)
@given(
    st.lists(PIECES | st.text(max_size=12), max_size=25).map("".join),
    st.sampled_from([BASE, "a.b/c"]),
)
@example("000201" * 682, BASE)
@example("0002010102116304ABCD" * 204, BASE)
@example("000201010211" * 341, BASE)
@example("https://" * 512, BASE)
@example("2" * 47, BASE)
def test_any_text_is_read_or_refused_and_its_clues_are_in_it(text: str, base: str):
    """Nothing but the typed error, in bounded time; and no clue that is not in the text."""
    try:
        reading = read_text(text, location_base=base)
    except InvalidRequest:
        is_invalid = (
            len(text) > TEXT_MAX or "\0" in text or any("\ud800" <= c <= "\udfff" for c in text)
        )
        assert is_invalid
        return
    letters = "".join(text.split()).lower()
    for identifier in (reading.watch_code, reading.payment_id, reading.end_to_end_id):
        assert identifier is None or identifier.lower() in letters
    assert reading.watch_code is None or len(reading.watch_code) == 32
    assert reading.payment_id is None or len(reading.payment_id) == 32


def test_reading_is_pure():
    """It imports no web framework and no database, so it can change no state."""
    packages = {"core", "blueprints", "PIL", "zxingcpp"}
    for path in (ROOT / "blueprints" / "recovery" / "reading").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                package = name.partition(".")[0]
                is_own = name.startswith("blueprints.recovery.reading")
                assert (
                    package in packages and (package != "blueprints" or is_own)
                ) or package in _STANDARD, name


_STANDARD = {
    "__future__",
    "collections",
    "contextlib",
    "dataclasses",
    "enum",
    "functools",
    "hashlib",
    "io",
    "itertools",
    "math",
    "re",
    "threading",
    "time",
    "typing",
    "unicodedata",
    "urllib",
}

"""What is not ours is named for what it is; of several texts ours comes first."""

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
def test_a_foreign_text_is_named_for_what_it_is(text: str, kind: Kind):
    """A page can then say kindly what it is, and that it has no payment in it."""
    found = read(text)

    assert (found.kind, found.may_be_ours) == (kind, False)
    assert (found.payment_id, found.watch_code, found.transaction_id) == (None, None, None)


def test_another_countrys_code_says_which():
    """Its checksum holds, so it is whole; it is only no Pix."""
    text = "000201010211" + "26190009SG.PAYNOW010212" + "520400005303702"
    text += "5802SG5904Shop6009Singapore6304"
    found = read(text + crc16(text))

    assert (found.kind, found.country, found.is_whole) == (Kind.OTHER_EMV, "SG", True)


@pytest.mark.parametrize("vector", BR_CODES, ids=lambda vector: vector["id"])
def test_published_pix_codes_are_other_peoples_and_whole(vector):
    """Of each is known whether it leads elsewhere, holds a key, or offers a recurrence."""
    found = read(vector["payload"])

    assert found.kind in (Kind.OTHER_PIX, Kind.STATIC_PIX, Kind.PIX_RECURRENCE)
    assert found.pix_key == vector["fields"]["key"]
    assert found.is_whole


@pytest.mark.parametrize(
    ("key", "txid", "amount"), [("charlie@example.com", None, None), ("52998224725", "x1", 500)]
)
def test_a_static_code_gives_its_key_and_amount(key, txid, amount):
    """So a page may say whose it is, where it is a merchant's own."""
    found = read(encode_static(key, "C", "R", amount_centavos=amount, txid=txid))

    assert (found.pix_key, found.amount_centavos) == (key, amount)


# --- several texts, limits, and everything else ---------------------------------------------------


def test_of_a_pictures_texts_ours_comes_first():
    """A poster has the shop's site beside the code to pay; each text once."""
    texts = ["https://www.example.com", "WIFI:S:x;;", ID, CODE, CODE, "\0binary", "x" * 9999]
    kinds = [found.kind for found in read_texts(texts, location_base=BASE)]

    assert kinds == [
        Kind.OUR_CODE,
        Kind.PAYMENT_ID,
        Kind.WEB_ADDRESS,
        Kind.WIFI,
        Kind.PLAIN_TEXT,
    ]


def test_ours_is_what_a_payment_may_be_looked_up_by():
    """The decoder stops at such a text; one that cannot be read is not one."""
    assert is_ours(CODE, location_base=BASE)
    assert is_ours(ID, location_base=BASE)
    assert not is_ours(CODE, location_base="other.example")
    assert not is_ours("\0", location_base=BASE)
    assert set(Kind) > MAY_BE_OURS


def test_the_text_may_have_4096_characters_and_no_more():
    """Every search below is bounded by it."""
    assert read("x" * TEXT_MAX).kind is Kind.PLAIN_TEXT
    with pytest.raises(InvalidRequest):
        read("x" * (TEXT_MAX + 1))


@pytest.mark.parametrize("text", ["a\0b", "\ud800", CODE + "\udfff"])
def test_a_text_that_cannot_be_stored_is_refused(text: str):
    """Neither a database nor MD5 takes it."""
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
        found = read_text(text, location_base=base)
    except InvalidRequest:
        refused = (
            len(text) > TEXT_MAX or "\0" in text or any("\ud800" <= c <= "\udfff" for c in text)
        )
        assert refused
        return
    letters = "".join(text.split()).lower()
    for clue in (found.watch_code, found.payment_id, found.end_to_end_id):
        assert clue is None or clue.lower() in letters
    assert found.watch_code is None or len(found.watch_code) == 32
    assert found.payment_id is None or len(found.payment_id) == 32


def test_reading_is_pure():
    """It imports core alone: no web framework and no database, so it can change no state."""
    allowed = {"core", "recovery", "PIL", "zxingcpp"}
    for path in (ROOT / "recovery" / "reading").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                top = name.partition(".")[0]
                own = name.startswith("blueprints.recovery.reading")
                assert (top in allowed and (top != "recovery" or own)) or top in _STANDARD, name


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

"""What a scanned, pasted or typed text is, and what of it can find a payment."""

from __future__ import annotations

import ast
import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.br_code import crc16, encode_dynamic, encode_static
from core.errors import InvalidRequest
from recovery.reading import (
    MAY_BE_OURS,
    TEXT_MAX,
    Kind,
    Reading,
    is_ours,
    khqr_text,
    order_text,
    read_text,
    read_texts,
)

ROOT = Path(__file__).resolve().parents[2]
BASE = "pix.loja.example"
TOKEN = "8b3da2f39a4140d1a91abd93113bd441"
ID = "4f0c2d1e9a8b7c6d5e4f3a2b1c0d9e8f"
CODE = encode_dynamic(f"{BASE}/qr/v2/{TOKEN}", "Loja da Alice", "SAO PAULO")
HEX = "0123456789abcdef"

_VECTORS = ROOT / "tests" / "data"
KHQR = [
    vector
    for vector in json.loads((_VECTORS / "khqr-vectors.json").read_text("utf-8"))["vectors"]
    if vector["verdict"] == "valid"
]
BR_CODES = [
    vector
    for vector in json.loads((_VECTORS / "brcode-vectors.json").read_text("utf-8"))["vectors"]
    if vector["verdict"] == "valid"
]


STORABLE = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


def read(text: str, base: str = BASE) -> Reading:
    """The text as the service at this base reads it."""
    return read_text(text, location_base=base)


# --- our own codes -------------------------------------------------------------------------------


def test_our_code_is_found_by_its_token():
    """The token is the payment's watch code; the whole text is kept for comparing."""
    found = read(CODE)

    assert (found.kind, found.is_whole, found.watch_code) == (Kind.OUR_CODE, True, TOKEN)
    assert (found.text, found.fault, found.payment_id) == (CODE, None, None)


@pytest.mark.parametrize(
    "text",
    [
        f"  {CODE}\n",
        CODE[:60] + "\n" + CODE[60:],
        CODE[:30] + "\r\n   " + CODE[30:90] + "\r\n" + CODE[90:],
        CODE.replace("Loja da Alice", "Loja\nda Alice"),
        CODE[:50] + "\u200b\ufeff" + CODE[50:],
        f"Pix copia e cola: {CODE}",
        f"Pague o pedido 12 com este código:\n\n{CODE}\n\nObrigada! 6304",
        CODE[:-4] + CODE[-4:].lower(),
    ],
)
def test_what_a_messenger_did_to_our_code_is_undone(text: str):
    """Line breaks, invisible marks, a sentence around it: the checksum says that it is whole."""
    assert read(text) == Reading(Kind.OUR_CODE, text=read(text).text, watch_code=TOKEN)
    assert read(text).text.lower() == CODE.lower()


@pytest.mark.parametrize(
    "text",
    [
        CODE[:-1],
        CODE[:-8],
        CODE[: CODE.index(TOKEN) + 32],
        CODE[: CODE.index(TOKEN) + 33],
        CODE[: CODE.index(TOKEN) + 37],
        CODE[: CODE.index(TOKEN) + 32] + "…",
        CODE[:-4] + "0000",
        CODE.replace("SAO", "S4O"),
        CODE.upper(),
        CODE.lower(),
        " ".join(CODE),
        CODE[:50] + "  " + CODE[50:],
        CODE[6:],
        CODE[CODE.index(BASE) :],
        CODE[CODE.index(BASE) + 5 :],
        CODE[CODE.index("/qr/v2") :],
        CODE[CODE.index(TOKEN) :],
    ],
)
def test_a_damaged_code_is_found_by_the_token_that_survived(text: str):
    """Cut at either end, changed, in capitals, with spaces: not to be paid, but found."""
    found = read(text)

    assert (found.kind, found.watch_code, found.is_whole) == (Kind.OUR_CODE, TOKEN, False)
    assert found.fault in ("tlv_malformed", "crc_missing", "crc_mismatch")


@pytest.mark.parametrize("length", range(31))
def test_a_part_of_a_token_finds_nothing(length: int):
    """Neither as it stands, nor filled up with the digits that happen to follow."""
    at = CODE.index(TOKEN) + length

    assert read(CODE[:at]).watch_code is None
    assert read(CODE[:at] + CODE[at + 32 - length :]).watch_code is None


@pytest.mark.parametrize(
    ("text", "base"),
    [
        (CODE, "other.example"),
        (CODE, "pix.loja.example.org"),
        (CODE, "loja.example"),
        (CODE, "pix.loja.example:5000"),
        (encode_dynamic(f"evil.example/{BASE}/qr/v2/{TOKEN}"[:77], "X", "Y"), BASE),
        (encode_dynamic(f"evil-{BASE}/qr/v2/{TOKEN}", "X", "Y"), BASE),
        (encode_dynamic(f"{BASE}/x/qr/v2/{TOKEN}", "X", "Y"), BASE),
        (encode_dynamic(f"{BASE}/qr/v2/{TOKEN}/more", "X", "Y"), BASE),
    ],
)
def test_a_location_elsewhere_is_another_shops(text: str, base: str):
    """The token alone proves nothing: anybody may write ours behind their own host."""
    found = read(text, base)

    assert (found.kind, found.watch_code, found.may_be_ours) == (Kind.OTHER_PIX, None, False)
    assert found.host == text[text.index("br.gov.bcb.pix") + 18 :].partition("/")[0]


@pytest.mark.parametrize(
    "text",
    [
        f"000201evil-{BASE}/qr/v2/{TOKEN}52040000",
        f"https://evil.example/?u={BASE}/qr/v2/{TOKEN}",
        f"https://evil.example/{BASE}/qr/v2/{TOKEN}",
        f"https://{BASE}@evil.example/qr/v2/{TOKEN}",
        f"https://evil.example/https://{BASE}/qr/v2/{TOKEN}",
    ],
)
def test_our_location_within_something_elses_is_not_ours(text: str):
    """Where host and path belong to another address, that one is meant."""
    assert read(text).watch_code is None


def test_a_host_is_compared_without_case_and_a_path_on_it_is_kept():
    """A base may have a path of its own, and a `cobv` location its own segment."""
    base = "Pix.Loja.example/balcao"
    code = encode_dynamic(f"pix.loja.EXAMPLE/balcao/qr/v2/cobv/{TOKEN}", "A", "B")

    assert read(code, base).watch_code == TOKEN
    assert read(code, "pix.loja.example").kind is Kind.OTHER_PIX


def test_a_service_on_this_machine_is_known_by_both_its_names():
    """Codes are written with the address, since a location's host needs a dot."""
    code = encode_dynamic(f"127.0.0.1:5000/qr/v2/{TOKEN}", "A", "B")

    assert read(code, "127.0.0.1:5000").watch_code == TOKEN
    assert read(f"http://localhost:5000/payments/pix/{ID}", "127.0.0.1:5000").payment_id == ID
    assert read(f"http://localhost:5001/payments/pix/{ID}", "127.0.0.1:5000").payment_id is None


@settings(max_examples=300)
@given(st.integers(0, 31), st.sampled_from(HEX), st.booleans())
def test_a_changed_character_in_a_token_never_gives_the_old_one(at: int, digit: str, sealed: bool):
    """The token is read as it stands; finding is by the exact token, so it finds no payment."""
    changed = TOKEN[:at] + digit + TOKEN[at + 1 :]
    text = CODE.replace(TOKEN, changed)
    if sealed:
        text = text[:-4] + crc16(text[:-4])

    found = read(text)

    assert found.watch_code == changed
    assert found.is_whole is (sealed or changed == TOKEN)


@settings(max_examples=300)
@given(st.integers(0, 32), st.sampled_from(HEX + "xyz "), st.booleans())
def test_an_inserted_or_lost_character_in_a_token_gives_none(at: int, character: str, lost: bool):
    """A token of 31 or 33 digits is not cut or filled to one of 32; a space is no digit."""
    changed = (
        TOKEN[:at] + TOKEN[at + 1 :] if lost and at < 32 else TOKEN[:at] + character + TOKEN[at:]
    )

    found = read(CODE.replace(TOKEN, changed)).watch_code

    assert found == (TOKEN if changed.replace(" ", "") == TOKEN else None)


@settings(max_examples=300)
@given(st.integers(0, len(CODE)), st.integers(0, len(CODE)), STORABLE | st.text(HEX, max_size=40))
def test_whatever_happens_to_our_code_finds_this_payment_or_none(start: int, end: int, put: str):
    """Any part of a code replaced by any text: what is named instead stands there to the letter."""
    start, end = sorted((start, end))
    text = CODE[:start] + put + CODE[end:]

    found = read(text).watch_code

    is_kept = end <= CODE.index(TOKEN) or start >= CODE.index(TOKEN) + 32
    if is_kept and TOKEN not in put:
        assert found in (TOKEN, None) or found in put
    else:
        assert found is None or found in "".join(text.split()).lower()


# --- the described forms -------------------------------------------------------------------------


def test_the_described_forms_are_read_with_their_fields():
    """The very examples of the described system."""
    khqr = read("KHQR:order_id=123:transaction_id=abc123def456789:amount=50.00")
    order = read("ORDER_123_abc123def456_50.00")

    assert (khqr.kind, khqr.order_id, khqr.transaction_id, khqr.amount_centavos) == (
        Kind.KHQR_ORDER,
        "123",
        "abc123def456789",
        5000,
    )
    assert (order.kind, order.order_id, order.transaction_id, order.amount_centavos) == (
        Kind.ORDER,
        "123",
        "abc123def456",
        5000,
    )
    assert (khqr.is_whole, order.is_whole) == (True, True)
    assert (khqr.payment_id, order.payment_id) == (None, None)


ORDERS = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=64
)


@settings(max_examples=300)
@given(ORDERS, st.integers(1, 999_999_999_999))
@example("a:b_c=d%41 \u00e9", 1)
@example("_" * 64, 999_999_999_999)
@example("ORDER_1_" + ID, 5)
def test_what_we_write_in_the_described_forms_is_read_again(order: str, centavos: int):
    """Whatever an order is called, and however an upload's text is wrapped."""
    order = order.strip() or "x"
    for written in (khqr_text(order, ID, centavos), order_text(order, ID, centavos)):
        assert written.isascii()
        assert len(written) <= 350
        for text in (written, written[:40] + "\n" + written[40:]):
            found = read(text)
            assert (found.order_id, found.payment_id, found.amount_centavos, found.is_whole) == (
                order,
                ID,
                centavos,
                True,
            )


@pytest.mark.parametrize("write", [khqr_text, order_text])
@pytest.mark.parametrize(
    ("order", "transaction"),
    [("", ID), ("x" * 65, ID), ("\ud800", ID), ("1", ""), ("1", "a_b"), ("1", "x" * 65)],
)
def test_what_no_form_can_hold_is_refused(write, order: str, transaction: str):
    """A text that could be read in two ways must not be made."""
    with pytest.raises(InvalidRequest):
        write(order, transaction, 100)


@pytest.mark.parametrize("write", [khqr_text, order_text])
def test_a_cut_form_never_gives_part_of_an_id_or_amount(write):
    """An id has 32 digits or is none; an amount has two decimals or is none."""
    whole = write("pedido_7:8", ID, 123456)
    for length in range(6, len(whole)):
        found = read(whole[:length])
        assert found.payment_id in (None, ID), length
        assert found.amount_centavos in (None, 123456), length
        assert found.is_whole is False, length


def test_a_form_of_another_system_with_underscores_in_its_order_is_read_from_the_right():
    """Its parts are clear while the amount stands at the end."""
    found = read(f"ORDER_2026_11_{ID}_50.00")

    assert (found.order_id, found.payment_id) == ("2026_11", ID)
    assert read(f"ORDER_2026_11_{ID}").payment_id is None


@pytest.mark.parametrize(
    "text",
    [
        f"KHQR:order_id=1:transaction_id={ID}:amount=0",
        f"KHQR:order_id=1:transaction_id={ID}:amount=1e3",
        f"KHQR:order_id=1:transaction_id={ID}:amount=10.001",
        f"KHQR:order_id=1:order_id=2:transaction_id={ID}:amount=1.00",
        f"KHQR:order_id=1:transaction_id={ID}:amount=1.00:x=1",
        f"khqr:ORDER_ID=1:TRANSACTION_ID={ID.upper()}",
    ],
)
def test_a_form_with_a_fault_is_not_whole_but_still_names_its_payment(text: str):
    """What is clear is used; what is not is left out."""
    found = read(text)

    assert (found.kind, found.payment_id, found.is_whole) == (Kind.KHQR_ORDER, ID, False)


def test_a_form_that_names_another_order_or_amount_contradicts_the_payment():
    """Somebody put a strange id into a text of their own."""
    found = read(khqr_text("7", ID, 500))

    assert not found.contradicts("7", 500)
    assert found.contradicts("8", 500)
    assert found.contradicts("7", 501)
    assert found.contradicts(None, 500)
    assert not read(ID).contradicts("7", 500)


# --- Bakong --------------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", KHQR, ids=lambda vector: vector["id"])
def test_bakongs_codes_are_read_with_their_md5(vector):
    """The MD5 of the whole text is what its systems find a payment by."""
    found = read(vector["payload"] + "\n")

    assert (found.kind, found.is_whole, found.country) == (Kind.BAKONG, True, "KH")
    assert found.md5 == vector["fields"]["md5"]
    assert found.bill_number == vector["fields"]["bill_number"]
    assert read(vector["payload"][:-3]).kind is Kind.BAKONG
    assert not read(vector["payload"][:-3]).is_whole


def test_the_described_bakong_example_is_named_as_such():
    """It is cut off, as the description shows it, and of no checksum."""
    found = read("00020101021238570010A0000007270127000697040401080408KHQR0104...")

    assert (found.kind, found.is_whole) == (Kind.BAKONG, False)


@pytest.mark.parametrize("text", [CODE, "olá", khqr_text("1", ID, 5)])
def test_a_reading_has_the_md5_of_its_text(text: str):
    """Sessions are kept under it, whatever form their text has."""
    assert read(text).md5 == hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


# --- addresses and ids ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        f"https://{BASE}/payments/pix/{ID}",
        f"http://{BASE}:80/payments/pix/{ID}/",
        f"HTTPS://{BASE.upper()}/payments/pix/{ID.upper()}",
        f"https://{BASE}:443/payments/pix/{ID}/receipt?lang=en#x",
        f"https://{BASE}/payments/pix/qr_code/qr_code_payment_{ID}.png",
        f"https://{BASE}/pay/{ID}",
        f"{BASE}/payments/pix/{ID}",
        f"Pague aqui: https://{BASE}/payments/pix/{ID}. Obrigada!",
        f"Loja https://outra.example e (https://{BASE}/payments/pix/{ID})",
    ],
)
def test_the_address_of_a_payment_is_found(text: str):
    """Of its page, its receipt, its picture; alone or in a shared sentence."""
    found = read(text)

    assert (found.kind, found.payment_id) == (Kind.OUR_ADDRESS, ID)


@pytest.mark.parametrize(
    "text",
    [
        f"https://{BASE}/qr/v2/{TOKEN}",
        f"https://{BASE}/watch/{TOKEN}",
        f"{BASE}/qr/v2/{TOKEN}",
        f"veja {BASE}/qr/v2/{TOKEN}, por favor",
    ],
)
def test_the_address_of_a_location_is_found_by_its_token(text: str):
    """What stands inside the code, copied out of it."""
    found = read(text)

    assert (found.kind, found.watch_code) == (Kind.OUR_ADDRESS, TOKEN)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (f"https://{BASE}/", Kind.OUR_OTHER_PAGE),
        (f"https://{BASE}/payments/pix/{ID[:-1]}", Kind.OUR_OTHER_PAGE),
        (f"https://{BASE}/payments/pix/{ID}0", Kind.OUR_OTHER_PAGE),
        (f"https://{BASE}:8443/payments/pix/{ID}", Kind.WEB_ADDRESS),
        (f"https://{BASE}.evil.example/payments/pix/{ID}", Kind.WEB_ADDRESS),
        (f"https://{BASE}@evil.example/payments/pix/{ID}", Kind.WEB_ADDRESS),
        (f"ftp://{BASE}/payments/pix/{ID}", Kind.PLAIN_TEXT),
    ],
)
def test_an_address_without_a_payment_of_ours_finds_none(text: str, kind: Kind):
    """A wrong id, a wrong port, another host that only looks like ours."""
    found = read(text)

    assert (found.kind, found.payment_id, found.watch_code) == (kind, None, None)


@pytest.mark.parametrize(
    "text",
    [
        ID,
        ID.upper(),
        f" {ID}\n",
        f"{ID[:16]} {ID[16:]}",
        f"qr_code_payment_{ID}",
        f"qr_code_payment_{ID}.svg",
    ],
)
def test_an_id_is_read_as_it_is_typed(text: str):
    """From a mail, a file's name, a bill."""
    assert (read(text).kind, read(text).payment_id) == (Kind.PAYMENT_ID, ID)


@pytest.mark.parametrize("text", [ID[:-1], ID + "0", f"{ID[:8]}-{ID[8:]}", ID[:-1] + "g"])
def test_what_has_no_ids_form_is_none(text: str):
    """31 and 33 digits are no id with a mistake in it: they are none."""
    assert read(text).payment_id is None


def test_the_number_on_a_banks_receipt_is_known():
    """Payers have it where the picture of the code is lost."""
    text = "E1234567820260909122112345abcdef"

    assert read(text) == Reading(Kind.END_TO_END_ID, text, end_to_end_id=text)
    assert read("E9999999999999999999999999999999").kind is Kind.PAYMENT_ID


# --- what is not ours ----------------------------------------------------------------------------


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


# --- several texts, limits, and everything else --------------------------------------------------


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
                own = name.startswith("recovery.reading")
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

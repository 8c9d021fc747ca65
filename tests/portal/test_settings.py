"""The shop's settings: validation, what shoppers see, and who may change them."""

from __future__ import annotations

import io
import itertools
import re
import time
from typing import Any

import pytest
from PIL import Image

from config import parts_of
from repository.accounts import RecentAccounts
from tests.portal.signing import CONFIRMED, PASSWORD, search, sign_in
from tests.support.hostile_pictures import many_scans
from web.brand import contrast, style_sheet

SHOP: dict[str, Any] = {
    "name": "Queijaria da Alice",
    "city": "Belo Horizonte",
    "brand_color": "#aa3300",
    "institution": "Banco da Alice S.A.",
    "support_contact": "(31) 99999-0000",
    "support_url": "mailto:oi@alice.example",
    "shop_url": "https://alice.example/",
    "grace_seconds": "30",
}
CPF, CNPJ = "529.982.247-25", "11.222.333/0001-81"


def picture(kind="PNG", size=(600, 400), **options) -> bytes:
    """A picture file."""
    output = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert("RGB").save(output, format=kind, **options)
    return output.getvalue()


def send_logo(browser, data, name="logo.png"):
    """Send the logo form, built by hand: the client would leave a temporary file open."""
    edge = b"--edge\r\nContent-Disposition: form-data; "
    token = edge + b'name="csrf_token"\r\n\r\n' + browser.token.encode() + b"\r\n"
    head = edge + f'name="logo"; filename="{name}"\r\n'.encode()
    body = token + head + b"Content-Type: image/png\r\n\r\n" + data + b"\r\n--edge--\r\n"
    return browser.client.post(
        "/portal/settings/logo",
        data=body,
        headers={"Accept": "text/html"},
        content_type="multipart/form-data; boundary=edge",
    )


def test_shoppers_see_the_saved_settings(alice, client, charge, app):
    """Name, contact and colour are on the payment page."""
    answer = alice.post("/portal/settings/shop", SHOP)
    assert answer.status_code == 303
    assert "Salvo." in alice.get(answer.location).text
    with app.app_context():
        parts_of(app).ledger.recent = RecentAccounts()
    payment = charge()
    page = client.get(f"/payments/pix/{payment['id']}", headers={"Accept": "text/html"}).text
    assert "Queijaria da Alice" in page
    assert 'href="/brand/aa3300.css"' in page
    assert client.get("/brand/aa3300.css").mimetype == "text/css"
    alice.post(f"/portal/payments/{payment['id']}/cancel", CONFIRMED)
    page = client.get(f"/payments/pix/{payment['id']}", headers={"Accept": "text/html"}).text
    assert "(31) 99999-0000" in page


def test_receipts_name_the_institution_that_receives(alice, client, charge, bank, app):
    """As a bank's receipt does; a merchant that names none has no such line."""
    lines = []
    for institution in ("", "Banco da Alice S.A."):
        alice.post("/portal/settings/shop", {**SHOP, "institution": institution})
        with app.app_context():
            parts_of(app).ledger.recent = RecentAccounts()
        payment = charge()
        bank.confirm(payment)
        for path in ("", "/receipt"):
            page = client.get(
                f"/payments/pix/{payment['id']}{path}", headers={"Accept": "text/html"}
            ).text
            lines.append(
                search(page, r"<dt>Banco que recebe</dt><dd>(.*?)</dd>")
                if "Banco que" in page
                else None
            )
    assert lines == [None, None, "Banco da Alice S.A.", "Banco da Alice S.A."]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 121),
        ("name", "🧀🧀"),
        ("city", " "),
        ("brand_color", "red"),
        ("brand_color", "#12345"),
        ("support_url", "javascript:alert(1)"),
        ("support_url", "data:text/html,x"),
        ("shop_url", "https://"),
        ("shop_url", "https://[::1"),
        ("support_contact", "x" * 121),
        ("institution", "x" * 61),
        ("document", "123.456.789-00"),
        ("document", "x" * 21),
        ("street", "x" * 201),
        ("state", "XX"),
        ("postal_code", "5000-0000"),
        ("postal_code", "123"),
        ("grace_seconds", "3601"),
        ("grace_seconds", "-1"),
        ("grace_seconds", "ten"),
    ],
)
def test_an_invalid_setting_is_reported_at_its_field(alice, field, value):
    """Nothing of the form is saved."""
    answer = alice.post("/portal/settings/shop", {**SHOP, field: value})
    assert answer.status_code == 400
    assert f'id="{field}-wrong"' in answer.text
    assert "Queijaria da Alice" not in alice.get("/portal").text


@pytest.mark.parametrize(
    ("document", "stored"),
    [("123.456.789-09", "12345678909"), ("12.abc.345/01de-35", "12ABC34501DE35"), ("", "")],
)
def test_document_and_address_are_saved_in_their_plain_form(alice, document, stored):
    """Charges with a due date show them; an empty field clears its column."""
    payee = {"document": document, "street": "Rua A, 1", "state": "pe", "postal_code": "50000-000"}

    answer = alice.post("/portal/settings/shop", {**SHOP, **payee})

    page = alice.get(answer.location).text
    for name, value in (("document", stored), ("state", "PE"), ("postal_code", "50000000")):
        assert search(page, rf'id="{name}" name="{name}"[^>]*?value="([^"]*)"') == value


@pytest.mark.parametrize(
    ("address", "link"),
    [
        ("wa.me/5511999990000", "https://wa.me/5511999990000"),
        ("www.alice.example", "https://www.alice.example"),
        ("alice.example:8443/ajuda?de=pix", "https://alice.example:8443/ajuda?de=pix"),
        ("queijaria-são-joão.com.br", "https://queijaria-são-joão.com.br"),
        ("oi@alice.example", "mailto:oi@alice.example"),
        ("tel:+5531999990000", "tel:+5531999990000"),
    ],
)
def test_an_address_without_a_scheme_is_read_as_meant(alice, address, link):
    """Nobody types https:// on a phone; the page shows what shoppers will get."""
    answer = alice.post("/portal/settings/shop", {**SHOP, "support_url": address})
    assert answer.status_code == 303
    assert f'value="{link}"' in alice.get(answer.location).text


@pytest.mark.parametrize(
    "address", ["alice", "12.5", "alice.example:alert(1)", "alice.example e mais"]
)
def test_a_word_is_not_taken_for_an_address(alice, address):
    """A link that leads nowhere is worse than an error."""
    answer = alice.post("/portal/settings/shop", {**SHOP, "shop_url": address})
    assert (answer.status_code, 'id="shop_url-wrong"' in answer.text) == (400, True)


def test_an_address_that_its_scheme_makes_too_long_is_refused(alice):
    """500 characters is what the database holds."""
    longest = "alice.example/" + "x" * (500 - len("https://alice.example/"))
    sent = {**SHOP, "shop_url": longest}
    assert alice.post("/portal/settings/shop", sent).status_code == 303
    assert (
        alice.post("/portal/settings/shop", {**sent, "shop_url": longest + "x"}).status_code == 400
    )


@pytest.mark.parametrize(
    ("path", "fields", "field", "target"),
    [
        ("shop", {**SHOP, "support_url": "no address"}, "support_url", "support_url"),
        ("pix-key", {"pix_key": CPF, "password": "guess"}, "password", "pix_key-password"),
        ("pix-key", {"pix_key": "1"}, "pix_key", "pix_key"),
        ("mail", {"email": "a@b.example", "password": "guess"}, "password", "mail-password"),
        ("keys", {"label": "", "scopes": ["payments:read"]}, "label", "label"),
        ("password", {"new_password": "short"}, "new_password", "new_password"),
    ],
)
def test_an_error_is_in_sight(alice, path, fields, field, target):
    """The page is long: the summary on top leads to the field, which has the focus."""
    page = alice.post(f"/portal/settings/{path}", fields).text
    summary = search(page, r'(?s)<div class="notice notice--bad problems" role="alert">(.*?)</ul>')
    assert f'href="#{target}"' in summary
    assert page.index("problems") < page.index('class="settings"')
    assert re.findall(r'<input[^>]* id="([^"]+)"[^>]* autofocus', page) == [target]
    assert page.count(f'id="{target}"') == 1
    assert f'id="{field}-wrong"' in page
    assert "autofocus" not in alice.get("/portal/settings").text


@pytest.mark.parametrize("value", ["0", "3600"])
def test_grace_periods_at_the_limits_are_saved(alice, value):
    """The limits themselves are allowed."""
    assert alice.post("/portal/settings/shop", {**SHOP, "grace_seconds": value}).status_code == 303


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("JPEG", {"quality": 80}), ("WEBP", {})]
)
def test_a_logo_is_redrawn_and_served(alice, client, kind, options):
    """At most 320 × 256 px, without metadata, at a URL that may be cached for ever."""
    exif = Image.Exif()
    exif[0x010E] = "secret of the camera"
    data = picture(kind, exif=exif, **options)
    assert send_logo(alice, data).status_code == 303
    address = search(alice.get("/portal").text, r'src="(/logos/[0-9a-f]{32}\.png)"')
    answer = client.get(address)
    assert answer.status_code == 200
    assert "immutable" in answer.headers["Cache-Control"]
    assert b"secret" not in answer.data
    assert len(answer.data) <= 60_000
    with Image.open(io.BytesIO(answer.data)) as served:
        assert (served.format, served.size) == ("PNG", (320, 213))
    assert send_logo(alice, picture(size=(20, 20))).status_code == 303
    assert client.get(address).status_code == 404  # the old picture is gone


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ((1200, 300), (320, 80)),
        ((300, 1200), (64, 256)),
        ((500, 500), (256, 256)),
        ((4000, 10), (320, 1)),
        ((120, 30), (120, 30)),
    ],
)
def test_a_logo_keeps_its_ratio(alice, client, sent, stored):
    """A wide logo is stored wide enough for 160 px on a screen of two pixels for each."""
    assert send_logo(alice, picture(size=sent)).status_code == 303
    address = search(alice.get("/portal").text, r'src="(/logos/[0-9a-f]{32}\.png)"')
    with Image.open(io.BytesIO(client.get(address).data)) as served:
        assert served.size == stored


def test_the_logo_is_deleted_only_after_a_second_step(alice, client):
    """The picture is deleted for good: a merchant without the file cannot send it again."""
    assert send_logo(alice, picture(size=(20, 20))).status_code == 303
    address = search(alice.get("/portal").text, r'src="(/logos/[0-9a-f]{32}\.png)"')
    path, remove = "/portal/settings/logo", {"remove": "1"}

    question = alice.post(path, remove)

    assert question.status_code == 200
    assert "Tirar a logo?" in question.text
    assert "Sim, tirar a logo" in question.text
    assert '<input type="hidden" name="remove" value="1">' in question.text
    assert '<input type="hidden" name="confirmed" value="1">' in question.text
    assert client.get(address).status_code == 200
    assert alice.post(path, {**remove, **CONFIRMED}).status_code == 303
    assert client.get(address).status_code == 404
    assert "/logos/" not in alice.get("/portal").text


def test_a_photograph_of_noise_still_fits(alice, client):
    """A picture that compresses badly gets fewer colours until it fits."""
    noise = Image.effect_noise((1000, 1000), 90).convert("RGB")
    output = io.BytesIO()
    noise.save(output, format="JPEG", quality=60)
    assert send_logo(alice, output.getvalue()).status_code == 303


def _bomb() -> bytes:
    return picture(size=(6000, 4001), compress_level=9)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not a picture",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"GIF89a" + b"\x00" * 40,
        picture()[:200],
        b"\x89PNG\r\n\x1a\n" + b"\x00" * 100,
    ],
)
def test_an_unsupported_picture_is_refused(alice, data):
    """SVG may have scripts, GIF may be animated, a truncated file may hang a decoder."""
    answer = send_logo(alice, data)
    assert answer.status_code == 400
    assert 'id="logo-wrong"' in answer.text


def test_a_picture_of_too_many_pixels_is_refused_before_decoding(alice):
    """24 megapixels are allowed; one row more may be a decompression bomb."""
    data = _bomb()
    assert len(data) < 2_097_152
    assert send_logo(alice, data).status_code == 413


@pytest.mark.parametrize("kind", ["JPEG", "MPO"])
def test_a_logo_that_takes_too_many_steps_is_refused_before_decoding(alice, kind):
    """Each repeated scan of a few bytes makes the decoder go over 24 megapixels once more."""
    started_at = time.monotonic()
    answer = send_logo(alice, many_scans(kind, 4890))
    assert (answer.status_code, 'id="logo-wrong"' in answer.text) == (413, True)
    assert time.monotonic() - started_at < 2


def test_a_logo_and_other_forms_have_their_own_size_limits(alice):
    """2 MB for a logo; 64 KB for other forms."""
    assert send_logo(alice, b"x" * 2_300_000).status_code == 413
    assert send_logo(alice, b"x" * 2_097_153).status_code == 413
    big = alice.post("/portal/settings/shop", {**SHOP, "name": "x" * 70_000})
    assert big.status_code == 413


@pytest.mark.parametrize(
    ("text", "kind", "formatted_key"),
    [
        (CPF, "cpf", "529.982.247-25"),
        ("52998224725", "cpf", "529.982.247-25"),
        (CNPJ, "cnpj", "11.222.333/0001-81"),
        ("12ABC34501DE35", "cnpj", "12.ABC.345/01DE-35"),
        ("(11) 98765-4321", "phone", "+55 11 98765-4321"),
        ("ALICE@feira.example", "email", "alice@feira.example"),
        ("529.982.247-24", None, None),
        ("11.222.333/0001-80", None, None),
        ("hello", None, None),
    ],
)
def test_the_kind_of_a_pix_key_is_detected_while_typing(alice, text, kind, formatted_key):
    """A wrong check digit is reported before money is sent to it."""
    answer = alice.client.post(
        "/portal/settings/pix-key/kind", json={"key": text}, headers={"X-CSRF-TOKEN": alice.token}
    )
    assert answer.status_code == 200
    assert (answer.get_json()["kind"], answer.get_json()["shown"]) == (kind, formatted_key)


def test_the_pix_key_changes_only_with_the_password(alice):
    """Money goes to the key, so an unattended browser must not be enough."""
    wrong = alice.post("/portal/settings/pix-key", {"pix_key": CPF, "password": "guess"})
    assert wrong.status_code == 400
    assert 'id="password-wrong"' in wrong.text
    assert "529.982.247-25 (CPF)" not in alice.get("/portal/settings").text
    right = alice.post("/portal/settings/pix-key", {"pix_key": CPF, "password": PASSWORD})
    assert right.status_code == 303
    assert "529.982.247-25 (CPF)" in alice.get("/portal/settings").text


def test_an_invalid_pix_key_or_anothers_is_refused(alice, charlie):
    """An invalid key needs no password check; another's key is revealed only after one."""
    bad = alice.post("/portal/settings/pix-key", {"pix_key": "529.982.247-24", "password": "x"})
    assert bad.status_code == 400
    assert 'id="pix_key-wrong"' in bad.text
    conflict = alice.post(
        "/portal/settings/pix-key", {"pix_key": "charlie@longe.example", "password": PASSWORD}
    )
    assert conflict.status_code == 409
    assert "Outra conta recebe por esta chave." in conflict.text


def test_an_api_key_is_displayed_once_works_and_can_be_revoked(app, alice, charlie):
    """Only the answer to its creation shows the key; another merchant cannot revoke it."""
    answer = alice.post("/portal/settings/keys", {"label": "Caixa", "scopes": ["payments:read"]})
    key = search(answer.text, r'value="(balcao_test_[^"]+)"')
    later = alice.get("/portal/settings").text
    assert key not in later
    assert key[:16] in later
    bearer = {"Authorization": f"Bearer {key}"}
    program = app.test_client()
    assert program.get("/payments/pix", headers=bearer).status_code == 200
    assert program.post("/payments/pix", json={"value": 1}, headers=bearer).status_code == 403
    revoke = search(later, r"(/portal/settings/keys/[0-9a-f]{32}/revoke)")
    assert charlie.post(revoke).status_code == 404
    assert program.get("/payments/pix", headers=bearer).status_code == 200
    question = alice.post(revoke)
    assert "Revogar a chave Caixa?" in question.text
    assert program.get("/payments/pix", headers=bearer).status_code == 200
    assert alice.post(revoke, CONFIRMED).status_code == 303
    assert program.get("/payments/pix", headers=bearer).status_code == 401


@pytest.mark.parametrize(
    "fields", [{"label": "", "scopes": ["payments:read"]}, {"label": "x", "scopes": ["all"]}]
)
def test_a_key_needs_a_name_and_a_permission(alice, fields):
    """A key without a name cannot be recognised, one without scopes cannot do anything."""
    assert alice.post("/portal/settings/keys", fields).status_code == 400


def test_a_new_password_ends_the_other_sessions(app, alice):
    """The other browser is signed out; this one stays signed in."""
    other = sign_in(app, "alice")
    new_password = "another password of many words"
    fields = {"current_password": PASSWORD, "new_password": new_password, "repeated": new_password}
    assert alice.post("/portal/settings/password", fields).status_code == 303
    assert alice.get("/portal").status_code == 200
    assert other.get("/portal").status_code == 303


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"current_password": "guess"}, "current_password"),
        ({"new_password": "short", "repeated": "short"}, "new_password"),
        ({"repeated": "something else entirely"}, "repeated"),
        ({"new_password": PASSWORD, "repeated": PASSWORD}, "new_password"),
    ],
)
def test_an_invalid_password_is_reported_at_its_field(alice, change, wrong):
    """Each error belongs to its field."""
    new_password = "another password of many words"
    fields = {
        "current_password": PASSWORD,
        "new_password": new_password,
        "repeated": new_password,
        **change,
    }
    answer = alice.post("/portal/settings/password", fields)
    assert answer.status_code == 400
    assert f'id="{wrong}-wrong"' in answer.text


def test_only_its_owner_can_end_a_session(app, alice, charlie):
    """Charlie has the session's id, and cannot end the session."""
    other = sign_in(app, "alice")
    page = alice.get("/portal/settings").text
    end = search(page, r"(/portal/settings/sessions/[0-9a-f]{32}/end)")
    assert charlie.post(end).status_code == 404
    assert charlie.post(end, CONFIRMED).status_code == 404
    assert other.get("/portal").status_code == 200
    assert "Encerrar esta sessão?" in alice.post(end).text
    assert other.get("/portal").status_code == 200
    assert alice.post(end, CONFIRMED).status_code == 303
    assert other.get("/portal").status_code == 303


@pytest.mark.parametrize("name", ["zzzzzz", "aa330", "aa33001", "../etc"])
def test_only_colours_have_a_style_sheet(client, name):
    """An unchecked name must not get into the style sheet."""
    assert client.get(f"/brand/{name}.css").status_code == 404


@pytest.mark.parametrize(
    "color",
    ["#000000", "#ffffff", "#ffff00", "#ff0000", "#00ff00", "#0000ff", "#808080", "#fefe33"],
)
def test_every_colour_is_readable_on_light_and_dark(color):
    """WCAG 2.2, 1.4.3: 4.5 to 1, as text on the surfaces and behind a button's text."""
    light, dark = style_sheet(color).split("@media")
    for sheet, surfaces in (
        (light, ("#ffffff", "#f2f5f4")),
        (dark, ("#151d1a", "#0c1210")),
    ):
        tokens = dict(re.findall(r"--([a-z-]+):(#[0-9a-f]{6})", sheet))
        for ground in (*surfaces, tokens["action-tint"]):
            assert _ratio(tokens["action"], ground) >= 4.5, (color, ground)
        for state in ("button", "button-hover", "button-press"):
            assert _ratio(tokens["on-action"], tokens[state]) >= 4.5, (color, state)
        assert _ratio(tokens["button-edge"], surfaces[0]) >= 3, color


@pytest.mark.parametrize(
    ("color", "text"),
    [
        ("#ffd400", "#000000"),
        ("#ffffff", "#000000"),
        ("#000000", "#ffffff"),
        ("#0000ff", "#ffffff"),
        ("#808080", "#000000"),
    ],
)
def test_a_button_keeps_the_shops_colour(color, text):
    """A yellow stays yellow on light and dark pages; only the button's text is chosen."""
    for sheet in style_sheet(color).split("@media"):
        assert f"--button:{color};" in sheet
        assert f"--on-action:{text};" in sheet
        assert f"--button-hover:{color};" not in sheet


def test_every_colour_leaves_contrast_for_the_buttons_text():
    """In each state, over the whole space of colours."""
    steps = range(0, 256, 15)
    for red, green, blue in itertools.product(steps, steps, steps):
        sheet = style_sheet.__wrapped__(f"#{red:02x}{green:02x}{blue:02x}")
        tokens = dict(re.findall(r"--([a-z-]+):(#[0-9a-f]{6})", sheet))
        for state in ("button", "button-hover", "button-press"):
            assert _ratio(tokens["on-action"], tokens[state]) >= 4.5, (tokens["button"], state)


def test_a_readable_colour_is_unchanged():
    """A merchant's colour changes only if it must."""
    assert "--action:#04694f" in style_sheet("#04694f")


def _ratio(color, other) -> float:
    first, second = (
        (int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)) for text in (color, other)
    )
    return contrast(first, second)


@pytest.mark.parametrize("name", ["0" * 32, "nonsense", "..%2f..%2fetc"])
def test_an_unknown_logo_is_a_404(client, name):
    """The name is never a path on disk."""
    assert client.get(f"/logos/{name}.png").status_code == 404
